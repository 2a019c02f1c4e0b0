"""Which records refer to a stored file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import models


def is_referenced(storage: Any, name: str, *, using: str) -> bool:
    """Does any record of the project, in the database ``using``, name this file of this storage?

    Asks each file field, Django's own too, whose storage is the same. Blocking: up to one query for each.
    """
    return any(
        field.model._base_manager.using(using).filter(**{field.attname: name}).exists()
        for field in _file_fields_with(storage)
    )


def _file_fields_with(storage: Any) -> Iterator[models.FileField]:
    for model in apps.get_models():
        if model._meta.proxy or not model._meta.managed:
            continue
        for field in model._meta.local_concrete_fields:
            if isinstance(field, models.FileField) and _is_same(field.storage, storage):
                yield field


def _is_same(one: Any, other: Any) -> bool:
    """Storages that are made from the same arguments hold the same files."""
    one, other = _unwrapped(one), _unwrapped(other)
    return one is other or one == other


def _unwrapped(storage: Any) -> Any:
    """The storage behind a LazyObject such as Django's ``default_storage``."""
    storage.__class__  # noqa: B018  # makes a LazyObject set itself up
    return getattr(storage, "_wrapped", storage)
