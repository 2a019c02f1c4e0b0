"""Progress of the uploads that this process receives: published as it happens, recorded once a second."""

from __future__ import annotations

import asyncio
import logging
import math
from contextvars import Context
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.db import close_old_connections, connections, router, transaction
from django.utils import timezone

from async_uploads import outages
from async_uploads.conf import upload_settings
from async_uploads.databases import is_outage
from async_uploads.events import apublish_progress
from async_uploads.statements import knows_returning
from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.uploads.patience import Patience
from async_uploads.uploads.ticking import ticks

logger: logging.Logger = logging.getLogger("async_uploads")

RECORD_INTERVAL = 1.0

TOGETHER = 300
"""Rows of one statement, which so has fewer than a thousand parameters: an old SQLite takes no more."""

MOST_PER_SECOND = 300
"""Messages of one event loop's uploads together: a channel layer's work for each takes up to a millisecond, and pages
are to have the rest of the processor. Of more than some dozens of uploads each so is told more seldom."""

STEP = 0.1
"""Seconds, by which that is rounded up: those who wait equally long share a timer."""


class Progress:
    """One upload's progress. ``update`` costs next to nothing: what is slow happens beside the transfer.

    The newest number is published, then at most one each interval, until there is nothing new. In between nothing is
    kept but a shared timer: of a thousand slow uploads each has little to say, and a task each takes memory.
    """

    def __init__(self, temp_file: AsyncTempFile, transfer: Patience) -> None:
        self.temp_file = temp_file
        self.received: int = 0
        self.is_lost: bool = False
        self._transfer = transfer
        self._published = 0
        self._publisher: asyncio.Task[None] | None = None
        self._may_publish = get_channel_layer() is not None
        self._recorder = _recorder_of_loop()
        self._recorder.under_way += 1

    def update(self, received: int) -> None:
        self.received = received
        self._recorder.note(self)
        if self._may_publish:
            self._publish()

    def lose(self) -> None:
        """The row has left the state ``uploading``: whoever did that wants the transfer to stop."""
        self.is_lost = True
        self._transfer.lose()

    async def aclose(self) -> None:
        self._published = self.received  # nothing is left to tell, whatever timer is set
        self._recorder.forget(self)
        self._recorder.under_way -= 1
        if self._publisher is not None:
            self._publisher.cancel()
            await asyncio.gather(self._publisher, return_exceptions=True)

    def _publish(self) -> None:
        self._may_publish = False
        self._published = self.received
        self._publisher = asyncio.create_task(self._apublish())

    async def _apublish(self) -> None:
        await apublish_progress(self.temp_file, self._published)
        self._publisher = None
        if interval := self._interval:
            ticks(interval).call(self._go_on)
        else:
            self._go_on()

    def _go_on(self) -> None:
        if self.received != self._published:
            self._publish()
        else:
            self._may_publish = True

    @property
    def _interval(self) -> float:
        """Seconds. 0 is what the project has asked for: it wants to be told of each chunk."""
        interval = upload_settings.PROGRESS_INTERVAL
        if not interval:
            return 0
        share = self._recorder.under_way / MOST_PER_SECOND
        return interval if share <= interval else math.ceil(share / STEP) * STEP


class ProgressRecorder:
    """Writes the progress of all uploads of one event loop to their rows, together, once a second."""

    def __init__(self) -> None:
        self._noted: dict[int, Progress] = {}
        self.under_way: int = 0
        self._task: asyncio.Task[None] | None = None

    def note(self, progress: Progress) -> None:
        self._noted[progress.temp_file.pk] = progress
        if self._task is None or self._task.done():
            # In a context of its own: the task outlives the request that happens to start it.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    def forget(self, progress: Progress) -> None:
        self._noted.pop(progress.temp_file.pk, None)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(RECORD_INTERVAL)
            noted, self._noted = self._noted, {}
            if not noted:
                return
            try:
                lost = await sync_to_async(record)(list(noted.values()))
            except Exception as error:
                if is_outage(error):
                    outages.database.goes_on(error)
                else:
                    logger.exception("The progress of %d uploads could not be recorded.", len(noted))
                continue
            for pk in lost:
                noted[pk].lose()


_recorders: WeakKeyDictionary[asyncio.AbstractEventLoop, ProgressRecorder] = WeakKeyDictionary()


def _recorder_of_loop() -> ProgressRecorder:
    return _recorders.setdefault(asyncio.get_running_loop(), ProgressRecorder())


def record(noted: list[Progress]) -> list[int]:
    """Write the bytes received; returns the primary keys of rows that are no longer those of these transfers."""
    close_old_connections()
    try:
        using = router.db_for_write(AsyncTempFile)
        if _write(noted, using) == len(noted):
            return []
        uploading = AsyncTempFile.objects.using(using).filter(state=State.UPLOADING)
        versions = dict(
            uploading.filter(pk__in=[one.temp_file.pk for one in noted]).values_list("pk", "version")
        )
        return [one.temp_file.pk for one in noted if versions.get(one.temp_file.pk) != one.temp_file.version]
    finally:
        close_old_connections()


def _write(noted: list[Progress], using: str) -> int:
    """How many of the rows were there.

    Prepared here: to have the ORM put a thousand rows together holds up the event loop. And one statement for many of
    them: for each statement a thread gives Python away, and has to get it back, while SQLite lets nobody else write.
    """
    connection = connections[using]
    fields: list[Any] = [
        AsyncTempFile._meta.get_field(name) for name in ("received", "updated_at", "id", "version", "state")
    ]
    table, received, updated_at, pk, version, state = map(
        connection.ops.quote_name, (AsyncTempFile._meta.db_table, *(field.column for field in fields))
    )
    now = fields[1].get_db_prep_save(timezone.now(), connection)
    in_order = sorted((one.temp_file.pk, one.temp_file.version, one.received) for one in noted)
    with transaction.atomic(using=using), connection.cursor() as cursor:
        if not knows_returning(connection):
            cursor.executemany(
                f"UPDATE {table} SET {received} = %s, {updated_at} = %s"  # noqa: S608  # nosec B608  # names of ours
                f" WHERE {pk} = %s AND {version} = %s AND {state} = %s",
                [(size, now, number, known, str(State.UPLOADING)) for number, known, size in in_order],
            )
            return int(cursor.rowcount)
        written = 0
        for start in range(0, len(in_order), TOGETHER):
            some = in_order[start : start + TOGETHER]
            cursor.execute(
                f"UPDATE {table} SET {received} = told.column3, {updated_at} = %s"  # noqa: S608  # nosec B608  # names of ours
                f" FROM (VALUES {', '.join(['(%s, %s, %s)'] * len(some))}) AS told"
                f" WHERE {table}.{pk} = told.column1 AND {table}.{version} = told.column2 AND {table}.{state} = %s",
                [now, *chain.from_iterable(some), str(State.UPLOADING)],
            )
            written += cursor.rowcount
        return written
