"""One upload in two rows of a page: seen in what was submitted, so that it holds in every formset, the admin's too."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.forms.formsets import DELETION_FIELD_NAME
from django.forms.widgets import CheckboxInput
from django.utils.datastructures import MultiValueDict

from async_uploads.input import AsyncFileInputData


def is_in_earlier_row(data: Any, html_name: str, key: str) -> bool:
    """Does the page that submitted ``data`` have ``key`` under another name, before ``html_name``?

    Rows that are to be deleted don't count.
    """
    if html_name not in data:
        return False  # a widget of the project's own, that has its value elsewhere
    spellings = {key, json.dumps(key)[1:-1]}
    for name in data:
        if name == html_name:
            return False
        value = data.get(name)
        # Most values are told by a look: there may be a thousand rows.
        looks_alike = isinstance(value, str) and any(spelling in value for spelling in spellings)
        if looks_alike and _is_for(key, value) and not _is_deleted(data, name):
            return True
    return False


def _is_for(key: str, value: str) -> bool:
    try:
        return AsyncFileInputData.from_json(value).key == key
    except ValidationError:
        return False


def _is_deleted(data: Any, html_name: str) -> bool:
    row, _dash, _field = html_name.rpartition("-")
    name = f"{row}-{DELETION_FIELD_NAME}"
    return bool(CheckboxInput().value_from_datadict(data, MultiValueDict(), name))
