"""Claims: a save takes its uploads, in its own transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import cache
from typing import Any

from django.db import models

from async_uploads.conf import INLINE_PROMOTION, upload_settings
from async_uploads.exceptions import UploadAlreadyUsed, UploadStateError
from async_uploads.temp_files import NOT_TAKEN, AsyncTempFile, State, expiry

LEASE = 60.0
"""Seconds for which one promoter has a row to itself; renewed while bytes move."""


@dataclass(kw_only=True)
class Claim:
    """An upload that a save has taken. ``instance`` is the saved object, shown the final name when it is known.

    ``leased``: this attempt has begun, and its lease is ours. ``held``: the row's present lease is ours, to begin one.
    """

    temp_file: AsyncTempFile
    instance: models.Model | None = None
    leased: bool = False
    held: bool = False
    later: list[Callable[[], None]] = dataclass_field(default_factory=list)
    """What tells of the claim, to be called once it is committed: with the promotion, not as a callback of its own."""

    def tell(self) -> None:
        for tell in self.later:
            tell()
        self.later.clear()


@cache
def async_fields_of(model: type[models.Model]) -> list[Any]:
    """The async file fields of a model, its parents' included."""
    return [field for field in model._meta.concrete_fields if hasattr(field, "async_field_registry")]


def record_pk_of(field: Any, instance: models.Model) -> str:
    """The primary key of the record that holds ``field``, as text; empty while it has none."""
    pk = field.model._meta.pk
    if getattr(instance, pk.attname, None) is None:
        return ""
    return str(pk.value_to_string(instance))


def claim(temp_file: AsyncTempFile, field: Any, instance: models.Model, using: str) -> Claim:
    """Bind an upload to the record that has just been written, in the same transaction, and reserve its final name.

    Raises UploadAlreadyUsed where another record was first.
    """
    record_pk = record_pk_of(field, instance)
    if temp_file.is_of_record(record_pk, using):
        return Claim(temp_file=temp_file, instance=instance)
    inline = upload_settings.PROMOTION_DISPATCHER == INLINE_PROMOTION
    name = field.generate_filename(instance, temp_file.name)
    taken: dict[str, Any] = {
        "record_pk": record_pk,
        "record_db": using,
        "final_name": field.storage.reserve_name(name, field.max_length),
    }
    later: list[Callable[[], None]] = []
    try:
        if temp_file.state != State.UPLOADED:  # not completed yet: promotion will ask the storage
            _bind(temp_file, taken)
            return Claim(temp_file=temp_file, instance=instance)
        lease: dict[str, Any] = (
            {"attempts": 1, "lease_until": expiry(LEASE)} if inline else {"lease_until": None}
        )
        temp_file.move(State.PROMOTING, where=NOT_TAKEN, later=later, **taken, **lease)
    except UploadStateError as error:
        # The same record saved twice at once: the other save promotes.
        if temp_file.is_of_record(record_pk, using):
            return Claim(temp_file=temp_file, instance=instance)
        raise UploadAlreadyUsed() from error
    return Claim(temp_file=temp_file, instance=instance, leased=inline, later=later)


def _bind(temp_file: AsyncTempFile, taken: dict[str, Any]) -> None:
    if not AsyncTempFile.objects.filter(NOT_TAKEN, pk=temp_file.pk, state=temp_file.state).update(**taken):
        temp_file.reload()
        raise UploadStateError("an upload that no record has taken", temp_file.state)
    for name, value in taken.items():
        setattr(temp_file, name, value)
