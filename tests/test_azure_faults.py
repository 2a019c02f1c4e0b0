"""What goes wrong is told in one clear line, and never with a key, a signature or a token."""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.azure import AzureAsyncUploadStorage
from tests.azure_storage import (
    CONTENT,
    FINAL,
    WRONG_KEY,
    azure_storage,
    blob_at,
    file,
    temporary,
    uploaded,
    with_key,
    with_sas,
)
from tests.servers.azurite import AzureServer
from tests.servers.proxy import Proxy

TOKEN = "eyJhbGciOiJub25lIn0.a-token-that-is-secret."
SECRETS = [AzureServer.account_key, WRONG_KEY, TOKEN, "sig=", "Signature", "SharedKey ", "Bearer "]

Verb = Callable[[AzureAsyncUploadStorage, str], Awaitable[Any]]
VERBS: dict[str, Verb] = {
    "stat": lambda storage, key: storage.astat(key),
    "read": lambda storage, key: storage.aread_range(key, 0, 4),
    "copy": lambda storage, key: storage.acopy_file(key, FINAL),
    "delete": lambda storage, key: storage.adelete(key),
    "save": lambda storage, key: storage.asave(FINAL, file()),
}
each_verb = pytest.mark.parametrize("verb", VERBS.values(), ids=list(VERBS))


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All that any library says at INFO, in which nothing may be secret."""
    caplog.set_level(logging.INFO)
    yield caplog
    told = "\n".join(f"{record.getMessage()} {record.exc_text or ''}" for record in caplog.records)
    assert_no_secrets(told)


def assert_no_secrets(text: str) -> None:
    assert [secret for secret in SECRETS if secret in text] == []


def told_by(error: BaseException | None) -> str:
    """All that a log or an error page could make of an error, the errors behind it included."""
    texts = []
    while error is not None:
        texts += [str(error), repr(error), repr(vars(error)), *traceback.format_exception(error, chain=True)]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


async def outage(verb: Verb, storage: AzureAsyncUploadStorage, key: str) -> str:
    with pytest.raises(StorageUnavailable) as caught:
        await verb(storage, key)
    assert_no_secrets(told_by(caught.value))
    assert (caught.value.status, caught.value.code) == (503, "storage_unavailable")
    assert "\n" not in caught.value.reason
    return caught.value.reason


async def test_a_server_that_is_stopped_is_an_outage_that_ends(azurite: AzureServer) -> None:
    storage = azure_storage(azurite)
    key = await uploaded(storage)
    host = azurite.account_url.split("/")[2]
    azurite.stop()

    for verb in VERBS.values():
        reason = await outage(verb, storage, key)

        assert reason.startswith(f"Azure container uploads at {host} cannot be reached")
    azurite.start()
    assert (await storage.astat(key)).size == len(CONTENT)


@each_verb
async def test_a_server_that_does_not_answer_is_an_outage_that_ends(azurite: AzureServer, verb: Verb) -> None:
    storage = azure_storage(azurite, timeout=0.2)
    key = await uploaded(storage)
    azurite.pause()

    reason = await outage(verb, storage, key)

    assert "cannot be reached (" in reason
    assert "Timeout" in reason
    azurite.resume()
    await azure_storage(azurite, location=storage.location).aexists(key)


@each_verb
async def test_a_wrong_key_is_told(azurite: AzureServer, verb: Verb) -> None:
    storage = azure_storage(azurite, **with_key(azurite, account_key=WRONG_KEY))

    reason = await outage(verb, storage, temporary(storage))

    assert "answered 403 AuthorizationFailure" in reason


@each_verb
async def test_a_key_that_is_none_is_told(azurite: AzureServer, verb: Verb) -> None:
    storage = azure_storage(azurite, **with_key(azurite, account_key="abcde"))

    assert "the credential gives no access (AzureSigningError)" in await outage(
        verb, storage, temporary(storage)
    )


@each_verb
async def test_a_sas_that_is_wrong_is_told(azurite: AzureServer, verb: Verb) -> None:
    options = with_sas(azurite)
    options["sas_token"] = options["sas_token"].replace("sig=", "sig=AAAA")
    storage = azure_storage(azurite, **options)

    assert "answered 403" in await outage(verb, storage, temporary(storage))


@each_verb
async def test_a_missing_container_is_told(azurite: AzureServer, verb: Verb) -> None:
    storage = azure_storage(azurite, azure_container="nowhere")

    reason = await outage(verb, storage, temporary(storage))

    assert reason.startswith("Azure container nowhere at 127.0.0.1:")
    assert "answered 404 ContainerNotFound, there is no such container" in reason


async def test_a_lease_on_a_file_keeps_it(azurite: AzureServer) -> None:
    storage = azure_storage(azurite)
    key = await uploaded(storage)
    with blob_at(azurite, storage, key) as blob:
        lease = blob.acquire_lease()

        reason = await outage(VERBS["delete"], storage, key)

        lease.release()
    assert "answered 412 LeaseIdMissing" in reason


@pytest.mark.parametrize(("hours", "way"), [(-1, "fast"), (1, "slow")])
async def test_a_clock_that_is_wrong_is_told(
    azurite: AzureServer, azurite_proxy: Proxy, hours: int, way: str
) -> None:
    storage = azure_storage(azurite, connection_string=azurite.connection_string_by(azurite_proxy.url))
    azures_time = datetime.now(UTC) + timedelta(hours=hours)
    headers = {"x-ms-error-code": "AuthenticationFailed", "Date": format_datetime(azures_time, usegmt=True)}
    azurite_proxy.answer(403, headers=headers)

    reason = await outage(VERBS["stat"], storage, temporary(storage))

    assert "AuthenticationFailed, the account key, SAS or token is not accepted" in reason
    assert re.search(rf"this server's clock is 3(59|60)\d seconds {way}", reason)


@pytest.mark.parametrize(
    ("status", "code"), [(500, "InternalError"), (503, "ServerBusy"), (400, "OutOfRangeInput"), (418, "")]
)
@each_verb
async def test_an_answer_that_nobody_expects_is_an_outage(
    azurite: AzureServer, azurite_proxy: Proxy, verb: Verb, status: int, code: str
) -> None:
    storage = azure_storage(azurite, connection_string=azurite.connection_string_by(azurite_proxy.url))
    body = f"<Error><Code>{code}</Code><Message>Signature sig=abc {azurite.account_key}</Message></Error>"
    headers = {"x-ms-error-code": code} if code else {}
    headers["Content-Type"] = "application/xml"
    azurite_proxy.answer(status, headers=headers, when=lambda asked: asked.method == "HEAD")
    azurite_proxy.answer(status, body.encode(), headers=headers)

    reason = await outage(verb, storage, temporary(storage))

    assert f"answered {status} {code}".rstrip() in reason


@each_verb
async def test_a_connection_that_is_cut_is_an_outage(
    azurite: AzureServer, azurite_proxy: Proxy, verb: Verb
) -> None:
    storage = azure_storage(azurite, connection_string=azurite.connection_string_by(azurite_proxy.url))
    azurite_proxy.cut()

    assert "cannot be reached" in await outage(verb, storage, temporary(storage))


async def test_a_server_that_is_busy_for_a_moment_is_asked_again(
    azurite: AzureServer, azurite_proxy: Proxy
) -> None:
    by_proxy = azurite.connection_string_by(azurite_proxy.url)
    storage = azure_storage(azurite, connection_string=by_proxy, client_options={})
    key = await uploaded(storage)
    azurite_proxy.answer(503, headers={"x-ms-error-code": "ServerBusy"}, turns=2)

    assert (await storage.astat(key)).size == len(CONTENT)


class NoIdentity:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [CredentialUnavailableError(f"No identity: {TOKEN}"), ClientAuthenticationError(f"Refused: {TOKEN}")],
    ids=["none", "refused"],
)
@pytest.mark.parametrize(
    "verb", [VERBS["stat"], lambda storage, key: storage.agenerate_download_url(key, "field")]
)
async def test_an_identity_that_is_not_there_is_told(error: Exception, verb: Verb) -> None:
    storage = AzureAsyncUploadStorage(
        account_name="shop", azure_container="files", token_credential=NoIdentity(error)
    )

    reason = await outage(verb, storage, FINAL)

    assert reason == (
        "Azure container files at shop.blob.core.windows.net: the credential gives no access"
        f" ({type(error).__name__})."
    )


async def test_what_works_tells_no_secrets_either(
    azurite: AzureServer, logged: pytest.LogCaptureFixture
) -> None:
    for options in ({}, with_sas(azurite)):
        storage = azure_storage(azurite, **options)
        await storage.asave("notes.txt", file())
        await storage.acopy_file("notes.txt", FINAL)
        await storage.aread_range(FINAL, 0, 4)
        await storage.adelete(FINAL)

    assert any(record.name.startswith("azure.core") for record in logged.records)


async def test_a_cancelled_verb_is_cancelled(azurite: AzureServer) -> None:
    storage = azure_storage(azurite)
    key = await uploaded(storage)
    azurite.pause()
    for verb in VERBS.values():
        asking = asyncio.ensure_future(verb(storage, key))
        await asyncio.sleep(0.05)

        asking.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asking


@each_verb
async def test_time_limits_of_the_client_win_over_the_timeout(azurite: AzureServer, verb: Verb) -> None:
    limits = {"connection_timeout": 0.2, "read_timeout": 0.2, "retry_total": 0}
    storage = azure_storage(azurite, timeout=600, client_options=limits)
    azurite.pause()

    assert "Timeout" in await outage(verb, storage, temporary(storage))
