"""The rules of a field, for files that come past the uploads: assigned in code, or by a form that knows no uploads."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.files.base import File

from async_uploads.exceptions import UploadError
from async_uploads.inspection import HEAD_SIZE, check_name, check_size, check_type, detect_type


class FileRules:
    """A validator for ``Model.full_clean()`` and for the file fields of Django and DRF: size, name and type.

    A file that is stored already, or on its way as an upload, was held against the rules when it arrived.
    """

    def __init__(self, field: Any) -> None:
        self.field = field

    def __call__(self, value: Any) -> None:
        """Raises ValidationError."""
        if not value or not isinstance(value, File) or getattr(value, "_committed", False):
            return
        restrictions = self.field.file_restrictions
        try:
            check_size(value.size, self.field.max_size_bytes)
            check_name(value.name or "", restrictions)
            if restrictions:
                check_type(value.name or "", detect_type(_head_of(value), value.name or ""), restrictions)
        except UploadError as error:
            raise ValidationError(error.detail, code=error.code) from error


def _head_of(file: File[Any]) -> bytes:
    file.open()
    head: bytes | str = file.read(HEAD_SIZE)
    file.seek(0)
    return head.encode() if isinstance(head, str) else head
