"""One channel of the layer for all sockets of an event loop: what it hears is told to those who watch the key.

A layer's work for each message, and the JSON of it, is done once, however many watch.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextvars import Context
from functools import cached_property
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from async_uploads.consumers.layer import LayerUnavailable, TellingLayer
from async_uploads.events import MESSAGE_TYPE, MOST_AT_ONCE, group_of

logger: logging.Logger = logging.getLogger("async_uploads")


class Told(dict[str, Any]):
    """A status from the layer."""

    @cached_property
    def text(self) -> str:
        return json.dumps(self)


class Watcher(Protocol):
    def hear(self, status: Told) -> None:
        """Takes a status of a key that it watches. Never waits, or the layer would drop some."""

    def lose_layer(self) -> None:
        """There will be no more of them."""


class Switchboard:
    """Who watches what, on one layer. Its channel lives as long as anybody watches anything."""

    def __init__(self, layer: Any) -> None:
        self._layer = TellingLayer(layer)
        self._lines: dict[str, _Line] = {}
        self._opening = asyncio.Lock()
        self._turn = asyncio.Semaphore(MOST_AT_ONCE)
        self._channel = ""
        self._listening: asyncio.Task[None] | None = None

    async def watch(self, key: str, watcher: Watcher) -> None:
        """Returns once nothing that is published will be missed; raises LayerUnavailable."""
        line = self._lines.setdefault(key, _Line())
        line.watchers.add(watcher)
        channel = await self._open()
        try:
            async with line.lock, self._turn:
                # For each watcher anew: a layer forgets members that have been there for long (group_expiry).
                await self._layer.group_add(group_of(key), channel)
        finally:
            if watcher not in line.watchers:  # it has gone meanwhile
                self.forget(key, watcher)

    async def unwatch(self, key: str, watcher: Watcher) -> None:
        """Raises LayerUnavailable; the watcher is told no more all the same."""
        line = self._lines.get(key)
        if line is None:
            return
        line.watchers.discard(watcher)
        # Adding and discarding wait for each other: crossed on their way, they would leave a watcher without news.
        try:
            async with line.lock:
                if not line.watchers and self._lines.get(key) is line:
                    async with self._turn:
                        await self._layer.group_discard(group_of(key), self._channel)
        finally:
            self.forget(key, watcher)

    def forget(self, key: str, watcher: Watcher) -> None:
        """As ``unwatch``, and without a word to the layer."""
        line = self._lines.get(key)
        if line is None:
            return
        line.watchers.discard(watcher)
        # Whoever has the lock is on the way to the layer: another line would cross it there. It looks again at its end.
        if not line.watchers and not line.lock.locked():
            del self._lines[key]
        if not self._lines and self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def _open(self) -> str:
        async with self._opening:
            if self._listening is None or self._listening.done():
                self._channel = await self._layer.new_channel()
                # In a context of its own: the task outlives the socket that happens to start it.
                self._listening = asyncio.get_running_loop().create_task(
                    self._listen(self._channel), context=Context()
                )
            return self._channel

    async def _listen(self, channel: str) -> None:
        try:
            while True:
                message = await self._layer.receive(channel)
                if message["type"] == MESSAGE_TYPE:
                    self._tell(Told(message["status"]))
        except Exception as error:  # whatever it is, nobody listens any more, and all have to begin anew
            if not isinstance(error, LayerUnavailable):
                logger.exception("Status is not heard any more.")
            lines, self._lines, self._listening = self._lines, {}, None
            for watcher in {watcher for line in lines.values() for watcher in line.watchers}:
                watcher.lose_layer()

    def _tell(self, status: Told) -> None:
        line = self._lines.get(status["key"])
        for watcher in line.watchers if line is not None else ():
            watcher.hear(status)


class _Line:
    """The watchers of a key."""

    def __init__(self) -> None:
        self.watchers: set[Watcher] = set()
        self.lock = asyncio.Lock()


_switchboards: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakKeyDictionary[Any, Switchboard]] = (
    WeakKeyDictionary()
)


def switchboard_of(layer: Any) -> Switchboard:
    """The one that all sockets of this event loop share."""
    of_loop = _switchboards.setdefault(asyncio.get_running_loop(), WeakKeyDictionary())
    return of_loop.setdefault(layer, Switchboard(layer))
