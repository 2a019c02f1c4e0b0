"""A storage of one's own implements each verb once, sync or async: the other form comes by itself."""

from __future__ import annotations

from typing import Any

import pytest

from async_uploads.storage.base import (
    AsyncUploadStorage,
    GenerateUploadUrlResponse,
    OnProgress,
    StoredFile,
)
from async_uploads.storage.filesystem import FileSystemAsyncUploadStorage

TICKET: GenerateUploadUrlResponse = {
    "url": "https://example.com/upload",
    "method": "PUT",
    "fields": {},
    "headers": {},
    "provider": "own",
}


class SyncStorage(AsyncUploadStorage):
    def __init__(self) -> None:
        self.files = {"a": b"content"}

    def generate_upload_url(self, name: str, field_id: str, **options: Any) -> GenerateUploadUrlResponse:
        return {**TICKET, "fields": {"name": name, "max_size": str(options["max_size"])}}

    def generate_download_url(
        self, key: str, field_id: str, *, filename: str | None = None, **params: Any
    ) -> str:
        return f"https://example.com/{key}?filename={filename}&{params}"

    def stat(self, name: str) -> StoredFile:
        if name not in self.files:
            raise FileNotFoundError(name)
        return StoredFile(size=len(self.files[name]), etag="etag")

    def read_range(self, name: str, start: int, end: int, *, if_match: str | None = None) -> bytes:
        return self.files[name][start:end]

    def copy_file(
        self,
        from_key: str,
        to_key: str,
        *,
        if_match: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.files[to_key] = self.files[from_key]

    def delete(self, name: str) -> None:
        self.files.pop(name, None)


class AsyncStorage(AsyncUploadStorage):
    def __init__(self) -> None:
        self.files = {"a": b"content"}

    async def agenerate_upload_url(
        self, name: str, field_id: str, **options: Any
    ) -> GenerateUploadUrlResponse:
        return {**TICKET, "fields": {"name": name, "max_size": str(options["max_size"])}}

    async def agenerate_download_url(
        self, key: str, field_id: str, *, filename: str | None = None, **params: Any
    ) -> str:
        return f"https://example.com/{key}?filename={filename}&{params}"

    async def astat(self, name: str) -> StoredFile:
        if name not in self.files:
            raise FileNotFoundError(name)
        return StoredFile(size=len(self.files[name]), etag="etag")

    async def aread_range(self, name: str, start: int, end: int, *, if_match: str | None = None) -> bytes:
        return self.files[name][start:end]

    async def acopy_file(
        self,
        from_key: str,
        to_key: str,
        *,
        if_match: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.files[to_key] = self.files[from_key]

    async def adelete(self, name: str) -> None:
        self.files.pop(name, None)


@pytest.mark.parametrize("kind", [SyncStorage, AsyncStorage])
async def test_the_async_forms(kind: type[SyncStorage | AsyncStorage]) -> None:
    storage = kind()

    how = await storage.agenerate_upload_url("a", "field", expire=1, max_size=5)
    assert how["fields"] == {"name": "a", "max_size": "5"}
    assert "filename=x&{'inline': False}" in await storage.agenerate_download_url(
        "a", "field", filename="x", inline=False
    )
    assert (await storage.astat("a")).size == 7
    assert await storage.aread_range("a", 1, 3) == b"on"
    await storage.amove_file("a", "b")
    assert storage.files == {"b": b"content"}
    assert await (await storage.aopen("b")).read() == b"content"
    await storage.adelete("b")
    assert not await storage.aexists("b")


@pytest.mark.parametrize("kind", [SyncStorage, AsyncStorage])
def test_the_sync_forms(kind: type[SyncStorage | AsyncStorage]) -> None:
    storage = kind()

    how = storage.generate_upload_url("a", "field", expire=1, max_size=5)
    assert how["fields"] == {"name": "a", "max_size": "5"}
    assert "filename=x&{'inline': False}" in storage.generate_download_url(
        "a", "field", filename="x", inline=False
    )
    assert storage.stat("a").size == 7
    assert storage.read_range("a", 1, 3) == b"on"
    storage.move_file("a", "b")
    assert storage.files == {"b": b"content"}
    storage.delete("b")
    assert storage.files == {}


async def test_a_verb_that_was_forgotten_says_so() -> None:
    """Two forms, each derived from the other, would call each other for ever."""
    storage = AsyncUploadStorage()

    with pytest.raises(NotImplementedError, match=r"must implement astat\(\) or stat\(\)"):
        await storage.astat("a")
    with pytest.raises(NotImplementedError, match=r"must implement aread_range\(\) or read_range\(\)"):
        await storage.aread_range("a", 0, 1)
    with pytest.raises(NotImplementedError, match="does not take uploads through Django"):
        await storage.aopen_incoming("a")


def test_a_sync_verb_that_was_forgotten_says_so_too() -> None:
    with pytest.raises(NotImplementedError, match=r"must implement acopy_file\(\) or copy_file\(\)"):
        AsyncUploadStorage().copy_file("a", "b")


@pytest.mark.parametrize("cls", [SyncStorage, AsyncStorage])
async def test_many_are_deleted_and_what_fails_is_told_for_each(cls: Any, monkeypatch: Any) -> None:
    storage = cls()
    storage.files.update(b=b"b", c=b"c")
    delete = storage.delete if cls is SyncStorage else storage.adelete

    def fail_for_b(name: str) -> Any:
        if name == "b":
            raise PermissionError(name)
        return delete(name)

    monkeypatch.setattr(
        cls, "delete" if cls is SyncStorage else "adelete", lambda self, name: fail_for_b(name)
    )

    failed = await storage.adelete_all(["a", "b", "c"])

    assert [(name, type(error)) for name, error in failed.items()] == [("b", PermissionError)]
    assert set(storage.files) == {"b"}


class OnDiskElsewhere(FileSystemAsyncUploadStorage):
    async def agenerate_upload_url(
        self, name: str, field_id: str, **options: Any
    ) -> GenerateUploadUrlResponse:
        return TICKET


def test_an_async_form_of_ones_own_is_not_passed_over() -> None:
    """Where nothing has to be awaited, URLs are made in the request's thread."""
    assert FileSystemAsyncUploadStorage().signs_by_blocking
    assert SyncStorage().signs_by_blocking
    assert not AsyncStorage().signs_by_blocking
    assert not OnDiskElsewhere().signs_by_blocking
