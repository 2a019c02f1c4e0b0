"""AsyncFileInputData: what a form or an API hands in for a file."""

from __future__ import annotations

import json
import reprlib
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from async_uploads.temp_files import is_storable

KNOWN_KEYS = {"key", "name", "width", "height", "url", "error"}
# The largest value that a form can rightly hold is far smaller: a key of 500 characters, a name of 255.
MAX_VALUE_LENGTH = 20_000


@dataclass(frozen=True, kw_only=True)
class AsyncFileInputData:
    """A key and what the browser knows of its file. ``width`` and ``height`` in pixels, for display only."""

    key: str
    name: str = ""
    width: int | None = None
    height: int | None = None
    error: str | None = None

    @classmethod
    def from_json(cls, text: str) -> AsyncFileInputData:
        """Parse the form's value; raises ValidationError."""
        if len(text) > MAX_VALUE_LENGTH:
            raise invalid_input()
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise invalid_input() from error
        return cls.from_user_input(value)

    @classmethod
    def from_user_input(cls, value: Any) -> AsyncFileInputData:
        """Check a decoded value of whatever shape; raises ValidationError."""
        if not isinstance(value, dict) or not set(value) <= KNOWN_KEYS:
            raise invalid_input()
        error = value.get("error")
        if error:
            raise ValidationError(
                _("The upload failed: %(error)s"), code="upload_failed", params={"error": _shown(error)}
            )
        key, name = value.get("key"), value.get("name") or ""
        if not isinstance(key, str) or not key or not is_storable(key) or not isinstance(name, str):
            raise invalid_input()
        return cls(
            key=key,
            name=_presentable(name),
            width=_pixels(value.get("width")),
            height=_pixels(value.get("height")),
        )

    def as_json(self) -> str:
        value = {"key": self.key, "name": self.name, "width": self.width, "height": self.height}
        return json.dumps({name: entry for name, entry in value.items() if entry is not None})


def name_of(value: Any) -> str:
    """The name that a value stands for, whether it is a FieldFile, a string or nothing."""
    return str(getattr(value, "name", value) or "")


def invalid_input() -> ValidationError:
    return ValidationError(
        _("This is not a valid value for a file. Please choose the file again."), code="invalid"
    )


def _shown(error: object) -> str:
    """What is no text is told only in part."""
    return _presentable(error if isinstance(error, str) else reprlib.repr(error))[:500]


def _presentable(text: str) -> str:
    """Without the lone surrogates that JSON can hold and no page can."""
    return text.encode(errors="replace").decode()


def _pixels(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise invalid_input()
    return value
