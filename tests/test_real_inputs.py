"""Files as people have them, through the server and back."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from PIL import Image

from async_uploads.models import AsyncFileInputData, AsyncTempFile
from tests.conftest import image_bytes, ticket_for, upload
from tests.test_inspection import docx
from tests.testapp.models import Album, Document, Letter, Picture
from tests.watching import files_under_media

MIB = 1024 * 1024


def photo() -> bytes:
    """As a phone takes it: a JPEG of some size, noisy, with EXIF that says it is to be turned."""
    noise = Image.frombytes("RGB", (1200, 900), random.Random(1).randbytes(1200 * 900 * 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    noise.save(file, "JPEG", quality=60, exif=exif)
    return file.getvalue()


def pdf() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (100, 140), "white").save(file, "PDF")
    return file.getvalue()


async def test_a_photo(visitor: httpx.AsyncClient) -> None:
    content = photo()
    key = await upload(visitor, content, "IMG_2026.JPG", model=Picture, field="image")

    picture = await Picture.objects.acreate(image=key)

    assert (picture.width, picture.height) == (1200, 900)
    assert (await AsyncTempFile.objects.aget()).content_type == "image/jpeg"
    shown = await visitor.get(picture.image.url, follow_redirects=True)
    assert shown.content == content
    assert shown.headers["content-disposition"].startswith("inline")


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
async def test_a_picture_of_another_kind(visitor: httpx.AsyncClient, kind: str) -> None:
    content = image_bytes(kind, (64, 48))
    key = await upload(visitor, content, f"picture.{kind.lower()}", model=Picture, field="image")

    picture = await Picture.objects.acreate(image=key)

    assert (picture.width, picture.height) == (64, 48)


async def test_a_pdf_and_a_word_file(visitor: httpx.AsyncClient) -> None:
    for name, content, content_type in (
        ("paper.pdf", pdf(), "application/pdf"),
        ("letter.docx", docx(), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ):
        key = await upload(visitor, content, name)
        document = await Document.objects.acreate(file=key)

        assert (await AsyncTempFile.objects.aget(key=key)).content_type == content_type
        assert await document.file.aread() == content


async def test_a_pdf_kept_in_another_storage(visitor: httpx.AsyncClient) -> None:
    content = pdf()
    key = await upload(visitor, content, "booklet.pdf", model=Album, field="booklet")
    album = await Album.objects.acreate(booklet=key)

    assert album.booklet.name == "booklets/booklet.pdf"
    assert (await visitor.get(album.booklet.url, follow_redirects=True)).content == content


@pytest.mark.parametrize("content", [b"", b"x", b"\0"], ids=["empty", "one-byte", "one-zero"])
@pytest.mark.parametrize("method", ["PUT", "POST", "chunked"])
async def test_almost_nothing(visitor: httpx.AsyncClient, content: bytes, method: str) -> None:
    ticket = await ticket_for(visitor, "small.txt", size=len(content))
    url = ticket["uploadUrl"]["url"]

    async def in_chunks() -> AsyncIterator[bytes]:
        yield content

    bodies: dict[str, dict[str, Any]] = {
        "PUT": {"content": content},
        "POST": {"files": {"file": ("small.txt", content)}},
        "chunked": {"content": in_chunks()},
    }
    response = await visitor.request("POST" if method == "POST" else "PUT", url, **bodies[method])
    assert response.status_code == 201, response.text
    assert (response.json()["received"], response.json()["total"]) == (len(content), len(content))

    document = await Document.objects.acreate(file=AsyncFileInputData(key=ticket["key"], name="small.txt"))

    assert await document.file.asize() == len(content)
    assert (await visitor.get(document.file.url, follow_redirects=True)).content == content


class Pseudorandom:
    """Bytes that no compression and no gap in a file can shorten, never all in memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.hash = hashlib.sha256()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        source = random.Random(7)
        for _ in range(self.size // MIB):
            piece = source.randbytes(MIB)
            self.hash.update(piece)
            yield piece


async def test_three_hundred_mebibytes(visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Letter._meta.get_field("attachment"), "max_size", 400)
    size = 300 * MIB
    ticket = await ticket_for(visitor, "film.bin", model=Letter, field="attachment", size=size)
    sent = Pseudorandom(size)

    response = await visitor.put(
        ticket["uploadUrl"]["url"], content=sent, headers={"Content-Length": str(size)}
    )
    assert response.status_code == 201, response.text
    letter = await Letter.objects.acreate(attachment=ticket["key"])

    assert [file.stat().st_size for file in files_under_media()] == [size]
    received = hashlib.sha256()
    async with visitor.stream("GET", letter.attachment.url, follow_redirects=True) as download:
        async for chunk in download.aiter_bytes():
            received.update(chunk)
    assert received.digest() == sent.hash.digest()
