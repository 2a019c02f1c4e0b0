"""What a person submits, through a form or an API: a key that is held against its row before anything is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from async_uploads.exceptions import UploadError, UploadKeyError
from async_uploads.owners import Owner
from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.uploads.ending import acomplete
from async_uploads.uploads.keys import check_key

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


def check_submission(
    field: Any,
    key: str,
    *,
    owner: Owner | None,
    record_pk: str = "",
    if_empty: StrOrPromise | None = None,
) -> AsyncTempFile:
    """As ``check_key``; an upload that was never completed is completed now.

    ``if_empty`` is what is said of a file without content; None where it may have none.
    Raises ValidationError. Sync: call it in a thread, as forms and serializers are validated.
    """
    if not field.storage.is_temporary_path(key):
        raise UploadKeyError(_("There is no such upload. Please choose the file again."), code="not_found")
    temp_file = check_key(field, key, owner=owner, record_pk=record_pk)
    if temp_file.state == State.PENDING:
        _complete(temp_file)
    if if_empty is not None and not temp_file.size and not temp_file.record_pk:
        raise ValidationError(if_empty, code="empty")
    return temp_file


def _complete(temp_file: AsyncTempFile) -> None:
    try:
        async_to_sync(acomplete)(temp_file)
    except UploadError as error:
        raise ValidationError(error.detail, code=error.code) from error
