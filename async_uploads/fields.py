"""The model fields: a file's name in a column, its upload taken by the save, its promotion after the commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from django import forms as django_forms
from django.core import checks
from django.core.files.base import ContentFile, File
from django.core.files.images import get_image_dimensions
from django.db import models, router, transaction
from django.db.models import signals
from django.db.models.fields.files import FieldFile, FileDescriptor, ImageFieldFile
from django.utils.translation import gettext_lazy as _

from async_uploads import forms
from async_uploads.events import download_url
from async_uploads.exceptions import TypeNotAllowed, UploadAlreadyUsed, UploadKeyError
from async_uploads.input import AsyncFileInputData
from async_uploads.owners import current_owner
from async_uploads.permissions import Permission, resolve_perm_name
from async_uploads.promotion import async_fields_of, claim, promote_after_commit, record_pk_of
from async_uploads.registry import AsyncFieldRegistry, default_async_field_registry
from async_uploads.storage.arrival import measure
from async_uploads.storage.base import AsyncFile
from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.uploads import check_key

DEFAULT_MAX_LENGTH = 500
DEFAULT_MAX_SIZE = 100
MIB = 1024 * 1024
HISTORICAL_MODELS = "__fake__"

# Kept in the instance's __dict__ from pre_save to post_save: the uploads that this save takes.
CHECKED = "_async_uploads_checked"
# Kept there from assignment to save: image fields that were given another file, to be measured when saved.
UNMEASURED = "_async_uploads_unmeasured"


class Unset:
    """The permission was not given: ``resolve_perm_name`` tells it."""


UNSET: Final = Unset()


class AsyncFieldFile(FieldFile):
    """Django's FieldFile, with async forms beside the sync ones."""

    field: Any
    from_input = False
    """The name came from a browser, and has to be the record's own or a temporary key."""

    @property
    def url(self) -> str:
        """The download view's URL, which checks permissions. Raises ValueError where there is no file or no record yet."""
        self._require_file()
        record_pk = record_pk_of(self.field, self.instance)
        if not record_pk:
            raise ValueError(f"{self.field} has no URL before its record is saved.")
        return download_url(self.field, record_pk, str(self.name))

    async def aopen(self) -> AsyncFile:
        """The stored file, for ``read``, ``seek``, ``async for`` and ``async with``; raises FileNotFoundError."""
        self._require_file()
        opened: AsyncFile = await self.storage.aopen(self.name)
        return opened

    async def aread(self) -> bytes:
        """The whole content."""
        return await (await self.aopen()).read()

    async def asize(self) -> int:
        """Size in bytes; raises FileNotFoundError."""
        self._require_file()
        return int(await self.storage.asize(self.name))

    async def aexists(self) -> bool:
        """Is there a file, in the column and in the storage?"""
        return bool(self) and bool(await self.storage.aexists(self.name))

    async def asave(self, name: str, content: File[Any] | bytes, save: bool = True) -> None:
        """Async form of ``save``: store ``content`` under a final name, then the record unless ``save`` is False."""
        file = ContentFile(content) if isinstance(content, bytes) else content
        name = self.field.generate_filename(self.instance, name)
        self.name = await self.storage.asave(name, file, max_length=self.field.max_length)
        setattr(self.instance, self.field.attname, self.name)
        self._committed = True
        if save:
            await self.instance.asave()

    async def adelete(self, save: bool = True) -> None:
        """Async form of ``delete``."""
        if not self:
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


class AsyncFileDescriptor(FileDescriptor):
    """Assignment takes what Django's takes, and AsyncFileInputData. It touches neither database nor storage."""

    field: Any

    def __set__(self, instance: models.Model, value: Any) -> None:
        before = instance.__dict__.get(self.field.attname)
        if isinstance(value, AsyncFileInputData):
            file = self.field.attr_class(instance, self.field, value.key)
            file.from_input = True
            value = file
        super().__set__(instance, value)
        if before is not None and self.field.has_dimension_fields:
            self._forget_dimensions(instance, before, value)

    def _forget_dimensions(self, instance: models.Model, before: Any, value: Any) -> None:
        if not value:
            self.field.set_dimensions(instance, None, None)
        elif (
            value is not before
            and _name_of(value) != _name_of(before)
            or not getattr(value, "_committed", True)
        ):
            instance.__dict__.setdefault(UNMEASURED, set()).add(self.field.name)


class AsyncFileMixin(models.FileField):
    """What both fields have in common.

    ``perm_create``, ``perm_update``, ``perm_detail``: a permission name, a callable ``(user, obj) -> bool``, sync or
    async, or None for everyone. ``max_size`` in MiB, None for no limit. ``file_restrictions``: types and extensions
    (``image/*``, ``application/pdf``, ``.docx``), empty for all. ``download_params`` go to the storage's
    ``generate_download_url``.
    """

    attr_class: Any = AsyncFieldFile
    descriptor_class: Any = AsyncFileDescriptor
    form_class: type[forms.AsyncFileField] = forms.AsyncFileField
    measures_images = False
    width_field: str | None = None
    height_field: str | None = None

    def __init__(
        self,
        *args: Any,
        perm_create: Permission | Unset = UNSET,
        perm_update: Permission | Unset = UNSET,
        perm_detail: Permission | Unset = UNSET,
        max_size: float | None = DEFAULT_MAX_SIZE,
        file_restrictions: Iterable[str] = (),
        async_field_registry: AsyncFieldRegistry = default_async_field_registry,
        download_params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("max_length", DEFAULT_MAX_LENGTH)
        super().__init__(*args, **kwargs)
        self._perm_create, self._perm_update, self._perm_detail = perm_create, perm_update, perm_detail
        self.max_size = max_size
        self.file_restrictions = tuple(file_restrictions)
        self.async_field_registry = async_field_registry
        self.download_params = dict(download_params or {})

    @property
    def perm_create(self) -> Permission:
        return self._permission(self._perm_create, "create")

    @property
    def perm_update(self) -> Permission:
        return self._permission(self._perm_update, "update")

    @property
    def perm_detail(self) -> Permission:
        return self._permission(self._perm_detail, "detail")

    @property
    def max_size_bytes(self) -> int | None:
        return None if self.max_size is None else int(self.max_size * MIB)

    @property
    def has_dimension_fields(self) -> bool:
        return bool(self.width_field or self.height_field)

    def _permission(self, given: Permission | Unset, action: str) -> Permission:
        if not isinstance(given, Unset):
            return given
        return resolve_perm_name(self.model, action, is_global=action == "create")

    def deconstruct(self) -> Any:
        """Only what the database knows about: other options may change without a migration."""
        name, path, args, kwargs = super().deconstruct()
        kwargs["max_length"] = self.max_length
        return name, path, args, kwargs

    def contribute_to_class(self, cls: type[models.Model], name: str, private_only: bool = False) -> None:
        # Past ImageField, which would measure the file whenever a record is loaded.
        models.FileField.contribute_to_class(self, cls, name, private_only=private_only)
        if not cls._meta.abstract and cls.__module__ != HISTORICAL_MODELS:
            self.async_field_registry.register_field(self)

    def formfield(self, **kwargs: Any) -> Any:
        widget = kwargs.get("widget")
        if isinstance(widget, type) and issubclass(widget, django_forms.FileInput):
            del kwargs["widget"]  # the admin's override for every FileField
        return super().formfield(
            **{
                "form_class": self.form_class,
                "async_field_registry": self.async_field_registry,
                "async_field_id": self.async_field_registry.generate_id(self),
                "storage": self.storage,
                "max_size": self.max_size_bytes,
                "file_restrictions": self.file_restrictions,
                **kwargs,
            }
        )

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        # An ordinary save was checked at its pre_save signal; bulk_create sends none.
        if CHECKED not in model_instance.__dict__ and type(model_instance).__module__ != HISTORICAL_MODELS:
            self.check_before_save(model_instance, model_instance._state.db)
        return super().pre_save(model_instance, add)

    def check_before_save(self, instance: models.Model, using: str | None) -> AsyncTempFile | None:
        """Whoever assigned the value: may this record have it? Returns the upload that the save takes, if there is one.

        Raises UploadKeyError, a ValidationError.
        """
        file = getattr(instance, self.attname)
        if not file or not file._committed:
            return None
        if not self.storage.is_temporary_path(file.name):  # type: ignore[attr-defined]  # an AsyncUploadStorage: the registry has checked
            if file.from_input and not self._is_unchanged(instance, file.name, using):
                raise UploadKeyError(
                    _("There is no such upload. Please choose the file again."), code="not_found"
                )
            return None
        try:
            temp_file = check_key(
                self, file.name, owner=current_owner(), record_pk=record_pk_of(self, instance)
            )
        except UploadKeyError:
            if self._is_unchanged(instance, file.name, using):
                return None
            raise
        if temp_file.state == State.PROMOTED:  # this object in memory has not heard of the promotion
            file.name = temp_file.final_name
            return None
        return temp_file

    def _is_unchanged(self, instance: models.Model, name: str, using: str | None) -> bool:
        record_pk = record_pk_of(self, instance)
        if not record_pk:
            return False
        records = self.model._base_manager.using(using)
        return records.filter(pk=self.model._meta.pk.to_python(record_pk), **{self.attname: name}).exists()

    def set_dimensions(self, instance: models.Model, width: int | None, height: int | None) -> None:
        if self.width_field:
            setattr(instance, self.width_field, width)
        if self.height_field:
            setattr(instance, self.height_field, height)

    def measure_before_save(self, instance: models.Model, temp_file: AsyncTempFile | None) -> None:
        """Fill the dimension columns before the record is written, from what is known or from the bytes."""
        file = getattr(instance, self.attname)
        if not file or not self.has_dimension_fields:
            return
        if temp_file is not None:
            self.set_dimensions(instance, temp_file.width, temp_file.height)
            return
        if not file._committed:
            self.set_dimensions(instance, *get_image_dimensions(file.file))
            return
        unmeasured = self.name in instance.__dict__.get(UNMEASURED, ())
        if unmeasured or (instance._state.adding and not self._dimensions_filled(instance)):
            self.set_dimensions(instance, *self._measure_stored(file.name))

    def _dimensions_filled(self, instance: models.Model) -> bool:
        return all(getattr(instance, name) for name in (self.width_field, self.height_field) if name)

    def _measure_stored(self, name: str) -> tuple[int, int] | tuple[None, None]:
        storage: Any = self.storage
        try:
            return measure(storage, name, storage.stat(name).size)
        except (TypeNotAllowed, FileNotFoundError):
            return None, None


class AsyncFileField(AsyncFileMixin):
    """A FileField whose files are uploaded ahead of the form. See AsyncFileMixin for its options."""


class AsyncImageField(AsyncFileMixin, models.ImageField):  # type: ignore[misc]  # both stubs narrow attr_class
    """An ImageField whose images are uploaded ahead of the form and measured from the stored bytes.

    ``suppress_pillow_check`` leaves out the system check for Pillow.
    """

    attr_class: Any = AsyncImageFieldFile
    descriptor_class: Any = AsyncFileDescriptor
    form_class = forms.AsyncImageField
    measures_images = True

    def __init__(self, *args: Any, suppress_pillow_check: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.suppress_pillow_check = suppress_pillow_check

    def _check_image_library_installed(self) -> list[checks.CheckMessage]:
        if self.suppress_pillow_check:
            return []
        found: list[checks.CheckMessage] = super()._check_image_library_installed()  # type: ignore[misc]  # missing in the stubs
        return found


def _name_of(value: Any) -> str:
    return str(getattr(value, "name", value) or "")


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
    for field in _fields_to_save(instance, update_fields):
        temp_file = field.check_before_save(instance, using)
        field.measure_before_save(instance, temp_file)
        if temp_file is not None:
            checked[field.name] = temp_file
    instance.__dict__[CHECKED] = checked


def _after_save(
    sender: type[models.Model], instance: models.Model, created: bool, raw: bool, using: str, **kwargs: Any
) -> None:
    checked: dict[str, AsyncTempFile] = instance.__dict__.pop(CHECKED, {})
    instance.__dict__.pop(UNMEASURED, None)
    if raw or not checked:
        return
    try:
        with transaction.atomic(using=router.db_for_write(AsyncTempFile), savepoint=False):
            claims = [
                claim(temp_file, sender._meta.get_field(name), instance, using)
                for name, temp_file in checked.items()
            ]
    except UploadAlreadyUsed:
        # Outside a transaction the record has been written already, and the other record was faster.
        if created and not transaction.get_connection(using).in_atomic_block:
            sender._base_manager.using(using).filter(pk=instance.pk).delete()
        raise
    promote_after_commit(claims, using)


def _connect_saves(sender: type[models.Model], **kwargs: Any) -> None:
    """Children and proxies save under their own name, so each model with an async field is connected by itself."""
    if sender.__module__ == HISTORICAL_MODELS or sender._meta.abstract or not async_fields_of(sender):
        return
    signals.pre_save.connect(_before_save, sender=sender, dispatch_uid="async_uploads")
    signals.post_save.connect(_after_save, sender=sender, dispatch_uid="async_uploads")


signals.class_prepared.connect(_connect_saves, dispatch_uid="async_uploads")
