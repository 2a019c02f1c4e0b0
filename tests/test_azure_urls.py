"""What a browser is given: a URL for one blob, for a while, for one purpose. Tried as an attacker would."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured

from async_uploads.storage.azure import AzureAsyncUploadStorage
from tests.azure_storage import (
    CONTENT,
    FINAL,
    azure_storage,
    content_of,
    file,
    overwrite,
    request,
    send,
    temporary,
    ticket,
    uploaded,
    with_key,
    with_sas,
)
from tests.servers.azurite import AzureServer


@pytest.fixture
def storage(azurite: AzureServer) -> AzureAsyncUploadStorage:
    return azure_storage(azurite)


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


async def test_a_browser_can_send_the_file(storage: AzureAsyncUploadStorage) -> None:
    key = await uploaded(storage)

    stored = await storage.astat(key)

    assert (stored.size, stored.content_type) == (len(CONTENT), "text/plain")
    assert await content_of(storage, key) == CONTENT


async def test_a_file_of_no_type_that_anybody_told_is_just_bytes(storage: AzureAsyncUploadStorage) -> None:
    key = temporary(storage)
    upload = await ticket(storage, key, content_type=None)

    await request(upload["method"], upload["url"], content=CONTENT, headers=upload["headers"])

    assert (await storage.astat(key)).content_type == "application/octet-stream"
    assert (upload["method"], upload["fields"], upload["provider"]) == ("PUT", {}, "azure")
    assert upload["headers"] == {
        "Content-Type": "application/octet-stream",
        "If-None-Match": "*",
        "x-ms-blob-content-type": "application/octet-stream",
        "x-ms-blob-type": "BlockBlob",
    }


async def test_a_url_takes_one_upload(storage: AzureAsyncUploadStorage) -> None:
    key = await uploaded(storage)

    again = await send(storage, key, b"something else")
    upload = await ticket(storage, key)
    bare = {"x-ms-blob-type": "BlockBlob"}
    without_condition = await request("PUT", upload["url"], content=b"something else", headers=bare)

    assert (again.status_code, without_condition.status_code) == (403, 403)
    assert await content_of(storage, key) == CONTENT


async def test_an_upload_url_is_for_nothing_else(storage: AzureAsyncUploadStorage) -> None:
    key, victim = await uploaded(storage), await uploaded(storage)
    url = (await ticket(storage, key))["url"]
    elsewhere = url.replace(key.rsplit("/", 1)[1], victim.rsplit("/", 1)[1])
    unused = url.replace(key.rsplit("/", 1)[1], "of-somebody-else.txt")
    container = url.split("/site-")[0]

    answers = [
        await request("GET", url),
        await request("DELETE", url),
        await request("GET", elsewhere),
        await request("PUT", unused, content=b"x", headers={"x-ms-blob-type": "BlockBlob"}),
        await request("PUT", f"{url}&comp=metadata", headers={"x-ms-meta-name": "value"}),
        await request("PUT", f"{url}&comp=properties", headers={"x-ms-blob-content-type": "text/html"}),
        await request("GET", f"{container}?restype=container&comp=list&{urlsplit(url).query}"),
    ]

    assert [answer.status_code for answer in answers] == [403] * len(answers)


@pytest.mark.parametrize(
    ("name", "value"), [("sp", "rcwd"), ("se", "2099-01-01T00:00:00Z"), ("sr", "c"), ("sv", "2020-12-06")]
)
async def test_what_is_signed_cannot_be_changed(
    storage: AzureAsyncUploadStorage, name: str, value: str
) -> None:
    upload = await ticket(storage, temporary(storage))
    query = query_of(upload["url"])
    assert query[name] != value
    tampered = upload["url"].partition("?")[0]

    answer = await request(
        "PUT", tampered, params={**query, name: value}, content=CONTENT, headers=upload["headers"]
    )

    assert answer.status_code == 403


async def test_a_download_url_cannot_write(storage: AzureAsyncUploadStorage) -> None:
    key = await uploaded(storage)
    url = await storage.agenerate_download_url(key, "field")

    answers = [
        await request("PUT", url, content=b"x", headers={"x-ms-blob-type": "BlockBlob"}),
        await request("DELETE", url),
        await request("PUT", f"{url}&comp=properties", headers={"x-ms-blob-content-type": "text/html"}),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert (await request("GET", url)).content == CONTENT


async def test_an_upload_url_is_over_when_it_says_so(storage: AzureAsyncUploadStorage) -> None:
    upload = await storage.agenerate_upload_url(temporary(storage), "field", expire=-1, max_size=None)

    answer = await request("PUT", upload["url"], content=CONTENT, headers=upload["headers"])

    assert answer.status_code == 403


async def test_a_clock_that_is_fast_makes_urls_that_are_good_already(
    storage: AzureAsyncUploadStorage,
) -> None:
    query = query_of((await ticket(storage, temporary(storage)))["url"])

    assert (datetime.now(UTC) - moment(query["st"])).total_seconds() >= 15 * 60
    assert 590 < (moment(query["se"]) - datetime.now(UTC)).total_seconds() <= 600


@pytest.mark.parametrize("name", ["a b+c&d.txt", "Größe.txt", "100%.txt", "what?.txt", "#1.txt"])
async def test_any_name_can_be_signed(storage: AzureAsyncUploadStorage, name: str) -> None:
    key = f"async-temp-files/2026/11/22/token-{name}"

    sent = await send(storage, key)
    url = await storage.agenerate_download_url(key, "field")

    assert sent.status_code == 201
    assert (await request("GET", url)).content == CONTENT


async def test_signing_asks_nobody(azurite: AzureServer) -> None:
    nobody = azurite.connection_string.replace(urlsplit(azurite.account_url).netloc, "127.0.0.1:1")
    storage = azure_storage(azurite, connection_string=nobody)

    upload = await ticket(storage, temporary(storage))
    download = await storage.agenerate_download_url(FINAL, "field")

    assert query_of(upload["url"])["sp"] == "c"
    assert query_of(download)["sp"] == "r"


async def test_urls_of_a_real_account_are_for_https_only() -> None:
    storage = AzureAsyncUploadStorage(
        account_name="shop", account_key=AzureServer.account_key, azure_container="files", location="media"
    )

    upload = (await ticket(storage, "async-temp-files/a.txt"))["url"]
    download = await storage.agenerate_download_url("a.txt", "field")

    assert upload.startswith("https://shop.blob.core.windows.net/files/media/async-temp-files/a.txt?")
    assert query_of(upload)["spr"] == query_of(download)["spr"] == "https"


@pytest.mark.parametrize(
    ("filename", "inline", "content_type", "disposition"),
    [
        ("report.pdf", True, "application/pdf", 'inline; filename="report.pdf"'),
        ("report.pdf", False, "application/pdf", 'attachment; filename="report.pdf"'),
        ("page.html", True, "text/html", 'attachment; filename="page.html"'),
        ("picture.svg", True, "image/svg+xml", 'attachment; filename="picture.svg"'),
        ("Größe.txt", True, "text/plain", "inline; filename*=utf-8''Gr%C3%B6%C3%9Fe.txt"),
    ],
)
async def test_a_download_is_shown_or_saved_by_our_rules_and_not_the_uploaders(
    storage: AzureAsyncUploadStorage, filename: str, inline: bool, content_type: str, disposition: str
) -> None:
    liar = {"x-ms-blob-content-type": "text/html", "x-ms-blob-content-disposition": "inline"}
    key = await uploaded(storage, headers=liar)

    url = await storage.agenerate_download_url(key, "field", filename=filename, inline=inline)

    headers = (await request("GET", url)).headers
    assert (headers["content-type"], headers["content-disposition"]) == (content_type, disposition)


async def test_a_download_without_a_name_has_that_of_its_key(storage: AzureAsyncUploadStorage) -> None:
    await storage.asave(FINAL, file())

    response = await request("GET", await storage.agenerate_download_url(FINAL, "field"))

    assert response.headers["content-disposition"] == 'inline; filename="report.txt"'


async def test_download_params_are_those_of_the_sdk_and_win(storage: AzureAsyncUploadStorage) -> None:
    key = await uploaded(storage)

    url = await storage.agenerate_download_url(
        key, "field", content_type="text/csv", cache_control="max-age=5"
    )

    headers = (await request("GET", url)).headers
    assert (headers["content-type"], headers["cache-control"]) == ("text/csv", "max-age=5")


async def test_a_snapshot_can_be_downloaded(azurite: AzureServer, storage: AzureAsyncUploadStorage) -> None:
    key = await uploaded(storage)
    with azurite.service() as service:
        blob = service.get_blob_client(azurite.container, f"{storage.location}/{key}")
        snapshot = blob.create_snapshot()["snapshot"]
    overwrite(azurite, storage, key, b"newer")

    url = await storage.agenerate_download_url(key, "field", snapshot=snapshot)

    assert (await request("GET", f"{url}&snapshot={snapshot}")).content == CONTENT


@pytest.mark.parametrize(
    ("expire", "ours", "azures", "seconds"),
    [(30, 900, 60, 30), (None, 900, 60, 900), (None, None, 60, 60), (None, None, None, 3600)],
)
async def test_a_download_url_lives_as_long_as_whoever_knows_best_says(
    azurite: AzureServer,
    settings: Any,
    expire: int | None,
    ours: int | None,
    azures: int | None,
    seconds: int,
) -> None:
    settings.ASYNC_UPLOADS = {} if ours is None else {"DOWNLOAD_URL_EXPIRY": ours}
    storage = azure_storage(azurite, expiration_secs=azures)

    url = await storage.agenerate_download_url(FINAL, "field", expire=expire)

    left = (moment(query_of(url)["se"]) - datetime.now(UTC)).total_seconds()
    assert seconds - 10 < left <= seconds


@pytest.mark.parametrize(
    ("ssl", "start"),
    [(True, "https://cdn.example.com/files/a.txt?"), (False, "http://cdn.example.com/files/")],
)
async def test_a_cdn_serves_downloads_and_takes_no_uploads(ssl: bool, start: str) -> None:
    options: dict[str, Any] = {"account_name": "shop", "account_key": AzureServer.account_key}
    storage = AzureAsyncUploadStorage(
        **options, azure_container="files", custom_domain="cdn.example.com", azure_ssl=ssl
    )

    download = await storage.agenerate_download_url("a.txt", "field")
    upload = await ticket(storage, "async-temp-files/a.txt")

    assert download.startswith(start)
    assert "sig=" in download
    assert urlsplit(upload["url"]).netloc == "shop.blob.core.windows.net"


@pytest.mark.parametrize("version", ["2019-02-02", "2020-12-06", "2025-11-05", "2026-04-06"])
async def test_the_api_version_is_the_urls_too(azurite: AzureServer, version: str) -> None:
    storage = azure_storage(azurite, client_options={"api_version": version, "retry_total": 0})

    key = await uploaded(storage)
    url = await storage.agenerate_download_url(key, "field", filename="Größe & mehr.txt")

    response = await request("GET", url)
    assert query_of(url)["sv"] == version
    assert response.content == CONTENT
    assert (
        response.headers["content-disposition"] == "inline; filename*=utf-8''Gr%C3%B6%C3%9Fe%20%26%20mehr.txt"
    )


async def test_the_older_setting_for_the_api_version_is_heeded(azurite: AzureServer) -> None:
    storage = azure_storage(azurite, **with_key(azurite, api_version="2020-12-06"))

    key = await uploaded(storage)

    assert query_of(await storage.agenerate_download_url(key, "field"))["sv"] == "2020-12-06"


async def test_a_sas_signs_nothing_and_says_so(azurite: AzureServer) -> None:
    storage = azure_storage(azurite, **with_sas(azurite))

    with pytest.raises(ImproperlyConfigured, match="account_key or token_credential"):
        await ticket(storage, temporary(storage))
    with pytest.raises(ImproperlyConfigured, match="account_key or token_credential"):
        await storage.agenerate_download_url(FINAL, "field")


async def test_a_key_that_is_none_is_told_without_telling_it(azurite: AzureServer) -> None:
    storage = azure_storage(azurite, **with_key(azurite, account_key="abcde"))

    with pytest.raises(ImproperlyConfigured, match="base64") as caught:
        await ticket(storage, temporary(storage))

    assert "abcde" not in str(caught.value)


async def test_an_account_without_a_name_cannot_be_signed_for(azurite: AzureServer) -> None:
    somewhere = with_key(azurite, account_url="https://files.example.com", account_name=None)
    storage = azure_storage(azurite, **somewhere)

    with pytest.raises(ImproperlyConfigured, match="account_name"):
        await ticket(storage, temporary(storage))
