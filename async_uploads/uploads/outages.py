"""A storage that cannot be reached: one clear line in the log, then the answer to whoever asked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from async_uploads.exceptions import StorageUnavailable

logger: logging.Logger = logging.getLogger("async_uploads")


@contextmanager
def logged_outage(doing: str, field: Any, key: str) -> Iterator[None]:
    """Log a StorageUnavailable, once, with the field and the key that it hinders, and pass it on."""
    try:
        yield
    except StorageUnavailable as error:
        logger.error("%s of %s for %s failed: %s", doing, key, field, error.reason)  # noqa: TRY400  # one line
        raise
