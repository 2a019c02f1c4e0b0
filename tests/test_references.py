"""Which files are needed still: ``delete_replaced`` deletes none that a row of the project names, however it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from django.db import connection, models, transaction
from django.test.utils import CaptureQueriesContext
from storages.backends.azure_storage import AzureStorage
from storages.backends.s3 import S3Storage

from async_uploads.models import AsyncFileField, AsyncTempFile
from async_uploads.references import StoredName, unreferenced
from async_uploads.registry import AsyncFieldRegistry
from async_uploads.storage.azure import AzureAsyncUploadStorage
from async_uploads.storage.filesystem import FileSystemAsyncUploadStorage
from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.arrivals import arrived, stored_names
from tests.passing_models import passing_model
from tests.testapp.models import Album, Letter, Portrait, memory_storage

pytestmark = pytest.mark.django_db(transaction=True)

OLD = "portraits/old.txt"
MEDIA_ROOT = Path(settings.MEDIA_ROOT)


class Opaque(Storage):
    """Nobody knows where it keeps its files."""


class Shelter(models.Manager):
    """Leaves rows out."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().none()


@pytest.fixture
def portrait() -> Portrait:
    return Portrait.objects.create(file=arrived(name="old.txt", model=Portrait))


def linked(tmp_path: Path) -> FileSystemStorage:
    link = tmp_path / "link"
    link.symlink_to(MEDIA_ROOT)
    return FileSystemStorage(location=link)


####################################
# One place behind several storages
####################################


def test_a_file_stays_that_another_storage_of_the_same_folder_names(portrait: Portrait) -> None:
    Letter.objects.create(attachment=OLD)

    portrait.delete()

    assert stored_names() == {OLD}


@pytest.mark.parametrize(
    ("storage", "name"),
    [
        (lambda tmp_path: FileSystemStorage(), OLD),
        (lambda tmp_path: FileSystemStorage(location=MEDIA_ROOT / "portraits"), "old.txt"),
        (lambda tmp_path: FileSystemStorage(location=MEDIA_ROOT.parent), f"{MEDIA_ROOT.name}/{OLD}"),
        (lambda tmp_path: FileSystemStorage(location="/"), f"{MEDIA_ROOT}/{OLD}".lstrip("/")),
        (linked, OLD),
        (lambda tmp_path: Opaque(), OLD),
    ],
    ids=["Django's own", "a folder below", "the folder above", "the root", "a symbolic link", "one unknown"],
)
def test_a_file_stays_that_a_field_of_djangos_own_names(
    portrait: Portrait, tmp_path: Path, storage: Callable[[Path], Storage], name: str
) -> None:
    with passing_model(file=models.FileField(storage=storage(tmp_path), max_length=300)) as passing:
        passing.objects.create(file=name)

        portrait.delete()

        assert stored_names() == {OLD}


@pytest.mark.parametrize(
    ("storage", "name"),
    [
        (lambda tmp_path: FileSystemStorage(location=tmp_path), OLD),
        (lambda tmp_path: FileSystemStorage(location=MEDIA_ROOT / "portraits"), OLD),
        (lambda tmp_path: FileSystemStorage(location=MEDIA_ROOT / "port"), "raits/old.txt"),
        (lambda tmp_path: S3Storage(bucket_name="media"), OLD),
        (lambda tmp_path: memory_storage, OLD),
    ],
    ids=["another folder", "a folder below", "a folder of a similar name", "a bucket", "memory"],
)
def test_a_file_of_the_same_name_elsewhere_is_another_file(
    portrait: Portrait, tmp_path: Path, storage: Callable[[Path], Storage], name: str
) -> None:
    with passing_model(file=models.FileField(storage=storage(tmp_path))) as passing:
        passing.objects.create(file=name)

        portrait.delete()

        assert stored_names() == set()


@pytest.mark.parametrize(
    ("going", "other", "name", "needed"),
    [
        (lambda: S3AsyncUploadStorage(bucket_name="b"), lambda: S3Storage(bucket_name="b"), "m/x", True),
        (
            lambda: S3AsyncUploadStorage(bucket_name="b", endpoint_url="http://inside"),
            lambda: S3AsyncUploadStorage(bucket_name="b", endpoint_url="https://outside", location="m/"),
            "x",
            True,
        ),
        (lambda: S3AsyncUploadStorage(bucket_name="b"), lambda: S3Storage(bucket_name="c"), "m/x", False),
        (
            lambda: AzureAsyncUploadStorage(account_name="a", azure_container="c"),
            lambda: AzureStorage(account_name="a", azure_container="c", location="m"),
            "x",
            True,
        ),
        (
            lambda: AzureAsyncUploadStorage(account_name="a", azure_container="c"),
            lambda: AzureAsyncUploadStorage(account_url="https://a.example", azure_container="c"),
            "m/x",
            True,
        ),
        (
            lambda: AzureAsyncUploadStorage(account_name="a", azure_container="c"),
            lambda: AzureStorage(account_name="b", azure_container="c"),
            "m/x",
            False,
        ),
        (Opaque, lambda: S3Storage(bucket_name="b", location="z"), "m/x", True),
    ],
    ids=["bucket", "endpoint", "other bucket", "container", "account's URL", "other account", "unknown"],
)
def test_a_bucket_is_one_place_for_all_storages_that_name_it(
    going: Callable[[], Any], other: Callable[[], Any], name: str, needed: bool
) -> None:
    file = StoredName(going(), "m/x")
    with passing_model(file=models.FileField(storage=other())) as passing:
        passing.objects.create(file=name)

        assert unreferenced([file]) == ([] if needed else [file])


def test_a_storage_may_say_where_its_files_are(portrait: Portrait) -> None:
    class Unknown(FileSystemAsyncUploadStorage):
        def root_folder(self) -> None:
            return None

    with passing_model(file=models.FileField(storage=Unknown(location="/elsewhere"))) as passing:
        passing.objects.create(file=OLD)

        portrait.delete()

        assert stored_names() == {OLD}


####################################
# Rows that are easily overlooked
####################################


def test_a_file_stays_that_a_row_outside_of_the_manager_names(portrait: Portrait) -> None:
    meta = {"base_manager_name": "objects"}
    with passing_model(meta=meta, file=models.FileField(), objects=Shelter()) as passing:
        passing(file=OLD).save_base(force_insert=True)

        portrait.delete()

        assert stored_names() == {OLD}


def test_the_file_of_a_record_outside_of_the_manager_goes(own_registry: AsyncFieldRegistry) -> None:
    field: Any = AsyncFileField(
        async_field_registry=own_registry, perm_create=None, delete_replaced="on_commit"
    )
    with passing_model(meta={"base_manager_name": "objects"}, file=field, objects=Shelter()) as passing:
        record = passing(file=OLD)
        record.save_base(raw=True, force_insert=True)
        FileSystemStorage().save(OLD, ContentFile(b"some bytes"))

        record.delete()

        assert stored_names() == set()


def test_a_file_stays_that_a_row_of_an_unmanaged_model_names(portrait: Portrait) -> None:
    with passing_model(meta={"managed": False}, file=models.FileField()) as passing:
        passing.objects.create(file=OLD)

        portrait.delete()

        assert stored_names() == {OLD}


def test_a_file_stays_where_a_table_cannot_be_asked(
    portrait: Portrait, caplog: pytest.LogCaptureFixture
) -> None:
    with passing_model(table=False, meta={"managed": False}, file=models.FileField()):
        portrait.delete()

    assert stored_names() == {OLD}
    assert "testapp.Passing.file could not be asked in the database 'default'" in caplog.text


def test_a_table_that_cannot_be_asked_breaks_no_transaction(
    portrait: Portrait, django_capture_on_commit_callbacks: Any
) -> None:
    with (
        transaction.atomic(),
        passing_model(table=False, meta={"managed": False}, file=models.FileField()),
    ):
        with django_capture_on_commit_callbacks(execute=True):
            portrait.delete()
        Letter.objects.create(attachment="letter.txt")

    assert Letter.objects.count() == 1


####################################
# Files on their way
####################################


@pytest.mark.parametrize(
    ("row", "needed"),
    [
        ({"state": "promoting", "attempts": 1}, True),
        ({"state": "failed", "attempts": 5, "error_code": "promotion_failed"}, True),
        ({"state": "promoting", "attempts": 1, "model": "testapp.gone"}, True),
        ({"state": "promoting", "attempts": 1, "model": "testapp.letter", "field_name": "attachment"}, True),
        ({"state": "promoting", "attempts": 1, "model": "testapp.album", "field_name": "booklet"}, False),
        ({"state": "promoting", "attempts": 0}, False),
        ({"state": "cancelled", "attempts": 1}, False),
        ({"state": "promoted", "attempts": 1}, False),
    ],
)
def test_a_file_stays_to_which_another_upload_is_being_promoted(
    portrait: Portrait, row: dict[str, Any], needed: bool
) -> None:
    assert Album._meta.get_field("booklet").storage is memory_storage
    AsyncTempFile.objects.create(
        key="k", name="old.txt", model="testapp.portrait", field_name="file", final_name=OLD
    )
    AsyncTempFile.objects.filter(key="k").update(**row)

    portrait.delete()

    assert stored_names() == ({OLD} if needed else set())


def test_many_names_are_asked_for_in_several_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("async_uploads.references.MOST_NAMES", 2)
    files = [StoredName(FileSystemStorage(), f"{number}.txt") for number in range(5)]
    Letter.objects.create(attachment="4.txt")

    with CaptureQueriesContext(connection) as queries:
        assert unreferenced(files) == files[:4]

    assert sum("testapp_letter" in query["sql"] for query in queries) == 3
