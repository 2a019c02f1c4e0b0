"""Promoting one upload: copy, compare-and-swap the model's column, delete the source.

Whoever promotes holds a lease on the row, so that a queue may deliver twice and a sweep may look in at any time.
"""

from __future__ import annotations

import logging
import random
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.db import models
from django.db.models import Q
from django.utils import timezone

from async_uploads.conf import upload_settings
from async_uploads.events import apublish
from async_uploads.exceptions import (
    REFUSALS,
    StorageUnavailable,
    UploadIncomplete,
    UploadStateError,
    ValidationUnavailable,
)
from async_uploads.promotion.claims import LEASE, Claim
from async_uploads.promotion.copying import acopy_leased
from async_uploads.promotion.swapping import news_of, show, swap, swap_and_mark
from async_uploads.signals import asend_logged, file_promoted, promotion_failed
from async_uploads.storage.arrival import aaccept, atidy
from async_uploads.storage.base import FileChanged
from async_uploads.temp_files import (
    FILE_CHANGED,
    OPEN_STATES,
    PROMOTION_FAILED,
    AsyncTempFile,
    State,
    expiry,
)
from async_uploads.tracing import traced

logger: logging.Logger = logging.getLogger("async_uploads")

RETRY_DELAY = 30.0
LONGEST_RETRY_DELAY = 3600.0
"""Seconds: doubled after each attempt up to the second one, of which a random half is waited for."""


@traced("async_uploads.promote", lambda claimed: claimed.temp_file)
async def apromote(claimed: Claim) -> bool:
    """Promote one upload. True where the record has the final file now; False where somebody else is at it, the
    record has changed meanwhile, or it failed (the row then tells why, and when it may be tried again)."""
    temp_file = claimed.temp_file
    try:
        if temp_file.state == State.PROMOTED:
            return await _aswap_again(temp_file, claimed.instance)
        if temp_file.state in (State.PENDING, State.UPLOADING):
            await aaccept(temp_file, held=claimed.held)
        if temp_file.state == State.FAILED and not temp_file.failed_in_promotion:
            return False
        if not claimed.leased and not await _atake_lease(temp_file, held=claimed.held):
            # Promoted while its record was saved again, which has written the key once more.
            return temp_file.state == State.PROMOTED and await _aswap_again(temp_file, claimed.instance)
        await apublish(temp_file)
        await acopy_leased(temp_file)
        if not await sync_to_async(swap_and_mark)(temp_file, claimed.instance):
            await _agive_up(temp_file)
            return False
    except REFUSALS as error:
        await apublish(temp_file)
        await _atell_failure(temp_file, error, will_retry=False)
        return False
    except UploadStateError:
        return False  # the lease ran out, and somebody else has the row now
    except Exception as error:  # noqa: BLE001  # whatever a storage raises: told, kept and tried again
        await _afail(temp_file, error)
        return False
    await _afinish(temp_file)
    return True


async def _atake_lease(temp_file: AsyncTempFile, *, held: bool) -> bool:
    free = Q(lease_until=None) | Q(lease_until__lte=timezone.now())
    if held:
        free |= Q(lease_until=temp_file.lease_until)
    try:
        await temp_file.amove(
            State.PROMOTING, where=free, attempts=temp_file.attempts + 1, lease_until=expiry(LEASE)
        )
    except UploadStateError:
        return False
    return True


async def _aswap_again(temp_file: AsyncTempFile, instance: models.Model | None) -> bool:
    """What is promoted stays so; only a record that has the key once more is given the file."""
    swapped = await sync_to_async(swap)(temp_file)
    if swapped:
        show(temp_file, instance)
    return swapped


async def _afinish(temp_file: AsyncTempFile) -> None:
    """The record has its file: what is left may fail without harm, the sweep deletes the source again."""
    field = temp_file.field
    await atidy(field.storage, temp_file.key)
    await apublish(temp_file)
    await asend_logged(file_promoted, field.model, **news_of(temp_file))


async def _agive_up(temp_file: AsyncTempFile) -> None:
    """The record no longer wants the file: delete the copy, then the source."""
    storage = temp_file.field.storage
    await storage.adelete(temp_file.final_name)
    await temp_file.amove(State.CANCELLED, lease_until=None, error_code="", error="")
    await atidy(storage, temp_file.key)
    await apublish(temp_file)


async def _afail(temp_file: AsyncTempFile, error: Exception) -> None:
    """Keep bytes and error, for another attempt after a while; after the last one, for a person."""
    if temp_file.state in OPEN_STATES:
        await _await_arrival(temp_file, error)
        return
    _log_failure(temp_file, error)
    if temp_file.state != State.PROMOTING:
        return
    hopeless = isinstance(error, FileChanged) or temp_file.attempts >= upload_settings.PROMOTION_MAX_ATTEMPTS
    try:
        await temp_file.amove(
            State.FAILED if hopeless else State.PROMOTING,
            lease_until=None if hopeless else expiry(_back_off(temp_file.attempts)),
            error_code=FILE_CHANGED if isinstance(error, FileChanged) else PROMOTION_FAILED,
            error=str(error) or type(error).__name__,
            received=temp_file.size or temp_file.received,
        )
    except UploadStateError:
        return  # somebody else has the row now
    await apublish(temp_file)
    await _atell_failure(temp_file, error, will_retry=not hopeless)


def _back_off(attempts: int) -> float:
    """Seconds until the next attempt. What failed together, as where a cloud was away, is not tried again together."""
    longest = min(RETRY_DELAY * 2.0 ** (attempts - 1), LONGEST_RETRY_DELAY)
    return random.uniform(longest / 2, longest)  # noqa: S311  # nosec B311  # no secret


async def _await_arrival(temp_file: AsyncTempFile, error: Exception) -> None:
    """Saved before its bytes were there: the sweep looks again, until nobody can be sending them any more."""
    if isinstance(error, ValidationUnavailable):
        return  # logged already, and the sweep tries again
    if not isinstance(error, (FileNotFoundError, UploadIncomplete)):
        _log_failure(temp_file, error)
        return
    if temp_file.created_at > timezone.now() - timedelta(hours=upload_settings.TEMP_FILE_MAX_AGE):
        return
    missing = UploadIncomplete()
    try:
        await temp_file.amove(State.FAILED, error_code=missing.code, error=missing.detail)
    except UploadStateError:
        return  # it has arrived, or somebody else has seen it
    _log_failure(temp_file, missing)
    await apublish(temp_file)
    await _atell_failure(temp_file, missing, will_retry=False)


def _log_failure(temp_file: AsyncTempFile, error: Exception) -> None:
    """With a traceback, unless the error says it all."""
    said = isinstance(error, (StorageUnavailable, UploadIncomplete, FileChanged))
    logger.error(
        "Promotion of %s for %s.%s failed (attempt %d): %s",
        temp_file.key,
        temp_file.model,
        temp_file.field_name,
        temp_file.attempts,
        error if said else repr(error),
        exc_info=None if said else error,
    )


async def _atell_failure(temp_file: AsyncTempFile, error: Exception, *, will_retry: bool) -> None:
    await asend_logged(
        promotion_failed, temp_file.field.model, temp_file=temp_file, error=error, will_retry=will_retry
    )
