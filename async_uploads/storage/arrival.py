"""The check of what has arrived: size, type and dimensions as the storage's own bytes tell them."""

from __future__ import annotations

import io
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.utils.translation import gettext as _

from async_uploads.disguises import TAIL_SIZE, check_disguise
from async_uploads.exceptions import REFUSALS, TypeNotAllowed, UploadIncomplete
from async_uploads.inspection import HEAD_SIZE, check_size, check_type, detect_type, measure_image
from async_uploads.signals import asend_logged, upload_completed
from async_uploads.storage.base import AsyncUploadStorage, FileChanged, StoredFile
from async_uploads.storage.checking import checking
from async_uploads.storage.validation import ArrivedFile, StoredReader, avalidate
from async_uploads.temp_files import AsyncTempFile, State

logger: logging.Logger = logging.getLogger("async_uploads")

READ_SIZE = 256 * 1024
MOST_READ = 32 * 1024 * 1024
"""Bytes. Of most formats Pillow reads the header; of WebP and AVIF it keeps the whole file in memory."""

_LEFT = "%s could not be deleted (%s); the sweep will."

# Threads of their own: many images at once cost no more memory than two, and keep no upload waiting for a thread.
_measurers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="async-uploads-measure")


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """What was measured; the names are those of AsyncTempFile's columns. Sizes in bytes, dimensions in pixels."""

    size: int
    content_type: str
    etag: str
    width: int | None = None
    height: int | None = None


async def acheck_arrival(field: Any, key: str, name: str, sent: int | None = None) -> Arrival:
    """Ask the storage what lies under ``key`` and hold it against the rules of ``field``.

    ``sent``: how many bytes it was given, where that is known.

    Reads the first bytes, the last ones where the field is restricted to some types, of office documents the archive's
    directory, and of images what Pillow asks for beyond them. Raises FileNotFoundError, FileTooLarge,
    TypeNotAllowed, StorageUnavailable, and FileChanged where the bytes are replaced meanwhile.
    """
    storage: AsyncUploadStorage = field.storage
    if storage.blocks_for("stat", "read_range"):
        seen = await sync_to_async(_look, thread_sensitive=False)(field, key)
    else:
        seen = await _alook(field, key)
    _check_whole(seen, sent)
    # Not on the event loop: to tell a type takes longer than to read the bytes.
    content_type = await sync_to_async(_check_type, thread_sensitive=False)(field, key, name, seen)
    width, height = None, None
    if field.measures_images:
        reader = MeasuredReader(storage, key, seen.stored, seen.head)
        width, height = await sync_to_async(_measure, thread_sensitive=False, executor=_measurers)(reader)
    return _arrival(seen, content_type, width, height)


@dataclass(frozen=True)
class _Seen:
    """What lies in the storage, its first bytes and, where the field has restrictions, its last ones."""

    stored: StoredFile
    head: bytes
    tail: bytes


def _ranges(field: Any, stored: StoredFile) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Which bytes to read; None for those that are not needed, or are there already."""
    check_size(stored.size, field.max_size_bytes)
    head = (0, HEAD_SIZE) if stored.size else None
    has_tail = field.file_restrictions and stored.size > HEAD_SIZE
    return head, (max(stored.size - TAIL_SIZE, 0), stored.size) if has_tail else None


async def _alook(field: Any, key: str) -> _Seen:
    stored = await field.storage.astat(key)

    async def read(wanted: tuple[int, int] | None) -> bytes:
        return await field.storage.aread_range(key, *wanted, if_match=stored.etag) if wanted else b""

    head, tail = _ranges(field, stored)
    first = await read(head)
    return _Seen(stored, first, await read(tail) or first)


def _look(field: Any, key: str) -> _Seen:
    stored = field.storage.stat(key)

    def read(wanted: tuple[int, int] | None) -> bytes:
        return field.storage.read_range(key, *wanted, if_match=stored.etag) if wanted else b""

    head, tail = _ranges(field, stored)
    first = read(head)
    return _Seen(stored, first, read(tail) or first)


def _check_whole(seen: _Seen, sent: int | None) -> None:
    """A storage that has lost some of the bytes, or a mistake of ours, is not to be found out by who opens the file."""
    if sent not in (None, seen.stored.size):
        raise FileChanged(f"{sent} bytes were sent, and {seen.stored.size} have been stored.")


def _check_type(field: Any, key: str, name: str, seen: _Seen) -> str:
    content_type = detect_type(seen.head, name)
    check_type(name, content_type, field.file_restrictions)
    if field.file_restrictions and seen.stored.size:
        reader = MeasuredReader(field.storage, key, seen.stored, seen.head)
        check_disguise(content_type, seen.head, seen.tail, seen.stored.size, reader.range)
    return content_type


def _arrival(seen: _Seen, content_type: str, width: int | None = None, height: int | None = None) -> Arrival:
    stored = seen.stored
    return Arrival(size=stored.size, content_type=content_type, etag=stored.etag, width=width, height=height)


def measure(storage: AsyncUploadStorage, name: str) -> tuple[int, int]:
    """Width and height of a stored image; raises TypeNotAllowed, FileNotFoundError. Blocking."""
    return _measure(MeasuredReader(storage, name, storage.stat(name)))


def _measure(reader: MeasuredReader) -> tuple[int, int]:
    return measure_image(io.BufferedReader(reader, READ_SIZE))


class MeasuredReader(StoredReader):
    """A stored file, of which no more is read than is asked for, and ``MOST_READ`` at most.

    ``head`` is the beginning of its bytes, where it is known already.
    """

    def __init__(self, storage: AsyncUploadStorage, name: str, stored: StoredFile, head: bytes = b"") -> None:
        super().__init__(storage, name, stored)
        self._head = head
        self._read = 0

    def range(self, start: int, end: int) -> bytes:
        """The bytes from ``start`` up to ``end``, as far as there are any."""
        self.seek(start)
        parts = []
        while part := self.read(end - self._position):
            parts.append(part)
        return b"".join(parts)

    def read_stored(self, start: int, end: int) -> bytes:
        self._read += end - start
        if self._read > MOST_READ:
            raise TypeNotAllowed(_("The image is too large to be measured."))
        return self._head[start:end] or super().read_stored(start, end)


async def aaccept(temp_file: AsyncTempFile, *, held: bool = False, sent: int | None = None) -> None:
    """Check the arrived bytes of a row and move it to ``uploaded``; where a check refuses them, to ``failed``.

    ``held``: the row's lease is the caller's. ``sent``: how many bytes came, where they came through Django.

    Raises FileNotFoundError where nothing has arrived and UploadIncomplete where it is still changing or not all of it
    is there (the row stays), FileTooLarge, TypeNotAllowed or UploadRefused (the bytes are then deleted),
    UploadStateError where somebody else has moved the row, StorageUnavailable, and ValidationUnavailable where a
    validator could not tell (row and bytes stay).
    """
    field = temp_file.field
    if field.storage.blocks_for("stat", "read_range", "delete") and not (
        field.upload_validators or field.measures_images
    ):
        await sync_to_async(_accept_at_once)(temp_file, sent)
    else:
        await _aaccept_step_by_step(temp_file, held=held, sent=sent)
    await asend_logged(upload_completed, field.model, temp_file=temp_file)


def _accept_at_once(temp_file: AsyncTempFile, sent: int | None) -> None:
    """In one thread hop, where nothing takes long and all of it blocks."""
    field, key = temp_file.field, temp_file.key
    try:
        seen = _look(field, key)
        _check_whole(seen, sent)
        arrival = _arrival(seen, _check_type(field, key, temp_file.name, seen))
    except REFUSALS as error:
        temp_file.move(State.FAILED, **_refused(error))
        tidy(field.storage, key)
        raise
    except FileChanged as error:
        raise UploadIncomplete() from error
    temp_file.move(State.UPLOADED, **_arrived_as(arrival))


async def _aaccept_step_by_step(temp_file: AsyncTempFile, *, held: bool, sent: int | None) -> None:
    field = temp_file.field
    lease: dict[str, Any] = {} if held or not field.upload_validators else {"lease_until": None}
    try:
        arrival = await acheck_arrival(field, temp_file.key, temp_file.name, sent)
        if field.upload_validators:
            async with checking(temp_file, held=held):
                await avalidate(_arrived(field, temp_file, arrival))
    except REFUSALS as error:
        await temp_file.amove(State.FAILED, **_refused(error), **lease)
        await atidy(field.storage, temp_file.key)
        raise
    except FileChanged as error:
        raise UploadIncomplete() from error
    await temp_file.amove(State.UPLOADED, **_arrived_as(arrival), **lease)


def _refused(error: Any) -> dict[str, Any]:
    return {"error_code": error.code, "error": error.detail}


def _arrived_as(arrival: Arrival) -> dict[str, Any]:
    return {"received": arrival.size, "error_code": "", "error": "", **asdict(arrival)}


def _arrived(field: Any, temp_file: AsyncTempFile, arrival: Arrival) -> ArrivedFile:
    stored = StoredFile(size=arrival.size, etag=arrival.etag)
    return ArrivedFile(field, temp_file.key, temp_file.name, arrival.content_type, stored)


async def atidy(storage: AsyncUploadStorage, name: str) -> None:
    """Delete bytes that nobody wants any more. Where the storage fails, the sweep deletes them when it prunes."""
    try:
        await storage.adelete(name)
    except Exception as error:  # noqa: BLE001  # whatever a storage raises
        logger.warning(_LEFT, name, error)


def tidy(storage: AsyncUploadStorage, name: str) -> None:
    """Sync form of ``atidy``."""
    try:
        storage.delete(name)
    except Exception as error:  # noqa: BLE001  # as above
        logger.warning(_LEFT, name, error)
