"""Attacks that a stranger, or a visitor with a text editor, can try over HTTP. Each test names what it tries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django import forms
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.test import AsyncClient
from django.utils import timezone

from async_uploads.models import AsyncFileInputData, AsyncTempFile
from tests.asking import as_json, ask_ticket, ask_upload, send, url_of
from tests.conftest import field_id_of, image_bytes
from tests.testapp.models import Album, Document, Letter, Picture

pytestmark = pytest.mark.django_db(transaction=True)

STORAGE: Any = Document._meta.get_field("file").storage

FORGED_KEYS = [
    "async-temp-files/../secret.txt",
    "async-temp-files/2026/11/22/../../../../secret.txt",
    "async-temp-files/2026/11/22/made-up.txt",
    "async-temp-files/",
    "/etc/passwd",
    "../../etc/passwd",
    "secret.txt",
    "documents/of-another-record.txt",
    "async-temp-files\\..\\secret.txt",
    "async-temp-files/2026/11/22/a\r\nb.txt",
    "file:///etc/passwd",
    "https://evil.example/x",
]


class DocumentForm(forms.ModelForm):
    class Meta:
        model = Document
        fields = ["file"]


@pytest.fixture
def files_of_others() -> None:
    for name in ("secret.txt", "documents/of-another-record.txt"):
        STORAGE.save(name, ContentFile(b"secret"))


@pytest.mark.usefixtures("files_of_others")
@pytest.mark.parametrize("key", FORGED_KEYS)
async def test_forged_or_traversing_key_is_unknown_everywhere(async_client: AsyncClient, key: str) -> None:
    await ask_ticket(async_client)  # a visitor like any other, with a session

    form = DocumentForm({"file": json.dumps({"key": key, "name": "x.txt"})})
    answers = [
        await async_client.get(url_of("upload-status", key=key)),
        await async_client.post(url_of("complete-upload"), **as_json(key=key)),
        await async_client.post(url_of("cancel-upload"), **as_json(key=key)),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert not await sync_to_async(form.is_valid)()
    with pytest.raises(ValidationError):
        await Document.objects.acreate(file=AsyncFileInputData(key=key))
    assert not await Document.objects.aexists()
    assert STORAGE.exists("secret.txt")
    assert STORAGE.exists("documents/of-another-record.txt")


@pytest.mark.parametrize("way", ["form", "save"])
async def test_key_of_another_field_is_refused(async_client: AsyncClient, way: str) -> None:
    """A PDF checked by a field that takes PDFs must not get into one that takes images, nor to another storage."""
    booklet = await ask_upload(async_client, b"words", "a.txt", model=Album, field="booklet")
    attachment = await ask_upload(async_client, b"words", "a.txt", model=Letter, field="attachment")

    for key in (booklet, attachment):
        if way == "form":
            form = DocumentForm({"file": json.dumps({"key": key})})
            assert not await sync_to_async(form.is_valid)()
        else:
            with pytest.raises(ValidationError):
                await Document.objects.acreate(file=key)
    with pytest.raises(ValidationError):
        await Album.objects.acreate(cover=booklet)

    assert {row.state async for row in AsyncTempFile.objects.all()} == {"uploaded"}


@pytest.mark.parametrize(
    "salt", ["django.core.signing", "async_uploads.download", "async_uploads", "async_uploads.uploads"]
)
async def test_token_signed_elsewhere_in_the_project_uploads_nothing(
    async_client: AsyncClient, salt: str
) -> None:
    key = (await ask_ticket(async_client, "a.txt"))["key"]
    content = {"key": key, "field_id": field_id_of(), "max_size": None, "expire": 3600}

    refused = await _put(async_client, signing.dumps(content, salt=salt, compress=True))
    accepted = await _put(async_client, signing.dumps(content, salt="async_uploads.upload", compress=True))

    assert refused.status_code == 403
    assert accepted.status_code == 201  # so the content was not what was refused


async def _put(client: AsyncClient, token: str) -> Any:
    url = url_of("upload-file-direct", token=token)
    return await client.put(url, data=b"x", content_type="text/plain")


async def test_limit_of_the_ticket_can_not_be_widened(async_client: AsyncClient) -> None:
    """Parameters beside the token are not believed."""
    ticket = await ask_ticket(async_client, "a.txt")
    url = f"{ticket['uploadUrl']['url']}&max_size=999999999&maxSize=999999999&key=documents/other.txt"

    response = await async_client.put(url, data=bytes(1024**2 + 1), content_type="text/plain")

    assert response.status_code == 413
    assert not STORAGE.exists("documents/other.txt")


async def test_html_named_png_is_refused_by_an_image_field(async_client: AsyncClient) -> None:
    ticket = await ask_ticket(async_client, "photo.png", model=Picture, field="image")

    response = await send(async_client, ticket, b"<!DOCTYPE html><script>alert(1)</script>")

    assert response.status_code == 415
    assert not STORAGE.exists(ticket["key"])


async def test_html_named_png_is_never_shown_as_html(async_client: AsyncClient) -> None:
    """A field that takes anything takes this, too; the browser is told not to look for markup in it."""
    key = await ask_upload(async_client, b"<!DOCTYPE html><script>alert(1)</script>", "photo.png")
    document = await Document.objects.acreate(file=key)

    page = await async_client.get((await async_client.get(document.file.url))["Location"])

    assert page["Content-Type"] == "image/png"
    assert page["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["page.html", "page.svg", "page.xhtml", "page.htm", "script.js"])
async def test_uploaded_page_is_never_opened_on_the_sites_origin(
    async_client: AsyncClient, name: str
) -> None:
    document = await Document.objects.acreate(
        file=await ask_upload(async_client, b"<svg xmlns='http://www.w3.org/2000/svg'/>", name)
    )

    page = await async_client.get((await async_client.get(document.file.url))["Location"])

    assert page["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\report.txt", "report.txt"),
        ("a\nb\r.txt", "ab.txt"),
        ("\u202etxt.exe", "txt.exe"),
        ("x" * 10_000 + ".txt", "x" * 251 + ".txt"),
        ("<script>.txt", "<script>.txt"),
    ],
)
async def test_awkward_file_name_stays_a_name(async_client: AsyncClient, given: str, shown: str) -> None:
    key = await ask_upload(async_client, b"x", given)
    document = await Document.objects.acreate(file=key)

    status = (await async_client.get(url_of("upload-status", key=key))).json()
    page = await async_client.get((await async_client.get(document.file.url))["Location"])

    assert status["name"] == shown
    assert str(document.file.name).startswith("documents/")
    assert str(document.file.name).count("/") == 1
    assert page.status_code == 200
    assert "\n" not in page["Content-Disposition"]


async def test_file_name_with_nul_is_refused(async_client: AsyncClient) -> None:
    asked = as_json(fieldId=field_id_of(), filename="a\0.txt")

    assert (await async_client.post(url_of("generate-upload-url"), **asked)).status_code == 400


async def test_thousand_urls_asked_and_never_used_end_at_the_limit(async_client: AsyncClient) -> None:
    asked = as_json(fieldId=field_id_of(), filename="a.txt")

    answers = [
        (await async_client.post(url_of("generate-upload-url"), **asked)).status_code for _one in range(130)
    ]

    assert answers == [200] * 100 + [429] * 30
    assert await AsyncTempFile.objects.acount() == 100
    await AsyncTempFile.objects.all().aupdate(expires_at=timezone.now())
    assert (await async_client.post(url_of("generate-upload-url"), **asked)).status_code == 200


async def test_field_that_is_not_named_in_the_form_can_not_be_found_out(async_client: AsyncClient) -> None:
    """The id of a field is a hash: the model's label does not open it."""
    for guess in ("testapp.Document.file", "testapp.document.file", "Document.file", "file"):
        asked = as_json(fieldId=guess, filename="a.txt")
        assert (await async_client.post(url_of("generate-upload-url"), **asked)).status_code == 404


async def test_image_replaced_on_disk_between_check_and_save_is_not_promoted(
    async_client: AsyncClient,
) -> None:
    key = await ask_upload(async_client, image_bytes(), "photo.png", model=Picture, field="image")
    with open(STORAGE.path(key), "wb") as file:
        file.write(b"<script>alert(1)</script>")

    picture = await Picture.objects.acreate(image=key)

    assert (await Picture.objects.aget(pk=picture.pk)).image.name == key
    assert (await AsyncTempFile.objects.aget()).error_code == "file_changed"
    assert not STORAGE.exists("pictures/photo.png")
    assert (await async_client.get(picture.image.url)).status_code == 404
