"""Uploads that have arrived, without a browser: the package's own begin and receive, no HTTP between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models, transaction

from async_uploads.models import AsyncTempFile
from async_uploads.owners import Owner
from async_uploads.uploads import Asked, Visitor, abegin, areceive
from tests.testapp.models import Document

NOBODY = Owner()


async def abegun(
    name: str = "report.txt",
    *,
    model: type[models.Model] = Document,
    field: str = "file",
    owner: Owner = NOBODY,
) -> AsyncTempFile:
    """An upload that has a ticket, and no bytes yet."""
    asked = Asked(field=model._meta.get_field(field), filename=name)
    temp_file, _how = await abegin(asked, Visitor(user=AnonymousUser, owner=lambda: owner))
    return temp_file


async def aarrived(content: bytes = b"some bytes", name: str = "report.txt", **more: Any) -> str:
    """The key of an upload whose bytes have arrived and passed the checks."""
    temp_file = await abegun(name, **more)
    await areceive(temp_file, _body(content), max_size=None)
    return temp_file.key


def begun(name: str = "report.txt", **more: Any) -> AsyncTempFile:
    return async_to_sync(abegun)(name, **more)


def arrived(content: bytes = b"some bytes", name: str = "report.txt", **more: Any) -> str:
    return async_to_sync(aarrived)(content, name, **more)


def row_of(key: str) -> AsyncTempFile:
    return AsyncTempFile.objects.get(key=key)


def state_of(key: str) -> str:
    return str(row_of(key).state)


def stored_names() -> set[str]:
    """Every file on the disk, by its name in the storage."""
    root = Path(settings.MEDIA_ROOT)
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


@contextmanager
def rolled_back() -> Iterator[None]:
    """A transaction that comes to nothing."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


async def _body(content: bytes) -> AsyncIterator[bytes]:
    yield content
