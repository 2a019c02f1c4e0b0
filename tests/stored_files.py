"""Files put into a storage and read from it, past everything else."""

from __future__ import annotations

from django.core.files.base import ContentFile

from async_uploads.storage.base import AsyncUploadStorage

CONTENT = b"0123456789"
SOURCE = "async-temp-files/2026/11/22/token-report.txt"
TARGET = "documents/report.txt"


def put(storage: AsyncUploadStorage, content: bytes = CONTENT, name: str = SOURCE) -> str:
    assert storage.save(name, ContentFile(content)) == name
    return name


async def content_of(storage: AsyncUploadStorage, name: str) -> bytes:
    return await storage.aread_range(name, 0, 10**6)


async def receive(storage: AsyncUploadStorage, *chunks: bytes, name: str = SOURCE) -> None:
    incoming = await storage.aopen_incoming(name)
    try:
        for chunk in chunks:
            await incoming.write(chunk)
        await incoming.commit()
    finally:
        await incoming.abort()
