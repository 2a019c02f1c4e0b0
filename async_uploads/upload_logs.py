"""One structured log record for each change of an upload's state, on the logger ``async_uploads.uploads``."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from async_uploads.signals import Move

logger: logging.Logger = logging.getLogger("async_uploads.uploads")


def log_move(move: Move, **kwargs: Any) -> None:
    """Receiver of ``upload_moved``: INFO, with each attribute of the move as an attribute of the record."""
    if logger.isEnabledFor(logging.INFO):
        logger.info("Upload %s", move.to_state, extra=asdict(move))
