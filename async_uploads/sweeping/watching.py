"""Sweeping again and again, as a worker that runs for months beside the servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError, connections

from async_uploads.outages import Outage


async def awatch(sweep: Callable[[], Awaitable[object]], *, every: float, stopping: asyncio.Event) -> None:
    """Call ``sweep`` every so many seconds until ``stopping`` is set, which it hears between two rounds by itself.

    A database that is away costs the log one line when it goes and one when it is back. None of its connections are
    held between two rounds.
    """
    outage = Outage("The database", "the sweep goes on trying.")
    while not stopping.is_set():
        try:
            await sweep()
        except (DatabaseError, InterfaceError) as error:
            outage.goes_on(error)
        else:
            outage.is_over()
        await sync_to_async(connections.close_all)()
        with suppress(TimeoutError):
            async with asyncio.timeout(every):
                await stopping.wait()
