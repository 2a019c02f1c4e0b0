"""HTTP/1.1 by hand, over a socket: for what a well-behaved client hides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from email.parser import BytesHeaderParser
from typing import Any
from urllib.parse import urlsplit

ANSWER_WITHIN = 20.0


@dataclass(frozen=True)
class Answer:
    """What the server said; the names of ``headers`` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One connection. The request goes out as it is told to, in as many pieces, as slowly."""

    def __init__(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer

    async def begin(self, method: str, path: str, headers: Mapping[str, object] | None = None) -> None:
        """Send the head of a request."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def send(self, content: bytes) -> None:
        self._writer.write(content)
        await self._writer.drain()

    async def send_chunk(self, content: bytes) -> None:
        """One chunk of a body with ``Transfer-Encoding: chunked``; an empty one ends it."""
        await self.send(b"%x\r\n%s\r\n" % (len(content), content))

    async def answer(self) -> Answer:
        """The next answer, whole. An interim one (100 Continue) counts as an answer."""
        async with asyncio.timeout(ANSWER_WITHIN):
            head = await self.head()
            return replace(head, body=await self.body_after(head))

    async def head(self) -> Answer:
        """The next answer as far as its headers go. Its body is left waiting in the socket."""
        status_line, _, lines = (await self._reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
        parsed = BytesHeaderParser().parsebytes(lines)
        headers = {name.lower(): value for name, value in parsed.items()}
        return Answer(status=int(status_line.split()[1]), headers=headers, body=b"")

    async def body_after(self, head: Answer) -> bytes:
        headers = head.headers
        if headers.get("transfer-encoding") != "chunked":
            return await self._reader.readexactly(int(headers.get("content-length", 0)))
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readline()
        await self._reader.readline()
        return body

    async def is_closed_by_server(self) -> bool:
        """Waits for the end of the connection; False where it does not come."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await self._reader.read() == b""
        except TimeoutError:
            return False

    def hang_up(self) -> None:
        """Break the connection off, as a cable that is pulled or a tab that is closed."""
        self._writer.transport.abort()

    async def aclose(self) -> None:
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)


@asynccontextmanager
async def wired(address: str) -> AsyncIterator[Wire]:
    """A connection to the server at ``http://host:port``."""
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    wire = Wire(parts.netloc, reader, writer)
    try:
        yield wire
    finally:
        await wire.aclose()
