"""The project's own checks of the bytes, such as a virus scanner: ``upload_validators`` of a field."""

from __future__ import annotations

import asyncio
import inspect
import io
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError
from django.db import connections

from async_uploads import exceptions
from async_uploads.conf import upload_settings
from async_uploads.exceptions import StorageUnavailable, UploadError, UploadRefused, ValidationUnavailable
from async_uploads.storage.base import AsyncFile, AsyncUploadStorage, FileChanged, StoredFile
from async_uploads.temp_files import FILE_CHANGED, PROMOTION_FAILED

logger: logging.Logger = logging.getLogger("async_uploads")

LONGEST_CODE = 50
THREADS = 8

# Threads of their own: a scanner that hangs keeps neither an upload nor the measuring of images waiting for a thread.
_validators = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="async-uploads-validate")


class ArrivedFile:
    """A file that has arrived, as a validator is given it. ``size`` in bytes; ``content_type`` as the bytes tell it.

    It reads the very bytes that were checked: where they have been replaced meanwhile, reading raises FileChanged, and
    the upload counts as not arrived.
    """

    def __init__(self, field: Any, key: str, name: str, content_type: str, stored: StoredFile) -> None:
        self.field = field
        self.key = key
        self.name = name
        self.content_type = content_type
        self.size: int = stored.size
        self._stored = stored

    async def aopen(self) -> AsyncFile:
        """The bytes, for ``read``, ``seek``, ``async for`` and ``async with``."""
        return CheckedFile(self.field.storage, self.key, self._stored)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in await self.aopen():
            yield chunk

    def open(self) -> io.BufferedReader:
        """The bytes as a binary file of Python's, for validators that block."""
        return io.BufferedReader(
            StoredReader(self.field.storage, self.key, self._stored), upload_settings.CHUNK_SIZE
        )

    def __iter__(self) -> Iterator[bytes]:
        with self.open() as file:
            while chunk := file.read(upload_settings.CHUNK_SIZE):
                yield chunk

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.field}: {self.size} bytes>"


Validator: TypeAlias = Callable[[ArrivedFile], Any]
"""Sync or async. Raises ValidationError to refuse the file; what it returns does not matter."""


class CheckedFile(AsyncFile):
    """A stored file that is still the one that was checked."""

    def __init__(self, storage: AsyncUploadStorage, name: str, stored: StoredFile) -> None:
        super().__init__(storage, name, stored.size)
        self._etag = stored.etag

    async def read(self, size: int = -1) -> bytes:
        end = self.size if size < 0 else min(self._position + size, self.size)
        if end <= self._position:
            return b""
        content = await self.storage.aread_range(self.name, self._position, end, if_match=self._etag)
        self._position += len(content)
        return content


class StoredReader(io.RawIOBase):
    """A stored file as a blocking, seekable one, which is still the one that was checked."""

    def __init__(self, storage: AsyncUploadStorage, name: str, stored: StoredFile) -> None:
        super().__init__()
        self._storage = storage
        self._name = name
        self._size = stored.size
        self._etag = stored.etag
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(origin + offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        end = min(self._position + len(buffer), self._size)
        if end <= self._position:
            return 0
        content = self.read_stored(self._position, end)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def read_stored(self, start: int, end: int) -> bytes:
        return self._storage.read_range(self._name, start, end, if_match=self._etag)


async def avalidate(file: ArrivedFile) -> None:
    """Ask the field's ``upload_validators``, one after the other; the first refusal ends it.

    Raises UploadRefused, FileChanged, and ValidationUnavailable where a validator breaks or all of them together take
    longer than ``VALIDATION_TIMEOUT``: what nobody could check is not accepted.
    """
    timeout = upload_settings.VALIDATION_TIMEOUT
    asked: Any = None
    patience = asyncio.timeout(timeout)
    try:
        async with patience:
            for asked in file.field.upload_validators:
                await _aask(asked, file)
    except ValidationError as error:
        raise UploadRefused(" ".join(error.messages), code=_own_code(error)) from error
    except (FileChanged, StorageUnavailable):
        raise  # of the storage, which whoever asked us knows how to answer
    except Exception as error:
        late = isinstance(error, TimeoutError) and patience.expired()
        _log_outage(file, asked, f"It took longer than {timeout:g} s" if late else repr(error), error)
        raise ValidationUnavailable() from error


async def _aask(validator: Validator, file: ArrivedFile) -> None:
    if _is_async(validator):
        await validator(file)
        return
    answer = await sync_to_async(_ask, thread_sensitive=False, executor=_validators)(validator, file)
    # A lambda or a decorator around an async one: unawaited, it would let everything pass.
    if inspect.isawaitable(answer):
        await answer


def _ask(validator: Validator, file: ArrivedFile) -> Any:
    try:
        return validator(file)
    except StopIteration as error:  # which no future can carry
        raise RuntimeError("The validator raised StopIteration.") from error
    finally:
        connections.close_all()  # this thread's own, that the validator may have opened


def _is_async(validator: Any) -> bool:
    return inspect.iscoroutinefunction(validator) or inspect.iscoroutinefunction(
        getattr(validator, "__call__", None)  # noqa: B004  # the method of an object, not whether there is one
    )


_RESERVED = {PROMOTION_FAILED, FILE_CHANGED, "interrupted"} | {
    error.code
    for error in vars(exceptions).values()
    if isinstance(error, type) and issubclass(error, UploadError)
}
"""Codes that say something else of an upload, of which ``promotion_failed`` makes its bytes readable."""


def _own_code(error: ValidationError) -> str | None:
    """The code that the validator gave, unless the package means something else by it; None for ``refused``."""
    first = error if hasattr(error, "code") else error.error_list[0]
    code = first.code
    if not isinstance(code, str) or not 0 < len(code) <= LONGEST_CODE or code in _RESERVED:
        return None
    return code


def _log_outage(file: ArrivedFile, validator: Any, why: str, error: Exception) -> None:
    """One line; with a traceback where it is the validator that is broken, and not what it asks."""
    said = isinstance(error, (OSError, UploadError, EOFError))
    trace = None if said else error
    logger.error(
        "%s for %s could not be checked by %r: %s", file.key, file.field, validator, why, exc_info=trace
    )
