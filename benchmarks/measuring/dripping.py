"""Slow clients: each of many connections sends its body in equal pieces, at an even pace.

``drip`` is run by ``in_own_process``. libuv, which is C, does the work; what it used is in ``Answers.client_cpu``.
"""

from __future__ import annotations

import asyncio
import re
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import cast
from urllib.parse import urlsplit

import uvloop

from benchmarks.measuring.loading import Answers, Request

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def drip(
    requests: Sequence[Request],
    body: bytes,
    *,
    pieces: int,
    seconds: float,
    spread: float,
    at_once: int | None = None,
    within: float = 120.0,
) -> Answers:
    """Send ``body`` with each of the requests, in ``pieces``, over ``seconds``.

    The first ``at_once`` (all) of them begin evenly over ``spread`` seconds, each other one when another one has ended.
    Latencies are from a body's last byte to the whole answer. What is not answered ``within`` so many seconds is given
    up (status 0).
    """
    allow_open_files()
    cpu = time.process_time()
    answers = uvloop.run(_Dripping(requests, body, pieces, seconds).run(spread, at_once, within))
    answers.client_cpu = time.process_time() - cpu
    return answers


def allow_open_files() -> None:
    """As many as this process may have, and those that it starts."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Dripping:
    """All of the clients, and what they were answered."""

    def __init__(self, requests: Sequence[Request], body: bytes, pieces: int, seconds: float) -> None:
        size = -(-len(body) // pieces)
        whole = memoryview(body)
        self.pieces = [whole[start : start + size] for start in range(0, len(body), size)]
        self.pause = seconds / len(self.pieces)
        self.length = len(body)
        self.answers = Answers()
        self._coming: Iterator[Request] = iter(requests)
        self._left = len(requests)
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, spread: float, at_once: int | None, within: float) -> Answers:
        began = time.perf_counter()
        at_once = at_once or self._left
        clients = {asyncio.create_task(self._client(number / at_once * spread)) for number in range(at_once)}
        _ended, late = await asyncio.wait(clients, timeout=within)
        for client in late:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        if self._left:
            self.answers.statuses[0] = self.answers.statuses.get(0, 0) + self._left
        self.answers.seconds = time.perf_counter() - began
        return self.answers

    async def _client(self, wait: float) -> None:
        await asyncio.sleep(wait)
        for request in self._coming:
            at = urlsplit(request.url)
            sending = _Sending(self, request)
            with suppress(OSError):  # is counted as not answered
                await asyncio.get_running_loop().create_connection(
                    partial(_itself, sending), str(at.hostname), at.port or 80
                )
                try:
                    await sending.ended
                finally:
                    sending.close()
            self._left -= 1
            self.answers.count(sending.latency, sending.status, bytes(sending.received))


def _itself(sending: _Sending) -> _Sending:
    return sending


class _Sending(asyncio.Protocol):
    """One request over a connection of its own."""

    def __init__(self, dripping: _Dripping, request: Request) -> None:
        self.status = 0
        self.latency = 0.0
        self.received = bytearray()
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._dripping = dripping
        self._request = request
        self._next = 0
        self._due = 0.0
        self._last_byte = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is none of asyncio's
        at = urlsplit(self._request.url)
        target = f"{at.path}?{at.query}" if at.query else at.path
        headers = {"Host": at.netloc, "Content-Length": str(self._dripping.length), **self._request.headers}
        lines = [f"{self._request.method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        self._transport.write("\r\n".join([*lines, "", ""]).encode())
        self._due = self._loop.time()
        self._send()

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, rest = self.received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if found and length and len(rest) >= int(length[1]):
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.close()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.ended.done():
            return
        if self._last_byte:
            self.latency = self._loop.time() - self._last_byte
        status = _STATUS.match(self.received)
        self.status = int(status[1]) if status else 0
        self.ended.set_result(None)
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        assert self._transport is not None
        self._transport.write(self._dripping.pieces[self._next])
        self._next += 1
        if self._next == len(self._dripping.pieces):
            self._last_byte = self._loop.time()
            return
        self._due += self._dripping.pause
        self._timer = self._loop.call_at(self._due, self._send)
