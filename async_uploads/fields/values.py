"""The value of a field: Django's FieldFile with async forms, and the descriptor that takes what is assigned."""

from __future__ import annotations

from typing import Any

from django.core.files.base import ContentFile, File
from django.db import models
from django.db.models.fields.files import FieldFile, FileDescriptor, ImageFieldFile

from async_uploads.events import download_url
from async_uploads.fields.assignments import note_assigned, note_read
from async_uploads.input import AsyncFileInputData, name_of
from async_uploads.promotion import record_pk_of
from async_uploads.storage.base import AsyncFile, AsyncUploadStorage

# Kept in the instance's __dict__ from assignment to save: image fields that were given another file, to be measured.
UNMEASURED = "_async_uploads_unmeasured"


def set_dimensions(field: Any, instance: models.Model, width: int | None, height: int | None) -> None:
    """Fill the dimension columns; what is not known becomes NULL, or the default of a column that has no NULL."""
    for name, measured in ((field.width_field, width), (field.height_field, height)):
        if name:
            column: Any = instance._meta.get_field(name)
            unknown = None if column.null else column.get_default()
            setattr(instance, name, unknown if measured is None else measured)


def upload_key(value: Any) -> str | None:
    """The key, where ``value`` stands for an upload: AsyncFileInputData, or a form's text that knows its ``key``."""
    if isinstance(value, AsyncFileInputData):
        return value.key
    key = getattr(value, "key", None) if isinstance(value, str) else None
    return key if isinstance(key, str) else None


def measure_when_saved(field: Any, instance: models.Model) -> None:
    instance.__dict__.setdefault(UNMEASURED, set()).add(field.name)


class AsyncFieldFile(FieldFile):
    """Django's FieldFile, with async forms beside the sync ones."""

    field: Any
    name: str | None
    storage: AsyncUploadStorage
    from_input: bool = False
    """The name came from a browser, and has to be the record's own or a temporary key."""

    _given_name: str | None = None

    def __init__(self, instance: models.Model, field: Any, name: str | None) -> None:
        super().__init__(instance, field, name)
        self._given_name = name

    @property
    def is_renamed(self) -> bool:
        """Was ``name`` changed in place, as in ``car.photo.name = "cars/ford.jpg"``?"""
        return self.name != self._given_name

    @property
    def url(self) -> str:
        """The download view's URL, which checks permissions; raises ValueError where file or record are missing."""
        name = self._require_name()
        record_pk = record_pk_of(self.field, self.instance)
        if not record_pk:
            raise ValueError(f"{self.field} has no URL before its record is saved.")
        return download_url(self.field, record_pk, name)

    async def aopen(self) -> AsyncFile:
        """The stored file, for ``read``, ``seek``, ``async for`` and ``async with``; raises FileNotFoundError."""
        return await self.storage.aopen(self._require_name())

    async def aread(self) -> bytes:
        """The whole content."""
        return await (await self.aopen()).read()

    async def asize(self) -> int:
        """Size in bytes; raises FileNotFoundError."""
        return await self.storage.asize(self._require_name())

    async def aexists(self) -> bool:
        """Is there a file, in the column and in the storage?"""
        return self.name is not None and bool(self.name) and await self.storage.aexists(self.name)

    async def asave(self, name: str, content: File[Any] | bytes, save: bool = True) -> None:
        """Async form of ``save``: store ``content`` under a final name, then the record unless ``save`` is False."""
        file = ContentFile(content) if isinstance(content, bytes) else content
        name = self.field.generate_filename(self.instance, name)
        self.name = await self.storage.asave(name, file, max_length=self.field.max_length)
        self._set_instance_attribute(self.name, file)
        self._committed = True
        if save:
            await self.instance.asave()

    async def adelete(self, save: bool = True) -> None:
        """Async form of ``delete``."""
        if not self.name:
            return
        if getattr(self, "_file", None) is not None:
            self.close()
            del self.file
        await self.storage.adelete(self.name)
        self.name = None
        setattr(self.instance, self.field.attname, self.name)
        self._committed = False
        if save:
            await self.instance.asave()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "from_input": self.from_input, "_given_name": self._given_name}

    def _require_name(self) -> str:
        if not self.name:
            raise ValueError(f"The {self.field.name!r} attribute has no file associated with it.")
        return self.name

    def _set_instance_attribute(self, name: str | None, content: Any) -> None:
        setattr(self.instance, self.field.attname, name)


class AsyncImageFieldFile(AsyncFieldFile, ImageFieldFile):
    """``width`` and ``height`` come from the record's columns where it has them, else the file is opened."""

    @property
    def width(self) -> int:
        known = self.field.width_field and getattr(self.instance, self.field.width_field)
        return known or super().width

    @property
    def height(self) -> int:
        known = self.field.height_field and getattr(self.instance, self.field.height_field)
        return known or super().height

    def _set_instance_attribute(self, name: str | None, content: Any) -> None:
        super()._set_instance_attribute(name, content)
        measure_when_saved(self.field, self.instance)


class AsyncFileDescriptor(FileDescriptor):
    """Assignment takes what Django's takes, and an upload's form value. It touches neither database nor storage."""

    field: Any

    def __set__(self, instance: models.Model, value: Any) -> None:
        known = instance.__dict__
        if isinstance(value, FieldFile) and value is known.get(self.field.attname):
            return  # a form gives back what it has not changed
        being_made = self.field.attname not in known and instance._state.adding
        before = name_of(known.get(self.field.attname))
        key = upload_key(value)
        if key is not None:
            file = self.field.attr_class(instance, self.field, key)
            file.from_input = True
            value = file
        super().__set__(instance, value)
        if being_made or _is_read_back(value, instance):
            note_read(self.field, instance)
            return
        note_assigned(self.field, instance)
        if self.field.has_dimension_fields:
            self._forget_dimensions(instance, before, value)

    def _forget_dimensions(self, instance: models.Model, before: str, value: Any) -> None:
        if not value:
            set_dimensions(self.field, instance, None, None)
        elif name_of(value) != before:
            measure_when_saved(self.field, instance)


def _is_read_back(value: Any, instance: models.Model) -> bool:
    """Does ``refresh_from_db`` assign it, from a second object of the same record, with its dimensions?"""
    return isinstance(value, FieldFile) and value.instance is not instance and value.instance == instance
