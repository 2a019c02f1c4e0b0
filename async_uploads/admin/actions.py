"""What a person may do to uploads in the admin, and what became of each."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.contrib import messages
from django.utils.translation import gettext_lazy as _

from async_uploads.exceptions import UploadInUse
from async_uploads.promotion import Outcome
from async_uploads.sweeping import named_by_records
from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.uploads import aexpire

UNFINISHED = (State.PENDING, State.UPLOADING, State.UPLOADED)


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
