"""What a save does with its files: check them before the record is written, take the uploads after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.core.files.images import get_image_dimensions
from django.db import models, router, transaction
from django.db.models import signals
from django.utils.translation import gettext_lazy as _

from async_uploads.exceptions import TypeNotAllowed, UploadKeyError
from async_uploads.fields.replacing import (
    ON_COMMIT,
    delete_after_commit,
    left_behind_by_delete,
    left_behind_by_save,
)
from async_uploads.fields.values import UNMEASURED, set_dimensions
from async_uploads.owners import current_owner
from async_uploads.promotion import async_fields_of, claim, promote_after_commit, record_pk_of
from async_uploads.storage.arrival import measure
from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.uploads import check_key

HISTORICAL_MODELS = "__fake__"

# Kept in the instance's __dict__ from pre_save to post_save: the uploads that this save takes.
CHECKED = "_async_uploads_checked"
# Beside it: what the columns held before, where a file may have been replaced or the save may have to be undone.
BEFORE = "_async_uploads_before"


def check_before_save(field: Any, instance: models.Model, using: str | None) -> AsyncTempFile | None:
    """Whoever assigned the value: may this record have it? Returns the upload that the save takes, if there is one.

    Raises UploadKeyError, a ValidationError.
    """
    file = getattr(instance, field.attname)
    if not file or not file._committed:
        return None
    if not field.storage.is_temporary_path(file.name):
        if file.from_input and not _is_unchanged(field, instance, file.name, using):
            raise UploadKeyError(
                _("There is no such upload. Please choose the file again."), code="not_found"
            )
        return None
    try:
        temp_file = check_key(
            field, file.name, owner=current_owner(), record_pk=record_pk_of(field, instance)
        )
    except UploadKeyError:
        if _is_unchanged(field, instance, file.name, using):
            return None
        raise
    if temp_file.state == State.PROMOTED:  # this object in memory has not heard of the promotion
        file.name = temp_file.final_name
        return None
    return temp_file


def _is_unchanged(field: Any, instance: models.Model, name: str, using: str | None) -> bool:
    record_pk = record_pk_of(field, instance)
    if not record_pk:
        return False
    records = field.model._base_manager.using(using)
    return bool(
        records.filter(pk=field.model._meta.pk.to_python(record_pk), **{field.attname: name}).exists()
    )


def measure_before_save(field: Any, instance: models.Model, temp_file: AsyncTempFile | None) -> None:
    """Fill the dimension columns before the record is written, from what is known or from the bytes."""
    file = getattr(instance, field.attname)
    if not file or not field.has_dimension_fields:
        return
    if temp_file is not None:
        set_dimensions(field, instance, temp_file.width, temp_file.height)
        return
    if not file._committed:
        set_dimensions(field, instance, *get_image_dimensions(file.file))
        return
    unmeasured = field.name in instance.__dict__.get(UNMEASURED, ())
    if unmeasured or (instance._state.adding and not _dimensions_filled(field, instance)):
        set_dimensions(field, instance, *_measure_stored(field.storage, file.name))


def _dimensions_filled(field: Any, instance: models.Model) -> bool:
    return all(getattr(instance, name) for name in (field.width_field, field.height_field) if name)


def _measure_stored(storage: Any, name: str) -> tuple[int, int] | tuple[None, None]:
    try:
        return measure(storage, name)
    except (TypeNotAllowed, FileNotFoundError):
        return None, None


def _fields_to_save(instance: models.Model, update_fields: Iterable[str] | None) -> Iterator[Any]:
    """The async fields that a save writes: loaded ones, and of those what ``update_fields`` names."""
    for field in async_fields_of(type(instance)):
        if field.attname in instance.__dict__ and (update_fields is None or field.name in update_fields):
            yield field


def _before_save(
    sender: type[models.Model],
    instance: models.Model,
    raw: bool,
    using: str,
    update_fields: Any,
    **kwargs: Any,
) -> None:
    if raw:
        return
    checked: dict[str, AsyncTempFile] = {}
    fields = list(_fields_to_save(instance, update_fields))
    for field in fields:
        temp_file = check_before_save(field, instance, using)
        measure_before_save(field, instance, temp_file)
        if temp_file is not None:
            checked[field.name] = temp_file
    instance.__dict__[CHECKED] = checked
    wanted = {field.name for field in fields if field.delete_replaced == ON_COMMIT}
    if not transaction.get_connection(using).in_atomic_block:
        wanted |= set(checked)  # a save that fails after its write could not be rolled back
    if wanted and not instance._state.adding:
        record = sender._base_manager.using(using).filter(pk=instance.pk)
        instance.__dict__[BEFORE] = record.values(*wanted).first()


def _after_save(
    sender: type[models.Model],
    instance: models.Model,
    created: bool,
    raw: bool,
    using: str,
    update_fields: Any,
    **kwargs: Any,
) -> None:
    checked: dict[str, AsyncTempFile] = instance.__dict__.pop(CHECKED, {})
    before: dict[str, Any] = instance.__dict__.pop(BEFORE, None) or {}
    saved = {field.name for field in _fields_to_save(instance, update_fields)}
    instance.__dict__.get(UNMEASURED, set()).difference_update(saved)
    if raw:
        return
    if checked:
        _take_uploads(sender, instance, checked, before, created=created, using=using)
    delete_after_commit(left_behind_by_save(instance, before), using)


def _take_uploads(
    sender: type[models.Model],
    instance: models.Model,
    checked: dict[str, AsyncTempFile],
    before: dict[str, Any],
    *,
    created: bool,
    using: str,
) -> None:
    try:
        with transaction.atomic(using=router.db_for_write(AsyncTempFile), savepoint=False):
            claims = [
                claim(temp_file, sender._meta.get_field(name), instance, using)
                for name, temp_file in checked.items()
            ]
    except Exception:
        # Another record was faster, or upload_to failed. Outside a transaction the record is written already.
        if not transaction.get_connection(using).in_atomic_block:
            columns = {name: before[name] for name in checked if name in before}
            _undo(sender._base_manager.using(using).filter(pk=instance.pk), created, columns)
        raise
    promote_after_commit(claims, using)


def _undo(record: models.QuerySet[Any], created: bool, before: dict[str, Any]) -> None:
    if created:
        record.delete()
    elif before:
        record.update(**before)


def _before_delete(sender: type[models.Model], instance: models.Model, using: str, **kwargs: Any) -> None:
    delete_after_commit(left_behind_by_delete(sender, instance.pk, using), using)


def _connect_saves(sender: type[models.Model], **kwargs: Any) -> None:
    """Children and proxies save under their own name, so each model with an async field is connected by itself."""
    if sender.__module__ == HISTORICAL_MODELS or sender._meta.abstract or not async_fields_of(sender):
        return
    signals.pre_save.connect(_before_save, sender=sender, dispatch_uid="async_uploads")
    signals.post_save.connect(_after_save, sender=sender, dispatch_uid="async_uploads")
    if any(field.delete_replaced == ON_COMMIT for field in async_fields_of(sender)):
        # A delete is a transaction, so nothing is deleted before it is done. After it the columns could not be read.
        signals.pre_delete.connect(_before_delete, sender=sender, dispatch_uid="async_uploads")


signals.class_prepared.connect(_connect_saves, dispatch_uid="async_uploads")
