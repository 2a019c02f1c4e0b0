"""Begin: permission, limits, a pending row, and an upload ticket from the storage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import FieldError, ValidationError
from django.db import DataError, models

from async_uploads.conf import upload_settings
from async_uploads.exceptions import UploadNotFound
from async_uploads.inspection import check_name, check_size, clean_name
from async_uploads.owners import Owner
from async_uploads.permissions import Permission, arequire, is_decided_by_blocking, require
from async_uploads.storage.base import GenerateUploadUrlResponse
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


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who is asking; each may block. ``owner`` may begin a session: called when nothing can be refused any more."""

    user: Callable[[], Any]
    owner: Callable[[], Owner]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked for: an upload of ``size`` bytes (None: not known) for a field, of a new record or of that one."""

    field: Any
    filename: object
    instance_id: str | None = None
    content_type: str = ""
    size: int | None = None


async def abegin(asked: Asked, visitor: Visitor) -> tuple[AsyncTempFile, GenerateUploadUrlResponse]:
    """Prepare an upload.

    Raises PermissionDenied, UploadNotFound, InvalidParameters, FileTooLarge, TypeNotAllowed, TooManyUploads,
    StorageUnavailable.
    """
    beginning = _Beginning(asked, visitor)
    if not await sync_to_async(beginning.run)():
        await arequire(beginning.permission, beginning.user, beginning.record)
        await sync_to_async(beginning.insert)()
    temp_file = beginning.temp_file
    if beginning.signs_by_blocking:
        return temp_file, beginning.how
    with logged_outage("The upload URL", asked.field, temp_file.key):
        how = await asked.field.storage.agenerate_upload_url(*beginning.named, **beginning.wanted)
    return temp_file, how


def begin(asked: Asked, visitor: Visitor) -> tuple[AsyncTempFile, GenerateUploadUrlResponse] | None:
    """Blocking form of ``abegin``; None, and nothing is begun, where the permission or the storage is an async one."""
    beginning = _Beginning(asked, visitor)
    if not beginning.signs_by_blocking or not beginning.run():
        return None
    return beginning.temp_file, beginning.how


class _Beginning:
    """All that blocks, so that it costs one thread hop; two where the permission has to be asked on the event loop."""

    temp_file: AsyncTempFile
    how: GenerateUploadUrlResponse
    """Where ``signs_by_blocking``; else the storage is to be asked on the event loop."""

    def __init__(self, asked: Asked, visitor: Visitor) -> None:
        self._asked = asked
        self._field = asked.field
        self._visitor = visitor

    def run(self) -> bool:
        """False where the permission is an async one, to be asked for before ``insert``."""
        records, pk = self._field.model._default_manager.all(), self._asked.instance_id
        self.record: models.Model | None = find_record(records, pk) if pk else None
        self.permission: Permission = (
            self._field.perm_create if self.record is None else self._field.perm_update
        )
        self.user: Any = self._visitor.user()
        if not is_decided_by_blocking(self.permission, self.user):
            return False
        require(self.permission, self.user, self.record)
        self.insert()
        return True

    def insert(self) -> None:
        field, size = self._field, self._asked.size
        name = clean_name(self._asked.filename)
        check_name(name, field.file_restrictions)
        check_size(size or 0, field.max_size_bytes)
        owner = self._visitor.owner()
        self.temp_file = AsyncTempFile(
            key=field.storage.generate_temporary_path(name, max_length=field.max_length),
            name=name,
            model=field.model._meta.label_lower,
            field_name=field.name,
            owner=owner.identity,
            address=owner.address,
            total=size,
            expires_at=expiry(upload_settings.UPLOAD_URL_EXPIRY),
        )
        insert_within_limits(self.temp_file)
        if self.signs_by_blocking:
            with logged_outage("The upload URL", field, self.temp_file.key):
                self.how = field.storage.generate_upload_url(*self.named, **self.wanted)

    @property
    def signs_by_blocking(self) -> bool:
        return bool(self._field.storage.signs_by_blocking)

    @property
    def named(self) -> tuple[str, str]:
        return self.temp_file.key, self._field.async_field_registry.generate_id(self._field)

    @property
    def wanted(self) -> dict[str, Any]:
        return {
            "expire": upload_settings.UPLOAD_URL_EXPIRY,
            "max_size": self._field.max_size_bytes,
            "content_type": self._asked.content_type or None,
        }
