"""Begin: permission, limits, a pending row, and an upload ticket from the storage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import FieldError, ValidationError
from django.db import DataError, models

from async_uploads.conf import upload_settings
from async_uploads.exceptions import UploadNotFound
from async_uploads.inspection import check_name, check_size, clean_name
from async_uploads.owners import Owner
from async_uploads.permissions import arequire
from async_uploads.storage.base import AsyncUploadStorage, GenerateUploadUrlResponse
from async_uploads.temp_files import AsyncTempFile, expiry
from async_uploads.uploads.limiting import insert_within_limits
from async_uploads.uploads.outages import logged_outage


def find_record(records: models.QuerySet[Any], pk: Any) -> models.Model:
    """The one of ``records`` with this primary key, whatever a client has sent for it; raises UploadNotFound."""
    try:
        record: models.Model | None = records.filter(pk=pk).first()  # a join may make it several
    except (
        ValueError,
        TypeError,
        OverflowError,
        ValidationError,
        FieldError,
        DataError,
    ) as error:
        raise UploadNotFound("There is no such record.") from error
    if record is None:
        raise UploadNotFound("There is no such record.")
    return record


async def afind_record(model: type[models.Model], instance_id: str) -> models.Model:
    """The record of the model's default manager with this primary key; raises UploadNotFound."""
    return await sync_to_async(lambda: find_record(model._default_manager.all(), instance_id))()


async def abegin(
    field: Any,
    *,
    user: Any,
    aowner: Callable[[], Awaitable[Owner]],
    filename: object,
    instance_id: str | None,
    content_type: str,
    size: int | None,
) -> tuple[AsyncTempFile, GenerateUploadUrlResponse]:
    """Prepare an upload of ``size`` bytes (None: not known) for ``field``.

    ``aowner`` tells who is asking; it may begin a session, so it is called when nothing can be refused any more.

    Raises PermissionDenied, UploadNotFound, InvalidParameters, FileTooLarge, TypeNotAllowed, TooManyUploads,
    StorageUnavailable.
    """
    record = await afind_record(field.model, instance_id) if instance_id else None
    await arequire(field.perm_create if record is None else field.perm_update, user, record)
    name = clean_name(filename)
    check_name(name, field.file_restrictions)
    check_size(size or 0, field.max_size_bytes)
    storage: AsyncUploadStorage = field.storage
    expire = upload_settings.UPLOAD_URL_EXPIRY
    owner = await aowner()
    temp_file = AsyncTempFile(
        key=storage.generate_temporary_path(name, max_length=field.max_length),
        name=name,
        model=field.model._meta.label_lower,
        field_name=field.name,
        owner=owner.identity,
        address=owner.address,
        total=size,
        expires_at=expiry(expire),
    )
    await sync_to_async(insert_within_limits)(temp_file)
    with logged_outage("The upload URL", field, temp_file.key):
        how = await storage.agenerate_upload_url(
            temp_file.key,
            field.async_field_registry.generate_id(field),
            expire=expire,
            max_size=field.max_size_bytes,
            content_type=content_type or None,
        )
    return temp_file, how
