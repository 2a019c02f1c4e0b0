"""Uploads streamed to the server's own disk.

Needs: a directory that the server may write to, on one file system with the temporary files for promotion without
moving bytes (elsewhere they are copied).
"""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiofiles
from asgiref.sync import sync_to_async
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage
from django.utils.deconstruct import deconstructible

from async_uploads.exceptions import StorageFull
from async_uploads.storage.base import FileChanged, IncomingFile, OnProgress, StoredFile
from async_uploads.storage.byte_copies import (
    NO_HARD_LINKS,
    CopyOfBytes,
    is_same_file,
    sync_directory,
    take_name,
)
from async_uploads.storage.direct import ServedByDjango
from async_uploads.storage.local_writes import SMALL, WritesTogether, write_out, writes_together
from async_uploads.storage.parts import Parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiofiles.threadpool.binary import AsyncFileIO

NOT_TO_BE_RUN = 0o666
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@deconstructible(path="async_uploads.storage.filesystem.FileSystemAsyncUploadStorage")
class FileSystemAsyncUploadStorage(ServedByDjango, FileSystemStorage):
    """Django's FileSystemStorage, taking uploads as streams. Its options mean what they mean there.

    ``fsync=False`` leaves out the wait for the disk at the end of an upload: faster, and a power cut may lose it.
    """

    def __init__(self, *args: Any, fsync: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fsync = fsync

    @property
    def file_permissions_mode(self) -> int | None:
        """As Django's, but an upload is data: whatever the project sets, it is not to be run."""
        mode = super().file_permissions_mode
        return None if mode is None else mode & NOT_TO_BE_RUN

    def path(self, name: str) -> str:
        """As Django's. Raises SuspiciousFileOperation where the way to a temporary file leads through a symlink.

        The folder of temporary files may be one, to have them on another disk; what lies in it we have made ourselves.
        """
        path: str = super().path(name)
        self._refuse_links(path)
        return path

    def stat(self, name: str) -> StoredFile:
        found = os.stat(self.path(name))
        return StoredFile(size=found.st_size, etag=_etag_of(found), modified=int(found.st_mtime))

    def read_range(self, name: str, start: int, end: int, *, if_match: str | None = None) -> bytes:
        with open(self.path(name), "rb") as file:
            if if_match and _etag_of(os.fstat(file.fileno())) != if_match:
                raise FileChanged(f"{name} is not the file that was checked.")
            file.seek(start)
            return file.read(max(end - start, 0))

    def delete(self, name: str) -> None:
        if not name or not self.is_temporary_path(name):
            super().delete(name)
            return
        path: str = super().path(name)
        # A symlink in the place of the file goes, and what it points at stays.
        self._refuse_links(os.path.dirname(path))
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except (IsADirectoryError, PermissionError):
            super().delete(name)
        parts = self._parts_of(path)
        if left := parts.left():
            self._refuse_links(parts.folder)
            for part in left:
                part.unlink(missing_ok=True)

    def copy_file(
        self,
        from_key: str,
        to_key: str,
        *,
        if_match: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        """A second hard link to the same bytes; real copying only where the file system has no such links."""
        source, target = self._ready_to_copy(from_key, to_key, if_match)
        try:
            os.link(source, target)
        except FileExistsError:
            if not is_same_file(source, target):
                with storage_errors():
                    CopyOfBytes(source, target, of=from_key, fsync=self.fsync).resume()
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            with storage_errors():
                CopyOfBytes(source, target, of=from_key, fsync=self.fsync).make()
        if self.fsync:
            sync_directory(target.parent)

    def _ready_to_copy(self, from_key: str, to_key: str, if_match: str | None) -> tuple[Path, Path]:
        """Where the file is, and where it is to be. Raises FileChanged where it is not the one that was checked."""
        if if_match and self.stat(from_key).etag != if_match:
            raise FileChanged(f"{from_key} is not the file that was checked.")
        source, target = Path(self.path(from_key)), Path(self.path(to_key))
        self._make_directory(target.parent)
        return source, target

    @property
    def links_files(self) -> bool:
        """Not where a project's own class copies or deletes in another way."""
        own = FileSystemAsyncUploadStorage
        verbs = (
            (self.acopy_file, own.acopy_file),
            (self.copy_file, own.copy_file),
            (self.adelete, own.adelete),
        )
        return all(getattr(verb, "__func__", None) is ours for verb, ours in verbs)

    def link_file(self, from_key: str, to_key: str, *, if_match: str | None = None) -> bool:
        source, target = self._ready_to_copy(from_key, to_key, if_match)
        try:
            os.link(source, target)
        except FileExistsError:
            return is_same_file(source, target)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            return False
        if self.fsync:
            sync_directory(target.parent)
        return True

    def reserve_name(self, name: str, max_length: int | None) -> str:
        """Another one where it is taken now: most are not taken between this look and the copy."""
        wanted = super().reserve_name(name, max_length)
        with suppress(SuspiciousFileOperation, OSError):
            if os.path.lexists(self.path(wanted)):
                return self.alternative_name(wanted, max_length)
        return wanted

    async def aopen_incoming(self, name: str) -> IncomingFile:
        path = Path(self.path(name))
        parts = self._parts_of(str(path))
        self._refuse_links(parts.folder)
        part = parts.new()

        def made(name: str, flags: int) -> int:
            self._make_directories(path.parent, part.parent)
            return _open_no_follow(name, flags)

        with storage_errors():
            file = await aiofiles.open(part, "wb", buffering=0, opener=made)
        return IncomingLocalFile(
            file,
            part,
            path,
            fsync=self.fsync,
            mode=self.file_permissions_mode,
            together=writes_together(os.fspath(self.location)),
        )

    @property
    def _temporary_root(self) -> str:
        return os.path.join(self.location, self.temporary_key_prefix)

    def _refuse_links(self, path: str) -> None:
        """Raises SuspiciousFileOperation for a symlink below the folder of temporary files, up to ``path`` itself."""
        step = root = self._temporary_root
        if not path.startswith(f"{root}{os.sep}"):
            return
        for part in path[len(root) + 1 :].split(os.sep):
            step = f"{step}{os.sep}{part}"
            if os.path.islink(step):
                raise SuspiciousFileOperation(f"{step} among the temporary files is a symlink.")

    def _parts_of(self, path: str) -> Parts:
        return Parts(self._temporary_root, path)

    def _make_directories(self, *directories: Path) -> None:
        for each in directories:
            self._make_directory(each)

    def _make_directory(self, directory: Path) -> None:
        if directory.is_dir():
            return
        missing = [each for each in (directory, *directory.parents) if not each.exists()]
        try:
            with storage_errors():
                directory.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:  # a file is there: not to be taken for a file's name that is taken
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory)) from error
        if self.directory_permissions_mode is not None:
            for made in missing:
                made.chmod(self.directory_permissions_mode)


class IncomingLocalFile(IncomingFile):
    """Bytes go to a ``.part`` file, which takes the name when it is whole and on the disk."""

    def __init__(
        self,
        file: AsyncFileIO,
        part: Path,
        path: Path,
        *,
        fsync: bool,
        mode: int | None,
        together: WritesTogether,
    ) -> None:
        self._file = file
        self._part = part
        self._path = path
        self._fsync = fsync
        self._mode = mode
        self._together = together
        self._writing: asyncio.Future[None] | None = None
        self._committed: os.stat_result | None = None

    async def write(self, chunk: bytes) -> None:
        await self.write_all([chunk])

    async def write_all(self, chunks: list[bytes]) -> None:
        descriptor = self._file.fileno()
        if sum(map(len, chunks)) < SMALL:
            self._writing = self._together.write(descriptor, b"".join(chunks))
        else:
            loop = asyncio.get_running_loop()
            self._writing = loop.run_in_executor(None, write_out, descriptor, chunks)
        with storage_errors():
            await asyncio.shield(self._writing)

    async def commit(self) -> None:
        with storage_errors():
            await sync_to_async(self._make_durable_and_visible, thread_sensitive=False)()
            await self._file.close()

    async def retract(self) -> None:
        await sync_to_async(self._remove_if_ours, thread_sensitive=False)()

    async def abort(self) -> None:
        if self._writing is not None:  # its descriptor may soon be that of another file
            await asyncio.wait([self._writing])
        with suppress(OSError):
            await self._file.close()
        await sync_to_async(self._part.unlink, thread_sensitive=False)(missing_ok=True)

    def _make_durable_and_visible(self) -> None:
        descriptor = self._file.fileno()
        if self._mode is not None:
            os.fchmod(descriptor, self._mode)
        if self._fsync:
            os.fsync(descriptor)
        self._committed = os.fstat(descriptor)
        take_name(self._part, self._path, mark=self._part.name.encode())
        if self._fsync:
            sync_directory(self._path.parent)

    def _remove_if_ours(self) -> None:
        with suppress(FileNotFoundError):
            if self._committed is not None and os.path.samestat(os.lstat(self._path), self._committed):
                self._path.unlink()


@contextmanager
def storage_errors() -> Iterator[None]:
    """A disk without room, or a quota, is an answer to the client and no failure of the program."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFull() from error
        raise


def _etag_of(found: os.stat_result) -> str:
    return f"{found.st_size:x}-{found.st_mtime_ns:x}"


def _open_no_follow(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
