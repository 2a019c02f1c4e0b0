"""A database that is away for a while: told from other errors, and waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import random
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import Error, InterfaceError, OperationalError, close_old_connections

from async_uploads import outages

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds for which the last step of an upload waits for its database."""

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0

# https://www.postgresql.org/docs/current/errcodes-appendix.html: connection exceptions, insufficient resources ("too
# many clients" among them), shutdown and start.
_POSTGRESQL = ("08", "53", "57P01", "57P02", "57P03")
# https://sqlite.org/rescode.html. SQLITE_ERROR, of the same class of exceptions, is a table that does not exist.
_SQLITE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_IOERR")
# MySQL: too many connections, shutdown, no connection, a lost one.
_MYSQL = {1040, 1053, 2002, 2003, 2006, 2013}


def is_outage(error: BaseException | None) -> bool:
    """Does the database not answer, so that the same thing may work in a while?"""
    if isinstance(error, InterfaceError):  # the connection has been closed already
        return True
    if not isinstance(error, OperationalError):
        return False
    cause: Any = error.__cause__  # what the database's own driver has raised
    sqlite_name = getattr(cause, "sqlite_errorname", None)
    if sqlite_name is not None:
        return str(sqlite_name).startswith(_SQLITE)
    if hasattr(cause, "sqlstate"):  # psycopg; None where nobody was there to give it, or the pool has run out
        return cause.sqlstate is None or str(cause.sqlstate).startswith(_POSTGRESQL)
    return bool(error.args) and error.args[0] in _MYSQL


async def apatiently(step: Callable[[], Awaitable[T]], *, patience: float | None = None) -> T:
    """What ``step`` answers; while the database is away it is tried again, with back-off, for ``patience`` seconds.

    ``step`` may have been done although its answer was lost, so it has to be harmless twice. Raises what it raises.
    """
    deadline = time.monotonic() + (PATIENCE if patience is None else patience)
    pause = FIRST_PAUSE
    while True:
        try:
            return await step()
        except Error as error:
            if not is_outage(error):
                raise
            outages.database.goes_on(error)
            if time.monotonic() + pause > deadline:
                raise
        await sync_to_async(close_old_connections)()  # the thread would go on using the broken one
        await asyncio.sleep(pause * (0.5 + random()))  # noqa: S311  # nosec B311  # so that not all come back at once
        pause = min(2 * pause, LONGEST_PAUSE)
