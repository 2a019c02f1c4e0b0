"""How long a transfer may keep us waiting: as ``asyncio.timeout``, and to put it off with each chunk costs nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType


class Patience:
    """Ends the block with TimeoutError at a time of the loop's clock that ``until`` puts off.

    A timer is set anew where it went off too early, not each time.
    """

    def __init__(self, until: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._end: float | None = until
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Patience:
        await self._timeout.__aenter__()
        if self._end is not None:
            self.until(self._end)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(exc_type, exc, traceback)

    def until(self, end: float) -> None:
        self._end = end
        if self._timer is None or self._timer.when() > end:
            self._set(end)

    def without_end(self) -> None:
        self._end = None

    def lose(self) -> None:
        """End the block now, whatever it waits for."""
        with suppress(RuntimeError):  # it has ended already
            self._timeout.reschedule(self._loop.time())

    def _set(self, end: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(end, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._end is None:
            return
        if self._end <= self._loop.time():
            self.lose()
        else:
            self._set(self._end)
