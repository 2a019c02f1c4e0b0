"""Without an account key: URLs signed with a key that Azure gives whoever comes with a token."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Thread, current_thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from asgiref.sync import async_to_sync
from azure.core.credentials import AccessToken
from azure.storage.blob import UserDelegationKey

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.azure import AzureAsyncUploadStorage
from async_uploads.storage.azure.delegation import DelegationKey, DelegationKeys
from tests.azure_storage import (
    CONTENT,
    FINAL,
    azure_storage,
    content_of,
    request,
    temporary,
    ticket,
)
from tests.servers.azurite_oauth import ManagedIdentity, OAuthAzureServer


class AsyncIdentity:
    """The same, as azure.identity.aio has it."""

    def __init__(self) -> None:
        self._identity = ManagedIdentity()

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        await asyncio.sleep(0)
        return self._identity.get_token(*scopes, **options)


def identified(server: OAuthAzureServer, **options: Any) -> AzureAsyncUploadStorage:
    given = {
        "connection_string": None,
        "account_url": server.account_url,
        "account_name": server.account_name,
        "token_credential": ManagedIdentity(),
        "timeout": 20,
        # Azurite does not know how the SDK's newest version is signed.
        "client_options": {
            "connection_verify": str(server.ca_file),
            "api_version": "2025-11-05",
            "retry_total": 0,
        },
    }
    return azure_storage(server, **{**given, **options})


def keys_fetched(server: OAuthAzureServer) -> int:
    return len([asked for asked in server.requests() if "userdelegationkey" in asked.query])


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@pytest.mark.parametrize("credential", [ManagedIdentity, AsyncIdentity], ids=["blocking", "async"])
async def test_an_identity_can_do_all_that_a_key_can(
    azurite_oauth: OAuthAzureServer, credential: Any
) -> None:
    storage = identified(azurite_oauth, token_credential=credential())
    asking = partial(request, verify=str(azurite_oauth.ca_file))
    key = temporary(storage)

    upload = await ticket(storage, key)
    sent = await asking("PUT", upload["url"], content=CONTENT, headers=upload["headers"])
    again = await asking("PUT", upload["url"], content=b"again", headers=upload["headers"])
    stored = await storage.astat(key)
    await storage.acopy_file(key, FINAL, if_match=stored.etag)
    await storage.adelete(key)
    download = await asking("GET", await storage.agenerate_download_url(FINAL, "field", filename="ä.txt"))

    assert (sent.status_code, again.status_code) == (201, 403)
    assert download.content == CONTENT == await content_of(storage, FINAL)
    assert download.headers["content-disposition"] == "inline; filename*=utf-8''%C3%A4.txt"
    assert not await storage.aexists(key)
    assert query_of(upload["url"])["spr"] == "https"


async def test_a_credential_that_blocks_does_not_block_the_loop(azurite_oauth: OAuthAzureServer) -> None:
    class Slow(ManagedIdentity):
        def get_token(self, *scopes: str, **options: Any) -> AccessToken:
            threads.append(current_thread())
            return super().get_token(*scopes, **options)

    threads: list[Thread] = []
    storage = identified(azurite_oauth, token_credential=Slow())

    await ticket(storage, temporary(storage))
    await storage.aexists(FINAL)

    assert len(threads) == 2
    assert current_thread() not in threads


@pytest.mark.parametrize("version", ["2019-12-12", "2020-02-10", "2020-12-06", "2025-07-05"])
async def test_the_api_version_says_how_urls_are_signed(
    azurite_oauth: OAuthAzureServer, version: str
) -> None:
    options = {"connection_verify": str(azurite_oauth.ca_file), "api_version": version}
    storage = identified(azurite_oauth, client_options=options)

    upload = await ticket(storage, temporary(storage))

    sent = await request(
        "PUT", upload["url"], content=CONTENT, headers=upload["headers"], verify=str(azurite_oauth.ca_file)
    )
    assert (sent.status_code, query_of(upload["url"])["sv"]) == (201, version)


async def test_a_hundred_who_ask_at_once_cost_one_key(azurite_oauth: OAuthAzureServer) -> None:
    storage = identified(azurite_oauth)
    before = keys_fetched(azurite_oauth)

    await asyncio.gather(*(ticket(storage, temporary(storage)) for _ in range(100)))
    await storage.agenerate_download_url(FINAL, "field")

    assert keys_fetched(azurite_oauth) - before == 1


def test_threads_and_loops_of_their_own_share_the_key(azurite_oauth: OAuthAzureServer) -> None:
    storage = identified(azurite_oauth)
    before = keys_fetched(azurite_oauth)
    urls: list[str] = []

    def ask() -> None:
        upload = async_to_sync(ticket)(storage, temporary(storage))
        urls.append(upload["url"])

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ask()

    assert len(urls) == 9
    assert keys_fetched(azurite_oauth) - before == 1


async def test_signing_with_a_key_that_is_known_asks_nobody(azurite_oauth: OAuthAzureServer) -> None:
    storage = identified(azurite_oauth)
    await ticket(storage, temporary(storage))
    azurite_oauth.stop()

    upload = await ticket(storage, temporary(storage))

    assert "sig=" in upload["url"]


async def test_a_key_that_cannot_be_had_is_an_outage_and_the_next_asker_tries_again(
    azurite_oauth: OAuthAzureServer,
) -> None:
    storage = identified(azurite_oauth)
    azurite_oauth.stop()

    with pytest.raises(StorageUnavailable):
        await ticket(storage, temporary(storage))
    azurite_oauth.start()

    assert "sig=" in (await ticket(storage, temporary(storage)))["url"]


@pytest.mark.parametrize(("expire", "days"), [(3600, 1 / 24), (30 * 24 * 3600, 7)])
async def test_no_url_outlives_its_key(azurite_oauth: OAuthAzureServer, expire: int, days: float) -> None:
    storage = identified(azurite_oauth)

    query = query_of(await storage.agenerate_download_url(FINAL, "field", expire=expire))

    end = datetime.strptime(query["se"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    left = end - datetime.now(UTC)
    assert timedelta(days=days) - timedelta(minutes=20) < left <= timedelta(days=days)
    assert query["se"] <= query["ske"]
    assert query["skt"] <= query["st"]


class Keys:
    """A source of keys that a test can hold up."""

    def __init__(self) -> None:
        self.fetched: list[tuple[datetime, datetime]] = []
        self.asked = asyncio.Event()
        self.released = asyncio.Event()
        self.released.set()
        self.keys = DelegationKeys(self.fetch)

    async def fetch(self, start: datetime, expiry: datetime) -> UserDelegationKey:
        self.fetched.append((start, expiry))
        self.asked.set()
        await self.released.wait()
        return UserDelegationKey()  # type: ignore[no-untyped-call]  # the SDK's own


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


async def test_a_key_is_good_for_urls_that_end_well_before_it() -> None:
    source = Keys()
    key = await source.keys.get(in_days(0.1))
    source.keys._known = old = DelegationKey(key.key, in_days(0.2))

    assert await source.keys.get(old.expires_at - timedelta(minutes=6)) is old
    assert await source.keys.get(old.expires_at - timedelta(minutes=4)) is not old
    assert len(source.fetched) == 2


async def test_urls_as_long_lived_as_a_key_do_not_need_one_each() -> None:
    source = Keys()

    for _ in range(3):
        await source.keys.get(in_days(7))

    assert len(source.fetched) == 1


async def test_who_stops_waiting_takes_nobody_with_them() -> None:
    source = Keys()
    source.released.clear()
    first, second, third = (asyncio.create_task(source.keys.get(in_days(1))) for _ in range(3))
    await source.asked.wait()
    source.asked.clear()

    second.cancel()  # one of those who wait
    await asyncio.sleep(0)
    first.cancel()  # the one who fetches
    await source.asked.wait()  # the third fetches now
    source.released.set()

    assert (await third).key is not None
    assert len(source.fetched) == 2
    for gone in (first, second):
        with pytest.raises(asyncio.CancelledError):
            await gone
