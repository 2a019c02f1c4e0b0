"""Byte ranges of RFC 9110, section 14: one range; what we do not understand is answered with the whole file."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"^bytes=(\d{0,19})-(\d{0,19})$", re.IGNORECASE)


@dataclass(frozen=True)
class ByteRange:
    """The bytes from ``start`` up to, not including, ``end``, of ``size``."""

    start: int
    end: int
    size: int

    @property
    def length(self) -> int:
        return self.end - self.start

    @property
    def is_whole(self) -> bool:
        return self.length == self.size

    @property
    def content_range(self) -> str:
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


class RangeNotSatisfiable(Exception):
    """The range begins behind the end of the file."""


def parse_range(header: str, size: int) -> ByteRange | None:
    """The range that ``header`` asks for, None where it asks for none that we serve; raises RangeNotSatisfiable."""
    match = _ONE_RANGE.match(header.strip().replace(" ", ""))
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if first == "":
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size or start >= end:
        raise RangeNotSatisfiable
    return ByteRange(start, end, size)
