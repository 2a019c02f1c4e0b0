"""The channel layer as sockets see it: one that is away is told once, and is one error, whatever it raises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from async_uploads.events import layer_outage

T = TypeVar("T")

PAUSE = 0.1


class LayerUnavailable(Exception):
    """The channel layer does not answer."""


class TellingLayer:
    def __init__(self, layer: Any) -> None:
        self._layer = layer

    async def new_channel(self) -> str:
        """Asks nobody, but with channels_redis' layer over pub/sub: so that it works says nothing of an outage."""
        try:
            name: str = await self._layer.new_channel()
        except Exception as error:
            layer_outage.goes_on(error)
            raise LayerUnavailable from error
        return name

    async def receive(self, channel: str) -> Any:
        """The next message. Waiting is no outage: redis-py 8 gives a read up after as long as channels_redis waits."""
        while True:
            try:
                return await _asked(self._layer.receive(channel))
            except LayerUnavailable as error:
                if type(error.__cause__).__name__ != TimeoutError.__name__:
                    raise
                await asyncio.sleep(PAUSE)

    async def group_add(self, group: str, channel: str) -> None:
        await _asked(self._layer.group_add(group, channel))

    async def group_discard(self, group: str, channel: str) -> None:
        await _asked(self._layer.group_discard(group, channel))


async def _asked(asking: Awaitable[T]) -> T:
    try:
        answer = await asking
    except Exception as error:
        if type(error).__name__ != TimeoutError.__name__:
            layer_outage.goes_on(error)
        raise LayerUnavailable from error
    layer_outage.is_over()
    return answer
