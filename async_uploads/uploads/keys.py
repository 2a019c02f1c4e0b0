"""May this key be saved in this field? Asked by forms, by serializers, and once more by the save itself."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from async_uploads.exceptions import UploadAlreadyUsed, UploadKeyError
from async_uploads.owners import Owner
from async_uploads.temp_files import AsyncTempFile, State


def check_key(field: Any, key: str, *, owner: Owner | None, record_pk: str = "") -> AsyncTempFile:
    """The row of ``key``, which may be saved in ``field`` by ``owner`` (None: not known) for the record ``record_pk``.

    Raises UploadKeyError, a ValidationError. Sync: one query.
    """
    temp_file = AsyncTempFile.with_key(key)
    if temp_file is None or not temp_file.belongs_to(field):
        raise _unknown()
    if _is_taken_by(temp_file, record_pk):
        return temp_file
    if owner is not None and not owner.owns(temp_file.owner):
        raise _unknown()
    if temp_file.record_pk not in ("", record_pk):
        raise UploadAlreadyUsed()
    _check_state(temp_file, receives_uploads=field.storage.receives_uploads)
    return temp_file


def _is_taken_by(temp_file: AsyncTempFile, record_pk: str) -> bool:
    """Has this very record the upload? Then whoever may edit the record may save it again."""
    given_up = temp_file.state in (State.CANCELLED, State.EXPIRED)
    return bool(record_pk) and temp_file.record_pk == record_pk and not given_up


def _check_state(temp_file: AsyncTempFile, *, receives_uploads: bool) -> None:
    match temp_file.state:
        case State.UPLOADED:
            return
        case State.PENDING if not receives_uploads:
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
