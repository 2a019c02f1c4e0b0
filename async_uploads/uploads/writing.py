"""The bytes of an upload on their way to the storage: collected, and written together while the next ones arrive."""

from __future__ import annotations

import asyncio
from functools import partial

from async_uploads.conf import upload_settings
from async_uploads.storage.base import IncomingFile
from async_uploads.uploads.ticking import ticks

FLUSH_INTERVAL = 0.5
"""Seconds after which bytes go to the storage even if they are few: slow uploads must not pile up in memory."""


class CoalescingWriter:
    """Collects small chunks and writes them together, while the next ones arrive.

    Holds at most two pieces of ``CHUNK_SIZE``: one being written, one being filled.
    """

    def __init__(self, incoming: IncomingFile) -> None:
        self._incoming = incoming
        self._limit = upload_settings.CHUNK_SIZE
        self._loop = asyncio.get_running_loop()
        self._chunks: list[bytes] = []
        self._size = 0
        self._writing: asyncio.Task[None] | None = None
        self._pieces = 0
        """How many have been handed on."""
        self._is_timed = False

    async def __aenter__(self) -> CoalescingWriter:
        return self

    async def feed(self, chunk: bytes) -> None:
        """Take a chunk; waits while there is no room. Raises what writing raised."""
        if self._writing is not None and self._writing.done():
            self._writing.result()
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size >= self._limit:
            await self._written()
            if self._size >= self._limit:  # the timer has not been faster
                self._write()
        elif not self._is_timed:
            self._set_timer()

    async def __aexit__(self, exc_type: type[BaseException] | None, *exc_info: object) -> None:
        self._pieces += 1
        if exc_type is None:
            await self._written()
            if self._chunks:
                await self._incoming.write_all(self._chunks)
        elif self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing

    def _write(self) -> None:
        chunks, self._chunks, self._size = self._chunks, [], 0
        self._pieces += 1
        self._is_timed = False
        self._writing = self._loop.create_task(self._incoming.write_all(chunks))

    def _set_timer(self) -> None:
        self._is_timed = True
        ticks(FLUSH_INTERVAL).call(partial(self._flush, self._pieces))

    def _flush(self, piece: int) -> None:
        """Time is up for this piece, if it has not been written since."""
        if piece != self._pieces:
            return
        if self._writing is not None and not self._writing.done():
            self._set_timer()
        elif self._writing is None or not (self._writing.cancelled() or self._writing.exception()):
            self._write()
