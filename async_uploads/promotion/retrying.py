"""What a person does about promotions that failed, in the admin or by the command, and what became of each upload."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto

from async_uploads.conf import INLINE_PROMOTION, upload_settings
from async_uploads.promotion.dispatching import hand_over
from async_uploads.temp_files import AsyncTempFile, State

logger: logging.Logger = logging.getLogger("async_uploads")

UNPROMOTED = (State.PENDING, State.UPLOADED, State.PROMOTING)


class Outcome(Enum):
    """What became of an upload."""

    PROMOTED = auto()
    QUEUED = auto()
    EXPIRED = auto()
    GIVEN_UP = auto()
    FAILED_AGAIN = auto()
    NOT_YET = auto()
    IN_USE = auto()
    NOTHING_TO_DO = auto()
    NO_FIELD = auto()
    ERROR = auto()


def outcomes_of(
    act: Callable[[AsyncTempFile], Outcome], rows: Iterable[AsyncTempFile]
) -> Iterator[tuple[AsyncTempFile, Outcome]]:
    """Do it to each row. One that fails does not stop the rest."""
    for row in rows:
        try:
            outcome = act(row) if row.has_field else Outcome.NO_FIELD
        except Exception:
            logger.exception("%s of %s failed.", act.__name__, row.key)
            outcome = Outcome.ERROR
        yield row, outcome


def retry_promotion(row: AsyncTempFile) -> Outcome:
    """Promote again what a record has taken: here and now, or where the project promotes."""
    if not row.record_pk or not (row.failed_in_promotion or row.state in UNPROMOTED):
        return Outcome.NOTHING_TO_DO
    attempts = row.attempts
    hand_over(row.key)
    if upload_settings.PROMOTION_DISPATCHER != INLINE_PROMOTION:
        return Outcome.QUEUED
    row.reload()
    match row.state:
        case State.PROMOTED:
            return Outcome.PROMOTED
        case State.CANCELLED:
            return Outcome.GIVEN_UP
        case State.FAILED:
            return Outcome.FAILED_AGAIN
    return Outcome.FAILED_AGAIN if row.attempts > attempts else Outcome.NOT_YET
