"""The sweep: finishes what a crash interrupted, and clears away what nobody came back for."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Q
from django.utils import timezone

from async_uploads.conf import upload_settings
from async_uploads.events import apublish
from async_uploads.exceptions import UploadInUse, UploadStateError
from async_uploads.promotion import Claim, apromote, claim
from async_uploads.sweeping.due import Due
from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.uploads import aexpire

logger: logging.Logger = logging.getLogger("async_uploads")

BATCH = 200


@dataclass
class SweepReport:
    """What a sweep did, or with ``dry_run`` would do. ``errors`` holds one line for each upload that failed."""

    restarted: int = 0
    promoted: int = 0
    expired: int = 0
    pruned: int = 0
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = (
            f"{self.restarted} interrupted uploads made ready again, {self.promoted} promotions finished, "
            f"{self.expired} abandoned uploads expired, {self.pruned} finished rows pruned"
        )
        return f"{counts}, {len(self.errors)} failed" if self.errors else counts


async def asweep(
    *, age: timedelta | None = None, dry_run: bool = False, tell: Callable[[str], object] = lambda line: None
) -> SweepReport:
    """Sweep once. ``age`` is that of uploads counted as abandoned and rows as old, default ``TEMP_FILE_MAX_AGE``.

    ``tell`` is called with a line for each thing done. A file that fails does not stop the rest.
    """
    before = timezone.now() - (timedelta(hours=upload_settings.TEMP_FILE_MAX_AGE) if age is None else age)
    sweep = _Sweep(before=before, dry_run=dry_run, tell=tell)
    await sweep.arun()
    return sweep.report


class _Sweep:
    def __init__(self, *, before: datetime, dry_run: bool, tell: Callable[[str], object]) -> None:
        self.before = before
        self.dry_run = dry_run
        self.tell = tell
        self.report = SweepReport()

    async def arun(self) -> None:
        due = Due.at(timezone.now(), self.before)
        await self._each(due.interrupted, self._restart)
        await self._each(due.promotions, self._promote)
        await self._each(due.taken, self._promote)
        await self._each(due.abandoned, self._expire)
        await self._each(due.finished, self._prune)

    async def _each(self, which: Q, treat: Callable[[AsyncTempFile], Any]) -> None:
        async for temp_file in _in_batches(which):
            try:
                await treat(temp_file)
            except (UploadStateError, UploadInUse):
                continue  # somebody else has moved it meanwhile
            except (LookupError, FieldDoesNotExist):
                self._failed(temp_file, f"the project has no field {temp_file.model}.{temp_file.field_name}")
            except Exception as error:
                logger.exception("Sweeping %s failed.", temp_file.key)
                self._failed(temp_file, repr(error))

    async def _restart(self, temp_file: AsyncTempFile) -> None:
        """Its process died: the partial bytes go, and the same URL can be tried again until it expires."""
        self._told("made ready again", temp_file)
        if not self.dry_run:
            await temp_file.field.storage.adelete(temp_file.key)
            await temp_file.amove(State.PENDING, received=0, error_code="interrupted", error="")
            await apublish(temp_file)
        self.report.restarted += 1

    async def _promote(self, temp_file: AsyncTempFile) -> None:
        self._told("promotion resumed", temp_file)
        if self.dry_run or await apromote(Claim(temp_file=temp_file)):
            self.report.promoted += 1
        elif temp_file.error_code:
            self._failed(temp_file, temp_file.error)

    async def _expire(self, temp_file: AsyncTempFile) -> None:
        """Unless a record has the key: its process died between writing the record and taking the upload."""
        record = await arecord_with(temp_file)
        if record is not None:
            await self._adopt(temp_file, record)
            return
        self._told("expired", temp_file)
        if not self.dry_run:
            await aexpire(temp_file)
        self.report.expired += 1

    async def _adopt(self, temp_file: AsyncTempFile, record: Any) -> None:
        self._told("promotion resumed", temp_file)
        if not self.dry_run:
            claimed = await sync_to_async(claim)(temp_file, temp_file.field, record, record._state.db)
            if not await apromote(claimed):
                self._failed(temp_file, temp_file.error or "not promoted")
                return
        self.report.promoted += 1

    async def _prune(self, temp_file: AsyncTempFile) -> None:
        if temp_file.has_field and await arecord_with(temp_file) is not None:
            return  # a record still refers to the bytes, however it came to
        self._told("pruned", temp_file)
        if not self.dry_run:
            if temp_file.has_field:
                await temp_file.field.storage.adelete(temp_file.key)
            await AsyncTempFile.objects.filter(pk=temp_file.pk, state=temp_file.state).adelete()
        self.report.pruned += 1

    def _told(self, what: str, temp_file: AsyncTempFile) -> None:
        self.tell(f"{what}: {temp_file.key}")

    def _failed(self, temp_file: AsyncTempFile, why: str) -> None:
        self.report.errors.append(f"{temp_file.key}: {why}")


async def _in_batches(which: Q) -> AsyncIterator[AsyncTempFile]:
    """The rows by primary key, a batch at a time: no cursor stays open while bytes move."""
    last = 0
    while True:
        batch = [row async for row in AsyncTempFile.objects.filter(which, pk__gt=last).order_by("pk")[:BATCH]]
        if not batch:
            return
        for row in batch:
            yield row
        last = batch[-1].pk


async def arecord_with(temp_file: AsyncTempFile) -> Any:
    """A record that has the temporary key in its column, None where there is none."""
    field = temp_file.field
    records = field.model._base_manager.using(temp_file.record_db or None)
    return await records.filter(**{field.attname: temp_file.key}).afirst()
