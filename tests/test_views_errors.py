"""Each documented refusal: its status, its code, and its words."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import AsyncClient
from django.test.utils import override_settings

from async_uploads.models import AsyncTempFile
from tests.asking import as_json, ask_ticket, ask_upload, send, url_of
from tests.conftest import field_id_of, image_bytes
from tests.testapp.models import Album, Document, Guarded, Picture

pytestmark = pytest.mark.django_db(transaction=True)


def assert_refused(response: Any, status: int, code: str) -> None:
    """Refused with exactly ``{"code", "detail"}``."""
    assert response.status_code == status, response.content
    body = response.json()
    assert set(body) == {"code", "detail"}
    assert body["code"] == code
    assert isinstance(body["detail"], str)
    assert body["detail"]


async def _generate(client: AsyncClient, **values: Any) -> Any:
    given = {"fieldId": field_id_of(), "filename": "a.txt", **values}
    return await client.post(url_of("generate-upload-url"), **as_json(**given))


async def test_400_names_each_missing_parameter(async_client: AsyncClient) -> None:
    response = await async_client.post(url_of("generate-upload-url"), **as_json())

    assert response.status_code == 400
    assert response.json() == {
        "fieldId": ["This field is required."],
        "filename": ["This field is required."],
    }


@pytest.mark.parametrize("view", ["complete-upload", "cancel-upload"])
async def test_400_where_no_key_is_named(async_client: AsyncClient, view: str) -> None:
    response = await async_client.post(url_of(view), **as_json(other="x"))

    assert (response.status_code, response.json()) == (400, {"key": ["This field is required."]})


@pytest.mark.parametrize(
    ("view", "missing"),
    [
        ("upload-status", {"key"}),
        ("download-file", {"fieldId", "instanceId"}),
        ("download-file-direct", {"token"}),
    ],
)
async def test_400_for_a_query_without_its_parameters(
    async_client: AsyncClient, view: str, missing: set[str]
) -> None:
    response = await async_client.get(url_of(view))

    assert response.status_code == 400
    assert response.json() == {name: ["This field is required."] for name in missing}


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"size": "many"}, "size"),
        ({"size": -1}, "size"),
        ({"size": 1.5}, "size"),
        ({"size": 2**63}, "size"),
        ({"size": True}, "size"),
        ({"filename": "dir/"}, "filename"),
        ({"filename": ".."}, "filename"),
        ({"filename": ["a.txt"]}, "filename"),
        ({"filename": "a\0.txt"}, "filename"),
        ({"contentType": "text/plain\r\nX-Evil: 1"}, "contentType"),
        ({"instanceId": {"pk": 1}}, "instanceId"),
    ],
)
async def test_400_says_which_parameter_is_wrong(
    async_client: AsyncClient, values: dict[str, Any], wrong: str
) -> None:
    response = await _generate(async_client, **values)

    assert response.status_code == 400
    assert list(response.json()) == [wrong]
    assert all(isinstance(message, str) for message in response.json()[wrong])


async def test_403_for_who_may_not_upload_here(async_client: AsyncClient) -> None:
    response = await _generate(async_client, fieldId=field_id_of(Guarded))

    assert_refused(response, 403, "permission_denied")
    assert not await AsyncTempFile.objects.aexists()


async def test_403_for_who_may_not_see_the_record(async_client: AsyncClient) -> None:
    record = await Guarded.objects.acreate()

    response = await async_client.get(
        url_of("download-file", field_id=field_id_of(Guarded), instance_id=record.pk)
    )

    assert_refused(response, 403, "permission_denied")


@pytest.mark.parametrize("view", ["upload-file-direct", "download-file-direct"])
async def test_403_for_a_token_that_nobody_signed(async_client: AsyncClient, view: str) -> None:
    ask = async_client.put if view == "upload-file-direct" else async_client.get

    assert_refused(await ask(url_of(view, token="made.up:token")), 403, "permission_denied")


@pytest.mark.parametrize("field_id", ["unknown", "0000.file", f"{field_id_of()}x"])
async def test_404_for_a_field_that_is_not_there(async_client: AsyncClient, field_id: str) -> None:
    assert_refused(await _generate(async_client, fieldId=field_id), 404, "not_found")
    download = await async_client.get(url_of("download-file", field_id=field_id, instance_id=1))
    assert_refused(download, 404, "not_found")


async def test_404_for_a_key_that_is_not_there(async_client: AsyncClient) -> None:
    await _assert_unknown(async_client, "async-temp-files/2026/11/22/made-up.txt")


async def test_404_for_an_upload_of_somebody_else(async_client: AsyncClient) -> None:
    key = await ask_upload(async_client)

    await _assert_unknown(AsyncClient(), key)
    assert (await async_client.get(url_of("upload-status", key=key))).json()["state"] == "uploaded"


async def test_404_for_a_key_that_differs_in_case(async_client: AsyncClient) -> None:
    await _assert_unknown(async_client, (await ask_upload(async_client)).swapcase())


async def _assert_unknown(client: AsyncClient, key: str) -> None:
    assert_refused(await client.get(url_of("upload-status", key=key)), 404, "not_found")
    assert_refused(await client.post(url_of("complete-upload"), **as_json(key=key)), 404, "not_found")
    assert_refused(await client.post(url_of("cancel-upload"), **as_json(key=key)), 404, "not_found")


async def test_404_for_a_record_without_a_file(async_client: AsyncClient) -> None:
    record = await Document.objects.acreate()

    response = await async_client.get(url_of("download-file", field_id=field_id_of(), instance_id=record.pk))

    assert_refused(response, 404, "not_found")


async def test_404_for_a_file_that_the_storage_has_lost(async_client: AsyncClient) -> None:
    document = await Document.objects.acreate(file=await ask_upload(async_client))
    redirect = await async_client.get(document.file.url)
    await document.file.storage.adelete(str(document.file.name))

    assert_refused(await async_client.get(redirect["Location"]), 404, "not_found")


async def test_404_for_bytes_that_have_not_passed_the_checks(async_client: AsyncClient) -> None:
    ticket = await ask_ticket(async_client, "a.txt")
    document = await Document.objects.acreate()
    await Document.objects.filter(pk=document.pk).aupdate(file=ticket["key"])  # past every check

    response = await async_client.get(
        url_of("download-file", field_id=field_id_of(), instance_id=document.pk)
    )

    assert_refused(response, 404, "not_found")


async def test_409_for_an_upload_url_that_has_done_its_work(async_client: AsyncClient) -> None:
    ticket = await ask_ticket(async_client, "a.txt")
    await send(async_client, ticket, b"first")

    assert_refused(await send(async_client, ticket, b"second"), 409, "already_used")
    storage: Any = Document._meta.get_field("file").storage
    assert await storage.aread_range(ticket["key"], 0, 10) == b"first"


async def test_409_for_cancelling_what_a_record_has_taken(async_client: AsyncClient) -> None:
    key = await ask_upload(async_client, b"kept")
    document = await Document.objects.acreate(file=key)

    response = await async_client.post(url_of("cancel-upload"), **as_json(key=key))

    assert_refused(response, 409, "already_used")
    assert await document.file.aread() == b"kept"


async def test_409_for_completing_what_has_not_arrived(async_client: AsyncClient) -> None:
    ticket = await ask_ticket(async_client, "a.txt")

    response = await async_client.post(url_of("complete-upload"), **as_json(key=ticket["key"]))

    assert_refused(response, 409, "incomplete")


async def test_410_for_an_upload_url_whose_time_is_over(async_client: AsyncClient) -> None:
    with override_settings(ASYNC_UPLOADS={"UPLOAD_URL_EXPIRY": -1}):
        ticket = await ask_ticket(async_client, "a.txt")

    assert_refused(await send(async_client, ticket, b"x"), 410, "expired")


async def test_410_for_a_download_url_whose_time_is_over(async_client: AsyncClient) -> None:
    document = await Document.objects.acreate(file=await ask_upload(async_client))
    with override_settings(ASYNC_UPLOADS={"DOWNLOAD_URL_EXPIRY": -1}):
        redirect = await async_client.get(document.file.url)

    assert_refused(await async_client.get(redirect["Location"]), 410, "expired")


async def test_410_for_what_was_cancelled(async_client: AsyncClient) -> None:
    ticket = await ask_ticket(async_client, "a.txt")
    await async_client.post(url_of("cancel-upload"), **as_json(key=ticket["key"]))

    assert_refused(await send(async_client, ticket, b"x"), 410, "expired")
    complete = await async_client.post(url_of("complete-upload"), **as_json(key=ticket["key"]))
    assert_refused(complete, 410, "expired")


async def test_410_for_what_has_been_swept(async_client: AsyncClient) -> None:
    ticket = await ask_ticket(async_client, "a.txt")
    await AsyncTempFile.objects.all().adelete()

    assert_refused(await send(async_client, ticket, b"x"), 410, "expired")


async def test_413_before_any_byte_where_the_size_is_told(async_client: AsyncClient) -> None:
    assert_refused(await _generate(async_client, size=1024**2 + 1), 413, "file_too_large")
    assert not await AsyncTempFile.objects.aexists()


async def test_413_for_more_bytes_than_allowed(async_client: AsyncClient) -> None:
    ticket = await ask_ticket(async_client, "a.txt")

    assert_refused(await send(async_client, ticket, bytes(1024**2 + 1)), 413, "file_too_large")
    status = (await async_client.get(url_of("upload-status", key=ticket["key"]))).json()
    assert status["state"] == "failed"
    assert status["error"]["code"] == "file_too_large"
    assert "1 MiB" in status["error"]["message"]


async def test_415_for_a_name_that_can_not_be_right(async_client: AsyncClient) -> None:
    response = await _generate(async_client, fieldId=field_id_of(Picture, "image"), filename="letter.docx")

    assert_refused(response, 415, "type_not_allowed")


async def test_415_for_bytes_of_another_type(async_client: AsyncClient) -> None:
    ticket = await ask_ticket(async_client, "paper.pdf", model=Album, field="booklet")

    assert_refused(await send(async_client, ticket, image_bytes()), 415, "type_not_allowed")
    assert not Album._meta.get_field("booklet").storage.exists(ticket["key"])


@override_settings(ASYNC_UPLOADS={"MAX_PENDING_PER_OWNER": 2})
async def test_429_for_too_many_unfinished_uploads(async_client: AsyncClient) -> None:
    tickets = [await ask_ticket(async_client, "a.txt") for _twice in range(2)]

    assert_refused(await _generate(async_client), 429, "too_many_uploads")
    assert (await _generate(AsyncClient())).status_code == 200  # somebody else's do not count
    await send(async_client, tickets[0], b"x")
    assert (await _generate(async_client)).status_code == 200  # finished ones do not count
