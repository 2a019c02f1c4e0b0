"""A storage that browsers send to by themselves, past Django, as S3 and Azure are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import AsyncClient

from async_uploads.storage.memory import MemoryAsyncUploadStorage
from tests.asking import as_json, ask_ticket, url_of
from tests.testapp.models import Album, memory_storage

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"


class Cloud:
    """The storage of Album.booklet, with room for 1 MiB."""

    def __init__(self, storage: MemoryAsyncUploadStorage) -> None:
        self.storage = storage

    def receive(self, key: str, content: bytes) -> None:
        """The browser's own request to the cloud; nobody tells Django."""
        self.storage.delete(key)
        self.storage.save(key, ContentFile(content))

    def holds(self, name: str) -> bool:
        return bool(self.storage.exists(name))


@contextmanager
def direct_uploads() -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_storage, "receives_uploads", False, raising=False)
        patch.setattr(Album._meta.get_field("booklet"), "max_size", 1)
        yield Cloud(memory_storage)
    for folder in ("async-temp-files", "booklets"):
        memory_storage.delete(folder)


async def booklet_ticket(client: AsyncClient, filename: str = "booklet.pdf") -> str:
    """The key of a new upload for Album.booklet."""
    return str((await ask_ticket(client, filename, model=Album, field="booklet"))["key"])


async def complete(client: AsyncClient, key: str) -> Any:
    return await client.post(url_of("complete-upload"), **as_json(key=key))
