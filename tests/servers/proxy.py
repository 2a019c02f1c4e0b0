"""A reverse proxy between a client and one of the servers, that a test tells what shall go wrong.

Everything passes through as it came, Host included, for S3 signs that and Azurite compares it. Each connection carries
one request, which is all that HTTP/1.1 asks of a server, and bodies are not looked at.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

LONGEST_HEAD = 1 << 18  # bytes
CHUNK = 1 << 16  # bytes
END_OF_HEAD = b"\r\n\r\n"


@dataclass
class Asked:
    """A request as it came, and the status of its answer: 0 until there is one, or where the connection was cut."""

    method: str
    path: str
    query: str
    headers: dict[str, str]  # by name in lower case
    status: int = 0


When = Callable[[Asked], bool]


def any_request(asked: Asked) -> bool:
    return True


def copy_blob(asked: Asked) -> bool:
    """Azure's Copy Blob, and what is asked about its progress (Get Blob Properties)."""
    if "comp=" in asked.query:
        return False
    return asked.method == "HEAD" or (asked.method == "PUT" and "x-ms-copy-source" in asked.headers)


def put_block_from_url(asked: Asked) -> bool:
    return "comp=block&" in f"{asked.query}&" and "x-ms-copy-source" in asked.headers


@dataclass
class _Rule:
    """What happens to a request that ``when`` fits; nothing set is to pass it on."""

    when: When = any_request
    turns: int | None = None
    after: int = 0
    first: Callable[[], object] | None = None
    delay: float = 0.0
    answer: bytes | None = None
    cut: bool = False
    answer_is_lost: bool = False
    rewrites: Mapping[str, str] = field(default_factory=dict)

    def fits(self, asked: Asked) -> bool:
        if self.turns == 0 or not self.when(asked):
            return False
        self.after -= 1
        return self.after < 0

    def take(self) -> None:
        if self.turns is not None:
            self.turns -= 1


class Proxy:
    """``with Proxy(server.endpoint_url) as proxy``; it serves in a thread, and so goes on where the test blocks.

    Of the rules that fit a request and have turns left, the one made first is used. What all of them take: ``when``, a
    predicate of the request; ``after``, how many that fit shall pass before; ``turns``, how often, always unless told.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream)
        self._rules: list[_Rule] = []
        self._asked: list[Asked] = []
        self._exchanges: set[asyncio.Future[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="proxy", daemon=True)
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "The proxy does not start."
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    def requests(self, when: When = any_request) -> list[Asked]:
        return [asked for asked in self._asked if when(asked)]

    @property
    def is_busy(self) -> bool:
        """Is there a connection whose request is not done with?"""
        return bool(self._exchanges)

    # What can go wrong

    def delay(
        self, seconds: float, *, when: When = any_request, after: int = 0, turns: int | None = None
    ) -> None:
        """Waits before it passes the request on."""
        self._rules.append(_Rule(when, turns, after, delay=seconds))

    def answer(
        self,
        status: int,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        when: When = any_request,
        after: int = 0,
        turns: int | None = None,
    ) -> None:
        """Answers itself; the server hears nothing of it."""
        lines = [
            f"HTTP/1.1 {status} Answered by the proxy",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        head = "\r\n".join(lines).encode() + END_OF_HEAD
        self._rules.append(_Rule(when, turns, after, answer=head + body))

    def cut(self, *, when: When = any_request, after: int = 0, turns: int | None = None) -> None:
        """Resets the connection; the server hears nothing of the request."""
        self._rules.append(_Rule(when, turns, after, cut=True))

    def lose_answer(self, *, when: When = any_request, after: int = 0, turns: int | None = None) -> None:
        """The server does what it was asked, and then the connection is reset."""
        self._rules.append(_Rule(when, turns, after, answer_is_lost=True))

    def rewrite(
        self,
        headers: Mapping[str, str],
        *,
        when: When = any_request,
        after: int = 0,
        turns: int | None = None,
    ) -> None:
        """Other values for headers of the answer, where it has them; an answer with none of them takes no turn."""
        lowered = {name.lower(): value for name, value in headers.items()}
        self._rules.append(_Rule(when, turns, after, rewrites=lowered))

    def first(
        self, do: Callable[[], object], *, when: When = any_request, after: int = 0, turns: int | None = 1
    ) -> None:
        """Calls ``do`` before the request is passed on: what happens between two requests of the code under test."""
        self._rules.append(_Rule(when, turns, after, first=do))

    def forget(self) -> None:
        """From now on everything passes."""
        self._rules.clear()

    # Passing on

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LONGEST_HEAD)
        port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}{self._upstream.path}"
        self._ready.set()
        await self._ending.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        exchange = asyncio.ensure_future(self._exchange(reader, writer))
        self._exchanges.add(exchange)  # or nobody holds it while it waits, and it may be collected
        try:
            await exchange
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()  # One side has gone; the other is to notice.
        finally:
            writer.close()
            self._exchanges.discard(exchange)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(END_OF_HEAD)
        asked = _asked(head)
        self._asked.append(asked)
        rule = self._rule_for(asked)
        if rule.first is not None:
            await asyncio.to_thread(rule.first)
        await asyncio.sleep(rule.delay)
        if rule.cut:
            writer.transport.abort()
        elif rule.answer is not None:
            asked.status = int(rule.answer.split(b" ", 2)[1])
            await _answer(rule.answer, reader, writer)
        else:
            await self._pass_on(head, asked, rule, reader, writer)

    async def _pass_on(
        self,
        head: bytes,
        asked: Asked,
        rule: _Rule,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        server_reader, server_writer = await asyncio.open_connection(
            self._upstream.hostname, self._upstream.port, limit=LONGEST_HEAD
        )
        if "expect" in asked.headers:
            writer.write(b"HTTP/1.1 100 Continue" + END_OF_HEAD)
        server_writer.write(_for_one_request(head))
        sending = asyncio.create_task(_pump(reader, server_writer))
        try:
            answer = await server_reader.readuntil(END_OF_HEAD)
            asked.status = int(answer.split(b" ", 2)[1])
            if rule.answer_is_lost:
                return writer.transport.abort()
            writer.write(_rewritten(_for_one_request(answer), rule))
            await _pump(server_reader, writer)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def _rule_for(self, asked: Asked) -> _Rule:
        fitting = (rule for rule in self._rules if rule.fits(asked))
        rule = next(fitting, _Rule())
        if not rule.rewrites:
            rule.take()
        return rule


def _asked(head: bytes) -> Asked:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines if line)
    path, _, query = target.partition("?")
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Asked(method, path, query, headers)


def _for_one_request(head: bytes) -> bytes:
    """Closes after this exchange; and the proxy itself has said that the body may come."""
    first, *lines = head.removesuffix(END_OF_HEAD).split(b"\r\n")
    hop = (b"connection", b"keep-alive", b"expect")
    kept = [line for line in lines if line.split(b":", 1)[0].strip().lower() not in hop]
    return b"\r\n".join([first, *kept, b"Connection: close"]) + END_OF_HEAD


def _rewritten(head: bytes, rule: _Rule) -> bytes:
    lines = head.removesuffix(END_OF_HEAD).decode("latin-1").split("\r\n")
    changed = [_rewritten_line(line, rule.rewrites) for line in lines]
    if changed == lines:
        return head
    rule.take()
    return "\r\n".join(changed).encode("latin-1") + END_OF_HEAD


def _rewritten_line(line: str, rewrites: Mapping[str, str]) -> str:
    name = line.partition(":")[0]
    value = rewrites.get(name.strip().lower())
    return line if value is None else f"{name}: {value}"


async def _answer(answer: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """And hears the request out: a connection that is closed before would be reset, and the answer lost."""
    writer.write(answer)
    writer.write_eof()
    while await reader.read(CHUNK):
        pass


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side ends; then the other is closed as well."""
    try:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()
