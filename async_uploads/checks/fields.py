"""Of the fields that take uploads: where they are mounted, what stores their files, what their column holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.files.storage import default_storage
from django.urls import NoReverseMatch, reverse

from async_uploads.registry import STORAGE_ERRORS, all_registries
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.storage.naming import TEMPORARY_PREFIX, TOKEN_BYTES

# async-temp-files/YYYY/MM/DD/<token>- and a few characters of the name
SHORTEST_MAX_LENGTH = len(TEMPORARY_PREFIX) + 12 + (TOKEN_BYTES * 4 + 2) // 3 + 1 + 12

# By name, as the packages of others need not be there. A project's own storage is found by what it is derived from.
OURS_INSTEAD_OF = {
    "django.core.files.storage.filesystem.FileSystemStorage": "filesystem.FileSystemAsyncUploadStorage",
    "django.core.files.storage.memory.InMemoryStorage": "memory.MemoryAsyncUploadStorage",
    "storages.backends.s3.S3Storage": "s3.S3AsyncUploadStorage",
    "storages.backends.azure_storage.AzureStorage": "azure.AzureAsyncUploadStorage",
}


def check_urls(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    if not getattr(settings, "ROOT_URLCONF", None):
        return
    for registry in all_registries():
        if not registry.fields_by_id:
            continue
        try:
            reverse(f"{registry.name}:generate-upload-url")
        except NoReverseMatch:
            yield checks.Warning(
                f"The URLs of {registry!r} are not mounted: its fields can be neither uploaded to nor downloaded.",
                hint='Add path("async-uploads/", registry.get_url_patterns()) to the URLconf.',
                obj=registry,
                id="async_uploads.W001",
            )


def check_storages(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    for field in fields_of_project():
        try:
            cls: type = field.storage.__class__  # of what is behind a LazyObject
        except STORAGE_ERRORS as error:
            yield checks.Error(
                f"The storage of this field can't be made: {error}",
                hint='Look at its alias in STORAGES; a field without storage=… uses STORAGES["default"].',
                obj=field,
                id="async_uploads.E005",
            )
            continue
        if not issubclass(cls, AsyncUploadStorage):
            yield checks.Error(
                f"This field cannot take uploads: {_path_of(cls)} is not an AsyncUploadStorage.",
                hint=_hint_for(field, cls),
                obj=field,
                id="async_uploads.E004",
            )


def check_max_length(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    for field in fields_of_project():
        if field.max_length is not None and field.max_length < SHORTEST_MAX_LENGTH:
            yield checks.Error(
                f"max_length={field.max_length} is too small for the key of a temporary file.",
                hint=f"Give the field max_length={SHORTEST_MAX_LENGTH} or more; the default is 500.",
                obj=field,
                id="async_uploads.E002",
            )


def fields_of_project() -> Iterator[Any]:
    for registry in all_registries():
        yield from registry.fields_by_id.values()


def _hint_for(field: Any, cls: type) -> str:
    ours = next(
        (OURS_INSTEAD_OF[path] for path in map(_path_of, cls.__mro__) if path in OURS_INSTEAD_OF), None
    )
    if ours is None:
        return "Derive the storage from async_uploads.storage.base.AsyncUploadStorage: docs/storages.md tells how."
    ours = f"async_uploads.storage.{ours}"
    options = "It takes the same options."
    if field.storage is default_storage:
        return f'Set BACKEND in STORAGES["default"] to {ours!r}. {options}'
    return f"Use {ours!r} for its alias in STORAGES, or for the field's storage=…. {options}"


def _path_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
