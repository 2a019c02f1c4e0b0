"""Small writes to the server's own disk: of all uploads of an event loop together, in one thread at a time."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Sequence
from contextvars import Context
from functools import partial
from weakref import WeakKeyDictionary

SMALL = 256 * 1024
"""Bytes. To copy more than that takes longer than to go to a thread for it."""


MANY = 64
"""Chunks, fewer than the kernel takes at once (IOV_MAX)."""


class WritesTogether:
    """What is to be written while others are being written goes with the next ones.

    A thousand slow uploads so take a few hops to a thread, and a disk that stalls has one thread waiting for it.
    """

    def __init__(self) -> None:
        self._waiting: list[_Write] = []
        self._is_busy = False

    def write(self, descriptor: int, chunk: bytes) -> asyncio.Future[None]:
        """All of ``chunk``; the future fails with OSError. Where it is cancelled in time, nothing is written."""
        loop = asyncio.get_running_loop()  # not kept: whoever is kept with a loop must not keep it
        written: asyncio.Future[None] = loop.create_future()
        self._waiting.append((descriptor, chunk, written))
        if not self._is_busy:
            self._is_busy = True
            # At the end of this round of the loop: more are on their way. In a context that is no request's.
            loop.call_soon(self._begin, context=Context())
        return written

    def _begin(self) -> None:
        batch = [each for each in self._waiting if not each[2].cancelled()]
        self._waiting.clear()
        job = asyncio.get_running_loop().run_in_executor(None, _write_each, [each[:2] for each in batch])
        job.add_done_callback(partial(self._end, batch), context=Context())

    def _end(self, batch: Sequence[_Write], job: asyncio.Future[list[OSError | None]]) -> None:
        self._is_busy = bool(self._waiting)
        if self._waiting:
            self._begin()
        failed = job.cancelled() or job.exception() is not None
        for number, (_descriptor, _chunk, written) in enumerate(batch):
            if written.done():
                continue
            if failed:  # the loop is closing
                written.cancel()
            elif error := job.result()[number]:
                written.set_exception(error)
            else:
                written.set_result(None)


_Write = tuple[int, bytes, "asyncio.Future[None]"]


def write_out(descriptor: int, chunks: list[bytes]) -> None:
    """One after the other, without joining them first, unless they are many and small.

    Blocking. A full disk takes a part first, and fails with the rest.
    """
    left = [memoryview(chunk) for chunk in (chunks if len(chunks) <= MANY else [b"".join(chunks)])]
    while left:
        written = os.writev(descriptor, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]


def _write_each(batch: Sequence[tuple[int, bytes]]) -> list[OSError | None]:
    """Blocking. One upload's failure is not that of the others."""
    return [_failure_of(descriptor, chunk) for descriptor, chunk in batch]


def _failure_of(descriptor: int, chunk: bytes) -> OSError | None:
    try:
        write_out(descriptor, [chunk])
    except OSError as error:
        return error
    return None


_OfLoop = defaultdict[str, WritesTogether]
_together: WeakKeyDictionary[asyncio.AbstractEventLoop, _OfLoop] = WeakKeyDictionary()


def writes_together(location: str) -> WritesTogether:
    """Those of the running loop to the storage at ``location``: one that stalls does not hold up the others."""
    return _together.setdefault(asyncio.get_running_loop(), defaultdict(WritesTogether))[location]
