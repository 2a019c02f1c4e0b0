"""The upload widget in the forms of the browsable API: what ``async_uploads/drf/file_field.html`` is told."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.middleware.csrf import get_token
from django.urls import NoReverseMatch

from async_uploads.forms.element import element_attributes, record_pk_for


def widget_of(field: Any, record: models.Model | None) -> dict[str, Any] | None:
    """``element``: the attributes of ``<async-file-input>`` for a serializer's field, as in a form for ``record``.

    None where the registry's URLs are not mounted: a browser has nowhere to upload to.
    """
    form_field = field.model_field.formfield(
        required=not field.allow_null, allow_empty_file=field.allow_empty_file
    )
    try:
        element = element_attributes(form_field)
    except NoReverseMatch:
        return None
    if record is not None and not record._state.adding:
        element["instance-id"] = record_pk_for(field.model_field, record) or None
    request = field.context.get("request")
    return {
        "element": element,
        "accept": form_field.widget.attrs.get("accept"),
        # Its forms for PUT have none: they are sent by a script, which has the token elsewhere.
        "csrf_token": get_token(request) if request is not None else None,
    }
