"""The form fields: what they take, what they keep, what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.db import models
from django.db.models.fields.files import FieldFile
from django.forms.boundfield import BoundField
from django.utils.translation import gettext_lazy as _

from async_uploads.exceptions import UploadAlreadyUsed, UploadKeyError
from async_uploads.forms.element import element_attributes, record_pk_for, spoken
from async_uploads.forms.options import FileOptions
from async_uploads.forms.staging import stage
from async_uploads.forms.twice import is_in_earlier_row
from async_uploads.forms.widgets import AsyncFileInput
from async_uploads.input import AsyncFileInputData, name_of
from async_uploads.owners import current_owner
from async_uploads.registry import AsyncFieldRegistry
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.temp_files import AsyncTempFile
from async_uploads.uploads import check_submission

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class AsyncFileBoundField(BoundField):
    """Tells the widget where to upload to, and which record its form edits, for the permission to change it.

    Keeps the key of a file that came with the form itself, so that the page shown after an error names it.
    """

    field: AsyncFileField

    def __init__(self, form: Any, field: AsyncFileField, name: str) -> None:
        super().__init__(form, field, name)
        self._staged: AsyncFileInputData | None = None
        # A form's __init__ may have changed its mind since the widget was told.
        field.widget.is_required = field.required

    @property
    def data(self) -> Any:
        return self._staged or super().data

    def stage(self) -> None:
        """Where the file itself was submitted, upload it; raises ValidationError."""
        if isinstance(self.data, File):
            self._staged = self.field.stage(self.data)

    def build_widget_attrs(self, attrs: Any, widget: Any = None) -> Any:
        attrs = super().build_widget_attrs(attrs, widget)
        instance = getattr(self.form, "instance", None)
        shown_by: forms.Widget = widget or self.field.widget  # type: ignore[assignment]  # the class, in the stubs
        attrs["element"] = {**element_attributes(self.field), "label": spoken(self.label)}
        if isinstance(instance, models.Model) and not instance._state.adding:
            attrs["element"]["instance-id"] = record_pk_for(self.field.model_field, instance) or None
            if self.form.is_bound:  # the record's own file, behind what was submitted
                attrs["element"]["saved"] = shown_by.format_value(self.initial)
        return attrs


class AsyncFileField(forms.FileField):
    """A form field for a model's async file field. Cleans to AsyncFileInputData, False (cleared) or what was there.

    ``Document._meta.get_field("file").formfield()`` makes one. ``max_size`` in bytes, None for no limit.
    """

    widget = AsyncFileInput
    widget_kind: str | None = None
    default_error_messages: ClassVar[dict[str, StrOrPromise]] = {
        "invalid": _("This is not a valid value for a file.")
    }

    def __init__(
        self,
        *,
        async_field_registry: AsyncFieldRegistry,
        async_field_id: str,
        storage: AsyncUploadStorage,
        max_size: int | None = None,
        file_restrictions: tuple[str, ...] | list[str] = (),
        **options: Unpack[FileOptions],
    ) -> None:
        self.async_field_registry = async_field_registry
        self.async_field_id = async_field_id
        self.storage = storage
        self.max_size = max_size
        self.file_restrictions: list[str] = list(file_restrictions)
        super().__init__(**options)  # type: ignore[arg-type, misc]  # the stubs know less

    @property
    def model_field(self) -> Any:
        return self.async_field_registry.fields_by_id[self.async_field_id]

    def get_bound_field(self, form: Any, field_name: str) -> BoundField:
        return AsyncFileBoundField(form, self, field_name)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        attrs: dict[str, Any] = super().widget_attrs(widget)
        if self.file_restrictions:
            attrs["accept"] = ",".join(self.file_restrictions)
        return attrs

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What the form shows again after an error elsewhere: the upload, not only what was there before."""
        if data is False and not self.disabled:
            return ""
        if self.disabled or not isinstance(data, AsyncFileInputData):
            return initial
        return data if self.storage.is_temporary_path(data.key) and data.key != name_of(initial) else initial

    def has_changed(self, initial: Any, data: Any) -> bool:
        if self.disabled or data is None:
            return False
        if isinstance(data, AsyncFileInputData):
            return not self._is_left_alone(data, initial)
        return bool(name_of(initial)) if data is False else True

    def clean(self, data: Any, initial: Any = None) -> Any:
        if isinstance(data, ValidationError):
            raise data
        if data is False and not name_of(initial):
            data = None  # nothing was picked, and there was nothing to clear
        if data is False and self.required:
            raise ValidationError(self.error_messages["required"], code="required")
        if data is initial and initial:  # the field is disabled
            return initial
        if isinstance(data, AsyncFileInputData) and self._is_left_alone(data, initial):
            data = None
        return super().clean(data, initial)

    def to_python(self, data: Any) -> Any:
        if data in self.empty_values:
            return None
        if not isinstance(data, AsyncFileInputData):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        if self.max_length is not None and len(data.key) > self.max_length:
            params = {"max": self.max_length, "length": len(data.key)}
            raise ValidationError(self.error_messages["max_length"], code="max_length", params=params)
        return data

    def _clean_bound_field(self, bf: BoundField) -> Any:
        initial = bf.initial
        if self.disabled:
            return self.clean(initial, initial)
        if isinstance(bf, AsyncFileBoundField):
            bf.stage()
        cleaned = self.clean(bf.data, initial)
        if not isinstance(cleaned, AsyncFileInputData) or self._may_take(bf, cleaned):
            return cleaned
        return self.clean(None, initial)

    def _is_left_alone(self, data: AsyncFileInputData, initial: Any) -> bool:
        """Did the person leave the file of the record as it was?

        A page that is older than the record's present file names the one before it. What is no upload never sets
        anything, whatever it is.
        """
        if data.key == name_of(initial):
            return True
        edits_record = isinstance(initial, FieldFile) and not initial.instance._state.adding
        return edits_record and not self.storage.is_temporary_path(data.key)

    def stage(self, file: File[Any]) -> AsyncFileInputData:
        """Upload a file that came with the form itself; raises ValidationError."""
        if not file.size and not self.allow_empty_file:
            raise ValidationError(self.error_messages["empty"], code="empty")
        return stage(self.model_field, file)

    def _may_take(self, bf: BoundField, data: AsyncFileInputData) -> bool:
        """Is it an upload for the form's record? Raises ValidationError; False where the record has had it before."""
        instance = getattr(bf.form, "instance", None)
        if isinstance(instance, models.Model) and not self.storage.is_temporary_path(data.key):
            raise UploadKeyError(
                _("A copy does not take the file along. Please choose a file."), code="not_copied"
            )
        if is_in_earlier_row(bf.form.data, bf.html_name, data.key):
            raise UploadAlreadyUsed()
        record_pk = record_pk_for(self.model_field, instance)
        if_empty = None if self.allow_empty_file else self.error_messages["empty"]
        try:
            temp_file = check_submission(
                self.model_field, data.key, owner=current_owner(), record_pk=record_pk, if_empty=if_empty
            )
        except UploadAlreadyUsed:
            known = AsyncTempFile.with_key(data.key)
            if known is None or not record_pk or known.record_pk != record_pk:
                raise
            return False
        return not record_pk or temp_file.record_pk != record_pk


class AsyncImageField(AsyncFileField):
    """As AsyncFileField, with a preview."""

    widget_kind: str | None = "image"

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        attrs = super().widget_attrs(widget)
        attrs.setdefault("accept", "image/*")
        return attrs
