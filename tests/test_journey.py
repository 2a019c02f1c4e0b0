"""The main job, end to end."""

from __future__ import annotations

import httpx

from async_uploads.models import AsyncFileInputData, AsyncTempFile
from tests.conftest import image_bytes, ticket_for, upload
from tests.testapp.models import Document, Picture


async def test_upload_save_promote_download(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "My report.txt", contentType="text/plain", size=11)
    put = await visitor.put(ticket["uploadUrl"]["url"], content=b"hello world")
    assert put.status_code == 201, put.text
    assert put.json()["state"] == "uploaded"

    document = Document(title="x", file=AsyncFileInputData(key=ticket["key"], name="whatever"))
    await document.asave()

    assert document.file.name == "documents/My_report.txt"
    stored = await Document.objects.aget()
    assert stored.file.name == "documents/My_report.txt"
    assert await stored.file.aread() == b"hello world"
    assert (await AsyncTempFile.objects.aget()).state == "promoted"
    assert not stored.file.storage.exists(ticket["key"])

    page = await visitor.get(stored.file.url, follow_redirects=True)
    assert page.status_code == 200
    assert page.content == b"hello world"
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_image_dimensions_are_measured(visitor: httpx.AsyncClient) -> None:
    key = await upload(visitor, image_bytes(size=(20, 10)), "photo.png", model=Picture, field="image")

    picture = await Picture.objects.acreate(image=key)

    assert (picture.width, picture.height) == (20, 10)
    stored = await Picture.objects.aget()
    assert (stored.width, stored.height) == (20, 10)
    assert stored.image.name == "pictures/photo.png"
