"""The storage contract: what a storage must be able to do so that fields can upload to it and promote from it."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NotRequired, ParamSpec, Self, TypedDict, TypeVar

from asgiref.sync import async_to_sync, sync_to_async
from django.core.files.base import File
from django.core.files.storage import Storage

from async_uploads.conf import upload_settings
from async_uploads.storage.deleting import Failed, adelete_each, delete_each
from async_uploads.storage.folders import Folder, known_folder
from async_uploads.storage.naming import FileNaming

if TYPE_CHECKING:
    from django.urls import URLPattern, URLResolver

P = ParamSpec("P")
T = TypeVar("T")

OnProgress = Callable[[int, int], Awaitable[None]]
"""Called with the bytes copied and the total."""


class GenerateUploadUrlResponse(TypedDict):
    """How a browser sends the bytes."""

    url: str
    method: str
    fields: dict[str, str]
    headers: dict[str, str]
    provider: str
    fileFieldName: NotRequired[str]


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """What the storage holds under a name.

    ``size`` in bytes; ``content_type`` as the storage has it, unchecked; ``modified`` in seconds since the epoch.
    """

    size: int
    etag: str
    modified: int | None = None
    content_type: str = ""


class IncomingFile:
    """A file that is being written as its bytes arrive. Nothing is visible under its name before ``commit``."""

    async def write(self, chunk: bytes) -> None:
        raise NotImplementedError

    async def write_all(self, chunks: list[bytes]) -> None:
        """Write these, one after the other. Override where they need not be joined."""
        await self.write(b"".join(chunks))

    async def commit(self) -> None:
        """Make it durable, whole and visible. Raises FileExistsError where another one has the name."""
        raise NotImplementedError

    async def retract(self) -> None:
        """After ``commit``: take it away again, but no other file that has the name by now."""
        raise NotImplementedError

    async def abort(self) -> None:
        """Leave nothing behind. Harmless after ``commit``, ``abort`` or a failed ``write``."""
        raise NotImplementedError


class AsyncUploadStorage(FileNaming):
    """Base of the storages that async fields can use.

    Each verb has an async form (``a…``), which is what the package calls, and a sync form. Implement either: the
    other is derived, in a thread or on a loop of its own.
    """

    provider: ClassVar[str] = ""
    """How the browser's code names the way to send: ``filesystem``, ``s3`` or ``azure``."""

    receives_uploads: ClassVar[bool] = False
    """Bytes come through Django's own upload view, which writes them with ``aopen_incoming``."""

    serves_downloads: ClassVar[bool] = False
    """Bytes go out through Django's own download view."""

    copies_exclusively: bool = True
    """Of two copies to one name at once, only one succeeds. Where not, each final name gets a random part."""

    ####################################
    # The verbs: each in one of its forms
    ####################################
    # Where a storage of several machines does not answer or lets nobody in, any of them raises StorageUnavailable.

    async def agenerate_upload_url(
        self, name: str, field_id: str, *, expire: int, max_size: int | None, content_type: str | None = None
    ) -> GenerateUploadUrlResponse:
        """How to send the bytes of ``name``, for ``expire`` seconds and at most ``max_size`` bytes."""
        return await self._in_thread(self.generate_upload_url)(
            name, field_id, expire=expire, max_size=max_size, content_type=content_type
        )

    def generate_upload_url(
        self, name: str, field_id: str, *, expire: int, max_size: int | None, content_type: str | None = None
    ) -> GenerateUploadUrlResponse:
        return self._on_loop(self.agenerate_upload_url)(
            name, field_id, expire=expire, max_size=max_size, content_type=content_type
        )

    async def agenerate_download_url(
        self, key: str, field_id: str, *, filename: str | None = None, **params: Any
    ) -> str:
        """A URL that the bytes of ``key`` can be read from, offered to the person as ``filename``."""
        return await self._in_thread(self.generate_download_url)(key, field_id, filename=filename, **params)

    def generate_download_url(
        self, key: str, field_id: str, *, filename: str | None = None, **params: Any
    ) -> str:
        return self._on_loop(self.agenerate_download_url)(key, field_id, filename=filename, **params)

    async def astat(self, name: str) -> StoredFile:
        """What is stored under ``name``; raises FileNotFoundError."""
        return await self._in_thread(self.stat)(name)

    def stat(self, name: str) -> StoredFile:
        return self._on_loop(self.astat)(name)

    async def aread_range(self, name: str, start: int, end: int, *, if_match: str | None = None) -> bytes:
        """The bytes from ``start`` up to, not including, ``end``, fewer at the file's end.

        Raises FileNotFoundError, and FileChanged where the file's ETag is not ``if_match``.
        """
        return await self._in_thread(self.read_range)(name, start, end, if_match=if_match)

    def read_range(self, name: str, start: int, end: int, *, if_match: str | None = None) -> bytes:
        return self._on_loop(self.aread_range)(name, start, end, if_match=if_match)

    async def acopy_file(
        self,
        from_key: str,
        to_key: str,
        *,
        if_match: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Copy without overwriting: all or nothing.

        Raises FileExistsError where ``to_key`` is taken, unless what is there is this method's own copy of
        ``from_key`` (so that a copy can be resumed); FileNotFoundError; FileChanged where the source's ETag is
        not ``if_match``.
        """
        await self._in_thread(self.copy_file)(from_key, to_key, if_match=if_match, on_progress=on_progress)

    def copy_file(
        self,
        from_key: str,
        to_key: str,
        *,
        if_match: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._on_loop(self.acopy_file)(from_key, to_key, if_match=if_match, on_progress=on_progress)

    async def adelete(self, name: str) -> None:
        """Remove ``name`` and what an unfinished upload to it left; harmless where there is nothing."""
        await self._in_thread(self.delete)(name)

    async def aopen_incoming(self, name: str) -> IncomingFile:
        """Begin to write a file whose bytes arrive in pieces. Only where ``receives_uploads``."""
        raise NotImplementedError(f"{type(self).__name__} does not take uploads through Django.")

    #####################################################
    # These are made of the verbs: override where it pays
    #####################################################

    async def adelete_all(self, names: Sequence[str]) -> Failed:
        """Remove each of ``names`` as ``adelete`` does; returns those that could not be removed, with the reason.

        Once the storage raises StorageUnavailable, it is asked for no more of them.
        """
        if getattr(self.adelete, "__func__", None) is AsyncUploadStorage.adelete:
            return await sync_to_async(delete_each, thread_sensitive=False)(self.delete, names)
        return await adelete_each(self.adelete, names)

    async def amove_file(self, from_key: str, to_key: str) -> None:
        """Copy without overwriting, then delete the source."""
        await self.acopy_file(from_key, to_key)
        await self.adelete(from_key)

    def move_file(self, from_key: str, to_key: str) -> None:
        async_to_sync(self.amove_file)(from_key, to_key)

    async def aexists(self, name: str) -> bool:
        try:
            await self.astat(name)
        except FileNotFoundError:
            return False
        return True

    async def asize(self, name: str) -> int:
        return (await self.astat(name)).size

    async def aopen(self, name: str) -> AsyncFile:
        """The file, to be read in chunks and by ``async for``; raises FileNotFoundError."""
        return AsyncFile(self, name, (await self.astat(name)).size)

    async def asave(self, name: str, content: File[Any], max_length: int | None = None) -> str:
        """Async form of Django's ``save``."""
        return await sync_to_async(self.save, thread_sensitive=False)(name, content, max_length=max_length)

    @property
    def links_files(self) -> bool:
        """Can a file get a second name on the spot, by ``link_file``, without a byte being moved?"""
        return False

    def link_file(self, from_key: str, to_key: str, *, if_match: str | None = None) -> bool:
        """As ``copy_file``, in no time. False where that can't be: nothing is done, and the bytes have to be copied.

        Only where ``links_files``.
        """
        raise NotImplementedError(f"{type(self).__name__} does not link files.")

    def reserve_name(self, name: str, max_length: int | None) -> str:
        """The final name that a copy will be tried under first, wanted as ``name``; no network is asked."""
        if not self.copies_exclusively:
            return self.alternative_name(name, max_length)
        return self.fit_name(name, max_length)

    def root_folder(self) -> Folder | None:
        """Where the files are: two storages may keep theirs in one place, and a file that one has is the other's too.

        None where that can't be told; then files are taken for the same wherever their names are.
        """
        return known_folder(self)

    def field_registered(self, field_id: str, namespace: str) -> None:
        """Told of each field that uses this storage, and of the URL namespace that its views are mounted in."""

    def get_url_patterns(self, registry: Any) -> list[URLPattern | URLResolver]:
        """URL patterns of the storage's own, mounted beside the registry's."""
        return []

    ######################################
    # The other form of a verb, derived
    ######################################

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Not a method of this class: it would hide the one of Django's storage that a subclass is made of, too.
        if cls.delete is Storage.delete and cls.adelete is not AsyncUploadStorage.adelete:
            derived: Any = cls
            derived.delete = cls._delete_on_loop

    def _delete_on_loop(self, name: str) -> None:
        self._on_loop(self.adelete)(name)

    def blocks_for(self, *verbs: str) -> bool:
        """Do these verbs have a blocking form alone? Then their async form takes a thread, for each of them anew."""
        return all(self.has_own(verb) and not self.has_own(f"a{verb}") for verb in verbs)

    @property
    def signs_by_blocking(self) -> bool:
        """May the blocking form of ``generate_upload_url`` be called in place of the async one?"""
        return self.blocks_for("generate_upload_url")

    def has_own(self, verb: str) -> bool:
        """Is this form of a verb implemented, and not derived from the other one?"""
        return getattr(getattr(self, verb), "__func__", None) is not getattr(AsyncUploadStorage, verb)

    def _in_thread(self, form: Callable[P, T]) -> Callable[P, Awaitable[T]]:
        self._require(form)
        return sync_to_async(form, thread_sensitive=False)

    def _on_loop(self, form: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
        self._require(form)
        return async_to_sync(form)

    def _require(self, form: Callable[..., Any]) -> None:
        """Two forms that are each derived from the other would call each other for ever."""
        name = form.__name__
        if getattr(type(self), name) is getattr(AsyncUploadStorage, name):
            verb = name.removeprefix("a")
            raise NotImplementedError(f"{type(self).__name__} must implement a{verb}() or {verb}().")


class FileChanged(Exception):
    """The bytes under a key are no longer those that were checked."""


class AsyncFile:
    """A stored file, read without blocking: ``read``, ``seek``, ``tell``, ``async for`` over chunks, ``async with``."""

    def __init__(self, storage: AsyncUploadStorage, name: str, size: int) -> None:
        self.storage = storage
        self.name = name
        self.size = size
        self._position = 0

    async def read(self, size: int = -1) -> bytes:
        """``size`` bytes, or all that is left."""
        end = self.size if size < 0 else min(self._position + size, self.size)
        if end <= self._position:
            return b""
        content = await self.storage.aread_range(self.name, self._position, end)
        self._position += len(content)
        return content

    async def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(origin + offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.read(upload_settings.CHUNK_SIZE):
            yield chunk

    async def aclose(self) -> None:
        """Nothing is held between two reads; here so that code may close what it opened."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()
