"""What the JSON views and the API's views have in common: what is asked, of which field, and the ticket."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any

from async_uploads.exceptions import UploadNotFound
from async_uploads.owners import Owner
from async_uploads.permissions import arequire
from async_uploads.promotion import record_pk_of
from async_uploads.registry import AsyncFieldRegistry
from async_uploads.storage.base import GenerateUploadUrlResponse
from async_uploads.temp_files import AsyncTempFile, iso
from async_uploads.uploads import Asked, afind_record, afind_upload, logged_outage
from async_uploads.views.parameters import Parameters

FIELD_ID_ALIASES = ("async_field_id",)
MAX_CONTENT_TYPE = 255


def asked_for(given: Parameters, registry: AsyncFieldRegistry) -> Asked:
    """What ``fieldId``, ``filename``, ``instanceId``, ``contentType`` and ``size`` ask for.

    Raises InvalidParameters, UploadNotFound.
    """
    field_id = given.text("field_id", required=True, aliases=FIELD_ID_ALIASES)
    filename, instance_id = given.text("filename", required=True), given.text("instance_id") or None
    content_type, size = given.text("content_type"), given.size("size")
    if not _can_be_sent(content_type):
        given.errors["contentType"] = ["Enter a valid value."]
    given.check()
    return Asked(
        field=field_with(field_id, registry),
        filename=filename,
        instance_id=instance_id,
        content_type=content_type,
        size=size,
    )


def _can_be_sent(content_type: str) -> bool:
    """Whoever uploads sends it as a header: RFC 9110, 5.5."""
    return len(content_type) <= MAX_CONTENT_TYPE and content_type.isascii() and content_type.isprintable()


def ticket(
    temp_file: AsyncTempFile, how: GenerateUploadUrlResponse, url_of: Callable[[str], str]
) -> dict[str, Any]:
    """The answer to who may upload; ``url_of`` tells a view's URL by its name."""
    return {
        "key": temp_file.key,
        "uploadUrl": how,
        "completeUrl": url_of("complete-upload"),
        "statusUrl": url_of("upload-status"),
        "cancelUrl": url_of("cancel-upload"),
        "expiresAt": iso(temp_file.expires_at) if temp_file.expires_at else None,
    }


async def aupload_named_in(given: Parameters, owner: Owner) -> AsyncTempFile:
    """The visitor's upload with the ``key`` that was given; raises UploadNotFound."""
    key = given.text("key", required=True)
    given.check()
    return await afind_upload(key, owner)


async def adownload_url(given: Parameters, registry: AsyncFieldRegistry, *, user: Any) -> str:
    """Where the storage has the file of the record that ``fieldId`` and ``instanceId`` name.

    Raises PermissionDenied, UploadNotFound, StorageUnavailable.
    """
    field_id = given.text("field_id", required=True, aliases=FIELD_ID_ALIASES)
    instance_id = given.text("instance_id", required=True)
    given.check()
    field = field_with(field_id, registry)
    record = await afind_record(field.model, instance_id)
    await arequire(field.perm_detail, user, record)
    name = str(getattr(record, field.attname) or "")
    if not name:
        raise UploadNotFound("There is no file.")
    filename = posixpath.basename(name)
    if field.storage.is_temporary_path(name):
        temp_file = await readable_temp_file(field, name)
        if temp_file.record_pk not in ("", record_pk_of(field, record)):
            raise UploadNotFound("There is no file.")
        filename = temp_file.name
    with logged_outage("The download URL", field, name):
        url: str = await field.storage.agenerate_download_url(
            name, field_id, filename=filename, **field.download_params
        )
    return url


def field_with(field_id: str, registry: AsyncFieldRegistry) -> Any:
    """The model field with this id; raises UploadNotFound."""
    field = registry.fields_by_id.get(field_id)
    if field is None:
        raise UploadNotFound("There is no such field.")
    return field


async def readable_temp_file(field: Any, key: str) -> AsyncTempFile:
    """The row of a temporary file that may be read; raises UploadNotFound for bytes that were not checked."""
    temp_file = await AsyncTempFile.awith_key(key)
    if temp_file is None or not temp_file.belongs_to(field) or not temp_file.is_readable:
        raise UploadNotFound("The file is not ready.")
    return temp_file
