"""Form fields and the widget: the form carries a key, the bytes have gone ahead."""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING, Any, ClassVar

from asgiref.sync import async_to_sync
from channels import DEFAULT_CHANNEL_LAYER
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.forms.boundfield import BoundField
from django.forms.widgets import Script
from django.urls import get_script_prefix, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from async_uploads.exceptions import UploadError, UploadKeyError
from async_uploads.input import AsyncFileInputData, invalid_input, name_of
from async_uploads.owners import current_owner
from async_uploads.registry import AsyncFieldRegistry
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.uploads import acomplete, check_key

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET_PATH = "ws/async-uploads/"


class AsyncFileInput(forms.Widget):
    """Renders ``<async-file-input>``, whose hidden input holds ``{"key", "name", "width"?, "height"?}`` as JSON.

    The usual ``attrs`` belong to the file input in it; ``attrs["element"]`` are the custom element's own.
    """

    template_name = "async_uploads/async_file_input.html"
    use_fieldset = False

    class Media:
        css: ClassVar = {"all": ["async_uploads/async-file-input.css"]}
        js: ClassVar = [Script("async_uploads/async-file-input.js", type="module")]

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        attrs = {**(attrs or {})}
        element = attrs.pop("element", {})
        context = super().get_context(name, value, attrs)
        context["widget"]["element"] = element
        return context

    def format_value(self, value: Any) -> str | None:
        """The JSON that the browser begins with; what was submitted comes back as it was."""
        if not value:
            return None
        if isinstance(value, AsyncFileInputData):
            return value.as_json()
        name = getattr(value, "name", None)
        if not name:
            return None
        return json.dumps({"key": name, "name": posixpath.basename(name), "url": _url_of(value)})

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        """None: nothing submitted; False: cleared; else AsyncFileInputData, or a ValidationError to be raised."""
        text = data.get(name)
        if text is None:
            return None
        if not isinstance(text, str):
            return invalid_input()
        if text.strip() in ("", "null"):
            return False
        try:
            return AsyncFileInputData.from_json(text)
        except ValidationError as error:
            return error

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return name not in data

    def use_required_attribute(self, initial: Any) -> bool:
        return super().use_required_attribute(initial) and not initial


class AsyncFileBoundField(BoundField):
    """Tells the widget where to upload to, and which record its form edits, for the permission to change it."""

    field: AsyncFileField

    def build_widget_attrs(self, attrs: Any, widget: Any = None) -> Any:
        attrs = super().build_widget_attrs(attrs, widget)
        instance = getattr(self.form, "instance", None)
        shown_by: forms.Widget = widget or self.field.widget  # type: ignore[assignment]  # the class, in the stubs
        attrs["element"] = element_attributes(self.field)
        if isinstance(instance, models.Model) and not instance._state.adding:
            attrs["element"]["instance-id"] = str(instance.pk)
            if self.form.is_bound:  # the record's own file, behind what was submitted
                attrs["element"]["saved"] = shown_by.format_value(self.initial)
        return attrs


class AsyncFileField(forms.FileField):
    """A form field for a model's async file field. Cleans to AsyncFileInputData, False (cleared) or what was there.

    ``max_size`` in bytes, None for no limit.
    """

    widget = AsyncFileInput
    widget_kind: str | None = None
    default_error_messages: ClassVar = {"invalid": _("This is not a valid value for a file.")}

    def __init__(
        self,
        *,
        async_field_registry: AsyncFieldRegistry,
        async_field_id: str,
        storage: AsyncUploadStorage,
        max_size: int | None = None,
        file_restrictions: tuple[str, ...] | list[str] = (),
        **kwargs: Any,
    ) -> None:
        self.async_field_registry = async_field_registry
        self.async_field_id = async_field_id
        self.storage = storage
        self.max_size = max_size
        self.file_restrictions = list(file_restrictions)
        super().__init__(**kwargs)

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
        if self.disabled or data is None or isinstance(data, ValidationError):
            return initial
        if data is False:
            return ""
        return initial if data.key == name_of(initial) else data

    def has_changed(self, initial: Any, data: Any) -> bool:
        if self.disabled or data is None:
            return False
        if isinstance(data, AsyncFileInputData):
            return data.key != name_of(initial)
        return bool(name_of(initial)) if data is False else True

    def clean(self, data: Any, initial: Any = None) -> Any:
        if isinstance(data, ValidationError):
            raise data
        if data is False and self.required:
            raise ValidationError(self.error_messages["required"], code="required")
        if data is initial and initial:  # the field is disabled
            return initial
        if isinstance(data, AsyncFileInputData) and data.key == name_of(initial):
            return initial
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
        cleaned = self.clean(bf.data, initial)
        if isinstance(cleaned, AsyncFileInputData):
            self._check_upload(cleaned, getattr(bf.form, "instance", None))
        return cleaned

    def _check_upload(self, data: AsyncFileInputData, instance: Any) -> None:
        """Hold the key against its row; an upload that was never completed is completed now."""
        field = self.model_field
        if not self.storage.is_temporary_path(data.key):
            raise UploadKeyError(
                _("There is no such upload. Please choose the file again."), code="not_found"
            )
        pk = getattr(instance, "pk", None)
        temp_file = check_key(field, data.key, owner=current_owner(), record_pk="" if pk is None else str(pk))
        if temp_file.state == State.PENDING:
            _complete(temp_file)
        if not temp_file.size and not self.allow_empty_file and not temp_file.record_pk:
            raise ValidationError(self.error_messages["empty"], code="empty")


class AsyncImageField(AsyncFileField):
    """As AsyncFileField, with a preview."""

    widget_kind = "image"

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        attrs = super().widget_attrs(widget)
        attrs.setdefault("accept", "image/*")
        return attrs


def element_attributes(field: AsyncFileField) -> dict[str, Any]:
    """The attributes of ``<async-file-input>`` for a form field."""
    namespace = field.async_field_registry.name
    live = DEFAULT_CHANNEL_LAYER in getattr(settings, "CHANNEL_LAYERS", {})
    return {
        "field-id": field.async_field_id,
        "generate-url": reverse("async_uploads:generate-upload-url", current_app=namespace),
        "status-url": reverse("async_uploads:upload-status", current_app=namespace),
        "socket-url": f"{get_script_prefix()}{SOCKET_PATH}" if live else None,
        "max-size": field.max_size,
        "kind": field.widget_kind,
        "allow-empty": field.allow_empty_file,
        "clearable": not field.required,
        "csrf-header": settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-"),
        "messages": json.dumps(widget_messages()),
    }


def _complete(temp_file: AsyncTempFile) -> None:
    try:
        async_to_sync(acomplete)(temp_file)
    except UploadError as error:
        raise ValidationError(error.detail, code=error.code) from error


def _url_of(value: Any) -> str | None:
    """Where a stored file can be read; None for one whose record is not saved."""
    try:
        return getattr(value, "url", None)
    except ValueError:
        return None


def widget_messages() -> dict[str, str]:
    """The widget's words in the language of the request, by the keys that the JavaScript knows.

    Names in braces are filled in there.
    """
    return {
        "browse": gettext("Choose a file"),
        "drop": gettext("or drop it here"),
        "dropHere": gettext("Drop the file here"),
        "paste": gettext("You can paste an image, too"),
        "hint": gettext("Up to {limit}"),
        "waiting": gettext("Waiting to upload…"),
        "uploading": gettext("Uploading {name}"),
        "progress": gettext("{percent} % ({received} of {total})"),
        "checking": gettext("Checking the file…"),
        "uploaded": gettext("Uploaded"),
        "saved": gettext("Saved"),
        "failed": gettext("The upload failed."),
        "cancelled": gettext("The upload was cancelled."),
        "cancel": gettext("Cancel"),
        "retry": gettext("Retry"),
        "replace": gettext("Replace"),
        "remove": gettext("Remove"),
        "removed": gettext("The file was removed."),
        "tooLarge": gettext("This file has {size}. The largest allowed is {limit}."),
        "empty": gettext("This file is empty."),
        "wrongType": gettext("This type of file is not allowed here. Allowed: {types}."),
        "network": gettext("The connection was lost before the file arrived."),
        "expired": gettext("This upload is no longer available. Please choose the file again."),
        "submitting": gettext("The form is sent as soon as the upload is done…"),
        "submitBlocked": gettext("The form was not sent, because this file is not uploaded."),
        "leave": gettext("A file is still being uploaded. If you leave now, it is lost."),
        "preview": gettext("Preview of {name}"),
        "newWindow": gettext("opens in a new window"),
    }
