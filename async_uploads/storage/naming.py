"""Names in a storage: temporary keys that nobody can guess, final names that fit."""

from __future__ import annotations

import posixpath
import re
from secrets import token_urlsafe
from typing import Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import Storage
from django.utils import timezone
from django.utils.text import get_valid_filename

from async_uploads.inspection import shorten

TEMPORARY_PREFIX = "async-temp-files"
TOKEN_BYTES = 16
MAX_COMPONENT_BYTES = 200
"""File systems allow 255 bytes for a name; what is left is for a token and for ``.part``."""


_TOKEN = re.compile(rf"[\w-]{{{len(token_urlsafe(TOKEN_BYTES))}}}-", re.ASCII)


class FileNaming(Storage):
    """How a storage names files. None of it asks the storage."""

    temporary_key_prefix: str = TEMPORARY_PREFIX

    def generate_temporary_path(self, filename: str, max_length: int | None = None) -> str:
        """A new key, ``async-temp-files/YYYY/MM/DD/<token>-<name>``, with a token of 128 random bits.

        Raises SuspiciousFileOperation where ``max_length`` characters are too few.
        """
        prefix = f"{self.temporary_key_prefix}/{timezone.now():%Y/%m/%d}/{token_urlsafe(TOKEN_BYTES)}-"
        name = self.get_valid_name(filename)
        if max_length is not None:
            room = max_length - len(prefix)
            if room < 1:
                raise SuspiciousFileOperation(f"max_length={max_length} is too small for a temporary key.")
            name = shorten(name, room)
        return prefix + name

    def is_temporary_path(self, name: str) -> bool:
        """Does ``name`` lie where only unfinished uploads lie?"""
        return name.startswith(f"{self.temporary_key_prefix}/")

    def get_valid_name(self, name: str) -> str:
        """As Django's, and never without a stem or longer than a file system takes."""
        root, extension = posixpath.splitext(name)
        try:
            valid = get_valid_filename(name)
        except SuspiciousFileOperation:
            valid = "file"
        if not get_valid_filename(f"x{root}")[1:].strip("._-"):
            valid = f"file{get_valid_filename(f'x{extension}')[1:]}"
        return shorten(valid, MAX_COMPONENT_BYTES, in_bytes=True)

    def fit_name(self, name: str, max_length: int | None) -> str:
        """``name`` shortened before its extension to ``max_length`` characters; raises SuspiciousFileOperation."""
        if max_length is None or len(name) <= max_length:
            return name
        directory, base = posixpath.split(name)
        room = max_length - len(directory) - 1
        if room < 8:
            raise SuspiciousFileOperation(f"max_length={max_length} is too small for a name in {directory}.")
        return posixpath.join(directory, shorten(base, room))

    def alternative_name(self, name: str, max_length: int | None) -> str:
        """Another name for a file whose name is taken, not guessable by chance."""
        directory, base = posixpath.split(name)
        root, extension = posixpath.splitext(base)
        suffix = f"_{token_urlsafe(6).replace('-', '_')}{extension}"
        room = MAX_COMPONENT_BYTES if max_length is None else max(max_length - len(directory) - 1, 0)
        return posixpath.join(directory, root[: max(room - len(suffix), 0)] + suffix)


def shown_name(name: str, storage: Any = None) -> str:
    """What people know the file as: without folders, and without the token of a temporary path.

    ``storage``, where it is at hand, knows its temporary paths best.
    """
    base = posixpath.basename(name)
    own = isinstance(storage, FileNaming)
    temporary = storage.is_temporary_path(name) if own else name.startswith(f"{TEMPORARY_PREFIX}/")
    token = _TOKEN.match(base) if temporary else None
    return base[token.end() :] if token else base
