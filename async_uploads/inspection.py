"""What the bytes are: names made safe, types told by magic bytes, image dimensions measured."""

from __future__ import annotations

import codecs
import logging
import mimetypes
import os
import re
import unicodedata
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from typing import BinaryIO

import puremagic
import puremagic.main
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from PIL import Image, UnidentifiedImageError

from async_uploads.conf import upload_settings
from async_uploads.exceptions import FileTooLarge, InvalidParameters, TypeNotAllowed
from async_uploads.type_names import describe_types

logger: logging.Logger = logging.getLogger("async_uploads")

HEAD_SIZE = 8192
"""Bytes from the beginning of a file that its type is told by."""

MAX_NAME_LENGTH = 255
NEVER_INLINE = frozenset(
    {
        "image/svg+xml",
        "text/html",
        "application/xhtml+xml",
        "application/xml",
        "text/xml",
        "text/javascript",
        "application/javascript",
    }
)
"""Types whose scripts would run in the site's own name, whatever INLINE_TYPES says."""
UNKNOWN_TYPE = "application/octet-stream"

# Joiners belong to emoji and to Persian and Indic spelling; the other format characters (right-to-left
# marks and overrides among them) can only make a name look like something that it is not.
_JOINERS = {"\u200c", "\u200d"}
# Atomic and possessive: many comments in a row must not be matched in every possible way.
_MARKUP = re.compile(
    rb"(?i)^(?:(?><!--.*?-->)|\s)*+<(?:!doctype\s+html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|meta|form|img|link|object|embed)[\s>/]",
    re.DOTALL,
)
_SVG = re.compile(rb"(?i)<(?:[a-z]+:)?svg[\s>/]")
_MARKUP_TYPES = {"text/html", "image/svg+xml", "application/xml", "text/xml", "application/xhtml+xml"}
_MEDIA = ("image/", "audio/", "video/", "font/")
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-ms-bmp": "image/bmp",
    "image/x-icon": "image/vnd.microsoft.icon",
    "audio/x-wav": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "text/xml": "application/xml",
    "application/x-zip-compressed": "application/zip",
    "application/x-gzip": "application/gzip",
}

# Python's own table, not the machine's, which a slim container does not have.
_types = mimetypes.MimeTypes()
_OFFICE = "application/vnd.openxmlformats-officedocument"
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument"
for _extension, _type in {
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".odt": f"{_OPEN_DOCUMENT}.text",
    ".ods": f"{_OPEN_DOCUMENT}.spreadsheet",
    ".odp": f"{_OPEN_DOCUMENT}.presentation",
    ".epub": "application/epub+zip",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".md": "text/markdown",
    ".rtf": "application/rtf",
    ".7z": "application/x-7z-compressed",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".mkv": "video/x-matroska",
    ".weba": "audio/webm",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".php": "application/x-httpd-php",
}.items():
    _types.add_type(_type, _extension)
_COMPRESSED = {
    ".gz": "application/gzip",
    ".tgz": "application/gzip",
    ".bz2": "application/x-bzip2",
    ".xz": "application/x-xz",
    ".br": "application/x-brotli",
    ".z": "application/x-compress",
    ".svgz": "application/gzip",
}


def clean_name(name: object) -> str:
    """The file's own name as a person should see it: no directories, controls or direction marks, at most 255 long.

    Raises InvalidParameters where nothing is left.
    """
    if not isinstance(name, str):
        raise InvalidParameters({"filename": [_("Enter a valid file name.")]})
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(
        c for c in base if c in _JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
    )
    kept = kept.strip()
    if kept.strip(".") == "":
        raise InvalidParameters({"filename": [_("Enter a valid file name.")]})
    return shorten(kept, MAX_NAME_LENGTH)


def shorten(name: str, limit: int, *, in_bytes: bool = False) -> str:
    """``name`` cut to ``limit`` characters (or UTF-8 bytes) before its extension."""
    root, extension = os.path.splitext(name)
    if not in_bytes:
        return name if len(name) <= limit else root[: max(limit - len(extension), 0)] + extension[:limit]
    if len(name.encode()) <= limit:
        return name
    extension = extension.encode()[: limit // 2].decode(errors="ignore")
    return root.encode()[: limit - len(extension.encode())].decode(errors="ignore") + extension


def check_name(name: str, restrictions: Iterable[str]) -> None:
    """Refuse early a name that no content could make right: raises TypeNotAllowed."""
    restrictions = list(restrictions)
    declared = declared_type(name)
    if not restrictions or any(_name_may_match(name, declared, pattern) for pattern in restrictions):
        return
    raise TypeNotAllowed(_not_allowed(restrictions))


def check_type(name: str, content_type: str, restrictions: Iterable[str]) -> None:
    """Refuse a file whose bytes are of ``content_type``, as ``detect_type`` told it: raises TypeNotAllowed."""
    restrictions = list(restrictions)
    declared = declared_type(name)
    for pattern in restrictions:
        if not pattern.startswith("."):
            if fnmatchcase(content_type, pattern.lower()):
                return
        elif name.lower().endswith(pattern.lower()) and _agrees(content_type, declared):
            return
    if restrictions:
        raise TypeNotAllowed(_not_allowed(restrictions))


def check_size(size: int, max_size: int | None) -> None:
    """``max_size`` in bytes; raises FileTooLarge."""
    if max_size is not None and size > max_size:
        raise FileTooLarge(_("The file is larger than %(limit)s MiB.") % {"limit": f"{max_size / 1024**2:g}"})


def detect_type(head: bytes, name: str) -> str:
    """The MIME type of a file that begins with ``head``. The name only chooses among what the bytes allow."""
    declared = declared_type(name)
    markup = _markup_type(head)
    if markup is not None:
        return declared if declared == "application/xml" == markup else markup
    found = _types_by_magic(head)
    if declared in found:
        return str(declared)
    if _is_text(head):
        return declared if declared is not None and _may_be_text(declared) else "text/plain"
    if found:
        return found[0]
    if (
        declared is None
        or declared in _types_with_magic()
        or declared.startswith(_MEDIA)
        or _may_be_markup(declared)
    ):
        return UNKNOWN_TYPE
    return declared


def declared_type(name: str) -> str | None:
    """What the name's extension says it is. The same on every machine, and a compressed file is just that."""
    # Not the whole name: mimetypes takes it for a URL, and finds the extension before a "#".
    extension = os.path.splitext(name)[1].lower()
    if extension in _COMPRESSED:
        return _COMPRESSED[extension]
    guessed = _types.types_map[1].get(extension) or _types.types_map[0].get(extension)
    return None if guessed is None else normalised_type(guessed)


def served_type(name: str) -> str:
    """The Content-Type that a file of this name is served with."""
    return declared_type(name) or UNKNOWN_TYPE


def may_be_inline(name: str) -> bool:
    """May a browser show a file of this name, in place of saving it?"""
    return is_inline_type(served_type(name))


def is_inline_type(content_type: str | None) -> bool:
    """May a browser show what has this Content-Type? Its parameters, such as a charset, do not matter."""
    plain = (content_type or "").partition(";")[0].strip().lower()
    return plain in upload_settings.INLINE_TYPES and plain not in NEVER_INLINE


def disposition(filename: str, *, inline: bool) -> str:
    """The Content-Disposition header's value for a file offered under this name; RFC 6266."""
    # Without the newline that a name may end in: Django would take it for one that can be quoted as it is.
    return content_disposition_header(not inline, filename.rstrip("\r\n")) or "inline"


def pixel_limit() -> int | None:
    """Width times height: ``MAX_IMAGE_PIXELS``, the setting, or where that is None, Pillow's own; None for any number.

    Pillow reads nothing above twice its own limit, whatever the setting says.
    """
    own, setting = Image.MAX_IMAGE_PIXELS, upload_settings.MAX_IMAGE_PIXELS
    if setting is None or own is None:
        return own if setting is None else setting
    return min(setting, 2 * own)


def measure_image(file: BinaryIO) -> tuple[int, int]:
    """Width and height in pixels as stored. Blocking: call it in a thread.

    Raises TypeNotAllowed for what Pillow can't read, and for more pixels than ``pixel_limit`` tells.
    """
    limit = pixel_limit()
    try:
        with Image.open(file) as image:
            width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        logger.info("An image was refused: %s", error)
        raise TypeNotAllowed(_too_many_pixels(limit)) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise TypeNotAllowed(_("The file is not an image that can be read.")) from error
    # Pillow only warns up to twice its limit, and to turn a warning into an error is not safe in threads.
    if limit is not None and width * height > limit:
        logger.info("An image was refused: %d x %d pixels, and at most %d.", width, height, limit)
        raise TypeNotAllowed(_too_many_pixels(limit))
    return width, height


def _too_many_pixels(limit: int | None) -> str:
    return _("The image has too many pixels: at most %(limit)s are allowed.") % {"limit": limit}


def _agrees(content_type: str, declared: str | None) -> bool:
    """Of an extension that nobody knows, all that can be said is that it is no page in disguise."""
    return content_type not in _MARKUP_TYPES if declared is None else content_type == declared


def _name_may_match(name: str, declared: str | None, pattern: str) -> bool:
    if pattern.startswith("."):
        return name.lower().endswith(pattern.lower())
    if declared is None:  # no extension promises nothing; an unknown one may mean something to a web server
        return not os.path.splitext(name)[1]
    return fnmatchcase(declared, pattern.lower())


def _not_allowed(restrictions: list[str]) -> str:
    return _("Only these types are allowed: %(types)s.") % {"types": describe_types(restrictions)}


def normalised_type(mime: str) -> str:
    """The name that a type goes by here, of those that it has."""
    return _ALIASES.get(mime.lower(), mime.lower())


def _markup_type(head: bytes) -> str | None:
    text = head.removeprefix(codecs.BOM_UTF8)
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = text.decode("utf-16", errors="ignore").encode()
    if _MARKUP.match(text):
        return "text/html"
    stripped = text.lstrip()
    if not stripped.startswith(b"<"):
        return None
    if _SVG.search(stripped):
        return "image/svg+xml"
    return "application/xml" if stripped.startswith(b"<?xml") else None


def _types_by_magic(head: bytes) -> list[str]:
    """What the bytes may be, likeliest first; empty where they say nothing."""
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return []
    # Some formats are told by zeros alone, which say nothing.
    telling = [match for match in matches if match.mime_type and match.byte_match.strip(b"\0")]
    return list(dict.fromkeys(normalised_type(match.mime_type) for match in telling))


@cache
def _types_with_magic() -> frozenset[str]:
    """The types that are known by their bytes: a file without them is not of that type."""
    return frozenset(
        normalised_type(magic.mime_type) for magic in puremagic.main.magic_header_array if magic.mime_type
    ) - {UNKNOWN_TYPE}


def _is_text(head: bytes) -> bool:
    if any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _may_be_text(declared: str) -> bool:
    if _may_be_markup(declared):
        return False
    return declared.startswith("text/") or not (
        declared in _types_with_magic() - _TEXT_APPLICATIONS or declared.startswith(_MEDIA)
    )


def _may_be_markup(declared: str) -> bool:
    return declared in _MARKUP_TYPES


_TEXT_APPLICATIONS = frozenset(
    {"application/json", "application/javascript", "application/rtf", "application/sql"}
)
