"""What a save does with its files: check them before the record is written, take the uploads after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import models, router, transaction
from django.db.models import signals

from async_uploads.fields.assignments import note_read, settle_after_commit
from async_uploads.fields.replacing import (
    ON_COMMIT,
    delete_after_commit,
    left_behind_by_delete,
    left_behind_by_save,
)
from async_uploads.fields.underway import SAVE, Save, columns_of
from async_uploads.fields.values import UNMEASURED
from async_uploads.promotion import async_fields_of, claim, promote_after_commit
from async_uploads.temp_files import AsyncTempFile

HISTORICAL_MODELS = "__fake__"
# On the QuerySet that takes back a save which failed: the files of its record were there before it.
UNDOING = "_async_uploads_undoing"


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
    if not raw:
        Save.begin(instance, _fields_to_save(instance, update_fields), using)


def _after_save(
    sender: type[models.Model],
    instance: models.Model,
    created: bool,
    raw: bool,
    using: str,
    update_fields: Any,
    **kwargs: Any,
) -> None:
    save: Save | None = instance.__dict__.get(SAVE)
    if save is not None:
        save.end(instance)
    fields = list(_fields_to_save(instance, update_fields))
    instance.__dict__.get(UNMEASURED, set()).difference_update(field.name for field in fields)
    if raw or save is None:
        return
    for field in fields:
        if created or save.leaves_alone(field):
            note_read(field, instance)
    if save.uploads:
        _take_uploads(sender, instance, save, created=created)
    _write_late_dimensions(sender, instance, save, update_fields)
    settle_after_commit(fields, instance, using)
    delete_after_commit(left_behind_by_save(instance, save.before), using)


def _take_uploads(sender: type[models.Model], instance: models.Model, save: Save, *, created: bool) -> None:
    using = save.using
    try:
        with _all_or_none(save.uploads):
            claims = [
                claim(temp_file, sender._meta.get_field(name), instance, using)
                for name, temp_file in save.uploads.items()
            ]
    except Exception:
        # Another record was faster, or upload_to failed. Outside a transaction the record is written already.
        if not transaction.get_connection(using).in_atomic_block:
            fields = [sender._meta.get_field(name) for name in save.uploads]
            names = [name for field in fields for name in columns_of(field)]
            columns = {name: save.before[name] for name in names if name in save.before}
            _undo(sender._base_manager.using(using).filter(pk=instance.pk), created, columns)
        raise
    promote_after_commit(claims, using)


def _all_or_none(uploads: Sized) -> AbstractContextManager[Any]:
    """One is taken by one statement."""
    if len(uploads) == 1:
        return nullcontext()
    return transaction.atomic(using=router.db_for_write(AsyncTempFile), savepoint=False)


def _undo(record: models.QuerySet[Any], created: bool, before: dict[str, Any]) -> None:
    if created:
        setattr(record, UNDOING, True)
        record.delete()
    elif before:
        record.update(**before)


def _write_late_dimensions(
    sender: type[models.Model], instance: models.Model, save: Save, update_fields: Iterable[str] | None
) -> None:
    """Columns that come before their image in the row were on their way when it was measured."""
    names = [name for field in save.measured_late for name in (field.width_field, field.height_field)]
    columns = {
        name: getattr(instance, name)
        for name in names
        if name and (update_fields is None or name in update_fields)
    }
    if columns:
        sender._base_manager.using(save.using).filter(pk=instance.pk).update(**columns)


def _before_delete(
    sender: type[models.Model], instance: models.Model, using: str, origin: Any = None, **kwargs: Any
) -> None:
    if not getattr(origin, UNDOING, False):
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
