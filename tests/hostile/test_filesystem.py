"""A disk with traps in it: symlinks among the temporary files, modes that would let uploads run, two file systems."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as project
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.test import AsyncClient

from async_uploads.models import AsyncTempFile
from async_uploads.storage.filesystem import FileSystemAsyncUploadStorage
from async_uploads.sweeping import asweep
from tests.asking import ask_ticket, ask_upload, send, url_of
from tests.stored_files import receive
from tests.test_filesystem_storage import OTHER_FILE_SYSTEM
from tests.testapp.models import Document

DAY = "async-temp-files/2026/11/22"
KEY = f"{DAY}/token-report.txt"


@pytest.fixture
def storage(tmp_path: Path) -> FileSystemAsyncUploadStorage:
    return FileSystemAsyncUploadStorage(location=tmp_path / "media")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the storage's, with somebody's file."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "token-report.txt").write_bytes(b"secret")
    return folder


def contents_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


####################################
# Symlinks
####################################


def link_to(storage: FileSystemAsyncUploadStorage, place: str, target: Path) -> None:
    link = Path(storage.location) / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


TRAPS = {
    "a file": (KEY, "token-report.txt"),
    "a file that is not there": (KEY, "nothing"),
    "a folder in the place of the file": (KEY, ""),
    "the folder of the day": (DAY, ""),
    "the folder of the year": ("async-temp-files/2026", ""),
    "a folder that is not there": (DAY, "nothing"),
}


@pytest.fixture(params=list(TRAPS.values()), ids=list(TRAPS))
def trap(request: pytest.FixtureRequest, storage: FileSystemAsyncUploadStorage, outside: Path) -> None:
    place, target = request.param
    if place == "async-temp-files/2026":
        (outside / "11" / "22").mkdir(parents=True)
        (outside / "11" / "22" / "token-report.txt").write_bytes(b"secret")
    link_to(storage, place, outside / target)


@pytest.mark.usefixtures("trap")
async def test_a_symlink_among_the_temporary_files_is_not_followed(
    storage: FileSystemAsyncUploadStorage, outside: Path
) -> None:
    """Neither for writing nor for reading, nor is what it points at promoted."""
    before = contents_of(outside)

    with pytest.raises(SuspiciousFileOperation):
        await receive(storage, b"x", name=KEY)
    with pytest.raises(SuspiciousFileOperation):
        storage.save(KEY, ContentFile(b"new"))
    with pytest.raises(SuspiciousFileOperation):
        await storage.aread_range(KEY, 0, 100)
    with pytest.raises(SuspiciousFileOperation):
        await storage.astat(KEY)
    with pytest.raises(SuspiciousFileOperation):
        storage.open(KEY)
    with pytest.raises(SuspiciousFileOperation):
        await storage.acopy_file(KEY, "documents/report.txt")

    assert contents_of(outside) == before
    assert not storage.exists("documents/report.txt")


@pytest.mark.usefixtures("trap")
async def test_nothing_is_deleted_through_a_symlink(
    storage: FileSystemAsyncUploadStorage, outside: Path
) -> None:
    before = contents_of(outside)
    is_the_file = (Path(storage.location) / KEY).is_symlink()

    if is_the_file:
        await storage.adelete(KEY)
        assert not (Path(storage.location) / KEY).is_symlink()
    else:
        with pytest.raises(SuspiciousFileOperation):
            await storage.adelete(KEY)

    assert contents_of(outside) == before


async def test_folder_of_temporary_files_itself_may_be_a_symlink(
    storage: FileSystemAsyncUploadStorage, tmp_path: Path
) -> None:
    (tmp_path / "other disk").mkdir()
    link_to(storage, "async-temp-files", tmp_path / "other disk")

    await receive(storage, b"x", name=KEY)

    assert (tmp_path / "other disk" / "2026/11/22/token-report.txt").is_file()


@pytest.mark.django_db(transaction=True)
async def test_upload_swapped_for_a_symlink_is_neither_shown_nor_saved_nor_swept_through(
    async_client: AsyncClient, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"some bytes")
    key = await ask_upload(async_client, b"some bytes")
    in_place = Path(project.MEDIA_ROOT) / key
    then = in_place.stat().st_mtime_ns
    os.utime(secret, ns=(then, then))  # so that its ETag is the same
    in_place.unlink()
    in_place.symlink_to(secret)

    document = await Document.objects.acreate(file=key)
    shown = await async_client.get(document.file.url, follow=True)

    assert b"some bytes" not in b"".join(shown) if shown.streaming else b"some bytes" not in shown.content
    assert shown.status_code in (400, 404)
    assert await sync_to_async(lambda: Document.objects.get().file.name)() == key
    assert (await AsyncTempFile.objects.aget()).state in ("promoting", "failed")
    await document.adelete()
    await AsyncTempFile.objects.all().aupdate(
        state="cancelled", updated_at="2020-01-01T00:00Z", lease_until=None
    )
    await asweep()
    assert secret.read_bytes() == b"some bytes"
    assert not in_place.is_symlink()


@pytest.mark.django_db(transaction=True)
async def test_upload_into_a_folder_swapped_for_a_symlink_is_refused(
    async_client: AsyncClient, tmp_path: Path
) -> None:
    ticket = await ask_ticket(async_client, "a.txt")
    day = (Path(project.MEDIA_ROOT) / ticket["key"]).parent
    day.parent.mkdir(parents=True)
    day.symlink_to(tmp_path)

    response = await send(async_client, ticket, b"x")

    assert response.status_code == 400
    assert list(tmp_path.iterdir()) == []
    status = await async_client.get(url_of("upload-status", key=ticket["key"]))
    assert status.json()["state"] == "pending"


####################################
# Modes
####################################


def mode_of(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize(
    ("given", "modes"),
    [(None, {0o600, 0o644, 0o666}), (0o644, {0o644}), (0o755, {0o644}), (0o7777, {0o666}), (0o600, {0o600})],
)
async def test_no_upload_can_be_run(tmp_path: Path, settings: Any, mask: int, given: Any, modes: Any) -> None:
    settings.FILE_UPLOAD_PERMISSIONS = given
    storage = FileSystemAsyncUploadStorage(location=tmp_path / "media")
    with TemporaryUploadedFile("big.txt", "text/plain", 1, None) as spooled, umask(mask):
        spooled.write(b"x")
        spooled.seek(0)
        os.chmod(spooled.temporary_file_path(), 0o600)

        await receive(storage, b"x", name=KEY)
        await storage.acopy_file(KEY, "documents/report.txt")
        saved = storage.save("documents/saved.txt", ContentFile(b"x"))
        moved = storage.save("documents/moved.txt", spooled)

    found = {mode_of(storage.path(name)) for name in (KEY, "documents/report.txt", saved, moved)}
    assert found <= modes
    assert not any(mode & 0o7111 for mode in found)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
async def test_every_folder_that_is_made_has_the_mode_of_the_setting(
    tmp_path: Path, settings: Any, mask: int
) -> None:
    settings.FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o750
    storage = FileSystemAsyncUploadStorage(location=tmp_path / "media")

    with umask(mask):
        await receive(storage, b"x", name=KEY)
        await storage.acopy_file(KEY, "documents/2026/report.txt")

    folders = [path for path in Path(storage.location).rglob("*") if path.is_dir()]
    assert len(folders) == 8  # the parts have two
    assert {mode_of(folder) for folder in folders} == {0o750}


####################################
# Two file systems
####################################


@pytest.mark.django_db(transaction=True)
async def test_temporary_files_on_another_file_system_are_promoted(async_client: AsyncClient) -> None:
    media = Path(project.MEDIA_ROOT)
    media.mkdir(parents=True, exist_ok=True)
    if not OTHER_FILE_SYSTEM.is_dir() or os.stat(OTHER_FILE_SYSTEM).st_dev == os.stat(media).st_dev:
        pytest.skip(f"{OTHER_FILE_SYSTEM} is no file system of its own here.")
    with tempfile.TemporaryDirectory(dir=OTHER_FILE_SYSTEM) as elsewhere:
        (media / "async-temp-files").symlink_to(elsewhere)
        key = await ask_upload(async_client, b"from elsewhere", "a.txt")
        assert [path.read_bytes() for path in Path(elsewhere).rglob("*.txt")] == [b"from elsewhere"]

        document = await Document.objects.acreate(file=key)

        assert (media / "documents" / "a.txt").read_bytes() == b"from elsewhere"
        assert document.file.name == "documents/a.txt"
        assert not any(path.is_file() for path in Path(elsewhere).rglob("*"))
