"""What is in a record's field, and what can be put there."""

from __future__ import annotations

from typing import assert_type

from django.core.files.base import ContentFile

from async_uploads.fields import AsyncFieldFile, AsyncImageFieldFile
from async_uploads.fields.values import AsyncFileDescriptor
from async_uploads.models import AsyncFileInputData, AsyncTempFile
from async_uploads.storage.base import AsyncFile, AsyncUploadStorage
from async_uploads.temp_files import State
from tests.typing.models import Letter


def on_the_class() -> None:
    assert_type(Letter.scan, AsyncFileDescriptor)
    assert_type(Letter.draft, AsyncFileDescriptor)
    assert_type(Letter.stamp, AsyncFileDescriptor)


async def of_a_record(letter: Letter) -> None:
    assert_type(letter.scan, AsyncFieldFile)
    assert_type(letter.draft, AsyncFieldFile)  # false where there is no file, and never None
    assert_type(letter.stamp, AsyncImageFieldFile)
    assert_type((await Letter.objects.aget(pk=1)).scan, AsyncFieldFile)

    assert_type(letter.scan.name, str | None)
    assert_type(letter.scan.url, str)
    assert_type(letter.scan.storage, AsyncUploadStorage)
    assert_type(letter.stamp.width, int)
    assert_type(letter.stamp.height, int)
    _ = letter.scan.width  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def read(letter: Letter) -> None:
    assert_type(await letter.scan.aread(), bytes)
    assert_type(await letter.scan.asize(), int)
    assert_type(await letter.draft.aexists(), bool)
    async with await letter.stamp.aopen() as file:
        assert_type(file, AsyncFile)
        assert_type(await file.read(1024), bytes)
        async for chunk in file:
            assert_type(chunk, bytes)
    content: bytes = letter.scan.aread()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    assert_type(content, bytes)


async def write(letter: Letter) -> None:
    await letter.scan.asave("scan.pdf", ContentFile(b"%PDF-1.7"))
    await letter.scan.asave("scan.pdf", b"%PDF-1.7", save=False)
    await letter.draft.adelete()
    await letter.scan.asave(b"%PDF-1.7")  # type: ignore[call-arg,arg-type]  # pyright: ignore[reportCallIssue]
    await letter.scan.asave("scan.pdf", "text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def assign(letter: Letter, other: Letter) -> None:
    letter.scan = AsyncFileInputData(key="async-temp-files/2026/11/22/token-scan.pdf", name="scan.pdf")
    letter.scan = "scans/scan.pdf"
    letter.scan = ContentFile(b"%PDF-1.7", name="scan.pdf")
    letter.scan = other.scan
    letter.stamp = other.scan
    letter.draft = None
    assert_type(letter.scan, AsyncFieldFile)
    assert_type(letter.draft, AsyncFieldFile)
    letter.scan = b"%PDF-1.7"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    letter.stamp = 1  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


def of_an_upload(upload: AsyncTempFile) -> None:
    assert_type(upload.key, str)
    assert_type(upload.size, int | None)
    upload.state = State.FAILED
    upload.size = "3"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
