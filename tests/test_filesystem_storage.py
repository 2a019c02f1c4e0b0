"""The server's own disk: hard links where there are some, whole files or none, and modes as Django's."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile

from async_uploads.exceptions import StorageFull
from async_uploads.storage import parts
from async_uploads.storage.filesystem import FileSystemAsyncUploadStorage
from tests.stored_files import CONTENT, SOURCE, TARGET, content_of, put, receive
from tests.test_broken_transfers import MIB, no_file_larger_than

OTHER_FILE_SYSTEM = Path("/dev/shm")  # the kernel's own, there on every Linux


@pytest.fixture
def storage(tmp_path: Path) -> FileSystemAsyncUploadStorage:
    return FileSystemAsyncUploadStorage(location=tmp_path)


def files_in(storage: FileSystemAsyncUploadStorage) -> list[str]:
    root = Path(storage.location)
    return sorted(str(found.relative_to(root)) for found in root.rglob("*") if found.is_file())


def parts_of(storage: FileSystemAsyncUploadStorage, name: str) -> parts.Parts:
    return parts.Parts(
        os.path.join(storage.location, "async-temp-files"), os.path.join(storage.location, name)
    )


def parts_in(storage: FileSystemAsyncUploadStorage, name: str) -> list[Path]:
    return parts_of(storage, name).left()


def mode_of(storage: FileSystemAsyncUploadStorage, name: str) -> int:
    return os.stat(storage.path(name)).st_mode & 0o777


@asynccontextmanager
async def arriving(storage: FileSystemAsyncUploadStorage, *names: str) -> AsyncIterator[None]:
    """Uploads of which the first bytes are there."""
    incoming = [await storage.aopen_incoming(name) for name in names]
    for one in incoming:
        await one.write(b"some")
    yield
    for one in incoming:
        await one.abort()


async def test_a_copy_moves_no_bytes(storage: FileSystemAsyncUploadStorage) -> None:
    put(storage)

    await storage.acopy_file(SOURCE, TARGET)

    assert os.path.samefile(storage.path(SOURCE), storage.path(TARGET))


@pytest.fixture
def across(storage: FileSystemAsyncUploadStorage) -> Iterator[FileSystemAsyncUploadStorage]:
    """A storage whose ``documents`` are on another file system."""
    if (
        not OTHER_FILE_SYSTEM.is_dir()
        or os.stat(OTHER_FILE_SYSTEM).st_dev == os.stat(storage.location).st_dev
    ):
        pytest.skip(f"{OTHER_FILE_SYSTEM} is no file system of its own here.")
    with tempfile.TemporaryDirectory(dir=OTHER_FILE_SYSTEM) as elsewhere:
        (Path(storage.location) / "documents").symlink_to(elsewhere)
        yield storage


async def test_a_copy_to_another_file_system_has_the_bytes(across: FileSystemAsyncUploadStorage) -> None:
    put(across)
    os.chmod(across.path(SOURCE), 0o640)

    await across.acopy_file(SOURCE, TARGET)

    assert await content_of(across, TARGET) == CONTENT
    assert mode_of(across, TARGET) == 0o640
    assert os.listdir(across.path("documents")) == ["report.txt"]


async def test_a_copy_to_another_file_system_never_overwrites(across: FileSystemAsyncUploadStorage) -> None:
    put(across)
    put(across, b"somebody else's", TARGET)

    with pytest.raises(FileExistsError):
        await across.acopy_file(SOURCE, TARGET)

    assert await content_of(across, TARGET) == b"somebody else's"
    assert os.listdir(across.path("documents")) == ["report.txt"]


@pytest.fixture
def without_links(
    storage: FileSystemAsyncUploadStorage, monkeypatch: pytest.MonkeyPatch
) -> FileSystemAsyncUploadStorage:
    """As on exFAT and on some network file systems, none of which a test can count on."""

    def refuse(source: Any, target: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    return storage


async def test_a_file_system_without_hard_links_will_do(without_links: FileSystemAsyncUploadStorage) -> None:
    await receive(without_links, CONTENT)

    await without_links.amove_file(SOURCE, TARGET)

    assert await content_of(without_links, TARGET) == CONTENT
    assert files_in(without_links) == [TARGET]


async def test_nothing_is_overwritten_without_hard_links(without_links: FileSystemAsyncUploadStorage) -> None:
    await receive(without_links, b"the first")
    put(without_links, b"somebody else's", TARGET)

    with pytest.raises(FileExistsError):
        await without_links.acopy_file(SOURCE, TARGET)
    with pytest.raises(FileExistsError):
        await receive(without_links, b"the second")

    assert await content_of(without_links, SOURCE) == b"the first"
    assert await content_of(without_links, TARGET) == b"somebody else's"


async def test_of_two_writers_to_one_name_the_first_wins(storage: FileSystemAsyncUploadStorage) -> None:
    first, second = await storage.aopen_incoming(SOURCE), await storage.aopen_incoming(SOURCE)
    await first.write(b"the first")
    await second.write(b"the second")

    await first.commit()
    with pytest.raises(FileExistsError):
        await second.commit()
    await second.abort()

    assert files_in(storage) == [SOURCE]
    assert await content_of(storage, SOURCE) == b"the first"


async def test_deleting_an_upload_deletes_its_partial_files(storage: FileSystemAsyncUploadStorage) -> None:
    neighbour = SOURCE.replace("token", "other")
    async with arriving(storage, SOURCE, SOURCE, neighbour):
        assert len(files_in(storage)) == 3

        await storage.adelete(SOURCE)

        assert parts_in(storage, SOURCE) == []
        assert len(parts_in(storage, neighbour)) == len(files_in(storage)) == 1


@pytest.mark.parametrize("name", ["async-temp-files/a[b]*?.txt", "async-temp-files/[!x].txt"])
async def test_a_name_is_no_pattern_when_it_is_deleted(
    storage: FileSystemAsyncUploadStorage, name: str
) -> None:
    async with arriving(storage, name, "async-temp-files/ab.txt"):
        await storage.adelete(name)

        assert parts_in(storage, name) == []
        assert len(parts_in(storage, "async-temp-files/ab.txt")) == len(files_in(storage)) == 1


async def test_to_delete_an_upload_no_day_is_looked_through(
    storage: FileSystemAsyncUploadStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day has thousands of files, and each of them is deleted once."""
    names = [SOURCE.replace("token", f"token{number}") for number in range(20)]
    for name in names:
        put(storage, name=name)
    listed: list[str] = []

    def noting(look: Callable[[str], Any]) -> Callable[[str], Any]:
        def looked(path: str) -> Any:
            listed.append(os.fspath(path))
            return look(path)

        return looked

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, noting(getattr(os, name)))

    assert await storage.adelete_all(names) == {}

    assert files_in(storage) == []
    assert str(Path(storage.path(SOURCE)).parent) not in listed[: len(names)]


async def test_deleting_a_record_s_file_spares_parts_of_its_own(
    storage: FileSystemAsyncUploadStorage,
) -> None:
    """Outside of the temporary folder a file may be called anything."""
    put(storage, name="documents/book")
    put(storage, name="documents/book.1.part")

    await storage.adelete("documents/book")

    assert files_in(storage) == ["documents/book.1.part"]


async def test_a_planted_link_is_not_written_through(
    storage: FileSystemAsyncUploadStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The partial file's name can't be guessed; here it is, and still nothing happens."""
    monkeypatch.setattr(parts, "token_hex", lambda size: "guessed")
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    part = parts_of(storage, SOURCE).new()
    part.parent.mkdir(parents=True)
    part.symlink_to(target)

    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        await storage.aopen_incoming(SOURCE)

    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize(
    "name", ["../secret", "async-temp-files/../../secret", "/etc/passwd", "documents/../../secret"]
)
async def test_no_name_leads_out_of_the_storage(storage: FileSystemAsyncUploadStorage, name: str) -> None:
    put(storage)

    for verb in (
        storage.astat(name),
        storage.aread_range(name, 0, 1),
        storage.adelete(name),
        storage.aopen_incoming(name),
        storage.acopy_file(SOURCE, name),
        storage.acopy_file(name, TARGET),
    ):
        with pytest.raises(SuspiciousFileOperation):
            await verb


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
async def test_an_upload_gets_the_mode_that_the_project_sets(tmp_path: Path, mode: int) -> None:
    storage = FileSystemAsyncUploadStorage(
        location=tmp_path, file_permissions_mode=mode, directory_permissions_mode=0o750
    )
    incoming = await storage.aopen_incoming(SOURCE)
    (part,) = files_in(storage)
    assert mode_of(storage, part) == 0o600, "nobody else reads a file that was not checked"

    await incoming.commit()
    await storage.amove_file(SOURCE, TARGET)

    assert mode_of(storage, TARGET) == mode
    assert mode_of(storage, "documents") == 0o750
    assert mode_of(storage, "async-temp-files/2026/11") == 0o750


@pytest.mark.parametrize(("wanted", "least"), [(True, 3), (False, 0)])
async def test_fsync_can_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool, least: int
) -> None:
    """File and directory at the end of the upload, directory after promotion."""
    fsync, synced = os.fsync, []

    def counted(descriptor: int) -> None:
        synced.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", counted)
    storage = FileSystemAsyncUploadStorage(location=tmp_path, fsync=wanted)

    await receive(storage, CONTENT)
    await storage.acopy_file(SOURCE, TARGET)

    assert len(synced) == least


async def test_a_disk_that_fills_up_keeps_no_half_of_a_copy(across: FileSystemAsyncUploadStorage) -> None:
    put(across)
    os.truncate(across.path(SOURCE), 9 * MIB)

    with no_file_larger_than(8 * MIB), pytest.raises(StorageFull):
        await across.acopy_file(SOURCE, TARGET)

    assert os.listdir(across.path("documents")) == []
    assert (await across.astat(SOURCE)).size == 9 * MIB


def test_a_migration_remembers_the_options(tmp_path: Path) -> None:
    storage = FileSystemAsyncUploadStorage(location=str(tmp_path), fsync=False)

    path, args, kwargs = storage.deconstruct()

    assert path == "async_uploads.storage.filesystem.FileSystemAsyncUploadStorage"
    assert (args, kwargs) == ((), {"location": str(tmp_path), "fsync": False})


def test_django_s_own_verbs_go_on_working(storage: FileSystemAsyncUploadStorage) -> None:
    name = storage.save("documents/a.txt", ContentFile(b"one"))
    other = storage.save("documents/a.txt", ContentFile(b"two"))

    assert name != other
    with storage.open(name) as file:
        assert file.read() == b"one"
    assert storage.size(other) == 3
    assert sorted(storage.listdir("documents")[1]) == sorted(os.path.basename(n) for n in (name, other))
