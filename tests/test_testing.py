"""What the package offers to the tests of its users."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.forms import modelform_factory
from django.test import AsyncClient, TestCase

from async_uploads.exceptions import FileTooLarge, TypeNotAllowed, UploadKeyError
from async_uploads.models import AsyncTempFile
from async_uploads.storage.memory import MemoryAsyncUploadStorage
from async_uploads.testing import (
    MadeUpload,
    StatusRecorder,
    acommitting,
    amake_upload,
    make_upload,
    memory_uploads,
)
from tests.asking import url_of
from tests.conftest import image_bytes
from tests.testapp.models import Album, Document, Picture

ROOT = Path(__file__).parent.parent
DocumentForm = modelform_factory(Document, fields=["title", "file"])


@pytest.mark.django_db(transaction=True)
def test_a_made_upload_is_what_a_form_submits() -> None:
    form = DocumentForm({"file": make_upload(Document.file, b"made", "made.txt")})

    document = form.save()

    assert document.file.name == "documents/made.txt"
    with document.file.open() as file:
        assert file.read() == b"made"


@pytest.mark.django_db(transaction=True)
async def test_the_key_of_a_made_upload_can_be_assigned() -> None:
    made = await amake_upload(Picture._meta.get_field("image"), image_bytes(), "made.png")

    picture = await Picture.objects.acreate(image=made.key)

    assert (picture.image.name, picture.width, picture.height) == ("pictures/made.png", 7, 5)


@pytest.mark.django_db
def test_the_rules_of_the_field_hold_for_made_uploads() -> None:
    with pytest.raises(FileTooLarge):
        make_upload(Document.file, bytes(1024**2 + 1))
    with pytest.raises(TypeNotAllowed):
        make_upload(Album.cover, b"no image", "cover.png")


@pytest.mark.django_db(transaction=True)
async def test_an_upload_made_for_a_user_is_theirs_alone(async_client: AsyncClient) -> None:
    ann = await User.objects.acreate(username="ann")
    made = await amake_upload(Document.file, user=ann)

    unknown = await async_client.get(url_of("upload-status", key=made.key))
    await async_client.aforce_login(ann)
    known = await async_client.get(url_of("upload-status", key=made.key))

    assert (unknown.status_code, known.status_code) == (404, 200)


class TestWithUnittest(TestCase):
    """Where each test is a transaction, ``captureOnCommitCallbacks`` promotes."""

    def test_memory_and_statuses_work_without_pytest(self) -> None:
        with memory_uploads() as storage, StatusRecorder() as recorder:
            made = make_upload(Document.file, b"made", "made.txt")
            with self.captureOnCommitCallbacks(execute=True):
                document = Document.objects.create(file=made.key)

            assert storage.read_range(str(document.file.name), 0, 100) == b"made"
            assert recorder.states(made.key) == ["promoting", "promoted"]

    async def test_what_async_tests_save_is_promoted_at_the_end_of_the_block(self) -> None:
        made = await amake_upload(Document.file, b"made", "made.txt")
        async with acommitting() as callbacks:
            document = await Document.objects.acreate(file=made.key)
            assert document.file.name == made.key

        assert document.file.name == "documents/made.txt"
        assert len(callbacks) == 1

    async def test_what_async_views_save_is_promoted_at_the_end_of_the_block(self) -> None:
        await self.async_client.aforce_login(await User.objects.acreate_superuser("admin", password="x"))
        async with acommitting():
            await self.async_client.post(
                "/admin/testapp/document/add/",
                {"title": "t", "file": await amake_upload(Document.file, b"made", "made.txt")},
            )

        assert (await Document.objects.aget()).file.name == "documents/made.txt"

    async def test_what_was_saved_before_the_block_is_left_alone(self) -> None:
        before = await Document.objects.acreate(file=(await amake_upload(Document.file)).key)
        async with acommitting() as callbacks:
            await Document.objects.acreate(file=(await amake_upload(Document.file)).key)

        assert len(callbacks) == 1
        assert (
            (await Document.objects.aget(pk=before.pk)).file.name == before.file.name != "documents/file.txt"
        )

    async def test_error_in_the_block_is_the_tests_own(self) -> None:
        with pytest.raises(ValueError, match="mine"):
            async with acommitting():
                raise ValueError("mine")


@pytest.mark.django_db(transaction=True)
def test_the_fixtures(
    make_upload: Callable[..., MadeUpload],
    memory_uploads: MemoryAsyncUploadStorage,
    upload_statuses: StatusRecorder,
) -> None:
    made = make_upload(Document.file)

    document = Document.objects.create(file=made.key)

    assert memory_uploads.exists(str(document.file.name))
    assert upload_statuses.states(made.key)[-1] == "promoted"


@pytest.mark.django_db(transaction=True)
async def test_the_fixture_for_async_tests(amake_upload: Callable[..., Awaitable[MadeUpload]]) -> None:
    made = await amake_upload(Document.file, b"made", "made.txt")

    assert (await Document.objects.acreate(file=made.key)).file.name == "documents/made.txt"


@pytest.mark.django_db
def test_memory_is_empty_and_ends_with_its_block() -> None:
    with memory_uploads():
        make_upload(Document.file)
    with memory_uploads() as second:
        assert second.listdir("") == ([], [])
    with pytest.raises(UploadKeyError):
        Document.objects.create(file="async-temp-files/2026/11/22/token-unknown.txt")

    assert AsyncTempFile.objects.count() == 1


def test_the_plugin_does_no_harm_where_django_is_not_set_up(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n")
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "async_uploads.pytest_plugin",
        ],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_without_pytest_all_but_the_contract_can_be_imported() -> None:
    code = """
import sys, django
from django.conf import settings
sys.modules["pytest"] = None
settings.configure(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "async_uploads"])
django.setup()
from async_uploads.testing import StatusRecorder, make_upload, memory_uploads
"""

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
