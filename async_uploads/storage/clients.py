"""Clients of cloud storages: one for each event loop, since connections belong to the loop that opened them.

Under ASGI there is one loop for the life of the process; under WSGI, in management commands and in tests,
``async_to_sync`` and the like make one for each call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from threading import Lock
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary, WeakSet

T = TypeVar("T")

_all: WeakSet[ClientPerLoop[Any]] = WeakSet()
_open: set[ClientPerLoop[Any]] = set()
"""Those that have clients open: a storage that is dropped meanwhile would drop their sockets unclosed."""


class ClientPerLoop(Generic[T]):
    """A client for each event loop that asks for one: opened by ``opener`` when first asked for, closed with the loop.

    It is closed when the loop shuts down its asynchronous generators, as ``asyncio.run``, ``asyncio.Runner``,
    ``async_to_sync`` and the servers do, or before, by ``aclose_clients``. So what ``opener`` returns may be no
    generator (``asynccontextmanager``): the loop would close that, too, and at the same time.
    """

    def __init__(self, opener: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._opener = opener
        self._held: WeakKeyDictionary[asyncio.AbstractEventLoop, _Held[T]] = WeakKeyDictionary()
        self._lock = Lock()
        _all.add(self)

    async def get(self) -> T:
        """The client of the running loop. Raises what opening it raises; the next call tries again."""
        loop = asyncio.get_running_loop()
        with self._lock:
            held = self._held.setdefault(loop, _Held())
        async with held.opening:
            if held.generator is None or held.client is None:
                held.generator = self._hold(loop)
                held.client = await anext(held.generator)
            return held.client

    async def aclose(self) -> None:
        """Close the running loop's client, if there is one. ``get`` opens another one."""
        held = self._held.get(asyncio.get_running_loop())
        if held is not None and held.generator is not None:
            await held.generator.aclose()

    async def _hold(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[T, None]:
        """A generator that waits in the open client: a loop ends those that are left, and so closes the client."""
        async with self._opener() as client:
            _open.add(self)
            try:
                yield client
            finally:
                with self._lock:
                    self._held.pop(loop, None)
                    if not self._held:
                        _open.discard(self)


class _Held(Generic[T]):
    def __init__(self) -> None:
        self.opening = asyncio.Lock()
        self.generator: AsyncGenerator[T, None] | None = None
        self.client: T | None = None


async def aclose_clients() -> None:
    """Close all clients of the running loop: at the shutdown of a server that tells of it."""
    await asyncio.gather(*(each.aclose() for each in list(_all)))
