"""The moment of a promotion: the record's column is swapped, and the upload is promoted. Blocking."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from django.db import models, router, transaction

from async_uploads.statements import update_row
from async_uploads.temp_files import AsyncTempFile, State


def swap_and_mark(temp_file: AsyncTempFile, instance: models.Model | None) -> bool:
    """Write the final name into the record, if it still has the key, and move the row to ``promoted``.

    False where the record has something else, or has gone. In one database it is one transaction. ``instance``, the
    saved object, then shows it. Raises UploadStateError where somebody else has the row now.
    """
    told: list[Callable[[], None]] = []
    with _together(temp_file):
        if not swap(temp_file):
            return False
        temp_file.move(
            State.PROMOTED,
            later=told,
            lease_until=None,
            error_code="",
            error="",
            received=temp_file.size or temp_file.received,
        )
    for tell in told:
        tell()
    if not _is_one_transaction(temp_file):
        swap(temp_file)  # a save between the two has written the key once more, and found the row taken
    show(temp_file, instance)
    return True


def swap(temp_file: AsyncTempFile) -> bool:
    """Write the final name, if the record still has the key. False where it has something else, or has gone."""
    field = temp_file.field
    pk, columns = field.model._meta.pk.to_python(temp_file.record_pk), _columns(temp_file)
    has_key, has_file = (
        {"pk": pk, field.attname: temp_file.key},
        {"pk": pk, field.attname: temp_file.final_name},
    )
    records = field.model._base_manager.using(temp_file.record_db or None)
    if _is_plain(field.model, frozenset(columns)):
        swapped = update_row(
            field.model, temp_file.record_db or router.db_for_write(field.model), columns, has_key
        )
    else:
        swapped = bool(records.filter(**has_key).update(**columns))
    return swapped or bool(records.filter(**has_file).exists())


@cache
def _is_plain(model: type[models.Model], columns: frozenset[str]) -> bool:
    """One table with a primary key of one column, and no manager of the project's before it."""
    local = {each.attname for each in model._meta.local_concrete_fields}
    pk: Any = model._meta.pk
    own = type(model._base_manager) is models.Manager and pk.column is not None
    return own and {pk.attname, *columns} <= local


def news_of(temp_file: AsyncTempFile) -> dict[str, Any]:
    """What ``file_promoted`` tells."""
    return {
        "temp_file": temp_file,
        "record_pk": temp_file.record_pk,
        "field_name": temp_file.field.name,
        "name": temp_file.final_name,
    }


def show(temp_file: AsyncTempFile, instance: models.Model | None) -> None:
    """Let the saved object in memory say what the database says, unless it has been given another file meanwhile."""
    if instance is None:
        return
    value = instance.__dict__.get(temp_file.field.attname)
    if str(value or "") == temp_file.key:
        instance.__dict__.update(_columns(temp_file))


def _columns(temp_file: AsyncTempFile) -> dict[str, Any]:
    field = temp_file.field
    measured = {field.width_field: temp_file.width, field.height_field: temp_file.height}
    return {
        field.attname: temp_file.final_name,
        **{name: pixels for name, pixels in measured.items() if name},
    }


def _together(temp_file: AsyncTempFile) -> AbstractContextManager[Any]:
    alias = router.db_for_write(AsyncTempFile)
    return transaction.atomic(using=alias) if _is_one_transaction(temp_file) else nullcontext()


def _is_one_transaction(temp_file: AsyncTempFile) -> bool:
    record_db = temp_file.record_db or router.db_for_write(temp_file.field.model)
    return router.db_for_write(AsyncTempFile) == record_db
