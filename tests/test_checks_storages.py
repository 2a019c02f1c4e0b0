"""System checks of storages that take no uploads, and what a server makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from django.db import models
from django.test.utils import isolate_apps
from django.utils.module_loading import import_string
from storages.backends.azure_storage import AzureStorage
from storages.backends.s3 import S3Storage

from async_uploads import registry as registries
from async_uploads.asgi import get_asgi_application
from async_uploads.models import AsyncFileField
from async_uploads.registry import AsyncFieldRegistry
from tests.checking import found

MakeField: TypeAlias = Callable[[Any], Any]


class StorageOfTheProject(FileSystemStorage):
    """Derived from a storage that takes no uploads, as most that a project writes."""


class StorageWithNothingInCommon(Storage):
    pass


def plain_storage() -> Storage:
    return FileSystemStorage()


@pytest.fixture
def wrong() -> Iterator[MakeField]:
    """Makes a field with a storage."""
    registry = AsyncFieldRegistry("wrong")

    def make(storage: Any) -> Any:
        class Wrong(models.Model):
            file = AsyncFileField(storage=storage, async_field_registry=registry)

            class Meta:
                app_label = "testapp"

        return Wrong._meta.get_field("file")

    with isolate_apps("tests.testapp"):
        yield make
    registries._registries.remove(registry)


@pytest.mark.parametrize(
    ("storage", "named", "ours"),
    [
        (FileSystemStorage(), "FileSystemStorage", "filesystem.FileSystemAsyncUploadStorage"),
        (plain_storage, "FileSystemStorage", "filesystem.FileSystemAsyncUploadStorage"),
        (StorageOfTheProject(), "StorageOfTheProject", "filesystem.FileSystemAsyncUploadStorage"),
        (InMemoryStorage(), "InMemoryStorage", "memory.MemoryAsyncUploadStorage"),
        (S3Storage(bucket_name="files"), "s3.S3Storage", "s3.S3AsyncUploadStorage"),
        (AzureStorage(), "azure_storage.AzureStorage", "azure.AzureAsyncUploadStorage"),
        (StorageWithNothingInCommon(), "StorageWithNothingInCommon", "base.AsyncUploadStorage"),
    ],
)
def test_storage_that_takes_no_uploads_is_an_error_that_names_one_that_does(
    wrong: MakeField, storage: Any, named: str, ours: str
) -> None:
    field = wrong(storage)

    (message,) = found()["async_uploads.E004"]

    assert message.obj is field
    assert named in message.msg
    assert f"async_uploads.storage.{ours}" in str(message.hint)
    import_string(f"async_uploads.storage.{ours}")


OURS = "async_uploads.storage.filesystem.FileSystemAsyncUploadStorage"
S3 = "async_uploads.storage.s3.S3AsyncUploadStorage"
FILESYSTEM = "django.core.files.storage.FileSystemStorage"


def test_default_storage_that_takes_no_uploads_is_told_for_each_field_of_it(settings: Any) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": FILESYSTEM}}

    messages = found()["async_uploads.E004"]

    assert {str(message.obj) for message in messages} >= {"testapp.Document.file", "office.Photo.image"}
    assert "testapp.Album.booklet" not in {str(message.obj) for message in messages}
    assert all('STORAGES["default"]' in str(message.hint) for message in messages)


@pytest.mark.parametrize(
    ("default", "told"),
    [
        ({}, "config for 'default'"),
        ({"default": {"BACKEND": "no.such.Storage"}}, "no.such.Storage"),
        ({"default": {"BACKEND": OURS, "OPTIONS": {"locaton": "/srv"}}}, "locaton"),
        ({"default": {"BACKEND": S3, "OPTIONS": {"bucket": "files"}}}, "bucket"),
    ],
)
def test_default_storage_that_cannot_be_made_is_told(
    settings: Any, default: dict[str, Any], told: str
) -> None:
    settings.STORAGES = {"staticfiles": settings.STORAGES["staticfiles"], **default}

    messages = found(deploy=True)["async_uploads.E005"]

    assert "testapp.Document.file" in {str(message.obj) for message in messages}
    assert all("STORAGES" in str(message.hint) for message in messages)
    assert told in messages[0].msg


def test_model_can_be_made_while_its_storage_cannot(settings: Any, wrong: MakeField) -> None:
    """Or there would be no check, but a traceback."""
    settings.STORAGES = {"staticfiles": settings.STORAGES["staticfiles"]}

    field = wrong(None)

    assert field in [message.obj for message in found()["async_uploads.E005"]]


def test_field_with_a_storage_that_takes_no_uploads_does_not_hinder_the_urls_of_the_others(
    wrong: MakeField,
) -> None:
    field = wrong(FileSystemStorage())

    patterns, _app, _namespace = field.async_field_registry.get_url_patterns()

    assert patterns


def test_server_refuses_to_start_with_a_storage_that_takes_no_uploads(wrong: MakeField) -> None:
    """Servers run no checks."""
    wrong(FileSystemStorage())

    with pytest.raises(ImproperlyConfigured, match=r"E004.*FileSystemStorage"):
        get_asgi_application()


def test_asgi_application_that_refuses_to_start_does_not_hide_what_the_checks_say(
    settings: Any, wrong: MakeField, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "asgi_that_refuses.py").write_text(
        "from async_uploads.asgi import get_asgi_application\napplication = get_asgi_application()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings.ASGI_APPLICATION = "asgi_that_refuses.application"
    wrong(FileSystemStorage())

    assert "async_uploads.E004" in found()
