"""How fast a socket may send messages."""

from __future__ import annotations

import asyncio

BURST = 2
"""Seconds' worth of messages that may come at once."""


class Pace:
    """A token bucket: ``rate`` messages a second."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left = rate * BURST
        self._seen_at = asyncio.get_running_loop().time()

    def allows_another(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._left = min(self._left + (now - self._seen_at) * self._rate, self._rate * BURST)
        self._seen_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
