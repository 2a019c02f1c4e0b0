"""May this key be saved in this field? Asked by forms, by serializers, and once more by the save itself."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from async_uploads.exceptions import UploadAlreadyUsed, UploadKeyError
from async_uploads.owners import Owner
from async_uploads.temp_files import AsyncTempFile, State


def check_key(
    field: Any, key: str, *, owner: Owner | None, record_pk: str = "", record_db: str | None = None
) -> AsyncTempFile:
    """The row of ``key``, which may be saved in ``field`` by ``owner`` (None: not known) for the record ``record_pk``.

    ``record_db`` is the database that the record is written to (None: not known). Raises UploadKeyError, a
    ValidationError. Sync: one query, and another one where the upload has been promoted.
    """
    temp_file = AsyncTempFile.with_key(key)
    if temp_file is None or not temp_file.belongs_to(field):
        raise _unknown()
    taken = temp_file.record_pk != ""
    if taken and temp_file.is_of_record(record_pk, record_db):
        _check_taken(temp_file)
        return temp_file
    if owner is not None and not owner.owns(temp_file.owner):
        raise _unknown()
    if taken:
        raise UploadAlreadyUsed()
    _check_state(temp_file, receives_uploads=field.storage.receives_uploads)
    return temp_file


def _check_taken(temp_file: AsyncTempFile) -> None:
    """This very record has the upload: whoever may edit the record may save it again, for as long as it has it."""
    if temp_file.state in (State.CANCELLED, State.EXPIRED) or (
        temp_file.state == State.FAILED and not temp_file.failed_in_promotion
    ):
        _check_state(temp_file, receives_uploads=True)
    # Once the record has let the file go, the final name may be that of somebody else's file.
    if temp_file.state == State.PROMOTED and not record_names(
        temp_file.field,
        temp_file.record_pk,
        temp_file.key,
        temp_file.final_name,
        using=temp_file.record_db or None,
    ):
        raise UploadAlreadyUsed()


def record_names(field: Any, record_pk: str, *names: str, using: str | None) -> bool:
    """Does the column of ``field`` hold one of ``names`` in the record ``record_pk``, in the database ``using``?"""
    pk = field.model._meta.pk.to_python(record_pk)
    records = field.model._base_manager.using(using)
    return bool(records.filter(pk=pk, **{f"{field.attname}__in": names}).exists())


def _check_state(temp_file: AsyncTempFile, *, receives_uploads: bool) -> None:
    match temp_file.state:
        case State.UPLOADED:
            return
        case State.PENDING if not receives_uploads or temp_file.awaits_validation:
            return  # the bytes may well have arrived: promotion asks the storage
        case State.PENDING | State.UPLOADING:
            raise UploadKeyError(
                _("The file has not arrived yet. Please wait until it has."), code="incomplete"
            )
        case State.FAILED:
            raise UploadKeyError(
                _("The upload failed: %(error)s"), code="upload_failed", params={"error": temp_file.error}
            )
        case State.CANCELLED | State.EXPIRED:
            raise UploadKeyError(_("The upload has expired. Please choose the file again."), code="expired")
        case _:
            raise UploadAlreadyUsed()


def _unknown() -> UploadKeyError:
    return UploadKeyError(_("There is no such upload. Please choose the file again."), code="not_found")
