"""A link to a file is a permission of its own: for one file, for a while, for reading only."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from django.core import signing
from django.core.files.base import ContentFile

from async_uploads.models import AsyncTempFile
from async_uploads.signing import DownloadToken, UploadToken, sign
from tests.conftest import field_id_of, ticket_for, upload
from tests.test_downloads import storage, url_of
from tests.testapp.models import Document
from tests.watching import files_under_media

DOWNLOAD = "/async-uploads/download-file-direct/"
UPLOAD = "/async-uploads/upload-file-direct/"


def token_in(url: str) -> str:
    return parse_qs(urlsplit(url).query)["token"][0]


def download_token(key: str, **changes: Any) -> DownloadToken:
    values = {"key": key, "field_id": field_id_of(), "filename": "x.txt", "inline": False, "expire": 60}
    return DownloadToken(**{**values, **changes})


async def test_an_upload_token_does_not_download(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    await visitor.put(ticket["uploadUrl"]["url"], content=b"secret")

    response = await visitor.get(DOWNLOAD, params={"token": token_in(ticket["uploadUrl"]["url"])})

    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")


async def test_a_download_token_does_not_upload(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")

    response = await visitor.put(
        UPLOAD, params={"token": sign(download_token(ticket["key"]))}, content=b"mine"
    )

    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")
    assert files_under_media() == []


def forged_tokens() -> dict[str, str]:
    token = download_token("documents/stored.txt")
    rightly = sign(token)
    content = {"key": token.key, "field_id": token.field_id, "filename": "x", "inline": False, "expire": 60}
    return {
        "changed": rightly[:-1] + ("A" if rightly[-1] != "A" else "B"),
        "cut": rightly[: len(rightly) // 2],
        "garbage": "garbage",
        "empty parts": "::",
        "not ascii": "تقرير",
        "other salt": signing.dumps(content),
        "elsewhere in the project": signing.dumps(content, salt="project"),
        "other key": signing.dumps(content, key="stolen", salt="async_uploads.download"),
        "upload": sign(UploadToken(key=token.key, field_id=token.field_id, max_size=None, expire=60)),
    }


@pytest.mark.parametrize("how", list(forged_tokens()))
async def test_a_token_that_was_not_signed_for_this_is_refused(visitor: httpx.AsyncClient, how: str) -> None:
    storage().save("documents/stored.txt", ContentFile(b"secret"))
    token = forged_tokens()[how]

    read = await visitor.get(DOWNLOAD, params={"token": token})
    assert (read.status_code, read.json()["code"]) == (403, "permission_denied")


async def test_a_missing_token_is_a_missing_parameter(visitor: httpx.AsyncClient) -> None:
    for response in (await visitor.get(DOWNLOAD), await visitor.put(UPLOAD, content=b"x")):
        assert (response.status_code, list(response.json())) == (400, ["token"])


async def test_an_expired_link_is_refused(visitor: httpx.AsyncClient) -> None:
    name = storage().save("documents/stored.txt", ContentFile(b"secret"))

    response = await visitor.get(url_of(name, expire=-1))

    assert (response.status_code, response.json()["code"]) == (410, "expired")


async def test_the_setting_tells_how_long_a_link_works(visitor: httpx.AsyncClient, settings: Any) -> None:
    name = storage().save("documents/stored.txt", ContentFile(b"not secret"))
    settings.ASYNC_UPLOADS = {"DOWNLOAD_URL_EXPIRY": -1}
    short = url_of(name)
    settings.ASYNC_UPLOADS = {"DOWNLOAD_URL_EXPIRY": 60}
    long = url_of(name)

    assert (await visitor.get(short)).status_code == 410
    assert (await visitor.get(long)).status_code == 200


@pytest.mark.parametrize(
    "key", ["../secret", "async-temp-files/../../secret", "/etc/passwd", "documents/no-such"]
)
async def test_a_token_for_what_is_not_in_the_storage_finds_nothing(
    visitor: httpx.AsyncClient, key: str
) -> None:
    """Even one that was rightly signed: the project's code may have been led astray."""
    response = await visitor.get(DOWNLOAD, params={"token": sign(download_token(key))})

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_a_token_of_another_registry_is_refused(visitor: httpx.AsyncClient) -> None:
    name = storage().save("documents/stored.txt", ContentFile(b"secret"))

    response = await visitor.get(
        "/elsewhere/download-file-direct/", params={"token": sign(download_token(name))}
    )

    assert response.status_code == 404


async def test_an_upload_token_of_another_field_or_registry_is_refused(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    token = UploadToken(
        key=ticket["key"], field_id=field_id_of(Document).replace("file", "other"), max_size=None, expire=60
    )

    other_field = await visitor.put(UPLOAD, params={"token": sign(token)}, content=b"x")
    elsewhere = await visitor.put(
        "/elsewhere/upload-file-direct/",
        params={"token": token_in(ticket["uploadUrl"]["url"])},
        content=b"x",
    )

    assert (other_field.status_code, elsewhere.status_code) == (403, 403)
    assert files_under_media() == []


async def test_an_upload_whose_row_was_swept_has_expired(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    await AsyncTempFile.objects.all().adelete()

    response = await visitor.put(ticket["uploadUrl"]["url"], content=b"late")

    assert (response.status_code, response.json()["code"]) == (410, "expired")
    assert files_under_media() == []


async def test_the_owner_can_look_at_an_upload_before_saving_it(visitor: httpx.AsyncClient) -> None:
    key = await upload(visitor, b"some bytes", "report.txt")
    status = await visitor.get("/async-uploads/upload-status/", params={"key": key})

    response = await visitor.get(status.json()["url"])

    assert response.content == b"some bytes"
    assert 'filename="report.txt"' in response.headers["content-disposition"]


@pytest.mark.parametrize("state", ["pending", "uploading", "failed", "cancelled", "expired"])
async def test_bytes_that_were_not_checked_are_not_handed_out(visitor: httpx.AsyncClient, state: str) -> None:
    """Neither by a link from the time when they were fine, nor through a record that has the key."""
    key = await upload(visitor, b"some bytes", "report.txt")
    link = (await visitor.get("/async-uploads/upload-status/", params={"key": key})).json()["url"]
    (document,) = await Document.objects.abulk_create([Document(file=key)])
    await AsyncTempFile.objects.aupdate(state=state)

    by_link = await visitor.get(link)
    by_record = await visitor.get(document.file.url, follow_redirects=True)

    assert (by_link.status_code, by_record.status_code) == (404, 404)


async def test_a_temporary_file_without_a_row_is_not_handed_out(visitor: httpx.AsyncClient) -> None:
    key = await upload(visitor, b"some bytes", "report.txt")
    link = (await visitor.get("/async-uploads/upload-status/", params={"key": key})).json()["url"]
    await AsyncTempFile.objects.all().adelete()

    assert (await visitor.get(link)).status_code == 404
