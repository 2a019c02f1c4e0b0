"""Requests share threads and connections, and nothing else: what one leaves behind, no other finds."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import OperationalError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import translation

from async_uploads.asgi import StreamingASGIHandler, get_asgi_application
from async_uploads.request_threads import (
    RequestContext,
    RequestThreads,
    release_request_thread,
)
from async_uploads.request_threads import (
    pool as request_pool,
)
from tests.testapp.models import Document
from tests.watching import PATIENCE, eventually

this_thread = sync_to_async(threading.get_ident)


@pytest.fixture
def pool() -> RequestThreads:
    return RequestThreads(1)


async def as_request(pool: RequestThreads, function: Callable[[], Any]) -> Any:
    """Call it as a request of its own would."""

    async def request() -> Any:
        async with RequestContext(pool):
            return await sync_to_async(function)()

    # In a context of its own, as a server's: a context inside a context is part of it.
    return await asyncio.create_task(request(), context=Context())


@asynccontextmanager
async def blocked(pool: RequestThreads) -> AsyncIterator[threading.Event]:
    """A request whose thread does not come back until the event is set, or the block ends."""
    begun, end = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert end.wait(20)

    task = asyncio.create_task(as_request(pool, wait))
    await eventually(begun.is_set)
    try:
        yield end
    finally:
        end.set()
        await task


####################################
# A thread each, one after the other
####################################


async def test_the_next_request_gets_the_thread_of_the_last_one(pool: RequestThreads) -> None:
    first = await as_request(pool, threading.get_ident)

    assert await as_request(pool, threading.get_ident) == first


async def test_a_request_has_one_thread_to_itself_from_its_first_call_to_its_end() -> None:
    pool = RequestThreads(4)
    used: dict[int, list[int]] = {}

    async def request(number: int) -> None:
        async with RequestContext(pool):
            for _ in range(20):
                thread = await this_thread()
                used.setdefault(thread, []).append(number)
                await asyncio.sleep(0)

    await asyncio.gather(*(asyncio.create_task(request(number)) for number in range(40)))

    assert len(used) < 40
    for numbers in used.values():
        # In runs of twenty: no request came between the calls of another one.
        assert all(len(set(numbers[at : at + 20])) == 1 for at in range(0, len(numbers), 20))


async def test_calls_of_one_request_are_made_one_after_the_other(pool: RequestThreads) -> None:
    made: list[int] = []
    async with RequestContext(pool):
        await asyncio.gather(*(sync_to_async(made.append)(number) for number in range(10)))

    assert made == list(range(10))


async def test_what_a_call_raises_is_raised_where_it_is_waited_for(pool: RequestThreads) -> None:
    with pytest.raises(ZeroDivisionError):
        await as_request(pool, lambda: 1 / 0)

    assert await as_request(pool, lambda: "well") == "well"


async def test_a_call_may_wait_for_the_event_loop(pool: RequestThreads) -> None:
    async def back_on_the_loop() -> tuple[int, int]:
        return threading.get_ident(), await this_thread()

    async with RequestContext(pool):
        thread = await this_thread()
        loop, again = await sync_to_async(async_to_sync(back_on_the_loop))()

    assert (loop, again) == (threading.get_ident(), thread)


async def test_a_context_inside_a_context_is_part_of_it(pool: RequestThreads) -> None:
    async with RequestContext(pool):
        outer = await this_thread()
        async with RequestContext(RequestThreads(1)):
            assert await this_thread() == outer


####################################
# What is left behind
####################################


@pytest.fixture
def keeping(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> None:
    """Threads keep their connections from request to request."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 600)


def connection_id() -> int:
    connection.ensure_connection()
    return id(connection.connection)


def closing(function: Callable[[], Any]) -> Callable[[], Any]:
    """So that the test's own database can be taken down."""

    def call() -> Any:
        try:
            return function()
        finally:
            connection.close()

    return call


@pytest.mark.on_postgresql
async def test_the_connection_is_kept_as_conn_max_age_allows(keeping: None, pool: RequestThreads) -> None:
    first = await as_request(pool, connection_id)

    assert await as_request(pool, closing(connection_id)) == first


@pytest.mark.on_postgresql
async def test_no_connection_is_kept_where_conn_max_age_is_zero(
    transactional_db: None, pool: RequestThreads
) -> None:
    await as_request(pool, connection_id)

    assert await as_request(pool, lambda: connection.connection) is None


@pytest.mark.on_postgresql
async def test_a_transaction_that_was_left_open_is_rolled_back_and_not_gone_on_with(
    keeping: None, pool: RequestThreads
) -> None:
    def leave_open() -> None:
        transaction.atomic().__enter__()
        Document.objects.create(title="never committed")

    await as_request(pool, leave_open)

    assert await as_request(pool, lambda: connection.in_atomic_block) is False
    assert await as_request(pool, closing(Document.objects.count)) == 0


@pytest.mark.on_postgresql
async def test_autocommit_that_was_turned_off_is_on_again(keeping: None, pool: RequestThreads) -> None:
    def turn_off() -> None:
        transaction.set_autocommit(False)
        Document.objects.create(title="never committed")

    await as_request(pool, turn_off)

    assert await as_request(pool, transaction.get_autocommit) is True
    assert await as_request(pool, closing(Document.objects.count)) == 0


@pytest.mark.postgresql_only
async def test_a_connection_that_broke_is_made_anew(keeping: None, pool: RequestThreads) -> None:
    def break_it() -> None:
        with pytest.raises(OperationalError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    await as_request(pool, break_it)

    assert await as_request(pool, closing(Document.objects.count)) == 0


async def test_a_language_ends_with_its_request(pool: RequestThreads) -> None:
    await as_request(pool, lambda: translation.activate("de"))

    assert await as_request(pool, translation.get_language) != "de"


async def test_what_a_cancelled_request_has_begun_ends_before_another_one_gets_the_thread(
    pool: RequestThreads,
) -> None:
    done: list[str] = []
    begun, end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        end.wait(20)
        done.append("cancelled one")

    cancelled = asyncio.create_task(as_request(pool, work))
    await eventually(begun.is_set)
    cancelled.cancel()
    threading.Timer(0.005, end.set).start()
    await as_request(pool, lambda: done.append("next one"))

    assert done == ["cancelled one", "next one"]
    with pytest.raises(asyncio.CancelledError):
        await cancelled


async def test_a_connection_that_cannot_be_closed_does_not_keep_the_thread(
    keeping: None, pool: RequestThreads, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(connection: Any) -> None:
        raise OSError("no such connection")

    def connect() -> tuple[int, Any]:
        connection.ensure_connection()
        return threading.get_ident(), connections["default"]

    monkeypatch.setattr(BaseDatabaseWrapper, "close_if_unusable_or_obsolete", fail)
    thread, first = await as_request(pool, closing(connect))
    again, second = await as_request(pool, closing(connect))

    assert again == thread
    assert second is not first
    assert "can't be closed" in caplog.text


####################################
# How many
####################################


async def test_calls_that_take_long_are_no_reason_for_more_while_the_processor_is_busy(
    pool: RequestThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("async_uploads.request_threads.pool.time.process_time", time.monotonic)
    at_work: list[int] = []
    most: list[int] = []

    def work() -> None:
        at_work.append(1)
        most.append(len(at_work))
        time.sleep(3 * request_pool.PATIENCE)
        at_work.pop()

    await asyncio.gather(*(as_request(pool, work) for _request in range(5)))

    assert max(most) == 1


async def test_where_the_system_has_no_thread_left_requests_wait_for_one(
    pool: RequestThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left() -> Any:
        raise RuntimeError("can't start new thread")

    async with blocked(pool) as end:
        with monkeypatch.context() as patch:
            patch.setattr(request_pool, "Worker", none_left)
            waiting = asyncio.create_task(as_request(pool, lambda: "served"))
            await asyncio.sleep(5 * request_pool.PATIENCE)
            end.set()
            assert await asyncio.wait_for(waiting, PATIENCE) == "served"
    await eventually(lambda: pool._taken == 0)


async def test_requests_wait_for_one_another_while_threads_come_back(pool: RequestThreads) -> None:
    threads = await asyncio.gather(*(as_request(pool, threading.get_ident) for _ in range(50)))

    assert len(set(threads)) == 1


async def test_requests_that_wait_for_one_another_do_not_wait_for_ever(pool: RequestThreads) -> None:
    """With one thread, and nine requests of which each needs the others to have begun."""
    meeting = threading.Barrier(9)

    await asyncio.wait_for(asyncio.gather(*(as_request(pool, meeting.wait) for _ in range(9))), 20)


async def test_a_request_goes_on_while_others_keep_all_threads_and_call_now_and_then(
    pool: RequestThreads,
) -> None:
    """As a stream of events does, which looks into the database all the time."""
    stop = asyncio.Event()

    async def stream() -> None:
        async with RequestContext(pool):
            while not stop.is_set():
                await this_thread()
                await asyncio.sleep(0.001)

    streaming = asyncio.create_task(stream(), context=Context())
    await asyncio.sleep(0.01)
    try:
        async with asyncio.timeout(20):
            assert await as_request(pool, lambda: "answered") == "answered"
    finally:
        stop.set()
        await streaming


async def test_a_request_goes_on_while_all_threads_are_blocked(pool: RequestThreads) -> None:
    async with blocked(pool):
        assert await as_request(pool, lambda: "answered") == "answered"


async def test_while_the_processor_is_idle_there_are_more_threads(pool: RequestThreads) -> None:
    """As where each page waits for the database, and all of them make headway."""
    at_work: list[int] = [0]
    most: list[int] = [0]
    counting = threading.Lock()

    def wait_for_the_database() -> None:
        with counting:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        time.sleep(0.03)
        with counting:
            at_work[0] -= 1

    await asyncio.gather(*(as_request(pool, wait_for_the_database) for _ in range(30)))

    assert most[0] > 1


async def test_while_the_processor_is_busy_there_are_not(
    pool: RequestThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "process_time", time.monotonic)

    used = await asyncio.gather(*(as_request(pool, working_for(0.005)) for _ in range(20)))

    assert len(set(used)) == 1


def working_for(seconds: float) -> Callable[[], int]:
    def work() -> int:
        time.sleep(seconds)
        return threading.get_ident()

    return work


async def test_a_few_threads_are_kept_and_no_more() -> None:
    pool = RequestThreads(2)
    meeting = threading.Barrier(20)

    def meet() -> threading.Thread:
        meeting.wait()
        return threading.current_thread()

    met = set(await asyncio.gather(*(as_request(pool, meet) for _ in range(20))))

    assert len(met) == 20
    await eventually(lambda: sum(thread.is_alive() for thread in met) == request_pool.KEPT)
    assert len(pool._idle) == request_pool.KEPT


async def test_threads_end_with_their_pool() -> None:
    async def serve_and_forget() -> threading.Thread:
        pool = RequestThreads(1)
        thread: threading.Thread = await as_request(pool, threading.current_thread)
        await eventually(lambda: len(pool._idle) == 1)
        return thread

    thread = await serve_and_forget()

    await eventually(lambda: gc.collect() >= 0 and not thread.is_alive())


def test_a_pool_without_threads_is_refused() -> None:
    with pytest.raises(ValueError, match="serves nobody"):
        RequestThreads(0)


def test_a_process_ends_when_what_its_requests_have_begun_is_done() -> None:
    script = """
import asyncio, time
from asgiref.sync import sync_to_async
from async_uploads.request_threads import RequestContext, RequestThreads

pool = RequestThreads(2)

def work():
    time.sleep(0.3)
    print("done", flush=True)

async def main():
    async with RequestContext(pool):
        asyncio.ensure_future(sync_to_async(work)())
        await asyncio.sleep(0.1)

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=20, check=True
    )

    assert ended.stdout == "done\n"


####################################
# Given back
####################################


async def test_a_thread_that_is_given_back_serves_others_and_another_one_is_taken_later(
    pool: RequestThreads,
) -> None:
    async with RequestContext(pool):
        first = await this_thread()
        await release_request_thread()
        assert await as_request(pool, threading.get_ident) == first
        async with blocked(pool):
            assert await this_thread() != first


async def test_a_thread_that_is_waited_for_may_be_given_back_and_asked_for_again(
    pool: RequestThreads,
) -> None:
    made: list[str] = []
    async with blocked(pool) as end, RequestContext(pool):
        first = asyncio.create_task(sync_to_async(made.append)("first"))
        await asyncio.sleep(0)
        await release_request_thread()
        second = asyncio.create_task(sync_to_async(made.append)("second"))
        await asyncio.sleep(0)
        end.set()
        await asyncio.gather(first, second)

    assert made == ["first", "second"]
    await eventually(lambda: pool._taken == 0)


async def test_giving_back_twice_is_harmless(pool: RequestThreads) -> None:
    async with RequestContext(pool):
        await this_thread()
        await release_request_thread()
        await release_request_thread()

    await eventually(lambda: pool._taken == 0)
    assert len(pool._idle) == 1


####################################
# The handler
####################################


def test_the_handler_has_as_many_threads_as_it_is_told() -> None:
    assert get_asgi_application(threads=3)._threads.size == 3  # type: ignore[union-attr]
    assert get_asgi_application(threads=None)._threads is None
    assert isinstance(get_asgi_application(), StreamingASGIHandler)
