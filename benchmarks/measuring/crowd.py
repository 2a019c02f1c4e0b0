"""People who watch uploads: a process that holds their status sockets open and sends the uploads, round after round.

picows on uvloop, both C. Sender and watchers share a clock; what the process itself uses of a core is told.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import urlsplit

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

AT_ONCE = 50
"""Sockets that connect at the same time: a page that loads, not an attack."""

ANSWERED_WITHIN = 60.0
LOST_AFTER = 5.0
"""Seconds after which a status that has not come is lost."""


@dataclass(frozen=True)
class Seat:
    """Where a watcher's socket goes: ``ws://host:port/path``, and the cookie that tells who it is."""

    url: str
    session: str


@dataclass(frozen=True)
class SlowUpload:
    """An upload that waits for its bytes, and the watchers of it, as indexes of the crowd's seats."""

    url: str
    key: str
    watchers: Sequence[int]


@dataclass(frozen=True)
class Drip:
    """So many pieces of so many bytes, one each ``every`` seconds; an upload begins ``apart`` seconds after another."""

    pieces: int
    size: int
    every: float
    apart: float


@dataclass
class Watched:
    """Seconds from each piece of each upload to each watcher's first status at or beyond it; and what went wrong."""

    seconds: float = 0.0
    client_cpu: float = 0.0
    messages: int = 0
    latencies: list[float] = field(default_factory=list)
    pieces_untold: int = 0
    ends_untold: int = 0
    """Watchers that were never told ``uploaded``."""
    went_back: int = 0
    refused: list[str] = field(default_factory=list)
    """Answers to uploads that were no 201."""

    @property
    def lost(self) -> int:
        return self.pieces_untold + self.ends_untold + self.went_back

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


class Crowd:
    """The process, seen from the benchmark's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def watch(self, uploads: Sequence[SlowUpload], drip: Drip) -> Watched:
        """Subscribe, send the uploads, and see what is told. Raises RuntimeError with what went wrong in there."""
        self._connection.send((list(uploads), drip))
        watched: Watched = self.answer()
        if watched.refused:
            raise RuntimeError(f"not all uploads ended well: {watched.refused[:3]}")
        return watched

    def answer(self) -> Any:
        if not self._connection.poll(180):
            raise TimeoutError
        answer = self._connection.recv()
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer


@contextmanager
def crowd(seats: Sequence[Seat]) -> Iterator[Crowd]:
    """Connect so many sockets, and close them with the block."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, list(seats)), daemon=True)
    process.start()
    theirs.close()
    try:
        gathered = Crowd(ours)
        gathered.answer()
        yield gathered
        ours.send(None)
        process.join(20)
    finally:
        process.kill()
        process.join()


def _run(connection: Connection, seats: list[Seat]) -> None:
    try:
        uvloop.run(_serve(connection, seats))
    except BaseException:  # noqa: BLE001  # told where somebody waits for it
        connection.send(traceback.format_exc())


async def _serve(connection: Connection, seats: list[Seat]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    watchers = await asyncio.gather(*(_connected(seat, gate) for seat in seats))
    connection.send(len(watchers))
    loop = asyncio.get_running_loop()
    while (asked := await loop.run_in_executor(None, connection.recv)) is not None:
        connection.send(await _watch(watchers, *asked))


async def _connected(seat: Seat, gate: asyncio.Semaphore) -> _Watcher:
    async with gate:
        headers = {"Cookie": f"sessionid={seat.session}"}
        _transport, watcher = await ws_connect(
            _Watcher, seat.url, extra_headers=headers, websocket_handshake_timeout=ANSWERED_WITHIN
        )
    assert isinstance(watcher, _Watcher)
    return watcher


class _Sent:
    """What of an upload the kernel has been given: ``ends[i]`` bytes at ``times[i]`` (CLOCK_MONOTONIC)."""

    def __init__(self, drip: Drip) -> None:
        self.ends = [drip.size * (number + 1) for number in range(drip.pieces)]
        self.times: list[float] = []


class _Watcher(WSListener):  # type: ignore[misc]  # compiled
    def __init__(self) -> None:
        super().__init__()
        self.transport: WSTransport | None = None
        self.is_connected = True
        self.begin("", _Sent(Drip(0, 0, 0, 0)))

    def begin(self, key: str, sent: _Sent) -> None:
        self.key = key
        self.latencies: list[float] = []
        self.messages = self.went_back = 0
        self.subscribed = asyncio.Event()
        self.uploaded = asyncio.Event()
        self._seq = -1
        self._sent = sent

    @property
    def untold(self) -> int:
        """Pieces beyond all that was told in time."""
        late = sum(1 for latency in self.latencies if latency > LOST_AFTER)
        return len(self._sent.times) - len(self.latencies) + late

    def say(self, action: str) -> None:
        assert self.transport is not None
        self.transport.send(WSMsgType.TEXT, json.dumps({"action": action, "keys": [self.key]}).encode())

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.is_connected = False

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now = time.monotonic()
        if frame.msg_type != WSMsgType.TEXT:
            return
        told = json.loads(frame.get_payload_as_bytes())
        if told.get("key") != self.key or told["type"] != "status":
            return
        self.messages += 1
        self.went_back += told["seq"] < self._seq
        self._seq = max(self._seq, told["seq"])
        self.subscribed.set()
        ends, times = self._sent.ends, self._sent.times
        while (number := len(self.latencies)) < len(times) and ends[number] <= told["received"]:
            self.latencies.append(now - times[number])
        if told["state"] == "uploaded":
            self.uploaded.set()


async def _watch(watchers: list[_Watcher], uploads: list[SlowUpload], drip: Drip) -> Watched:
    sent = [_Sent(drip) for _upload in uploads]
    watching = []
    for upload, ours in zip(uploads, sent, strict=True):
        for number in upload.watchers:
            watchers[number].begin(upload.key, ours)
            watchers[number].say("subscribe")
            watching.append(watchers[number])
    async with asyncio.timeout(ANSWERED_WITHIN):
        while not all(watcher.subscribed.is_set() for watcher in watching):
            _check_connected(watching)
            await asyncio.sleep(0.05)
    before = sum(watcher.messages for watcher in watching)

    watched = Watched()
    began, cpu = time.monotonic(), time.process_time()
    sending = [
        _send(upload, ours, drip, began + 0.2 + drip.apart * number)
        for number, (upload, ours) in enumerate(zip(uploads, sent, strict=True))
    ]
    answers = await asyncio.gather(*sending)
    watched.refused = [answer for answer in answers if " 201 " not in answer]
    _check_connected(watching)
    ends = asyncio.gather(*(watcher.uploaded.wait() for watcher in watching))
    await asyncio.wait([ends], timeout=LOST_AFTER)
    ends.cancel()
    watched.seconds, watched.client_cpu = time.monotonic() - began, time.process_time() - cpu

    for watcher in watching:
        watched.latencies += watcher.latencies
        watched.messages += watcher.messages
        watched.pieces_untold += watcher.untold
        watched.ends_untold += not watcher.uploaded.is_set()
        watched.went_back += watcher.went_back
        watcher.say("unsubscribe")
    watched.messages -= before
    return watched


def _check_connected(watching: list[_Watcher]) -> None:
    closed = sum(not watcher.is_connected for watcher in watching)
    if closed:
        raise RuntimeError(f"{closed} of {len(watching)} sockets were closed by the server")


async def _send(upload: SlowUpload, sent: _Sent, drip: Drip, begin_at: float) -> str:
    """A raw PUT whose body comes in pieces; returns the first line of the answer."""
    loop = asyncio.get_running_loop()
    address = urlsplit(upload.url)
    await asyncio.sleep(max(begin_at - time.monotonic(), 0))
    with socket.socket() as connection:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(connection, (address.hostname, address.port))
        head = (
            f"PUT {address.path}?{address.query} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Content-Length: {drip.pieces * drip.size}\r\nConnection: close\r\n\r\n"
        )
        await loop.sock_sendall(connection, head.encode())
        piece = b"x" * drip.size
        for number in range(drip.pieces):
            await asyncio.sleep(max(begin_at + number * drip.every - time.monotonic(), 0))
            sent.times.append(time.monotonic())
            await loop.sock_sendall(connection, piece)
        async with asyncio.timeout(ANSWERED_WITHIN):
            answer = await loop.sock_recv(connection, 65536)
    return answer.partition(b"\r\n")[0].decode(errors="replace")
