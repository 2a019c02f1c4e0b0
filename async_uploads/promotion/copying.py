"""Copying: to a name that was reserved first, for as long as it takes, telling how far it is."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone

from async_uploads.conf import upload_settings
from async_uploads.events import apublish_progress
from async_uploads.promotion.claims import LEASE
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.temp_files import AsyncTempFile, State, expiry

LONG_COPY = 0.1
"""Seconds after which a copy counts as long, and the saving thread's database connections are given back."""

RECORD_INTERVAL = 1.0
"""Seconds between two records of a copy's progress in its row."""

MAX_NAMES = 20


async def acopy_leased(temp_file: AsyncTempFile) -> None:
    """Copy a row's bytes to its reserved name and keep its lease alive. Holds no database connection for long.

    Raises what the storage raises, and UploadStateError where somebody else has the row now.
    """
    copy = asyncio.ensure_future(_acopy(temp_file))
    try:
        done, _pending = await asyncio.wait({copy}, timeout=LONG_COPY)
        if not done:
            await sync_to_async(close_idle_connections)()
        while not done:
            done, _pending = await asyncio.wait({copy}, timeout=LEASE / 3)
            if not done:
                await sync_to_async(_record)(temp_file, lease_until=expiry(LEASE))
        await copy
    finally:
        copy.cancel()
        await asyncio.gather(copy, return_exceptions=True)


async def _acopy(temp_file: AsyncTempFile) -> None:
    """Copy to the reserved name; where that is taken, reserve another one first, so that a crash can be resumed."""
    field = temp_file.field
    storage: AsyncUploadStorage = field.storage
    wanted = temp_file.final_name
    progress = _CopyProgress(temp_file)
    for _attempt in range(MAX_NAMES):
        try:
            await storage.acopy_file(
                temp_file.key, temp_file.final_name, if_match=temp_file.etag or None, on_progress=progress
            )
        except FileExistsError:
            other = storage.alternative_name(wanted, field.max_length)
            await temp_file.amove(State.PROMOTING, final_name=other)
        else:
            return
    raise FileExistsError(f"No free name was found for {wanted}.")


class _CopyProgress:
    """Publishes how far a long copy is, and records it once a second. Storages call it when they have news."""

    def __init__(self, temp_file: AsyncTempFile) -> None:
        self._temp_file = temp_file
        self._published_at = 0.0
        self._recorded_at = 0.0

    async def __call__(self, copied: int, total: int) -> None:
        now = time.monotonic()
        if not self._recorded_at:
            self._recorded_at = now
            # The version makes the next events newer than the status that said that everything was received.
            await self._temp_file.amove(State.PROMOTING, received=copied)
        elif now - self._recorded_at >= RECORD_INTERVAL:
            self._recorded_at = now
            await sync_to_async(_record)(self._temp_file, received=copied)
        if now - self._published_at >= upload_settings.PROGRESS_INTERVAL:
            self._published_at = now
            await apublish_progress(self._temp_file, copied)


def _record(temp_file: AsyncTempFile, **changes: Any) -> None:
    try:
        row = AsyncTempFile.objects.filter(pk=temp_file.pk, state=State.PROMOTING)
        row.update(updated_at=timezone.now(), **changes)
    finally:
        close_idle_connections()


def close_idle_connections() -> None:
    """Give back this thread's connections that no transaction is using; Django opens them again when needed."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
