"""A hundred actions at the same instant, and what PostgreSQL has to say of them."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection, connections

CROWD = 100
PATIENCE = 120.0


def crowded(action: Callable[[int], Any], count: int = CROWD) -> list[Any]:
    """What each call, in a thread and with a database connection of its own, returned or raised. All begin at once."""
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(PATIENCE)
            return action(number)
        except Exception as error:  # noqa: BLE001  # it is the answer
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))


async def acrowded(action: Callable[[int], Awaitable[Any]], count: int = CROWD) -> list[Any]:
    """The same on one event loop: for requests to servers."""
    return await asyncio.gather(*map(action, range(count)), return_exceptions=True)


def kinds(answers: list[Any]) -> dict[str, int]:
    """How many there are of each: an error by its class, an HTTP answer by its status, anything else as "done"."""
    return dict(Counter(_kind(answer) for answer in answers))


def _kind(answer: Any) -> str:
    if isinstance(answer, BaseException):
        return type(answer).__name__
    status = getattr(answer, "status_code", None)
    return str(status) if status is not None else "done"


async def exist(rows: Any) -> Any:
    """Is there one? For ``eventually``."""
    return await rows.aexists()
