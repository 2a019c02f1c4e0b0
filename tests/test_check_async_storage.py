"""``check_async_storage``: which storages it tries, what it says of them, and that it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.base import OnProgress, StoredFile
from async_uploads.storage.memory import MemoryAsyncUploadStorage
from tests.storage_checks import check_async_storage, configure

ROOT = Path(__file__).parents[1]
FILESYSTEM = "async_uploads.storage.filesystem.FileSystemAsyncUploadStorage"
HERE = "tests.test_check_async_storage"


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


###############
# Which storage
###############


def test_storage_that_works_is_told_so_step_by_step_and_left_as_it_was(settings: Any, tmp_path: Path) -> None:
    configure(settings, FILESYSTEM, location=str(tmp_path))

    checked = check_async_storage("tried")

    assert checked.code == 0, checked.told
    assert checked.errors == ""
    assert checked.out.startswith(f"tried ({FILESYSTEM})\n")
    assert {"uploading through Django", "copying", "signing a download URL", "deleting"} <= {
        *checked.steps("ok")
    }
    assert files_in(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["async-temp-files"]


def test_without_an_alias_all_storages_that_take_uploads_are_tried_once(
    settings: Any, tmp_path: Path
) -> None:
    configure(settings, FILESYSTEM, location=str(tmp_path))

    checked = check_async_storage()

    titles = [line for line in checked.out.splitlines() if line.endswith(")") and not line.startswith(" ")]
    assert checked.code == 0, checked.told
    assert titles.count(f"default ({FILESYSTEM})") == 1  # of many fields
    assert titles.count(f"tried ({FILESYSTEM})") == 1  # of no field
    assert any(title.startswith("testapp.Album.booklet (") for title in titles)  # without an alias
    assert not any(title.startswith("staticfiles") for title in titles)


def test_nothing_but_errors_is_printed_when_asked_to_be_quiet(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    configure(settings, FILESYSTEM, location=str(tmp_path / "file"))

    assert check_async_storage("default", "--quiet").told == ""
    wrong = check_async_storage("tried", "--quiet")

    assert wrong.code == 1
    assert wrong.out == ""
    assert wrong.errors.startswith("tried: ")


def test_storage_that_takes_no_uploads_is_told_what_to_be() -> None:
    checked = check_async_storage("staticfiles")

    assert checked.code == 1
    assert "StaticFilesStorage is no AsyncUploadStorage. Set its BACKEND to one that is" in checked.errors


def test_alias_that_is_not_there_is_told_with_those_that_are() -> None:
    checked = check_async_storage("defualt")

    assert checked.code == 1
    assert checked.errors == "STORAGES has no alias 'defualt', only default, staticfiles."


@pytest.mark.parametrize(
    ("backend", "options", "told"),
    [
        ("async_uploads.storage.s4.S4Storage", {}, "No module named 'async_uploads.storage.s4'"),
        (FILESYSTEM, {"folder": "x"}, "unexpected keyword argument 'folder'"),
    ],
)
@pytest.mark.parametrize("alias", [["tried"], []], ids=["named", "any"])
def test_storage_that_cannot_be_made_is_told_with_the_reason(
    settings: Any, backend: str, options: dict[str, str], told: str, alias: list[str]
) -> None:
    configure(settings, backend, **options)

    checked = check_async_storage(*alias)

    assert checked.code == 1
    assert "STORAGES['tried'] cannot be made: " in checked.errors
    assert told in checked.errors


@pytest.mark.parametrize("origin", ["example.com", "https://example.com/path", "ftp://example.com", "*"])
def test_origin_that_is_none_is_refused(origin: str) -> None:
    with pytest.raises(CommandError, match="is no origin: give a scheme and a host"):
        call_command("check_async_storage", "default", "--origin", origin)


################
# What goes wrong
################


def test_place_where_nothing_can_be_written_is_told(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    configure(settings, FILESYSTEM, location=str(tmp_path / "file"))

    checked = check_async_storage("tried")

    assert checked.code == 1
    assert "Not a directory" in checked.line("uploading through Django")
    assert "Check the storage's location" in checked.line("uploading through Django")
    assert checked.line("copying").startswith("skipped")


def test_views_that_are_not_mounted_are_told(settings: Any, tmp_path: Path) -> None:
    nothing_mounted = ModuleType("nothing_mounted")
    nothing_mounted.urlpatterns = []  # type: ignore[attr-defined]  # a URLconf, made here
    settings.ROOT_URLCONF = nothing_mounted
    configure(settings, FILESYSTEM, location=str(tmp_path))

    checked = check_async_storage("tried")

    assert "the views that take uploads are not mounted" in checked.line("signing an upload URL")
    assert "get_url_patterns()" in checked.line("signing an upload URL")
    assert checked.line("copying").startswith("ok")


class OverwritingStorage(MemoryAsyncUploadStorage):
    """Copies as a server does that does not know conditions."""

    def copy_file(
        self,
        from_key: str,
        to_key: str,
        *,
        if_match: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        content = self._content(from_key)
        self.delete(to_key)
        self.save(to_key, _content_file(content))


class ShorteningStorage(MemoryAsyncUploadStorage):
    def stat(self, name: str) -> StoredFile:
        stored = super().stat(name)
        return StoredFile(size=stored.size - 1, etag="")


class KeepingStorage(MemoryAsyncUploadStorage):
    """Lets nobody delete."""

    def delete(self, name: str) -> None:
        raise StorageUnavailable("You may not delete.")


class ForgettingStorage(MemoryAsyncUploadStorage):
    """Says that it has deleted."""

    def delete(self, name: str) -> None:
        return


class TalkativeStorage(MemoryAsyncUploadStorage):
    def stat(self, name: str) -> StoredFile:
        raise RuntimeError("GET https://cloud.example/a.txt?sig=TOP-SECRET&se=1 failed")


def _content_file(content: bytes) -> Any:
    from django.core.files.base import ContentFile

    return ContentFile(content)


def test_server_that_ignores_conditions_is_found_out(settings: Any) -> None:
    configure(settings, f"{HERE}.OverwritingStorage")

    checked = check_async_storage("tried")

    assert checked.code == 1
    assert checked.steps("wrong") == [
        "not copying onto a name that is taken",
        "giving a name to one of several copies at once",
        "not copying swapped bytes",
    ]
    assert "copies_exclusively = False" in checked.line("not copying onto a name that is taken")
    assert "4 of 4 copies were told that they had the name" in checked.line("giving a name")


def test_storage_that_counts_wrongly_is_found_out(settings: Any) -> None:
    configure(settings, f"{HERE}.ShorteningStorage")

    checked = check_async_storage("tried")

    assert checked.steps("wrong") == ["asking what arrived"]
    assert "30 bytes were sent, and 29 are said to be there" in checked.line("asking what arrived")
    assert checked.line("copying").startswith("skipped")


@pytest.mark.parametrize(
    ("storage", "reason"),
    [("KeepingStorage", "You may not delete."), ("ForgettingStorage", "it is still there.")],
)
def test_files_that_cannot_be_deleted_are_named(settings: Any, storage: str, reason: str) -> None:
    configure(settings, f"{HERE}.{storage}")

    checked = check_async_storage("tried")

    assert checked.steps("wrong") == ["deleting"]
    assert f"deleting: {reason} Then delete what may be left: async-temp-files/" in checked.line("deleting")


def test_signature_in_an_error_is_not_printed(settings: Any) -> None:
    configure(settings, f"{HERE}.TalkativeStorage")

    checked = check_async_storage("tried")

    assert "RuntimeError: GET https://cloud.example/a.txt?… failed." in checked.told
    assert "TOP-SECRET" not in checked.told


##############
# Interruption
##############

SLOW_STORAGE = '''
import time
from pathlib import Path
from async_uploads.storage.filesystem import FileSystemAsyncUploadStorage

class SlowStorage(FileSystemAsyncUploadStorage):
    def copy_file(self, from_key, to_key, **options):
        """As a cloud, which goes on with what it was asked when nobody waits for the answer any longer."""
        content = Path(self.path(from_key)).read_bytes()
        Path(self.location, "../copying").touch()
        while not Path(self.location, "../go-on").exists():
            time.sleep(0.01)
        Path(self.path(to_key)).write_bytes(content)
'''
SLOW_SETTINGS = """
from tests.settings import *
STORAGES = {**STORAGES, "slow": {"BACKEND": "slow_storage.SlowStorage", "OPTIONS": {"location": LOCATION}}}
"""
INTERRUPTIBLE = """
import signal
from django.core.management import execute_from_command_line
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background of a shell
execute_from_command_line()
"""


def test_interrupted_check_deletes_also_what_was_still_being_made(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (tmp_path / "slow_storage.py").write_text(SLOW_STORAGE)
    (tmp_path / "slow_settings.py").write_text(f"LOCATION = {str(media)!r}\n{SLOW_SETTINGS}")
    command = [sys.executable, "-c", INTERRUPTIBLE, "check_async_storage", "slow"]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "slow_settings",
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
    }
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not (tmp_path / "copying").exists():
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            (tmp_path / "go-on").touch()
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()

    assert process.returncode == 130
    assert errors == "CommandError: Interrupted.\n"
    assert files_in(media) == []
