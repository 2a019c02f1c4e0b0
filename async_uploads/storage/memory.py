"""Uploads kept in memory: for tests."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage
from django.utils.deconstruct import deconstructible

from async_uploads.storage.base import FileChanged, IncomingFile, OnProgress, StoredFile
from async_uploads.storage.direct import ServedByDjango


@deconstructible(path="async_uploads.storage.memory.MemoryAsyncUploadStorage")
class MemoryAsyncUploadStorage(ServedByDjango, InMemoryStorage):
    """Django's InMemoryStorage with the contract of this package. Lost with the process, seen by no other."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._copied_from: dict[str, str] = {}

    def stat(self, name: str) -> StoredFile:
        content = self._content(name)
        modified = int(self.get_modified_time(name).timestamp())
        return StoredFile(size=len(content), etag=_etag_of(content), modified=modified)

    def read_range(self, name: str, start: int, end: int, *, if_match: str | None = None) -> bytes:
        content = self._content(name)
        if if_match and _etag_of(content) != if_match:
            raise FileChanged(f"{name} is not the file that was checked.")
        return content[start : max(end, start)]

    def copy_file(
        self,
        from_key: str,
        to_key: str,
        *,
        if_match: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        content = self._content(from_key)
        if if_match and _etag_of(content) != if_match:
            raise FileChanged(f"{from_key} is not the file that was checked.")
        if self.exists(to_key):
            if self._copied_from.get(to_key) != from_key:
                raise FileExistsError(to_key)
            return
        self.save(to_key, ContentFile(content))
        self._copied_from[to_key] = from_key

    def delete(self, name: str) -> None:
        self._copied_from.pop(name, None)
        if self.exists(name):
            super().delete(name)

    async def aopen_incoming(self, name: str) -> IncomingFile:
        return IncomingMemoryFile(self, name)

    def _content(self, name: str) -> bytes:
        if not self.exists(name):
            raise FileNotFoundError(name)
        with self.open(name, "rb") as file:
            return bytes(file.read())


def _etag_of(content: bytes) -> str:
    return sha256(content).hexdigest()


class IncomingMemoryFile(IncomingFile):
    def __init__(self, storage: MemoryAsyncUploadStorage, name: str) -> None:
        self._storage = storage
        self._name = name
        self._chunks: list[bytes] = []

    async def write(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    async def commit(self) -> None:
        if self._storage.exists(self._name):
            raise FileExistsError(self._name)
        self._storage.save(self._name, ContentFile(b"".join(self._chunks)))

    async def retract(self) -> None:
        self._storage.delete(self._name)

    async def abort(self) -> None:
        self._chunks.clear()
