"""What watchers are told, and waiting for what is to come."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from channels.layers import get_channel_layer
from django.conf import settings

from async_uploads.events import group_of
from async_uploads.storage.parts import Parts

T = TypeVar("T")

PATIENCE = 20.0


async def eventually(condition: Callable[[], Awaitable[T] | T], *, within: float = PATIENCE) -> T:
    """The first true answer of ``condition``; fails the test where there is none ``within`` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        found: Any = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found  # type: ignore[no-any-return]  # T, awaited or not
        assert loop.time() < deadline, f"It did not come about within {within} s: {condition}"
        await asyncio.sleep(0.02)


class Watcher:
    """A member of the channel layer's group of one key."""

    def __init__(self, layer: Any, channel: str) -> None:
        self._layer = layer
        self._channel = channel
        self.heard: list[dict[str, Any]] = []

    async def hears(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next status that is as wanted."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message = await self._layer.receive(self._channel)
                status: dict[str, Any] = message["status"]
                self.heard.append(status)
                if wanted(status):
                    return status

    async def hears_state(self, state: str) -> dict[str, Any]:
        return await self.hears(lambda status: status["state"] == state)


@asynccontextmanager
async def watching(key: str) -> AsyncIterator[Watcher]:
    layer: Any = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(group_of(key), channel)
    try:
        yield Watcher(layer, channel)
    finally:
        await layer.group_discard(group_of(key), channel)


def parts_of(key: str) -> list[Path]:
    """The partial files of an upload that is on its way."""
    return parts(key).left()


def parts(key: str) -> Parts:
    """Where they are, or would be."""
    root = os.path.abspath(settings.MEDIA_ROOT)
    return Parts(f"{root}/async-temp-files", f"{root}/{key}")


def files_under_media() -> list[Path]:
    return sorted(found for found in Path(settings.MEDIA_ROOT).rglob("*") if found.is_file())
