"""AsyncFileInput: a hidden input for the key, and a plain file input for browsers in which no script runs (yet)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.forms.widgets import FILE_INPUT_CONTRADICTION, CheckboxInput, ClearableFileInput, Script
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from async_uploads.input import AsyncFileInputData, invalid_input
from async_uploads.storage.naming import shown_name

PLAIN_SUFFIX = "-plain"
INVALID_CLASS = "is-invalid"


class AsyncFileInput(forms.Widget):
    """Renders ``<async-file-input>``, whose hidden input holds ``{"key", "name", "width"?, "height"?}`` as JSON.

    Beside it is what a person without JavaScript uses, as in Django's ClearableFileInput: a file input, named
    ``<name>-plain``, and a checkbox ``<name>-clear``. The usual ``attrs`` belong to the file input;
    ``attrs["element"]`` are the custom element's own.
    """

    template_name: str = "async_uploads/async_file_input.html"
    use_fieldset = False
    needs_multipart_form = True
    # Django's own words, and so in each of its languages.
    initial_text: str | Promise = ClearableFileInput.initial_text
    input_text: str | Promise = ClearableFileInput.input_text
    clear_checkbox_label: str | Promise = ClearableFileInput.clear_checkbox_label

    class Media:
        css: ClassVar[dict[str, list[str]]] = {"all": ["async_uploads/async-file-input.css"]}
        js: ClassVar[list[str | Script]] = [Script("async_uploads/async-file-input.js", type="module")]

    def plain_name(self, name: str) -> str:
        return f"{name}{PLAIN_SUFFIX}"

    def clear_checkbox_name(self, name: str) -> str:
        return f"{name}-clear"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        attrs = {**(attrs or {})}
        element = {**attrs.pop("element", {})}
        context = super().get_context(name, value, attrs)
        widget = context["widget"]
        current = described(value)
        if current and widget["attrs"].pop("required", False):
            element["data-required"] = True  # the script asks again where the file is taken away
        if INVALID_CLASS in str(widget["attrs"].get("class", "")).split():
            element["class"] = INVALID_CLASS  # Bootstrap shows the error that follows such an element
        widget.update(
            element=element,
            current=current,
            plain_name=self.plain_name(name),
            clear_name=self.clear_checkbox_name(name),
            initial_text=self.initial_text,
            input_text=self.input_text,
            clear_checkbox_label=self.clear_checkbox_label,
        )
        return context

    def format_value(self, value: Any) -> str | None:
        """The JSON that the browser begins with; what was submitted comes back as it was."""
        if isinstance(value, AsyncFileInputData):
            return value.as_json()
        current = described(value)
        return json.dumps(current) if current else None

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        """None: nothing submitted; False: cleared; a File that came with the form; else AsyncFileInputData.

        What is wrong is handed on as Django's mark for a contradiction, or as a ValidationError to be raised.
        """
        plain = self._plain_file(files, name)
        clears = CheckboxInput().value_from_datadict(data, files, self.clear_checkbox_name(name))
        if clears and not self.is_required:
            return FILE_INPUT_CONTRADICTION if plain else False
        if plain:
            return plain
        if data.get(self.plain_name(name)):
            return _without_bytes()
        return _submitted_value(data.get(name))

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        plain, clear = self.plain_name(name), self.clear_checkbox_name(name)
        return not ({name, plain, clear} & set(data) or {name, plain} & set(files or ()))

    def use_required_attribute(self, initial: Any) -> bool:
        return super().use_required_attribute(initial) and not initial

    def _plain_file(self, files: Any, name: str) -> File[Any] | None:
        """The file that came with the form, also under the name of a FileField, as scripts and tests post it."""
        for each in (self.plain_name(name), name):
            found = files.get(each) if files else None
            if found:
                return found  # type: ignore[no-any-return]  # the mapping is the request's FILES
        return None


def described(value: Any) -> dict[str, str | None] | None:
    """What stands for a file on the page: ``{"key", "name", "url"}``, None for no file."""
    if isinstance(value, AsyncFileInputData):
        return {"key": value.key, "name": value.name or shown_name(value.key), "url": None}
    name = getattr(value, "name", None)
    if not value or not name:
        return None
    return {"key": name, "name": shown_name(name, getattr(value, "storage", None)), "url": _url_of(value)}


def _submitted_value(text: Any) -> Any:
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


def _without_bytes() -> ValidationError:
    """A form that is not sent as multipart/form-data has only the names of its files."""
    return ValidationError(
        _(
            "The name of the file arrived, but not the file. Please tell whoever runs this site that the form needs "
            'enctype="multipart/form-data".'
        ),
        code="not_multipart",
    )


def _url_of(value: Any) -> str | None:
    """Where a stored file can be read; None for one whose record is not saved."""
    try:
        return getattr(value, "url", None)
    except ValueError:
        return None
