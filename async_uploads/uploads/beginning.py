"""Begin: permission, limits, a pending row, and an upload ticket from the storage."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import FieldError, ValidationError
from django.db import DataError, models
from django.db.models import Count, Q
from django.utils import timezone

from async_uploads.conf import upload_settings
from async_uploads.exceptions import TooManyUploads, UploadNotFound
from async_uploads.inspection import check_name, check_size, clean_name
from async_uploads.owners import USER_PREFIX, Owner
from async_uploads.permissions import arequire
from async_uploads.storage.base import AsyncUploadStorage, GenerateUploadUrlResponse
from async_uploads.temp_files import OPEN_STATES, AsyncTempFile, expiry
from async_uploads.uploads.outages import logged_outage

logger: logging.Logger = logging.getLogger("async_uploads")


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
    await sync_to_async(_insert_within_limit)(temp_file)
    with logged_outage("The upload URL", field, temp_file.key):
        how = await storage.agenerate_upload_url(
            temp_file.key,
            field.async_field_registry.generate_id(field),
            expire=expire,
            max_size=field.max_size_bytes,
            content_type=content_type or None,
        )
    return temp_file, how


def _insert_within_limit(temp_file: AsyncTempFile) -> None:
    """Insert first and count then: of many requests at once, each sees those before it, and none slips through."""
    temp_file.save(force_insert=True)
    unfinished = AsyncTempFile.objects.filter(state__in=OPEN_STATES, expires_at__gt=timezone.now()).order_by()
    of_owner, of_address = Q(owner=temp_file.owner), Q(address=temp_file.address)
    none: Any = Q(pk__in=[])
    counts = unfinished.filter(
        (of_owner if temp_file.owner else none) | (of_address if temp_file.address else none)
    ).aggregate(of_owner=Count("pk", filter=of_owner), of_address=Count("pk", filter=of_address))
    limits = (
        ("MAX_PENDING_PER_OWNER", temp_file.owner, counts["of_owner"], upload_settings.MAX_PENDING_PER_OWNER),
        (
            "MAX_PENDING_PER_ADDRESS",
            temp_file.address,
            counts["of_address"],
            upload_settings.MAX_PENDING_PER_ADDRESS,
        ),
    )
    for setting, whose, count, limit in limits:
        if whose and limit is not None and count > limit:
            temp_file.delete()
            who = whose if whose.startswith(USER_PREFIX) else "a visitor"  # a session's value is a secret
            logger.warning("An upload was refused: %s has %d unfinished ones (%s).", who, count - 1, setting)
            raise TooManyUploads()
