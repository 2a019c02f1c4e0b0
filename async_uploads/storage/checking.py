"""One check at a time: who has the project's validators look at an upload has a lease on its row meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connections
from django.db.models import Q
from django.utils import timezone

from async_uploads.exceptions import UploadStateError, ValidationUnavailable
from async_uploads.request_threads import release_request_thread
from async_uploads.temp_files import AsyncTempFile, expiry

LEASE = 60.0
"""Seconds, renewed while a validator is at work: after that, its process counts as dead."""

LOOK_INTERVAL = 0.25
"""Seconds between two looks at a row that somebody else has checked."""


@asynccontextmanager
async def checking(temp_file: AsyncTempFile, *, held: bool) -> AsyncIterator[None]:
    """Have the row to oneself, or wait until whoever has it is done. ``held``: the row's lease is the caller's.

    Raises UploadStateError where the other one has moved the row, which the instance then shows, and
    ValidationUnavailable where they could not tell.
    """
    if not await sync_to_async(_take)(temp_file, held):
        await _await_other(temp_file)
    await _arelease()  # a scanner may take its time, and nothing of the request is needed meanwhile
    keeper = asyncio.create_task(_akeep(temp_file))
    try:
        yield
    except BaseException:  # a client that goes away, too
        await _astop(keeper)
        if not held:
            await sync_to_async(_give_back)(temp_file)
        raise
    finally:
        await _astop(keeper)


def _take(temp_file: AsyncTempFile, held: bool) -> bool:
    free = Q(lease_until=None) | Q(lease_until__lte=timezone.now())
    if held:
        free |= Q(lease_until=temp_file.lease_until)
    return _set_lease(temp_file, expiry(LEASE), free)


def _give_back(temp_file: AsyncTempFile) -> None:
    _set_lease(temp_file, None, Q(lease_until=temp_file.lease_until))


def _set_lease(temp_file: AsyncTempFile, until: datetime | None, where: Q) -> bool:
    """``updated_at`` is the sign of life that the sweep looks for. The version stays: the state does."""
    row = AsyncTempFile.objects.filter(
        where, pk=temp_file.pk, state=temp_file.state, version=temp_file.version
    )
    if not row.update(lease_until=until, updated_at=timezone.now()):
        return False
    temp_file.lease_until = until
    return True


async def _await_other(temp_file: AsyncTempFile) -> None:
    state, version = temp_file.state, temp_file.version
    while True:
        await sync_to_async(temp_file.reload)()
        if (temp_file.state, temp_file.version) != (state, version):
            raise UploadStateError(
                f"{state} (version {version})", f"{temp_file.state} (version {temp_file.version})"
            )
        if temp_file.lease_until is None or temp_file.lease_until <= timezone.now():
            raise ValidationUnavailable()
        await _arelease()
        await asyncio.sleep(LOOK_INTERVAL)


async def _akeep(temp_file: AsyncTempFile) -> None:
    while True:
        await asyncio.sleep(LEASE / 3)
        with suppress(DatabaseError):  # the next one may come through
            await sync_to_async(_take)(temp_file, True)
            await _arelease()


async def _arelease() -> None:
    """Hold neither the request's thread nor a database connection, unless whoever called us is in a transaction."""
    if await sync_to_async(_close_idle)():
        await release_request_thread()


def _close_idle() -> bool:
    open_ones = connections.all(initialized_only=True)
    if any(connection.in_atomic_block for connection in open_ones):
        return False
    connections.close_all()
    return True


async def _astop(keeper: asyncio.Task[None]) -> None:
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
