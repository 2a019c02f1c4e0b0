"""The pool of threads that requests share, and what one request has of it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import finalize

from django.db import connections

from async_uploads.request_threads.workers import Call, Worker, end

logger: logging.Logger = logging.getLogger("async_uploads")

PATIENCE = 0.02
"""Seconds between two looks at what the threads do, as long as any request waits for one."""

BUSY = 0.8
"""Of a processor: a process that uses less while requests wait has threads that wait for something else."""

KEPT = 8

LONGEST_PATIENCE = 0.25
"""Seconds in which no request has given a thread back: then all wait, though the processor is busy with something else,
or go on and on."""


class RequestThreads:
    """A pool of ``size`` threads, and more while those do not keep the processor busy.

    Python runs one thread at a time, and is slower the more of them want to. So a request that finds ``size`` threads
    taken waits for one, unless those wait for something themselves, as for a database: then there are twice as many the
    next moment. Requests that wait for one another so do not wait for ever, either. ``KEPT`` stay for the next time.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"A pool of {size} request threads serves nobody.")
        self.size = size
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._waiting: deque[RequestThread] = deque()
        self._taken = 0
        self._returned_at = 0.0
        finalize(self, end, self._idle)

    def assign(self, request: RequestThread) -> Worker | None:
        """A thread for the request; where there is none, None, and ``request.start`` is called when there is one."""
        with self._lock:
            if self._idle or self._taken < self.size:
                return self._take()
            self._waiting.append(request)
            is_first = len(self._waiting) == 1
        if is_first:
            self._watch()
        return None

    def give_back(self, worker: Worker) -> None:
        with self._lock:
            self._returned_at = time.monotonic()
            if self._waiting:
                request = self._waiting.popleft()
            else:
                self._taken -= 1
                if len(self._idle) < max(self.size, KEPT):
                    self._idle.append(worker)
                else:
                    worker.end()
                return
        request.start(worker)

    def _watch(self) -> None:
        """One look after another, as long as anybody waits."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._relieve()
        else:
            self._returned_at = max(self._returned_at, time.monotonic())
            loop.call_later(PATIENCE, self._look, loop, self._seen())

    def _look(self, loop: asyncio.AbstractEventLoop, before: _Seen) -> None:
        now = self._seen()
        is_busy = now.spent - before.spent > BUSY * (now.at - before.at)
        if not is_busy or now.at - self._returned_at > LONGEST_PATIENCE:
            try:
                self._relieve()
            except RuntimeError:  # the system may have one the next time
                logger.exception("There is no thread left for %d requests that wait.", len(self._waiting))
        if self._waiting:
            loop.call_later(PATIENCE, self._look, loop, now)

    def _seen(self) -> _Seen:
        return _Seen(time.monotonic(), time.process_time())

    def _relieve(self) -> None:
        relieved = []
        try:
            with self._lock:
                for _ in range(min(len(self._waiting), max(self._taken, self.size))):
                    worker = self._take()
                    relieved.append((self._waiting.popleft(), worker))
        finally:
            for request, worker in relieved:
                request.start(worker)

    def _take(self) -> Worker:
        """Raises RuntimeError where the system has no thread left."""
        # The last one used: the others' connections may grow old and be closed.
        worker = self._idle.pop() if self._idle else Worker()
        self._taken += 1
        return worker


class _Seen(NamedTuple):
    """The clock, and the processor's time that the process has used, in seconds."""

    at: float
    spent: float


class RequestThread(Executor):
    """The executor of one request: its calls run in order, in the one thread that it has while it has any.

    ``release`` gives the thread back once they are done; the next call takes one anew, maybe another.
    """

    def __init__(self, pool: RequestThreads) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._held_up: list[Call] | None = None
        """Calls that came while there was no thread for them; None where nothing is waited for."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        call = Call(fn, args, kwargs)
        self._put(call)
        return call.future

    def release(self) -> None:
        """Harmless twice. Blocks nobody."""
        with self._lock:
            if self._held_up is not None:
                self._held_up.append(_Return(self._pool))
                return
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.put(_Return(self._pool))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As asgiref calls it at the request's end: what it had begun goes on to its end, and nobody waits for that."""
        self.release()

    def start(self, worker: Worker) -> None:
        """What was held up begins; of a request that is over by now, the last of it gives the thread back."""
        with self._lock:
            held_up, self._held_up = self._held_up or [], None
            released = bool(held_up) and isinstance(held_up[-1], _Return)
            self._worker = None if released else worker
            for call in held_up:
                worker.put(call)

    def _put(self, call: Call) -> None:
        with self._lock:
            if self._held_up is not None:
                if self._held_up and isinstance(self._held_up[-1], _Return):
                    self._held_up.pop()  # it was to go, and is needed again
                self._held_up.append(call)
                return
            if self._worker is not None:
                self._worker.put(call)
                return
            self._held_up = [call]
        try:
            worker = self._pool.assign(self)
        except RuntimeError:
            self._held_up = None
            raise
        if worker is not None:
            self.start(worker)


class _Return(Call):
    """The last thing that a request has its thread do."""

    def __init__(self, pool: RequestThreads) -> None:
        self._pool = pool

    def run(self, worker: Worker) -> None:
        leave_clean()
        self._pool.give_back(worker)


def leave_clean() -> None:
    """Before another request gets this thread: no transaction is left open, and no connection that may not be kept.

    As Django does at a request's end (``close_old_connections``), for requests that never came to theirs, too.
    """
    for connection in connections.all(initialized_only=True):
        try:
            if connection.in_atomic_block:
                del connections[connection.alias]
                connection.close()
            else:
                connection.close_if_unusable_or_obsolete()
        except Exception:
            logger.exception("A request has left a database connection that can't be closed.")
            with suppress(AttributeError):  # it is forgotten already
                del connections[connection.alias]
