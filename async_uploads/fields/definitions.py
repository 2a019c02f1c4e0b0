"""AsyncFileField and AsyncImageField: their options, and what Django asks of a field."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Self, Unpack, overload

from django import forms as django_forms
from django.core import checks
from django.db import models

from async_uploads import forms
from async_uploads.fields.options import Assignable, FileOptions, ImageOptions, StorageOption, Text, UploadTo
from async_uploads.fields.replacing import KEEP, ON_COMMIT, DeleteReplaced
from async_uploads.fields.saving import HISTORICAL_MODELS
from async_uploads.fields.underway import Save
from async_uploads.fields.validation import FileRules
from async_uploads.fields.values import AsyncFieldFile, AsyncFileDescriptor, AsyncImageFieldFile, upload_key
from async_uploads.permissions import Permission, resolve_perm_name
from async_uploads.registry import AsyncFieldRegistry, default_async_field_registry
from async_uploads.storage.validation import Validator

DEFAULT_MAX_LENGTH = 500
DEFAULT_MAX_SIZE = 100
MIB = 1024 * 1024
PUBLIC_MODULE = "async_uploads.models"


class Unset:
    """The permission was not given: ``resolve_perm_name`` tells it."""


UNSET: Final = Unset()


class AsyncFileMixin(models.FileField):
    """What both fields have in common.

    ``perm_create``, ``perm_update``, ``perm_detail``: a permission name, a callable ``(user, obj) -> bool``, sync or
    async, or None for everyone. ``max_size`` in MiB, None for no limit. ``file_restrictions``: types and extensions
    (``image/*``, ``application/pdf``, ``.docx``), empty for all. ``download_params`` go to the storage's
    ``generate_download_url``. ``delete_replaced="on_commit"`` deletes the file of a record that is given another one or
    is deleted, after the commit and unless another record names it; ``"keep"`` leaves it. ``upload_validators``, sync
    or async, are given each file that has arrived, before anybody can read it, and refuse it by a ValidationError.
    """

    attr_class: Any = AsyncFieldFile
    descriptor_class: Any = AsyncFileDescriptor
    form_class: type[forms.AsyncFileField] = forms.AsyncFileField
    measures_images = False
    kept_in_clones: tuple[str, ...] = (
        "_perm_create",
        "_perm_update",
        "_perm_detail",
        "max_size",
        "file_restrictions",
        "async_field_registry",
        "download_params",
        "delete_replaced",
        "upload_validators",
    )
    width_field: str | None = None
    height_field: str | None = None

    if TYPE_CHECKING:
        # Where django-stubs' plugin looks for what ``Document(file=…)`` takes.
        _pyi_private_set_type: Assignable

        # The FileField of django-types has one that knows none of our options.
        def __new__(cls, *args: Any, **options: Any) -> Self: ...

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
        delete_replaced: DeleteReplaced = KEEP,
        upload_validators: Iterable[Validator] = (),
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("max_length", DEFAULT_MAX_LENGTH)
        super().__init__(*args, **kwargs)
        self._perm_create, self._perm_update, self._perm_detail = perm_create, perm_update, perm_detail
        self.max_size = max_size
        self.file_restrictions: tuple[str, ...] = tuple(file_restrictions)
        self.async_field_registry = async_field_registry
        self.download_params: dict[str, Any] = dict(download_params or {})
        self.delete_replaced = delete_replaced
        self.upload_validators: tuple[Validator, ...] = tuple(upload_validators)

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
    def validators(self) -> list[Any]:
        """Those of the project, and the field's own rules. Migrations have only the project's."""
        return [*super().validators, FileRules(self)]

    @property
    def has_dimension_fields(self) -> bool:
        return bool(self.width_field or self.height_field)

    def _permission(self, given: Permission | Unset, action: str) -> Permission:
        if not isinstance(given, Unset):
            return given
        return resolve_perm_name(self.model, action, is_global=action == "create")

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        found: list[checks.CheckMessage] = super().check(**kwargs)
        if self.delete_replaced not in (KEEP, ON_COMMIT):
            found.append(
                checks.Error(
                    f"delete_replaced={self.delete_replaced!r} is not known.",
                    hint=f"Use {KEEP!r} or {ON_COMMIT!r}.",
                    obj=self,
                    id="async_uploads.E003",
                )
            )
        found += [
            checks.Error(
                f"upload_validators has {validator!r}, which can't be called.",
                hint="Give it functions (file) -> None, sync or async.",
                obj=self,
                id="async_uploads.E010",
            )
            for validator in list[Any](self.upload_validators)
            if not callable(validator)
        ]
        return found

    def deconstruct(self) -> Any:
        """Only what the database knows about: other options may change without a migration."""
        name, path, args, kwargs = super().deconstruct()
        kwargs["max_length"] = self.max_length
        return (
            name,
            f"{PUBLIC_MODULE}.{type(self).__name__}" if path.startswith(__package__) else path,
            args,
            kwargs,
        )

    def clone(self) -> Self:
        """As Django's, with the options that ``deconstruct`` leaves out."""
        clone: Self = super().clone()
        for name in self.kept_in_clones:
            setattr(clone, name, getattr(self, name))
        return clone

    def contribute_to_class(  # type: ignore[override]  # FileField's own, which narrows Field's
        self, cls: type[models.Model], name: str, **kwargs: Any
    ) -> None:
        # Past ImageField, which would measure the file whenever a record is loaded.
        models.FileField.contribute_to_class(self, cls, name, **kwargs)
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
        """The file is checked as it is written, whoever assigned it, for ``bulk_create`` too."""
        if type(model_instance).__module__ == HISTORICAL_MODELS:
            return super().pre_save(model_instance, add)
        save = Save.of(model_instance)
        if not save.check_again(self, model_instance, add=add):
            return models.F(self.attname)
        value = super().pre_save(model_instance, add)
        save.note_checked(self, model_instance)
        return value

    def get_prep_value(self, value: Any) -> Any:
        """A form's cleaned value can be given to ``QuerySet.update`` and ``filter``: the column holds its key."""
        key = upload_key(value)
        return super().get_prep_value(value if key is None else key)


class AsyncFileField(AsyncFileMixin):
    """A FileField whose files are uploaded ahead of the form. See AsyncFileMixin for its options."""

    if TYPE_CHECKING:

        def __init__(
            self,
            verbose_name: Text | None = None,
            name: str | None = None,
            upload_to: UploadTo = "",
            storage: StorageOption = None,
            **options: Unpack[FileOptions],
        ) -> None: ...
        @overload
        def __get__(self, instance: None, owner: Any) -> AsyncFileDescriptor: ...
        @overload
        def __get__(self, instance: models.Model, owner: Any) -> AsyncFieldFile: ...
        @overload
        def __get__(self, instance: Any, owner: Any) -> Self: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...
        def __set__(self, instance: Any, value: Assignable) -> None: ...


class AsyncImageField(AsyncFileMixin, models.ImageField):
    """An ImageField whose images are uploaded ahead of the form and measured from the stored bytes.

    ``suppress_pillow_check`` leaves out the system check for Pillow.
    """

    attr_class: Any = AsyncImageFieldFile
    descriptor_class: Any = AsyncFileDescriptor
    form_class: type[forms.AsyncFileField] = forms.AsyncImageField
    measures_images = True
    kept_in_clones: tuple[str, ...] = (*AsyncFileMixin.kept_in_clones, "suppress_pillow_check")

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def __get__(self, instance: None, owner: Any) -> AsyncFileDescriptor: ...
        @overload
        def __get__(self, instance: models.Model, owner: Any) -> AsyncImageFieldFile: ...
        @overload
        def __get__(self, instance: Any, owner: Any) -> Self: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...
        def __set__(self, instance: Any, value: Assignable) -> None: ...

    def __init__(
        self,
        verbose_name: Text | None = None,
        name: str | None = None,
        width_field: str | None = None,
        height_field: str | None = None,
        *,
        suppress_pillow_check: bool = False,
        **options: Unpack[ImageOptions],
    ) -> None:
        super().__init__(verbose_name, name, width_field, height_field, **options)
        self.file_restrictions: tuple[str, ...] = self.file_restrictions or ("image/*",)
        self.suppress_pillow_check = suppress_pillow_check

    def _check_image_library_installed(self) -> list[checks.CheckMessage]:
        if self.suppress_pillow_check:
            return []
        found: list[checks.CheckMessage] = super()._check_image_library_installed()  # type: ignore[misc]  # missing in the stubs
        return found
