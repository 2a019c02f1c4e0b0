"""Threads for requests: used again, each with the database connections that it has opened.

Under Django's own ASGI handler each request gets a new thread, and with it a new connection; whatever is set as
``CONN_MAX_AGE``. Here a request has a thread to itself as there, from its first blocking call to its end, and then the
thread goes to another one, as under a WSGI server with threads.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, NamedTuple
from weakref import WeakSet, finalize

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import connections

logger: logging.Logger = logging.getLogger("async_uploads")

PATIENCE = 0.02
"""Seconds between two looks at what the threads do, as long as any request waits for one. Where no call has ended in
between, all of them are blocked."""

BUSY = 0.8
"""Of a processor: a process that uses less while requests wait has threads that wait for something else."""

KEPT = 8

LONGEST_PATIENCE = 0.25
"""Seconds in which no request has given a thread back: then they are all kept by requests that go on and on."""


class RequestThreads:
    """A pool of ``size`` threads, and more for as long as those do not keep the processor busy.

    Python runs one thread at a time, and is slower the more of them want to. So a request that finds ``size`` threads
    taken waits for one, unless those wait for something themselves, as for a database: then there are twice as many the
    next moment. Requests that wait for one another so do not wait for ever, either. ``KEPT`` stay for the next time.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"A pool of {size} request threads serves nobody.")
        self.size = size
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._waiting: deque[RequestThread] = deque()
        self._taken = 0
        self.calls: int = 0
        """How many have ended, as nearly as threads count together."""
        self._returned_at = 0.0
        finalize(self, _end, self._idle)

    def serving(self) -> ThreadSensitiveContext:
        """A context, as Django's handler has one for each request: its blocking calls run in one of the threads."""
        return _RequestContext(self)

    def assign(self, request: RequestThread) -> _Worker | None:
        """A thread for the request; where there is none, None, and ``request.start`` is called when there is one."""
        with self._lock:
            if self._idle:
                self._taken += 1
                return (
                    self._idle.pop()
                )  # the last one used: the others' connections may grow old and be closed
            if self._taken < self.size:
                self._taken += 1
                return _Worker()
            self._waiting.append(request)
            is_first = len(self._waiting) == 1
        if is_first:
            self._watch()
        return None

    def give_back(self, worker: _Worker) -> None:
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
        is_blocked = now.calls == before.calls
        if not is_busy or is_blocked or now.at - self._returned_at > LONGEST_PATIENCE:
            self._relieve()
        if self._waiting:
            loop.call_later(PATIENCE, self._look, loop, now)

    def _seen(self) -> _Seen:
        return _Seen(time.monotonic(), time.process_time(), self.calls)

    def _relieve(self) -> None:
        with self._lock:
            many = min(len(self._waiting), max(self._taken, self.size))
            relieved = [(self._waiting.popleft(), self._take()) for _ in range(many)]
        for request, worker in relieved:
            request.start(worker)

    def _take(self) -> _Worker:
        self._taken += 1
        # The last one used: the others' connections may grow old and be closed.
        return self._idle.pop() if self._idle else _Worker()


class _Seen(NamedTuple):
    """The clock, the processor's time that the process has used (seconds), and how many calls have ended."""

    at: float
    spent: float
    calls: int


class RequestThread(Executor):
    """The executor of one request: its calls run in order, in the one thread that it has while it has any.

    ``release`` gives the thread back once they are done; the next call takes one anew, maybe another.
    """

    def __init__(self, pool: RequestThreads) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._held_up: list[_Call] | None = None
        """Calls that came while there was no thread for them; None where nothing is waited for."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        call = _Call(self._pool, fn, args, kwargs)
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

    def start(self, worker: _Worker) -> None:
        """What was held up begins; of a request that is over by now, the last of it gives the thread back."""
        with self._lock:
            held_up, self._held_up = self._held_up or [], None
            released = bool(held_up) and isinstance(held_up[-1], _Return)
            self._worker = None if released else worker
            for call in held_up:
                worker.put(call)

    def _put(self, call: _Call) -> None:
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
        worker = self._pool.assign(self)
        if worker is not None:
            self.start(worker)


class _Call:
    def __init__(
        self, pool: RequestThreads, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._pool = pool
        self.future: Future[Any] = Future()
        self._fn, self._args, self._kwargs = fn, args, kwargs

    def run(self, worker: _Worker) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self._fn(*self._args, **self._kwargs)
        except BaseException as error:  # noqa: BLE001  # as concurrent.futures does: it is for whoever waits
            self.future.set_exception(error)
        else:
            self.future.set_result(result)
        self._pool.calls += 1


class _Return(_Call):
    """The last thing that a request has its thread do."""

    def __init__(self, pool: RequestThreads) -> None:
        self._pool = pool

    def run(self, worker: _Worker) -> None:
        try:
            leave_clean()
        except Exception:
            logger.exception("A request has left a database connection that can't be closed.")
        finally:
            self._pool.give_back(worker)


class _Worker:
    """A thread that does one thing after the other."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self.thread: threading.Thread = threading.Thread(
            target=self._run, name="async-uploads-request", daemon=True
        )
        self.thread.start()
        _workers.add(self)

    def put(self, call: _Call) -> None:
        self._calls.put(call)

    def end(self) -> None:
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run(self)
            del call  # with the request that it holds
        connections.close_all()


class _RequestContext(ThreadSensitiveContext):
    """As asgiref's, which makes a thread for each context, and another one to wait for its end."""

    def __init__(self, pool: RequestThreads) -> None:
        super().__init__()
        self._thread = RequestThread(pool)

    async def __aenter__(self) -> _RequestContext:
        if SyncToAsync.thread_sensitive_context.get(None) is None:
            self.token = SyncToAsync.thread_sensitive_context.set(self)
            SyncToAsync.context_to_thread_executor[self] = self._thread
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self.token is not None:
            SyncToAsync.context_to_thread_executor.pop(self, None)
            SyncToAsync.thread_sensitive_context.reset(self.token)
            self.token = None
            self._thread.release()


def leave_clean() -> None:
    """Before another request gets this thread: no transaction is left open, and no connection that may not be kept.

    As Django does at a request's end (``close_old_connections``), for requests that never came to theirs, too.
    """
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:
            del connections[connection.alias]
            connection.close()
        else:
            connection.close_if_unusable_or_obsolete()


async def release_request_thread() -> None:
    """Give back the thread that the running ASGI request has, and with it the database connection.

    A body may take hours. The next call of ``sync_to_async`` takes a thread anew. Outside an ASGI request (tests, WSGI,
    commands) the thread belongs to somebody else, and nothing happens.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    executor = SyncToAsync.context_to_thread_executor.get(context) if context is not None else None
    if executor is None:
        return
    # Behind a sync middleware the thread waits for us, and its connection is closed at the request's end.
    is_waited_for = getattr(AsyncToSync.executors, "current", None) is not None
    if isinstance(executor, RequestThread) and not is_waited_for:
        executor.release()
        return
    await sync_to_async(connections.close_all)()
    if not is_waited_for and context is not None:
        SyncToAsync.context_to_thread_executor.pop(context, None)
        executor.shutdown(wait=False)


async def in_request_thread(function: Callable[[], object]) -> None:
    """Call it in the request's thread, as the last thing there. With a pool, nobody waits for it."""
    context = SyncToAsync.thread_sensitive_context.get(None)
    executor = SyncToAsync.context_to_thread_executor.get(context) if context is not None else None
    if isinstance(executor, RequestThread):
        executor.submit(copy_context().run, _logging_errors, function)
    else:
        await sync_to_async(function)()


def _logging_errors(function: Callable[[], object]) -> None:
    try:
        function()
    except Exception:
        logger.exception("A request could not be closed.")


def _end(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.end()


_workers: WeakSet[_Worker] = WeakSet()


@atexit.register
def _end_all() -> None:
    """As concurrent.futures does: what has begun is done before the process ends."""
    workers = list(_workers)
    _end(workers)
    for worker in workers:
        worker.thread.join()
