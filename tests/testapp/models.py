"""Models in every shape that a field can be in."""

from __future__ import annotations

from typing import Any

from django.db import models

from async_uploads.models import AsyncFileField, AsyncImageField
from async_uploads.registry import AsyncFieldRegistry
from async_uploads.storage.filesystem import FileSystemAsyncUploadStorage
from async_uploads.storage.memory import MemoryAsyncUploadStorage

second_registry = AsyncFieldRegistry("second")
memory_storage = MemoryAsyncUploadStorage()


def storage_from_callable() -> FileSystemAsyncUploadStorage:
    return FileSystemAsyncUploadStorage(fsync=False)


def is_staff(user: Any, obj: Any) -> bool:
    return bool(user.is_staff)


async def owns_record(user: Any, obj: Any) -> bool:
    return obj is not None and obj.title == user.get_username()


class Document(models.Model):
    """Open to everyone; small enough a limit that a test can go beyond it."""

    title = models.CharField(max_length=100, blank=True)
    file = AsyncFileField(
        upload_to="documents", perm_create=None, perm_update=None, perm_detail=None, max_size=1, blank=True
    )

    def __str__(self) -> str:
        return self.title


class Picture(models.Model):
    """Dimension columns that are not nullable, declared before the image."""

    title = models.CharField(max_length=100, blank=True)
    width = models.PositiveIntegerField(default=0)
    height = models.PositiveIntegerField(default=0)
    image = AsyncImageField(
        upload_to="pictures",
        width_field="width",
        height_field="height",
        perm_create=None,
        perm_update=None,
        perm_detail=None,
        file_restrictions=["image/*"],
    )


class NullablePicture(models.Model):
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    image = AsyncImageField(
        null=True,
        blank=True,
        width_field="width",
        height_field="height",
        perm_create=None,
        perm_update=None,
        perm_detail=None,
        suppress_pillow_check=True,
    )


class Album(models.Model):
    """Two fields, each with a storage of its own."""

    cover = AsyncImageField(
        upload_to="albums", perm_create=None, perm_update=None, perm_detail=None, blank=True
    )
    booklet = AsyncFileField(
        upload_to="booklets",
        storage=memory_storage,
        perm_create=None,
        perm_update=None,
        perm_detail=None,
        file_restrictions=[".pdf", ".txt"],
        blank=True,
    )


class Attached(models.Model):
    """An abstract parent."""

    attachment = AsyncFileField(
        upload_to="attached",
        storage=storage_from_callable,
        perm_create=None,
        perm_update=None,
        perm_detail=None,
    )

    class Meta:
        abstract = True


class Letter(Attached):
    pass


class Invoice(Attached):
    pass


class Report(Document):
    """Multi-table inheritance: the field is the parent's."""

    pages = models.PositiveIntegerField(default=0)


class DocumentProxy(Document):
    class Meta:
        proxy = True


class Guarded(models.Model):
    """Django's default permissions."""

    title = models.CharField(max_length=100, blank=True)
    file = AsyncFileField(upload_to="guarded", blank=True)
    for_staff = AsyncFileField(
        perm_create=is_staff, perm_update=owns_record, perm_detail=owns_record, blank=True
    )


class Elsewhere(models.Model):
    """Served by a registry of its own."""

    file = AsyncFileField(
        async_field_registry=second_registry, perm_create=None, perm_update=None, perm_detail=None, blank=True
    )


class Portrait(models.Model):
    """Files that go when nobody needs them any more; two fields, so that one file can be in both."""

    title = models.CharField(max_length=100, blank=True)
    file = AsyncFileField(
        upload_to="portraits",
        perm_create=None,
        perm_update=None,
        perm_detail=None,
        delete_replaced="on_commit",
        blank=True,
    )
    other = AsyncFileField(upload_to="portraits", delete_replaced="on_commit", blank=True)
    kept = AsyncFileField(upload_to="portraits", blank=True)
