"""Sweeping again and again, as a worker that runs for months beside the servers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError, connections

logger: logging.Logger = logging.getLogger("async_uploads")


async def awatch(sweep: Callable[[], Awaitable[object]], *, every: float, stopping: asyncio.Event) -> None:
    """Call ``sweep`` every so many seconds until ``stopping`` is set, which it hears between two rounds by itself.

    A database that is away costs the log one line when it goes and one when it is back. None of its connections are
    held between two rounds.
    """
    is_away = False
    while not stopping.is_set():
        try:
            await sweep()
        except (DatabaseError, InterfaceError) as error:
            if not is_away:
                logger.error("The sweep can't ask the database, and goes on trying: %s", error)  # noqa: TRY400
            is_away = True
        else:
            if is_away:
                logger.warning("The database answers the sweep again.")
            is_away = False
        await sync_to_async(connections.close_all)()
        with suppress(TimeoutError):
            async with asyncio.timeout(every):
                await stopping.wait()
