"""Uploads without a browser, and a storage in memory for all fields."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import patch

from asgiref.sync import async_to_sync, sync_to_async
from django.core.files.base import ContentFile
from django.db import DEFAULT_DB_ALIAS
from django.test import TestCase

from async_uploads.conf import upload_settings
from async_uploads.input import AsyncFileInputData
from async_uploads.inspection import clean_name
from async_uploads.owners import Owner
from async_uploads.registry import all_registries
from async_uploads.storage.arrival import aaccept
from async_uploads.storage.memory import MemoryAsyncUploadStorage
from async_uploads.temp_files import AsyncTempFile, expiry


class MadeUpload(str):
    """What the form field submits, a JSON string; a model's field takes it, too, as it takes its ``key``."""

    __slots__ = ("key",)
    key: str


async def amake_upload(
    field: Any, content: bytes = b"content", name: str = "file.txt", *, user: Any = None
) -> MadeUpload:
    """An upload whose bytes have arrived for ``field``, as ``Document.file`` or ``Document._meta.get_field("file")``.

    Without ``user``, whoever knows its key may save it. The field's rules hold: raises FileTooLarge and TypeNotAllowed.
    """
    field = getattr(field, "field", field)
    name = clean_name(name)
    temp_file = await AsyncTempFile.objects.acreate(
        key=field.storage.generate_temporary_path(name, max_length=field.max_length),
        name=name,
        model=field.model._meta.label_lower,
        field_name=field.name,
        owner="" if user is None else Owner.of_user(user).identity,
        total=len(content),
        expires_at=expiry(upload_settings.UPLOAD_URL_EXPIRY),
    )
    await field.storage.asave(temp_file.key, ContentFile(content, name=name))
    await aaccept(temp_file)
    value = AsyncFileInputData(key=temp_file.key, name=name, width=temp_file.width, height=temp_file.height)
    made = MadeUpload(value.as_json())
    made.key = temp_file.key
    return made


def make_upload(
    field: Any, content: bytes = b"content", name: str = "file.txt", *, user: Any = None
) -> MadeUpload:
    """Sync form of ``amake_upload``."""
    return async_to_sync(amake_upload)(field, content, name, user=user)


@contextmanager
def memory_uploads() -> Iterator[MemoryAsyncUploadStorage]:
    """Keep the files of all async fields in one storage in memory, which is empty at first."""
    storage = MemoryAsyncUploadStorage()
    with ExitStack() as stack:
        for registry in all_registries():
            for field_id, field in registry.fields_by_id.items():
                stack.enter_context(patch.object(field, "storage", storage))
                storage.field_registered(field_id, registry.name)
        yield storage


@asynccontextmanager
async def acommitting(using: str = DEFAULT_DB_ALIAS) -> AsyncIterator[list[Callable[[], Any]]]:
    """For async tests of a TestCase, which never commits: what is saved in the block is promoted at its end.

    As Django's ``captureOnCommitCallbacks(execute=True)``, which sees the connection of its own thread; async code uses
    that of another one.
    """
    capture = TestCase.captureOnCommitCallbacks(using=using, execute=True)
    callbacks = await sync_to_async(capture.__enter__)()
    try:
        yield callbacks
    finally:
        await sync_to_async(capture.__exit__)(None, None, None)
