"""Threads that do one thing after the other, and end with the process only when it is done."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any
from weakref import WeakSet

from django.db import connections


class Call:
    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.future: Future[Any] = Future()
        self._fn, self._args, self._kwargs = fn, args, kwargs

    def run(self, worker: Worker) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self._fn(*self._args, **self._kwargs)
        except BaseException as error:  # noqa: BLE001  # as concurrent.futures does: it is for whoever waits
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Worker:
    """A thread that does one thing after the other."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self.thread: threading.Thread = threading.Thread(
            target=self._run, name="async-uploads-request", daemon=True
        )
        self.thread.start()
        _workers.add(self)

    def put(self, call: Call) -> None:
        self._calls.put(call)

    def end(self) -> None:
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run(self)
            del call  # with the request that it holds
        connections.close_all()


def end(workers: list[Worker]) -> None:
    for worker in workers:
        worker.end()


_workers: WeakSet[Worker] = WeakSet()


@atexit.register
def _end_all() -> None:
    """As concurrent.futures does: what has begun is done before the process ends."""
    workers = list(_workers)
    end(workers)
    for worker in workers:
        worker.thread.join()
