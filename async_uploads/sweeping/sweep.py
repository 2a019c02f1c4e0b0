"""The sweep: finishes what a crash interrupted, and clears away what nobody came back for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
from async_uploads.sweeping.due import Due
from async_uploads.sweeping.taking import give_back, look_at, take
from async_uploads.temp_files import AsyncTempFile, State, expiry
from async_uploads.uploads import aexpire

logger: logging.Logger = logging.getLogger("async_uploads")

AT_ONCE = 8
"""Rows treated at the same time: storages take their time to answer."""


@dataclass
class SweepReport:
    """What a sweep did, or with ``dry_run`` would do. ``errors`` holds one line for each upload that failed.

    ``kept``: old uploads that a record still names. ``seconds``: how long it took.
    """

    restarted: int = 0
    promoted: int = 0
    expired: int = 0
    pruned: int = 0
    kept: int = 0
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)

    @property
    def has_done_something(self) -> bool:
        return any((self.restarted, self.promoted, self.expired, self.pruned, self.errors))

    def __str__(self) -> str:
        counts = (
            f"{self.restarted} interrupted uploads made ready again, {self.promoted} promotions finished, "
            f"{self.expired} abandoned uploads expired, {self.pruned} finished rows pruned"
        )
        if self.kept:
            counts += f", {self.kept} old uploads kept because a record names them"
        return f"{counts}, {len(self.errors)} failed" if self.errors else counts


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
        await self._each(due.interrupted, self._restart)
        await self._each(due.promotions, self._promote)
        await self._each(due.taken, self._promote)
        await self._each(due.abandoned, self._expire, unless_named=True)
        await self._each(due.finished, self._prune, unless_named=True)

    async def _each(
        self, which: Q, treat: Callable[[AsyncTempFile], Awaitable[None]], *, unless_named: bool = False
    ) -> None:
        last = 0
        while not self.is_stopping():
            rows = await sync_to_async(look_at if self.dry_run else take)(which, after=last)
            if not rows:
                return
            last, until = rows[-1].pk, rows[0].lease_until
            try:
                named = await sync_to_async(named_by_records)(rows) if unless_named else set()
                free = asyncio.Semaphore(AT_ONCE)
                await asyncio.gather(
                    *(self._treat(row, self._keep if row.pk in named else treat, free) for row in rows)
                )
            finally:
                if not self.dry_run:
                    await sync_to_async(give_back)(rows, until, without=self._cleared)
                self._cleared.clear()

    async def _treat(
        self,
        temp_file: AsyncTempFile,
        treat: Callable[[AsyncTempFile], Awaitable[None]],
        free: asyncio.Semaphore,
    ) -> None:
        async with free:
            if self.is_stopping():
                return
            try:
                if not (temp_file.has_field and id(temp_file.field.storage) in self._away):
                    await treat(temp_file)
            except (UploadStateError, UploadInUse):
                pass  # somebody else has moved it meanwhile
            except (LookupError, FieldDoesNotExist):
                self._failed(temp_file, f"the project has no field {temp_file.model}.{temp_file.field_name}")
            except StorageUnavailable as error:
                self._is_away(temp_file, error)
            except Exception as error:
                logger.exception("Sweeping %s failed.", temp_file.key)
                self._failed(temp_file, repr(error))
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

    async def _expire(self, temp_file: AsyncTempFile) -> None:
        self._told("expired", temp_file)
        if not self.dry_run:
            await aexpire(temp_file)
        self.report.expired += 1

    async def _prune(self, temp_file: AsyncTempFile) -> None:
        self._told("pruned", temp_file)
        if not self.dry_run and temp_file.has_field:
            await temp_file.field.storage.adelete(temp_file.key)
        self._cleared.append(temp_file.pk)
        self.report.pruned += 1

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

    def _is_away(self, temp_file: AsyncTempFile, error: StorageUnavailable) -> None:
        storage = temp_file.field.storage
        if id(storage) not in self._away:
            self._away.add(id(storage))
            self.report.errors.append(f"{temp_file.field}, and all that is in its storage: {error.reason}")


def named_by_records(rows: list[AsyncTempFile]) -> set[int]:
    """The primary keys of those of ``rows`` whose file some record names, in whatever field and database. Blocking."""
    files = {row.pk: StoredName(row.field.storage, row.key) for row in rows if row.has_field}
    free = set(unreferenced(files.values()))
    return {pk for pk, file in files.items() if file not in free}


async def _arecord_with(temp_file: AsyncTempFile) -> Any:
    """A record that has the temporary key in its column, None where there is none."""
    field = temp_file.field
    records = field.model._base_manager.using(temp_file.record_db or None)
    return await records.filter(**{field.attname: temp_file.key}).afirst()
