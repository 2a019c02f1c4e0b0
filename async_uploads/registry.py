"""Registries: the fields that a browser may upload to, by an id that does not tell their names' owners."""

from __future__ import annotations

from hashlib import shake_256
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls import include, path
from django.urls.resolvers import URLPattern, URLResolver

from async_uploads.storage.base import AsyncUploadStorage

URLCONF = "async_uploads.urls"
APP_NAME = "async_uploads"

STORAGE_ERRORS = (ImproperlyConfigured, TypeError)
"""What a storage raises that can't be made from its settings; TypeError for an option that it does not have."""

_registries: list[AsyncFieldRegistry] = []


class AsyncFieldRegistry:
    """Fields by id, and the views that serve them. ``name`` is the instance namespace of its URLs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fields_by_id: dict[str, Any] = {}
        _registries.append(self)

    def __repr__(self) -> str:
        return f"AsyncFieldRegistry({self.name!r})"

    def generate_id(self, field: Any) -> str:
        """The id of a field: a hash of its model's label, so that the label stays unknown, and the field's name."""
        label = shake_256(field.model._meta.label.encode()).hexdigest(8)
        return f"{label}.{field.name}"

    def register_field(self, field: Any) -> None:
        """Take in a field; raises ValueError where its id is taken. What its storage is, a system check tells."""
        field_id = self.generate_id(field)
        known = self.fields_by_id.get(field_id)
        if known is not None and known.model._meta.label != field.model._meta.label:
            raise ValueError(f"{self} has a field with the id {field_id!r} already: {known}.")
        self.fields_by_id[field_id] = field
        if takes_uploads(field):
            field.storage.field_registered(field_id, self.name)

    def get_url_patterns(self) -> tuple[list[URLPattern | URLResolver], str, str]:
        """For ``path("async-uploads/", registry.get_url_patterns())``.

        The views are named in the namespace ``async_uploads``, with the registry's name as instance namespace.
        """
        storages = {
            id(field.storage): field.storage for field in self.fields_by_id.values() if takes_uploads(field)
        }
        patterns: list[URLPattern | URLResolver] = [path("", include(URLCONF), {"registry": self})]
        for storage in storages.values():
            patterns += storage.get_url_patterns(self)
        return patterns, APP_NAME, self.name


def takes_uploads(field: Any) -> bool:
    """Is the field's storage one of ours? Not so where it is another, or can't be made from its settings."""
    try:
        return isinstance(field.storage, AsyncUploadStorage)
    except STORAGE_ERRORS:
        return False


def all_registries() -> list[AsyncFieldRegistry]:
    return list(_registries)


default_async_field_registry: AsyncFieldRegistry = AsyncFieldRegistry("default")
