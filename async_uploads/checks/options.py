"""Of what a field takes: options that would refuse every file, or fail at the first one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.core import checks

from async_uploads.checks.fields import fields_of_project
from async_uploads.inspection import declared_type, normalised_type

_EXTENSION = re.compile(r"\.[^\s,/*]+")
_TYPE = re.compile(r"(\*/\*|[\w.+-]+/(\*|[\w.+-]+))", re.ASCII)


def check_restrictions(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    for field in fields_of_project():
        given = field.file_restrictions
        if len(given) > 1 and all(isinstance(each, str) and len(each) == 1 for each in given):
            whole = "".join(given)
            yield _wrong(field, f"file_restrictions={whole!r} is a string.", f"Make it a list: [{whole!r}].")
            continue
        for each in given:
            hint = _hint_for(each)
            if hint:
                yield _wrong(field, f"file_restrictions has {each!r}, which no file can match.", hint)


def check_max_size(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    for field in fields_of_project():
        if field.max_size is not None and not is_positive_number(field.max_size):
            yield checks.Error(
                f"max_size={field.max_size!r} is not a number above 0.",
                hint="Give it in MiB, such as max_size=20, or None for no limit.",
                obj=field,
                id="async_uploads.E007",
            )


def is_positive_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _wrong(field: Any, words: str, hint: str) -> checks.Error:
    return checks.Error(words, hint=hint, obj=field, id="async_uploads.E006")


def _hint_for(restriction: object) -> str | None:
    """What to write instead; None for what is right."""
    if isinstance(restriction, str):
        if _EXTENSION.fullmatch(restriction):
            return None
        if _TYPE.fullmatch(restriction):
            usual = normalised_type(restriction)
            return None if usual == restriction.lower() else f"Write {usual!r}, as the type is called."
        if restriction.isalnum() and declared_type(f"x.{restriction}"):
            return f"Write {f'.{restriction}'!r}, with the dot."
    return "Name extensions, such as '.pdf', and types, such as 'application/pdf' and 'image/*'."
