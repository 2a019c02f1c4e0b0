"""Types of files as people know them: ``PDF, DOCX, JPG``. The widget's ``checks.js`` has the same words."""

from __future__ import annotations

import re
from collections.abc import Iterable

_OFFICE = "application/vnd.openxmlformats-officedocument"
WELL_KNOWN = {
    "image/*": "JPG, PNG, GIF, WebP…",
    "video/*": "MP4, WebM, MOV…",
    "audio/*": "MP3, WAV, OGG…",
    "text/*": "TXT, CSV…",
    "image/jpeg": "JPG",
    "image/svg+xml": "SVG",
    "text/plain": "TXT",
    "application/msword": "DOC",
    "application/vnd.ms-excel": "XLS",
    f"{_OFFICE}.wordprocessingml.document": "DOCX",
    f"{_OFFICE}.spreadsheetml.sheet": "XLSX",
    f"{_OFFICE}.presentationml.presentation": "PPTX",
}
_BEFORE_THE_NAME = re.compile(r"^(\.|[^/]+/(x-)?)")


def describe_types(restrictions: Iterable[str]) -> str:
    """The types and extensions that a field takes, each once."""
    patterns = [restriction.strip().lower() for restriction in restrictions]
    names = [
        WELL_KNOWN.get(pattern) or _BEFORE_THE_NAME.sub("", pattern).upper()
        for pattern in patterns
        if pattern
    ]
    return ", ".join(dict.fromkeys(names))
