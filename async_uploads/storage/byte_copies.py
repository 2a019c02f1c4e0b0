"""Files on a disk that take their name whole or not at all, and copies for where there are no hard links.

A copy may be killed at any instant. What it leaves is found again, by the process that resumes it and by nobody else.
"""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
from contextlib import suppress
from glob import escape
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

NO_HARD_LINKS = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
PART_SUFFIX = ".part"
BUFFER = 1024 * 1024
SECOND = 10**9


class CopyOfBytes:
    """The copy of one file to a name on another file system, or on one without hard links.

    ``of`` names the source for good. The copy's modification time is the source's, to the second; its nanoseconds are
    made of that name, so that the copy is known for what it is, whoever else has a file like it. Blocking.
    """

    def __init__(self, source: Path, target: Path, *, of: str, fsync: bool) -> None:
        self._source = source
        self._target = target
        self._digest = sha256(of.encode()).digest()
        self._fsync = fsync

    def make(self) -> None:
        """Raises FileExistsError where another file has the name."""
        self._remove_parts()
        part = self._new_part()
        try:
            with open(self._source, "rb") as original, open(part, "wb") as copy:
                shutil.copyfileobj(original, copy, BUFFER)
                shutil.copymode(self._source, part)
                copy.flush()
                os.utime(copy.fileno(), ns=(os.fstat(original.fileno()).st_atime_ns, self._modified))
                if self._fsync:
                    os.fsync(copy.fileno())
            take_name(part, self._target, mark=self._mark)
        finally:
            part.unlink(missing_ok=True)

    def resume(self) -> None:
        """For a name that is taken: returns if it is by this very copy, made or begun before; else FileExistsError."""
        if self._is_made():
            return
        if _holds(self._target, self._mark):
            self.make()
            return
        if not self._can_be_linked():
            self._remove_parts()
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self._target))

    def _is_made(self) -> bool:
        found = os.lstat(self._target)
        return (
            found.st_mtime_ns == self._modified
            and found.st_size == os.stat(self._source).st_size
            and filecmp.cmp(self._source, self._target, shallow=False)
        )

    def _can_be_linked(self) -> bool:
        part = self._new_part()
        try:
            os.link(self._source, part)
        except OSError:
            return False
        part.unlink()
        return True

    def _new_part(self) -> Path:
        return self._target.with_name(
            f"{self._target.name}.{self._mark.decode()}.{token_hex(8)}{PART_SUFFIX}"
        )

    def _remove_parts(self) -> None:
        """What a process that was killed has left of this copy. One that lives fails, and is tried again."""
        ours = f"{escape(self._target.name)}.{self._mark.decode()}.*{PART_SUFFIX}"
        for part in self._target.parent.glob(ours):
            part.unlink(missing_ok=True)

    @property
    def _mark(self) -> bytes:
        return self._digest.hex()[:16].encode()

    @property
    def _modified(self) -> int:
        whole = os.stat(self._source).st_mtime_ns // SECOND
        return whole * SECOND + int.from_bytes(self._digest[8:16]) % SECOND


def take_name(part: Path, path: Path, *, mark: bytes) -> None:
    """Rename without overwriting, so that of two writers to one name only the first succeeds.

    Where there are no hard links, a file that holds ``mark`` keeps the name for the instant before the rename: whoever
    is killed there finds it again. Raises FileExistsError.
    """
    try:
        os.link(part, path)
    except FileExistsError:
        if not _holds(path, mark):
            raise
        os.rename(part, path)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, mark)
        finally:
            os.close(descriptor)
        os.rename(part, path)
    else:
        part.unlink()


def is_same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except FileNotFoundError:
        return False


def sync_directory(directory: Path) -> None:
    """A name is on the disk only when its directory is (fsync(2))."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _holds(path: Path, content: bytes) -> bool:
    with suppress(FileNotFoundError):
        return path.stat().st_size == len(content) and path.read_bytes() == content
    return False
