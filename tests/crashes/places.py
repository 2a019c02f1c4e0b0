"""Where the files of a crash lie: on a disk in three ways, in S3 and in Azure, each copied at once or in pieces."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from unittest import mock

from botocore.config import Config
from django.conf import settings

from async_uploads.storage.azure import AzureAsyncUploadStorage
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.testapp.models import Album, Document

MIB = 1024 * 1024
Kind = Literal["disk", "other-disk", "no-links", "s3", "s3-parts", "azure", "azure-blocks"]
DISKS: tuple[Kind, ...] = ("disk", "other-disk", "no-links")
CLOUDS: tuple[Kind, ...] = ("s3", "s3-parts", "azure", "azure-blocks")


@dataclass(frozen=True)
class Place:
    """One that another process can be told of. ``options`` are those of a cloud's storage."""

    kind: Kind
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_disk(self) -> bool:
        return self.kind in DISKS

    @property
    def model(self) -> Any:
        return Document if self.is_disk else Album

    @property
    def field(self) -> Any:
        return self.model._meta.get_field("file" if self.is_disk else "booklet")

    @property
    def content(self) -> bytes:
        """More than one piece, where it is copied in pieces."""
        return b"0123456789abcdef" * (6 * MIB // 16 if self.kind == "s3-parts" else 16)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """In this process, until the end of the block."""
        if self.is_disk:
            with mock.patch("os.link", _refuse) if self.kind == "no-links" else nullcontext():
                yield
            return
        with mock.patch.object(self.field, "storage", self._storage()):
            yield

    def names(self) -> set[str]:
        """Everything that is stored, unfinished pieces included."""
        if self.is_disk:
            root = Path(settings.MEDIA_ROOT)
            return {
                str(Path(folder, name).relative_to(root))
                for folder, _folders, files in os.walk(root, followlinks=True)
                for name in files
            }
        storage: Any = self.field.storage
        if isinstance(storage, S3AsyncUploadStorage):
            return _names_in_s3(storage)
        container = storage.client
        prefix = f"{storage.location}/"
        blobs = container.list_blobs(name_starts_with=prefix, include=["uncommittedblobs"])
        return {blob.name.removeprefix(prefix) for blob in blobs}

    def _storage(self) -> AsyncUploadStorage:
        if self.kind.startswith("azure"):
            blocks = {"block_copy_threshold": 9, "block_size": 100} if self.kind == "azure-blocks" else {}
            return AzureAsyncUploadStorage(**self.options, **blocks, copy_poll_interval=0.01)
        parts = {
            "multipart_copy_threshold": 5 * MIB,
            "multipart_copy_chunksize": 5 * MIB,
            "multipart_copy_concurrency": 1,
        }
        config = Config(s3={"addressing_style": "path"}, signature_version="s3v4")
        return S3AsyncUploadStorage(
            **self.options, client_config=config, **(parts if self.kind == "s3-parts" else {})
        )


def _refuse(source: Any, target: Any, **options: Any) -> None:
    """As link(2) on a file system that has no hard links: it looks at the name first."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(target))


def _names_in_s3(storage: Any) -> set[str]:
    client = storage.connection.meta.client
    prefix = f"{storage.location}/"
    stored = client.list_objects_v2(Bucket=storage.bucket_name, Prefix=prefix).get("Contents", ())
    unfinished = client.list_multipart_uploads(Bucket=storage.bucket_name).get("Uploads", ())
    names = {entry["Key"].removeprefix(prefix) for entry in stored}
    return names | {
        f"{entry['Key'].removeprefix(prefix)} (unfinished)"
        for entry in unfinished
        if entry["Key"].startswith(prefix)
    }
