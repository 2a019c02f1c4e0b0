"""What a save asks of a value before it is written: may the record have the file, and how large is the image?"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.files.images import get_image_dimensions
from django.db import models
from django.utils.translation import gettext_lazy as _

from async_uploads.exceptions import TypeNotAllowed, UploadKeyError
from async_uploads.fields.values import UNMEASURED, set_dimensions
from async_uploads.input import AsyncFileInputData
from async_uploads.owners import current_owner
from async_uploads.promotion import record_pk_of
from async_uploads.storage.arrival import measure
from async_uploads.temp_files import AsyncTempFile
from async_uploads.uploads import check_key, record_names


def check_before_save(field: Any, instance: models.Model, using: str | None) -> AsyncTempFile | None:
    """Whoever assigned the value: may this record have it? Returns its upload, where it is the key of one.

    Raises UploadKeyError, a ValidationError.
    """
    file = getattr(instance, field.attname)
    if not file or not file._committed:
        return None
    if _is_form_value(file.name) and not _is_unchanged(field, instance, file.name, using):
        raise TypeError(
            f"{field} was given the text that a form submits. Give it the key, or AsyncFileInputData.from_json(…)."
        )
    if not field.storage.is_temporary_path(file.name):
        if file.from_input and not _is_unchanged(field, instance, file.name, using):
            raise UploadKeyError(
                _("There is no such upload. Please choose the file again."), code="not_found"
            )
        return None
    try:
        return check_key(
            field,
            file.name,
            owner=current_owner(),
            record_pk=record_pk_of(field, instance),
            record_db=using,
        )
    except UploadKeyError:
        if _is_unchanged(field, instance, file.name, using):
            return None
        raise


def _is_form_value(name: str) -> bool:
    """JSON instead of a name: nobody means that, and the file would be missing."""
    if not (name.startswith("{") and name.endswith("}")):
        return False
    try:
        AsyncFileInputData.from_json(name)
    except ValidationError:
        return False
    return True


def _is_unchanged(field: Any, instance: models.Model, name: str, using: str | None) -> bool:
    record_pk = record_pk_of(field, instance)
    return bool(record_pk) and record_names(field, record_pk, name, using=using)


def measure_before_save(field: Any, instance: models.Model, temp_file: AsyncTempFile | None) -> bool:
    """Fill the dimension columns before the record is written, from what is known or from the bytes.

    False where they hold what they should.
    """
    file = getattr(instance, field.attname)
    if not file or not field.has_dimension_fields:
        return False
    if temp_file is not None:
        set_dimensions(field, instance, temp_file.width, temp_file.height)
        return True
    if not file._committed:
        set_dimensions(field, instance, *get_image_dimensions(file.file))
        return True
    unmeasured = field.name in instance.__dict__.get(UNMEASURED, ())
    if not unmeasured and (not instance._state.adding or _dimensions_filled(field, instance)):
        return False
    set_dimensions(field, instance, *_measure_stored(field.storage, file.name))
    return True


def _dimensions_filled(field: Any, instance: models.Model) -> bool:
    return all(getattr(instance, name) for name in (field.width_field, field.height_field) if name)


def _measure_stored(storage: Any, name: str) -> tuple[int, int] | tuple[None, None]:
    try:
        return measure(storage, name)
    except (TypeNotAllowed, FileNotFoundError):
        return None, None
