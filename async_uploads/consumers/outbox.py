"""What a socket has still to be told: of each upload the newest status only, so that a slow reader costs no memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]


class Outbox:
    """Sends one message at a time, and calls ``on_stuck`` once where one is not taken within ``patience`` seconds.

    A status that waits is replaced by a newer one of its key. What was put in first goes out first.
    """

    def __init__(
        self,
        send: Callable[[Message], Awaitable[None]],
        *,
        patience: float,
        on_stuck: Callable[[], Awaitable[None]],
    ) -> None:
        self._send = send
        self._patience = patience
        self._on_stuck = on_stuck
        self._waiting: dict[object, Message] = {}
        self._some = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def __len__(self) -> int:
        return len(self._waiting)

    def put_status(self, status: Message) -> None:
        """An older one than that which waits already is late, and dropped."""
        waiting = self._waiting.get(status["key"])
        if waiting is None or waiting["seq"] <= status["seq"]:
            self._waiting[status["key"]] = status
            self._some.set()

    def put(self, message: Message) -> None:
        """What is no status, and is not replaced."""
        self._waiting[object()] = message
        self._some.set()

    async def aclose(self) -> None:
        """What waits is dropped: nobody is there to read it."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            while self._waiting:
                message = self._waiting.pop(next(iter(self._waiting)))
                try:
                    async with asyncio.timeout(self._patience):
                        await self._send(message)
                except TimeoutError:
                    await self._on_stuck()
                    return
                await asyncio.sleep(0)
            self._some.clear()
