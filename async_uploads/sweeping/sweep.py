"""The sweep: finishes what a crash interrupted, and clears away what nobody came back for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Q
from django.utils import timezone

from async_uploads.conf import upload_settings
from async_uploads.events import apublish
from async_uploads.exceptions import StorageUnavailable, UploadInUse, UploadStateError
from async_uploads.promotion import LEASE, Claim, apromote, claim
from async_uploads.references import StoredName, unreferenced
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.storage.deleting import Failed
from async_uploads.sweeping.due import Due
from async_uploads.sweeping.report import SweepReport
from async_uploads.sweeping.taking import give_back, look_at, take
from async_uploads.temp_files import AsyncTempFile, State, expiry
from async_uploads.uploads import aexpire_all

logger: logging.Logger = logging.getLogger("async_uploads")

AT_ONCE = 8
"""Rows treated at the same time, where each takes its time: a promotion copies."""

Rows = list[AsyncTempFile]


async def asweep(
    *,
    age: timedelta | None = None,
    dry_run: bool = False,
    tell: Callable[[str], object] = lambda line: None,
    advance: Callable[[], object] = lambda: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> SweepReport:
    """Sweep once. ``age`` is that of uploads counted as abandoned and rows as old, default ``TEMP_FILE_MAX_AGE``.

    ``tell`` is called with a line for each thing done, and ``advance`` after each row that was looked at. When
    ``is_stopping`` says so, the rows at hand are finished and the rest is left for another time. A file that fails does
    not stop the rest. Safe beside other sweeps, and beside everything else.
    """
    sweep = _Sweep(before=before(age), dry_run=dry_run, tell=tell, advance=advance, is_stopping=is_stopping)
    began = time.monotonic()
    await sweep.arun()
    sweep.report.seconds = time.monotonic() - began
    return sweep.report


def before(age: timedelta | None) -> datetime:
    """What is older than this was abandoned, or is old."""
    return timezone.now() - (timedelta(hours=upload_settings.TEMP_FILE_MAX_AGE) if age is None else age)


@dataclass(kw_only=True)
class _Sweep:
    before: datetime
    dry_run: bool
    tell: Callable[[str], object]
    advance: Callable[[], object]
    is_stopping: Callable[[], bool]
    report: SweepReport = field(default_factory=SweepReport)
    _away: set[int] = field(default_factory=set)
    """Storages, by ``id``, that did not answer: what lies there is left for the next sweep, and told once."""
    _cleared: list[int] = field(default_factory=list)
    """Primary keys of this batch's rows whose bytes are gone: the rows go together, with the lease."""

    async def arun(self) -> None:
        due = Due.at(timezone.now(), self.before)
        await self._each(due.interrupted, partial(self._one_by_one, self._restart))
        await self._each(due.promotions, partial(self._one_by_one, self._promote))
        await self._each(due.taken, partial(self._one_by_one, self._promote))
        await self._each(due.abandoned, partial(self._unless_named, self._expire))
        await self._each(due.finished, partial(self._unless_named, self._prune))

    async def _each(self, which: Q, treat: Callable[[Rows], Awaitable[None]]) -> None:
        last = 0
        while not self.is_stopping():
            rows = await sync_to_async(look_at if self.dry_run else take)(which, after=last)
            if not rows:
                return
            last, until = rows[-1].pk, rows[0].lease_until
            try:
                await treat(rows)
            finally:
                if not self.dry_run:
                    await sync_to_async(give_back)(rows, until, without=self._cleared)
                self._cleared.clear()

    async def _one_by_one(self, treat: Callable[[AsyncTempFile], Awaitable[None]], rows: Rows) -> None:
        free = asyncio.Semaphore(AT_ONCE)

        async def one(temp_file: AsyncTempFile) -> None:
            async with free:
                if not self.is_stopping():
                    await self._treat(temp_file, treat)

        await asyncio.gather(*map(one, rows))

    async def _unless_named(self, treat: Callable[[Rows], Awaitable[None]], rows: Rows) -> None:
        """Those that nobody needs are treated together."""
        named = await sync_to_async(named_by_records)(rows)
        if named:
            await self._one_by_one(self._keep, [row for row in rows if row.pk in named])
        await treat([row for row in rows if row.pk not in named])

    async def _treat(
        self, temp_file: AsyncTempFile, treat: Callable[[AsyncTempFile], Awaitable[None]]
    ) -> None:
        try:
            if not self._is_out_of_reach(temp_file):
                await treat(temp_file)
        except (UploadStateError, UploadInUse):
            pass  # somebody else has moved it meanwhile
        except (LookupError, FieldDoesNotExist):
            self._has_no_field(temp_file)
        except Exception as error:  # noqa: BLE001  # told, and the rest goes on
            self._went_wrong(temp_file, error)
        self.advance()

    async def _restart(self, temp_file: AsyncTempFile) -> None:
        """Its process died: the partial bytes go, and the same URL can be tried again until it expires.

        First the row is taken from the transfer, which may only have been stalled: it can't finish any more, and no
        other one can begin before its bytes are gone.
        """
        self._told("made ready again", temp_file)
        if not self.dry_run:
            await temp_file.amove(State.UPLOADING, lease_until=expiry(LEASE))
            await temp_file.field.storage.adelete(temp_file.key)
            await temp_file.amove(
                State.PENDING, received=0, error_code="interrupted", error="", lease_until=None
            )
            await apublish(temp_file)
        self.report.restarted += 1

    async def _promote(self, temp_file: AsyncTempFile) -> None:
        self._told("promotion resumed", temp_file)
        if self.dry_run or await apromote(Claim(temp_file=temp_file, held=True)):
            self.report.promoted += 1
        elif temp_file.error_code:
            self._failed(temp_file, temp_file.error)

    async def _expire(self, rows: Rows) -> None:
        """First the rows, so that no save takes them; then their bytes."""
        here = []
        for row in self._within_reach(rows):
            if row.has_field:
                here.append(row)
                self._told("expired", row)
            else:
                self._has_no_field(row)
        if not self.dry_run:
            here = await self._delete_bytes(await aexpire_all(here))
        self.report.expired += len(here)

    async def _prune(self, rows: Rows) -> None:
        here = []
        for row in self._within_reach(rows):
            here.append(row)
            self._told("pruned", row)
        if not self.dry_run:
            here = await self._delete_bytes(here)
        self._cleared += [row.pk for row in here]
        self.report.pruned += len(here)

    def _within_reach(self, rows: Rows) -> Iterator[AsyncTempFile]:
        for row in rows:
            if self.is_stopping():
                return
            self.advance()
            if not self._is_out_of_reach(row):
                yield row

    def _is_out_of_reach(self, temp_file: AsyncTempFile) -> bool:
        return bool(self._away) and temp_file.has_field and id(temp_file.field.storage) in self._away

    async def _delete_bytes(self, rows: Rows) -> Rows:
        """Returns those that have none any more."""
        failed: Failed = {}
        for storage, some in _by_storage(rows):
            failed |= await storage.adelete_all([row.key for row in some])
        for row in rows:
            if row.key in failed:
                self._went_wrong(row, failed[row.key])
        return [row for row in rows if row.key not in failed]

    async def _keep(self, temp_file: AsyncTempFile) -> None:
        """A record still names the file, however it came to. If it is the one that the file is for, it gets it.

        Then its process died between writing the record and taking the upload, or wrote it past the save.
        """
        unfinished = temp_file.state in (State.PENDING, State.UPLOADING, State.UPLOADED)
        record = await _arecord_with(temp_file) if unfinished else None
        if record is None:
            self.report.kept += 1
            return
        self._told("promotion resumed", temp_file)
        if not self.dry_run:
            claimed = await sync_to_async(claim)(temp_file, temp_file.field, record, record._state.db)
            if not await apromote(claimed):
                self._failed(temp_file, temp_file.error or "not promoted")
                return
        self.report.promoted += 1

    def _told(self, what: str, temp_file: AsyncTempFile) -> None:
        self.tell(f"{what}: {temp_file.key}")

    def _failed(self, temp_file: AsyncTempFile, why: str) -> None:
        self.report.errors.append(f"{temp_file.key}: {why}")

    def _has_no_field(self, temp_file: AsyncTempFile) -> None:
        self._failed(temp_file, f"the project has no field {temp_file.model}.{temp_file.field_name}")

    def _went_wrong(self, temp_file: AsyncTempFile, error: Exception) -> None:
        if not isinstance(error, StorageUnavailable):
            logger.error("Sweeping %s failed.", temp_file.key, exc_info=error)
            self._failed(temp_file, repr(error))
        elif not self._is_out_of_reach(temp_file):
            self._away.add(id(temp_file.field.storage))
            self.report.errors.append(f"{temp_file.field}, and all that is in its storage: {error.reason}")


def named_by_records(rows: list[AsyncTempFile]) -> set[int]:
    """The primary keys of those of ``rows`` whose file some record names, in whatever field and database. Blocking."""
    files = {
        row.pk: file
        for storage, some in _by_storage(rows)
        for row, file in zip(some, StoredName.each(storage, (row.key for row in some)), strict=True)
    }
    free = set(unreferenced(files.values()))
    return {pk for pk, file in files.items() if file not in free}


def _by_storage(rows: Rows) -> list[tuple[AsyncUploadStorage, Rows]]:
    """Without those whose field the project no longer has."""
    found: dict[int, tuple[AsyncUploadStorage, Rows]] = {}
    for row in rows:
        if row.has_field:
            storage = row.field.storage
            found.setdefault(id(storage), (storage, []))[1].append(row)
    return list(found.values())


async def _arecord_with(temp_file: AsyncTempFile) -> Any:
    """A record that has the temporary key in its column, None where there is none."""
    field = temp_file.field
    records = field.model._base_manager.using(temp_file.record_db or None)
    return await records.filter(**{field.attname: temp_file.key}).afirst()
