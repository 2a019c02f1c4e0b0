"""The views by their URL names: what they are asked, and what they answer when all is well."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import AsyncClient
from django.utils import timezone

from async_uploads.models import AsyncTempFile
from tests.asking import as_json, ask_ticket, ask_upload, send, url_of
from tests.conftest import field_id_of
from tests.testapp.models import Album, Document, Elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

STATUS_KEYS = {"type", "key", "state", "received", "total", "name", "url", "error", "seq", "at"}


async def test_ticket_is_exactly_as_documented(async_client: AsyncClient) -> None:
    before = timezone.now()

    ticket = await ask_ticket(async_client, "report.pdf", contentType="application/pdf", size=11)

    how = ticket.pop("uploadUrl")
    assert how.pop("url").startswith("/async-uploads/upload-file-direct/?token=")
    assert how == {
        "method": "PUT",
        "fields": {},
        "headers": {"Content-Type": "application/pdf"},
        "provider": "filesystem",
        "fileFieldName": "file",
    }
    assert re.fullmatch(r"async-temp-files/\d{4}/\d\d/\d\d/[A-Za-z0-9_-]{22,}-report\.pdf", ticket.pop("key"))
    expires_at = ticket.pop("expiresAt")
    assert expires_at.endswith("Z")
    lifetime = datetime.fromisoformat(expires_at) - before
    assert timedelta(seconds=3595) < lifetime < timedelta(seconds=3660)
    assert ticket == {
        "completeUrl": "/async-uploads/complete-upload/",
        "statusUrl": "/async-uploads/upload-status/",
        "cancelUrl": "/async-uploads/cancel-upload/",
    }


@pytest.mark.parametrize(
    "field_id", ["fieldId", "field_id", "asyncFieldId", "async_field_id"], ids=lambda name: f"by {name}"
)
@pytest.mark.parametrize("how", ["json", "form", "urlencoded", "query"])
async def test_ticket_takes_both_spellings_in_json_form_and_query(
    async_client: AsyncClient, how: str, field_id: str
) -> None:
    document = await Document.objects.acreate(title="first")
    is_camel = field_id in ("fieldId", "asyncFieldId")
    given = {
        field_id: field_id_of(),
        "filename": "My report.txt",
        "instanceId" if is_camel else "instance_id": str(document.pk),
        "contentType" if is_camel else "content_type": "text/plain",
        "size": "11",
    }

    response = await _post(async_client, how, given)

    assert response.status_code == 200, response.content
    assert response.json()["uploadUrl"]["headers"] == {"Content-Type": "text/plain"}
    row = await AsyncTempFile.objects.aget()
    assert (row.name, row.total, row.state, row.model) == ("My report.txt", 11, "pending", "testapp.document")


async def _post(client: AsyncClient, how: str, given: dict[str, Any]) -> Any:
    match how:
        case "json":
            return await client.post(url_of("generate-upload-url"), **as_json(**given))
        case "form":
            return await client.post(url_of("generate-upload-url"), given)
        case "urlencoded":
            body = url_of("generate-upload-url", **given).partition("?")[2]
            return await client.post(
                url_of("generate-upload-url"), body, content_type="application/x-www-form-urlencoded"
            )
    return await client.get(url_of("generate-upload-url", **given))


async def test_ids_and_sizes_may_be_numbers_in_json(async_client: AsyncClient) -> None:
    document = await Document.objects.acreate()

    await ask_ticket(async_client, "a.txt", instanceId=document.pk, size=0)

    assert (await AsyncTempFile.objects.aget()).total == 0


async def test_answers_are_not_kept_by_caches(async_client: AsyncClient) -> None:
    key = await ask_upload(async_client)
    document = await Document.objects.acreate(file=key)
    asked = {"field_id": field_id_of(), "filename": "a.txt"}

    for url in (
        url_of("generate-upload-url", **asked),
        url_of("upload-status", key=key),
        url_of("download-file", field_id=field_id_of(), instance_id=document.pk),
    ):
        response = await async_client.get(url)
        assert "no-store" in response.headers["Cache-Control"], url


async def test_put_of_the_raw_body_is_answered_with_the_status(async_client: AsyncClient) -> None:
    ticket = await ask_ticket(async_client, "report.txt")

    response = await send(async_client, ticket, b"hello world")

    assert response.status_code == 201
    status = response.json()
    assert set(status) == STATUS_KEYS
    assert status["type"] == "status"
    assert (status["key"], status["state"], status["name"]) == (ticket["key"], "uploaded", "report.txt")
    assert (status["received"], status["total"], status["error"]) == (11, 11, None)
    assert (await async_client.get(status["url"])).status_code == 200


async def test_post_of_a_multipart_form_uploads_too(async_client: AsyncClient) -> None:
    ticket = await ask_ticket(async_client, "report.txt")
    body = (
        b'--X\r\nContent-Disposition: form-data; name="comment"\r\n\r\nhello\r\n'
        b'--X\r\nContent-Disposition: form-data; name="file"; filename="other.bin"\r\n\r\nhello world\r\n--X--\r\n'
    )

    response = await async_client.post(
        ticket["uploadUrl"]["url"], body, content_type="multipart/form-data; boundary=X"
    )

    assert response.status_code == 201, response.content
    assert (response.json()["received"], response.json()["name"]) == (11, "report.txt")


@pytest.mark.parametrize("how", ["json", "form"])
async def test_complete_upload_answers_the_status(async_client: AsyncClient, how: str) -> None:
    key = await ask_upload(async_client)
    body = as_json(key=key) if how == "json" else {"data": {"key": key}}

    response = await async_client.post(url_of("complete-upload"), **body)

    assert response.status_code == 200, response.content
    assert set(response.json()) == STATUS_KEYS
    assert response.json()["state"] == "uploaded"


@pytest.mark.parametrize("how", ["json", "form"])
async def test_cancel_upload_deletes_the_bytes_and_is_harmless_twice(
    async_client: AsyncClient, how: str
) -> None:
    key = await ask_upload(async_client)
    storage = Document._meta.get_field("file").storage
    assert storage.exists(key)
    body = as_json(key=key) if how == "json" else {"data": {"key": key}}

    answers = [await async_client.post(url_of("cancel-upload"), **body) for _twice in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b""), (204, b"")]
    assert not storage.exists(key)
    assert (await async_client.get(url_of("upload-status", key=key))).json()["state"] == "cancelled"


async def test_status_follows_an_upload_from_ticket_to_promotion(async_client: AsyncClient) -> None:
    ticket = await ask_ticket(async_client, "report.txt", size=11)
    seen = [await _status(async_client, ticket["key"])]
    await send(async_client, ticket, b"hello world")
    seen.append(await _status(async_client, ticket["key"]))
    await Document.objects.acreate(file=ticket["key"])
    seen.append(await _status(async_client, ticket["key"]))

    assert [status["state"] for status in seen] == ["pending", "uploaded", "promoted"]
    assert [(status["received"], status["total"]) for status in seen] == [(0, 11), (11, 11), (11, 11)]
    assert seen[0]["seq"] < seen[1]["seq"] < seen[2]["seq"]
    assert seen[0]["url"] is None
    assert seen[2]["url"].startswith("/async-uploads/download-file/?")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", status["at"]) for status in seen)


async def _status(client: AsyncClient, key: str) -> dict[str, Any]:
    response = await client.get(url_of("upload-status", key=key))
    assert set(response.json()) == STATUS_KEYS
    status: dict[str, Any] = response.json()
    return status


@pytest.mark.parametrize("spelling", [("field_id", "instance_id"), ("fieldId", "instanceId")])
async def test_download_file_redirects_to_the_bytes(
    async_client: AsyncClient, spelling: tuple[str, str]
) -> None:
    document = await Document.objects.acreate(file=await ask_upload(async_client, b"hello"))
    query: dict[str, Any] = dict(zip(spelling, (field_id_of(), document.pk), strict=True))

    redirect = await async_client.get(url_of("download-file", **query))

    assert redirect.status_code == 302
    assert redirect["Location"].startswith("/async-uploads/download-file-direct/?token=")
    page: Any = await async_client.get(redirect["Location"])
    assert page.status_code == 200
    assert b"".join([chunk async for chunk in page]) == b"hello"


async def test_url_of_a_saved_file_leads_to_its_download(async_client: AsyncClient) -> None:
    document = await Document.objects.acreate(file=await ask_upload(async_client, b"hello"))

    assert (await async_client.get(document.file.url)).status_code == 302


async def test_a_registry_of_its_own_is_asked_under_its_own_prefix(async_client: AsyncClient) -> None:
    asked = as_json(fieldId=field_id_of(Elsewhere), filename="a.txt")

    elsewhere = await async_client.post(url_of("generate-upload-url", registry="second"), **asked)
    here = await async_client.post(url_of("generate-upload-url"), **asked)

    assert here.status_code == 404
    ticket = elsewhere.json()
    assert ticket["uploadUrl"]["url"].startswith("/elsewhere/upload-file-direct/")
    assert ticket["completeUrl"] == "/elsewhere/complete-upload/"
    assert (await send(async_client, ticket, b"x")).status_code == 201


async def test_storages_of_one_record_each_take_their_own(async_client: AsyncClient) -> None:
    key = await ask_upload(async_client, b"words", "a.txt", model=Album, field="booklet")

    assert Album._meta.get_field("booklet").storage.exists(key)
    assert not Album._meta.get_field("cover").storage.exists(key)


@pytest.mark.parametrize(
    ("view", "allowed"),
    [
        ("generate-upload-url", {"GET", "POST"}),
        ("complete-upload", {"POST"}),
        ("cancel-upload", {"POST"}),
        ("upload-status", {"GET", "HEAD"}),
        ("download-file", {"GET", "HEAD"}),
        ("upload-file-direct", {"PUT", "POST"}),
        ("download-file-direct", {"GET", "HEAD"}),
    ],
)
async def test_other_methods_are_answered_405(
    async_client: AsyncClient, view: str, allowed: set[str]
) -> None:
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - allowed:
        response = await async_client.generic(method, url_of(view))
        assert response.status_code == 405, method
        assert set(response["Allow"].split(", ")) == allowed | {"OPTIONS"}
    assert (await async_client.options(url_of(view))).status_code == 200
