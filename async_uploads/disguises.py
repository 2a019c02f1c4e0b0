"""Files that are two things at once: a picture that is a page too, a document that is an archive or a program.

Magic bytes tell what the beginning of a file is. What else it may pass for is looked for in its beginning and its end,
where browsers, PHP, PDF readers and ZIP programs look for it; what lies between is not read.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from async_uploads.exceptions import TypeNotAllowed

TAIL_SIZE = 65_535 + 22
"""Bytes from the end of a file: as far as a ZIP program looks back for the end of an archive (APPNOTE, 4.3.16)."""

MAX_DIRECTORY_SIZE = 4 * 1024 * 1024
"""Bytes that the directory of an office document may have: some forty thousand names, of which it has hundreds."""

ReadRange = Callable[[int, int], bytes]
"""The bytes of the file from the first offset up to the second."""

_MEDIA = ("image/", "audio/", "video/")  # not fonts: OpenType has SVG inside
_MARKUP_TYPES = {"image/svg+xml"}

# Whole tags and attributes that run something, not "<x:xmpmeta" and its kin, which cameras and editors write.
_ACTIVE = re.compile(
    rb"(?i)<(?:script|html|iframe|svg|object|embed)[\s>/]|<!doctype\s+html|<\?php\s"
    rb"|<[a-z][^<>]{0,200}?[\s/\"']on(?:error|load|click|focus|toggle|begin|mouseover|pointerenter)\s*="
)
_PHP = re.compile(rb"(?i)<\?php\s")
_PDF = re.compile(rb"%PDF-\d\.\d")
_PDF_READ_FROM = 1024
"""PDF readers take a header anywhere in the first 1024 bytes (ISO 32000-1, Annex H, note 13)."""

_END_OF_ARCHIVE = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_OFFICE = "application/vnd.openxmlformats-officedocument"
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_EPUB = "application/epub+zip"
_MAIN_FOLDERS = {
    f"{_OFFICE}.wordprocessingml.document": "word/",
    f"{_OFFICE}.spreadsheetml.sheet": "xl/",
    f"{_OFFICE}.presentationml.presentation": "ppt/",
}


@dataclass(frozen=True, kw_only=True)
class Archive:
    """Where the directory of a ZIP archive lies, as its end tells; ``offset`` counted from the archive's beginning."""

    entries: int
    size: int
    offset: int


def check_disguise(content_type: str, head: bytes, tail: bytes, size: int, read_range: ReadRange) -> None:
    """Refuse a file of ``content_type`` that is something else, too: raises TypeNotAllowed.

    ``head`` and ``tail`` are its first and last bytes, ``size`` all that it has. Of office documents the directory is
    read by ``read_range``.
    """
    if content_type.startswith(_MEDIA) and content_type not in _MARKUP_TYPES:
        disguised = _is_more_than_media(head, tail, size)
    elif content_type == "application/pdf":
        disguised = _is_more_than_pdf(head, tail, size)
    elif content_type in _MAIN_FOLDERS:
        disguised = not _is_office_document(_MAIN_FOLDERS[content_type], _names(tail, size, read_range))
    elif content_type.startswith(_OPEN_DOCUMENT) or content_type == _EPUB:
        disguised = not _is_open_document(content_type, head, _names(tail, size, read_range))
    else:
        disguised = False
    if disguised:
        raise TypeNotAllowed(_("The file is not only what its name says."))


def _is_more_than_media(head: bytes, tail: bytes, size: int) -> bool:
    return bool(
        _ACTIVE.search(head)
        or _ACTIVE.search(tail)
        or _PDF.search(head[:_PDF_READ_FROM])
        or _PDF.search(tail)
        or _archive_in(tail, size)
    )


def _is_more_than_pdf(head: bytes, tail: bytes, size: int) -> bool:
    """Forms in a PDF are XML, with scripts of their own kind: only what comes before and after the PDF is looked at."""
    before = head.partition(b" obj")[0]
    after = tail.rpartition(b"%%EOF")[2]
    return bool(
        _ACTIVE.search(before) or _PHP.search(head) or _ACTIVE.search(after) or _archive_in(after, size)
    )


def _is_office_document(main_folder: str, names: list[str]) -> bool:
    return (
        "[Content_Types].xml" in names
        and any(name.startswith(main_folder) for name in names)
        and not any(_is_program(name) for name in names)
    )


def _is_open_document(content_type: str, head: bytes, names: list[str]) -> bool:
    """The type stands in its first entry, not compressed (OpenDocument 1.3, part 2, 3.3; EPUB OCF 3.3, 4.3)."""
    told = head[30:].startswith(b"mimetype" + content_type.encode())
    manifest = "META-INF/container.xml" if content_type == _EPUB else "META-INF/manifest.xml"
    return told and manifest in names and not any(_is_program(name) for name in names)


def _is_program(name: str) -> bool:
    """Macros, which a document with this extension may not have, or what Java runs."""
    last = name.lower().rpartition("/")[2]
    return last == "vbaproject.bin" or last.endswith(".class")


def _archive_in(tail: bytes, size: int) -> Archive | None:
    """The last ZIP archive whose end lies in ``tail``; what only looks like an end by chance is none."""
    place = len(tail)
    while (place := tail.rfind(b"PK\x05\x06", 0, place)) >= 0:
        if len(tail) - place < _END_OF_ARCHIVE.size:
            continue
        _signature, disk, first_disk, here, entries, length, offset, _comment = _END_OF_ARCHIVE.unpack_from(
            tail, place
        )
        end = size - len(tail) + place
        if (
            disk == first_disk == 0
            and 0 < here == entries
            and length >= entries * 46
            and length + offset <= end
        ):
            return Archive(entries=entries, size=length, offset=offset)
    return None


def _names(tail: bytes, size: int, read_range: ReadRange) -> list[str]:
    """The names in the archive's directory; none where there is no directory that can be read."""
    archive = _archive_in(tail, size)
    if archive is None or archive.size > MAX_DIRECTORY_SIZE:
        return []
    directory = read_range(archive.offset, archive.offset + archive.size)
    names = list(_names_in(directory))
    return names if len(names) == archive.entries else []


def _names_in(directory: bytes) -> Iterator[str]:
    place = 0
    while place + _ENTRY.size <= len(directory):
        entry = _ENTRY.unpack_from(directory, place)
        if entry[0] != b"PK\x01\x02":
            return
        name, extra, comment = entry[10:13]
        start = place + _ENTRY.size
        yield directory[start : start + name].decode("utf-8", "replace")
        place = start + name + extra + comment
