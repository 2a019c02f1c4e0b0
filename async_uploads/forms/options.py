"""The options of Django's form fields, as type checkers know them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict

from django import forms
from django.forms.boundfield import BoundField
from django.utils.functional import Promise


class FileOptions(TypedDict, total=False):
    """Those of ``forms.FileField``."""

    allow_empty_file: bool
    bound_field_class: type[BoundField] | None
    disabled: bool
    error_messages: Mapping[str, str | Promise] | None
    help_text: str | Promise
    initial: Any
    label: str | Promise | None
    label_suffix: str | None
    localize: bool
    max_length: int | None
    required: bool
    show_hidden_initial: bool
    template_name: str | None
    validators: Iterable[Callable[[Any], None]]
    widget: forms.Widget | type[forms.Widget] | None
