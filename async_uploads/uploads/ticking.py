"""Timers that all uploads of an event loop share: they may be late by a little, and then go off together."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextvars import Context
from weakref import WeakKeyDictionary

logger: logging.Logger = logging.getLogger("async_uploads")

GRAIN = 0.02
"""Seconds between two ticks: what is due in between goes off at the next one."""


class Ticks:
    """Calls back after so many seconds, the same for all."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._due: deque[tuple[float, Callable[[], object]]] = deque()
        self._is_set = False

    def call(self, callback: Callable[[], object]) -> None:
        """There is no taking back: a callback has to know whether it is still wanted."""
        due = asyncio.get_running_loop().time() + self._delay
        self._due.append((due, callback))
        if not self._is_set:
            self._set(due)

    def _set(self, when: float) -> None:
        # In a context of its own: the timer is not that of the request which happens to start it.
        asyncio.get_running_loop().call_at(when, self._tick, context=Context())
        self._is_set = True

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._due and self._due[0][0] <= now:
            _due, callback = self._due.popleft()
            try:
                callback()
            except Exception:  # it is the mistake of one, and the timer is that of all
                logger.exception("A timer of an upload has failed.")
        self._is_set = False
        if self._due:
            self._set(max(self._due[0][0], now + GRAIN))


_ticks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[float, Ticks]] = WeakKeyDictionary()


def ticks(delay: float) -> Ticks:
    """Those of the running loop that come ``delay`` seconds later."""
    of_loop = _ticks.setdefault(asyncio.get_running_loop(), {})
    if delay not in of_loop:
        of_loop[delay] = Ticks(delay)  # which does not know its loop, or the loop would never be forgotten
    return of_loop[delay]
