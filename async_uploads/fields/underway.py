"""A save under way: what was checked and read for it, from its ``pre_save`` signal to its ``post_save``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import models, router, transaction

from async_uploads.exceptions import UploadKeyError
from async_uploads.fields.assignments import is_untouched, note_assigned
from async_uploads.fields.checking import check_before_save, measure_before_save
from async_uploads.fields.replacing import ON_COMMIT
from async_uploads.input import name_of
from async_uploads.promotion import record_pk_of
from async_uploads.temp_files import AsyncTempFile, State

# Where a save is kept, in the instance's __dict__. One that failed stays there until the next.
SAVE = "_async_uploads_save"


@dataclass(frozen=True)
class Checked:
    """A value that was found good for a record. ``record_pk`` is empty where the record had no key yet."""

    file: Any
    name: str | None
    record_pk: str
    left_alone: bool


class Save:
    """``uploads``: what the save takes, by field. ``before``: what the columns held, where somebody may need to know.

    ``measured_late``: image fields that were given their image by another ``pre_save`` handler.
    """

    def __init__(self, using: str = "", fields: Iterable[Any] = ()) -> None:
        self.using: str = using
        self.fields: list[Any] = list(fields)
        self.uploads: dict[str, AsyncTempFile] = {}
        self.before: dict[str, Any] = {}
        self.measured_late: list[Any] = []
        self._checked: dict[str, Checked] = {}

    def __reduce__(self) -> Any:
        return Save, ()  # a copy of a record is not being saved

    @classmethod
    def begin(cls, instance: models.Model, fields: Iterable[Any], using: str) -> None:
        save = cls(using, fields)
        if not instance._state.adding:
            save._read_before(instance, save.fields)
        for field in save.fields:
            save._check(field, instance)
        instance.__dict__[SAVE] = save

    @classmethod
    def of(cls, instance: models.Model) -> Save:
        """The save under way; another one for ``bulk_create``, which sends no signals."""
        save: Save | None = instance.__dict__.get(SAVE)
        return save or cls(router.db_for_write(type(instance), instance=instance))

    def end(self, instance: models.Model) -> None:
        instance.__dict__.pop(SAVE, None)
        for field in self.fields:
            if self.leaves_alone(field):  # Django 6 forgets the value where the database does not return it
                instance.__dict__.setdefault(field.attname, self._checked[field.name].file)

    def leaves_alone(self, field: Any) -> bool:
        checked = self._checked.get(field.name)
        return checked is not None and checked.left_alone

    def check_again(self, field: Any, instance: models.Model, *, add: bool) -> bool:
        """Just before the value is written: a ``pre_save`` handler of the project may have assigned another one.

        False where the column is to keep what it holds.
        """
        if not self._has_checked(field, instance):
            if self._check(field, instance):
                self.measured_late.append(field)
            if not add and not instance._state.adding:
                self._read_before(instance, [field])
        if add:
            return True
        if instance._state.adding:  # an UPDATE of a record that this object was not read from
            note_assigned(field, instance)
            self._read_before(instance, self.fields)
        return not self.leaves_alone(field)

    def note_checked(self, field: Any, instance: models.Model, *, left_alone: bool = False) -> None:
        file = getattr(instance, field.attname)
        self._checked[field.name] = Checked(file, file.name, record_pk_of(field, instance), left_alone)

    def _has_checked(self, field: Any, instance: models.Model) -> bool:
        """A save that failed leaves its marks behind: they are good for the same value and record only."""
        checked = self._checked.get(field.name)
        file = getattr(instance, field.attname)
        return (
            checked is not None
            and (checked.file, checked.name) == (file, file.name)
            and checked.file is file
            and checked.record_pk in ("", record_pk_of(field, instance))
        )

    def _check(self, field: Any, instance: models.Model) -> bool:
        """Raises UploadKeyError. True where the image has been measured."""
        self.uploads.pop(field.name, None)
        untouched = is_untouched(field, instance, self.using)
        if untouched and self._is_behind(field, instance):
            self._take_over(field, instance)
            return False
        try:
            temp_file = check_before_save(field, instance, self.using)
        except UploadKeyError:
            if not untouched or not self._read_columns(instance, [field]):
                raise
            self._take_over(field, instance)  # this object in memory has not heard what became of its upload
            return False
        measured = measure_before_save(field, instance, temp_file)
        promoted = temp_file is not None and temp_file.state == State.PROMOTED
        if temp_file is not None and promoted:  # nor of its promotion
            instance.__dict__[field.attname] = temp_file.final_name
        elif temp_file is not None:
            self.uploads[field.name] = temp_file
        self.note_checked(
            field, instance, left_alone=untouched and not promoted and field.name in self.before
        )
        return measured

    def _is_behind(self, field: Any, instance: models.Model) -> bool:
        """Has somebody else given the record another file? The one in memory may have been deleted since."""
        held = name_of(getattr(instance, field.attname))
        return (
            field.delete_replaced == ON_COMMIT
            and field.name in self.before
            and held != name_of(self.before[field.name])
        )

    def _take_over(self, field: Any, instance: models.Model) -> None:
        """Show what the record has, with the dimensions of an image, and leave it alone."""
        for name in columns_of(field):
            instance.__dict__[name] = self.before[name]
        self.note_checked(field, instance, left_alone=True)

    def _read_before(self, instance: models.Model, fields: Iterable[Any]) -> None:
        """What may be replaced; and what a save has to restore if it fails after its write, outside a transaction."""
        in_transaction = transaction.get_connection(self.using).in_atomic_block
        wanted = [
            field
            for field in fields
            if field.name not in self.before
            and (field.delete_replaced == ON_COMMIT or (not in_transaction and _has_key(field, instance)))
        ]
        if wanted:
            self._read_columns(instance, wanted)

    def _read_columns(self, instance: models.Model, fields: Iterable[Any]) -> bool:
        """False where there is no such record."""
        columns = [name for field in fields for name in columns_of(field)]
        record = type(instance)._base_manager.using(self.using).filter(pk=instance.pk)
        found = record.values(*columns).first()
        self.before.update(found or {})
        return found is not None


def columns_of(field: Any) -> list[str]:
    """The field's own, and those of an image's dimensions."""
    return [name for name in (field.name, field.width_field, field.height_field) if name]


def _has_key(field: Any, instance: models.Model) -> bool:
    file = getattr(instance, field.attname)
    return bool(file and file._committed and field.storage.is_temporary_path(file.name))
