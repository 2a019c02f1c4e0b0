"""Which files an object in memory was given since it was read: a save leaves alone those that nobody assigned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models, router, transaction

# Kept in the instance's __dict__. Of each field that was given a file since the record was read or committed, a token
# of that assignment. The dict is replaced, never changed: copies of the instance share it.
ASSIGNED = "_async_uploads_assigned"
# The primary key that the record had when it was read.
READ_AS = "_async_uploads_read_as"


def note_read(field: Any, instance: models.Model) -> None:
    """The value of ``field`` is that of its record."""
    known = instance.__dict__
    pk = known.get(field.model._meta.pk.attname)
    if pk is not None:
        known[READ_AS] = pk
    if field.name in known.get(ASSIGNED, ()):
        known[ASSIGNED] = {name: token for name, token in known[ASSIGNED].items() if name != field.name}


def note_assigned(field: Any, instance: models.Model) -> None:
    known = instance.__dict__
    known[ASSIGNED] = {**known.get(ASSIGNED, {}), field.name: object()}


def is_untouched(field: Any, instance: models.Model, using: str) -> bool:
    """Was the value of ``field`` read from the record that a save would write it to, and not changed since?"""
    known = instance.__dict__
    if field.name in known.get(ASSIGNED, ()) or getattr(known[field.attname], "is_renamed", False):
        return False
    state = instance._state
    if state.adding or state.db is None or router.db_for_write(type(instance), instance=instance) != using:
        return False  # made, not read; or on its way to another database
    pk = getattr(instance, field.model._meta.pk.attname)
    return pk is not None and known.get(READ_AS, pk) == pk


def settle_after_commit(fields: Iterable[Any], instance: models.Model, using: str) -> None:
    """What was assigned and saved is the record's own, once that is certain: rolled back, it can be saved again."""
    known = instance.__dict__
    given = known.get(ASSIGNED, {})
    saved = {field.name: given[field.name] for field in fields if field.name in given}
    if not saved:
        return

    def settle() -> None:
        now = known.get(ASSIGNED, {})
        known[ASSIGNED] = {name: token for name, token in now.items() if saved.get(name) is not token}

    transaction.on_commit(settle, using=using)
