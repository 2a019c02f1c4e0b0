"""Where storages keep their files: two objects may stand for one place, or for one folder inside another's."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage, InMemoryStorage


@dataclass(frozen=True, kw_only=True)
class Folder:
    """``path`` in a ``store``: a disk, or a bucket and what else tells it from others, None where it is not told."""

    store: tuple[str | None, ...]
    path: str

    def path_of(self, name: str) -> str:
        return posixpath.normpath(posixpath.join(self.path, name))

    def name_of(self, path: str) -> str | None:
        """What a storage with this folder calls the file; None for one that lies outside."""
        folder = f"{self.path.rstrip('/')}/" if self.path else ""
        return path.removeprefix(folder) if path.startswith(folder) else None

    def may_share_store(self, other: Folder) -> bool:
        return len(self.store) == len(other.store) and all(
            one == two or None in (one, two) for one, two in zip(self.store, other.store, strict=True)
        )


def known_folder(storage: Any) -> Folder | None:
    """The folder of a storage that is made of one of Django's or of django-storages' classes."""
    if isinstance(storage, FileSystemStorage):
        location = os.path.normcase(os.path.realpath(storage.location))
        return Folder(store=("disk",), path=Path(location).as_posix())
    if isinstance(storage, InMemoryStorage):
        return Folder(store=("memory", str(id(storage))), path="")
    for cls in type(storage).__mro__:
        store_of = _STORES.get(f"{cls.__module__}.{cls.__qualname__}")
        if store_of is not None:
            location = posixpath.normpath(f"/{storage.location or ''}").strip("/")
            return Folder(store=store_of(storage), path=location)
    return None


# By name, for django-storages need not be there. What one server is called by may differ: S3 inside and outside of a
# network, an Azure account by its name or by a URL. So only what is surely another store counts as another one.
_STORES: dict[str, Callable[[Any], tuple[str | None, ...]]] = {
    "storages.backends.s3.S3Storage": lambda storage: ("s3", storage.bucket_name),
    "storages.backends.azure_storage.AzureStorage": lambda storage: (
        "azure",
        storage.azure_container,
        storage.account_name or None,
    ),
    "storages.backends.gcloud.GoogleCloudStorage": lambda storage: ("google", storage.bucket_name),
}
