"""Of the sizes that a request's body may have."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

from django.conf import settings
from django.core import checks
from PIL import Image

from async_uploads.conf import SETTINGS_NAME, upload_settings
from async_uploads.registry import all_registries, takes_uploads

SMALLEST_BODY_LIMIT = 4096
"""Bytes that a request for an upload may have: with the longest name that a file system takes, in escaped JSON."""


def check_body_limit(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    limit: Any = settings.DATA_UPLOAD_MAX_MEMORY_SIZE  # None for no limit, of which the stubs know nothing
    if limit is not None and limit < SMALLEST_BODY_LIMIT:
        yield checks.Warning(
            f"DATA_UPLOAD_MAX_MEMORY_SIZE={limit} is too small for requests that ask for an upload: files with long "
            "names are refused.",
            hint=f"Set it to {SMALLEST_BODY_LIMIT} or more. It does not limit the uploads themselves: max_size does.",
            id="async_uploads.W009",
        )


def check_pixels(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    wanted, own = upload_settings.MAX_IMAGE_PIXELS, Image.MAX_IMAGE_PIXELS
    # What is no number is an error of its own.
    if isinstance(wanted, int) and own is not None and wanted > 2 * own:
        yield checks.Warning(
            f"{SETTINGS_NAME}['MAX_IMAGE_PIXELS'] = {wanted} has no effect above {2 * own}: Pillow refuses "
            "to read larger images.",
            hint="Raise PIL.Image.MAX_IMAGE_PIXELS, too, or leave MAX_IMAGE_PIXELS out.",
            obj=SETTINGS_NAME,
            id="async_uploads.W013",
        )


def check_proxies(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """What stands in front of Django can't be seen from here, so this is said before a deployment only."""
    fields = list(_fields_received_by_django())
    if not fields:
        return
    largest = max(fields, key=lambda field: float("inf") if field.max_size is None else field.max_size)
    if largest.max_size is None:
        size, setting = "any size", "client_max_body_size 0"
    else:
        # A form without JavaScript sends more than the file, so there is a MiB to spare.
        size, setting = f"{largest.max_size:g} MiB", f"client_max_body_size {ceil(largest.max_size) + 1}m"
    yield checks.Info(
        f"Uploads of up to {size} come through Django, to {largest}: a proxy in front of it has to let them "
        "pass. nginx refuses what is larger than 1 MiB, unless told otherwise.",
        hint=f"For nginx: {setting}; for others, see 'Servers and proxies' in docs/reference.md. Silence this check "
        "when it is done.",
        id="async_uploads.I001",
    )


def _fields_received_by_django() -> Iterator[Any]:
    for registry in all_registries():
        for field in registry.fields_by_id.values():
            if takes_uploads(field) and field.storage.receives_uploads:
                yield field
