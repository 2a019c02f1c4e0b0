"""Parameters of a request, from JSON, a form or the query string, in camelCase and snake_case."""

from __future__ import annotations

import json
import re
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext as _

from async_uploads.exceptions import FileTooLarge, InvalidParameters

MAX_SIZE = 2**63 - 1
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")


class Parameters:
    """Values by their snake_case name; collects what is wrong with them."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values: dict[str, Any] = {
            _CAPITAL.sub(r"_\1", name).lower(): value for name, value in values.items()
        }
        self.errors: dict[str, list[str]] = {}

    @classmethod
    def of_query(cls, request: HttpRequest) -> Parameters:
        return cls(request.GET.dict())

    @classmethod
    def of_body(cls, request: HttpRequest) -> Parameters:
        """JSON or a form, as the content type tells; raises InvalidParameters, FileTooLarge."""
        try:
            if request.content_type != "application/json":
                return cls(request.POST.dict())
            values = json.loads(request.body)
        except RequestDataTooBig as error:
            raise FileTooLarge(_("The request is too large.")) from error
        except (
            ValueError,
            RecursionError,
            UnreadablePostError,
            MultiPartParserError,
            SuspiciousOperation,
        ) as error:
            raise InvalidParameters({"detail": [_("The request could not be read.")]}) from error
        if not isinstance(values, dict):
            raise InvalidParameters({"detail": [_("A JSON object is expected.")]})
        return cls(values)

    def text(self, name: str, *, required: bool = False, aliases: tuple[str, ...] = ()) -> str:
        """A string (or a number, as text); empty where it is missing. Errors are kept for ``check``."""
        value = next((self.values[one] for one in (name, *aliases) if one in self.values), None)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is None or value == "":
            if required:
                self._complain(name, _("This field is required."))
            return ""
        if not isinstance(value, str) or "\0" in value:
            self._complain(name, _("Enter a valid value."))
            return ""
        return value

    def size(self, name: str) -> int | None:
        """A number of bytes, None where it is missing."""
        text = self.text(name)
        if not text:
            return None
        # The length is looked at first: int() of a million digits takes its time.
        if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MAX_SIZE):
            self._complain(name, _("Enter a whole number of bytes."))
            return None
        return int(text)

    def check(self) -> None:
        """Raises InvalidParameters where anything was wrong."""
        if self.errors:
            raise InvalidParameters(self.errors)

    def _complain(self, name: str, message: str) -> None:
        first, *rest = name.split("_")
        self.errors.setdefault(first + "".join(word.title() for word in rest), []).append(message)
