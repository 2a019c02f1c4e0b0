"""What a person may do to uploads in the admin, and what became of each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.contrib import messages
from django.utils.translation import gettext_lazy as _

from async_uploads import promotion
from async_uploads.conf import INLINE_PROMOTION, upload_settings
from async_uploads.exceptions import UploadInUse
from async_uploads.sweeping import named_by_records
from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.uploads import aexpire

logger: logging.Logger = logging.getLogger("async_uploads")

UNFINISHED = (State.PENDING, State.UPLOADING, State.UPLOADED)
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


LOGGED = (Outcome.PROMOTED, Outcome.QUEUED, Outcome.EXPIRED, Outcome.GIVEN_UP, Outcome.FAILED_AGAIN)


# With a colon before the number: no language has to count.
TOLD: dict[Outcome, tuple[int, Any]] = {
    Outcome.PROMOTED: (messages.SUCCESS, _("Promoted: %(count)d.")),
    Outcome.QUEUED: (messages.SUCCESS, _("Handed to the task queue: %(count)d.")),
    Outcome.EXPIRED: (messages.SUCCESS, _("Expired, and their files deleted: %(count)d.")),
    Outcome.GIVEN_UP: (
        messages.WARNING,
        _("Given up, because the record has another file now or is gone: %(count)d."),
    ),
    Outcome.FAILED_AGAIN: (messages.ERROR, _("Failed again, each upload tells why: %(count)d.")),
    Outcome.NOT_YET: (
        messages.WARNING,
        _("Being promoted already, or waiting for the next attempt: %(count)d."),
    ),
    Outcome.IN_USE: (messages.WARNING, _("Left alone, because a record has the file: %(count)d.")),
    Outcome.NOTHING_TO_DO: (
        messages.INFO,
        _("Left as they are, because their state does not call for this: %(count)d."),
    ),
    Outcome.NO_FIELD: (messages.ERROR, _("For fields that the project no longer has: %(count)d.")),
    Outcome.ERROR: (messages.ERROR, _("Not dealt with, the log tells why: %(count)d.")),
}


def outcomes_of(
    act: Callable[[AsyncTempFile], Outcome], rows: Iterable[AsyncTempFile]
) -> Iterator[tuple[AsyncTempFile, Outcome]]:
    """Do it to each row. One that fails does not stop the rest."""
    for row in rows:
        try:
            outcome = act(row) if row.has_field else Outcome.NO_FIELD
        except Exception:
            logger.exception("%s of %s in the admin failed.", act.__name__, row.key)
            outcome = Outcome.ERROR
        yield row, outcome


def retry_promotion(row: AsyncTempFile) -> Outcome:
    """Promote again what a record has taken: here and now, or where the project promotes."""
    if not row.record_pk or not (row.failed_in_promotion or row.state in UNPROMOTED):
        return Outcome.NOTHING_TO_DO
    attempts = row.attempts
    promotion.retry_promotion(row)
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


def expire_now(row: AsyncTempFile) -> Outcome:
    """Expire what no record has taken, as the sweep would have, and delete its bytes."""
    if row.state not in UNFINISHED:
        return Outcome.NOTHING_TO_DO
    return async_to_sync(_aexpire_unless_in_use)(row)


async def _aexpire_unless_in_use(row: AsyncTempFile) -> Outcome:
    if await sync_to_async(named_by_records)([row]):
        return Outcome.IN_USE  # a record names it, however it came to
    try:
        await aexpire(row)
    except UploadInUse:
        return Outcome.IN_USE
    return Outcome.EXPIRED if row.state == State.EXPIRED else Outcome.NOTHING_TO_DO
