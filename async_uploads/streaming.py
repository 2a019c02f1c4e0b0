"""Request bodies as streams: taken from the ASGI server as they arrive, or from Django where it has spooled them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from copy import copy
from functools import cache
from io import RawIOBase
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.http.request import RawPostDataException
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from async_uploads.conf import upload_settings
from async_uploads.exceptions import InvalidParameters, UploadDisconnected

ViewT = TypeVar("ViewT", bound=Callable[..., Any])
Receive = Callable[[], Awaitable[dict[str, Any]]]

# As nginx does (lingering_time, lingering_timeout): a client that is refused while it sends can read the answer.
LINGERING_TIME = 30.0
LINGERING_TIMEOUT = 5.0

MAX_CONTENT_LENGTH = 2**63 - 1

LARGEST_BLOCK = 4 * 1024 * 1024

STREAMS_ATTRIBUTE = "streams_request_body"


def streams_request_body(view: ViewT) -> ViewT:
    """Mark a view as one that reads its body by ``body_of(request)``, so that the ASGI handler does not spool it."""
    setattr(view, STREAMS_ATTRIBUTE, True)
    return view


def wants_stream(view: Callable[..., Any]) -> bool:
    return bool(getattr(view, STREAMS_ATTRIBUTE, False))


class RequestStream(RawIOBase):
    """The body of one ASGI request, by ``async for``.

    Stands where Django keeps the spooled file, and says so to code that tries to read it as one.
    """

    def __init__(self, receive: Receive) -> None:
        super().__init__()
        self._receive = receive
        self.exhausted: bool = False
        self.begun: bool = False
        self.disconnected: bool = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self.exhausted:
            return b""
        raise RawPostDataException(
            "This view takes its body as a stream: read it with streaming.body_of(request)."
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Chunks of bytes as the server hands them on; raises UploadDisconnected when the client goes away."""
        keep_memory_of_chunks()
        while not self.exhausted:
            chunk = await self._next()
            if chunk:
                yield chunk
            del chunk  # the next one may be long in coming

    async def drain(self, *, total: float = LINGERING_TIME, idle: float = LINGERING_TIMEOUT) -> None:
        """Read on and throw away, for at most ``total`` seconds, and ``idle`` seconds without a chunk."""
        loop = asyncio.get_running_loop()
        end = loop.time() + total
        try:
            async with asyncio.timeout(idle) as patience:
                while not self.exhausted:
                    await self._next()
                    patience.reschedule(min(loop.time() + idle, end))
        except (TimeoutError, UploadDisconnected):
            return

    async def _next(self) -> bytes:
        self.begun = True
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.exhausted = self.disconnected = True
            raise UploadDisconnected
        self.exhausted = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body


@cache
def keep_memory_of_chunks() -> None:
    """Have what one chunk gives back stay with the process, for the next one.

    glibc returns the top of its heap to the kernel as soon as twice the largest block is free that was ever given back
    (mallopt(3), M_TRIM_THRESHOLD). A server whose chunks are 256 KiB then spends most of its time on page faults. The
    block here is never touched, so it takes no memory; other allocators don't care.
    """
    bytes(LARGEST_BLOCK)


def body_of(request: HttpRequest) -> AsyncIterator[bytes]:
    """The body of ``request`` in chunks: live under ``async_uploads.asgi``, else from where Django has put it."""
    stream = getattr(request, "_stream", None)
    return aiter(stream) if isinstance(stream, RequestStream) else _spooled(request)


async def _spooled(request: HttpRequest) -> AsyncIterator[bytes]:
    while chunk := await sync_to_async(request.read, thread_sensitive=False)(upload_settings.CHUNK_SIZE):
        yield chunk


def is_streamed(request: HttpRequest) -> bool:
    return isinstance(getattr(request, "_stream", None), RequestStream)


def content_length(request: HttpRequest) -> int | None:
    """The announced size of the body in bytes, None where it is not announced or not a number."""
    announced = request.META.get("CONTENT_LENGTH") or ""
    if not (announced.isascii() and announced.isdigit()):
        return None
    # No column holds more, and int() refuses thousands of digits.
    return min(int(announced[:20]), MAX_CONTENT_LENGTH)


async def file_in_multipart(
    body: AsyncIterator[bytes], content_type: str, field_name: str
) -> AsyncIterator[bytes]:
    """The content of the file field ``field_name`` (RFC 7578) as it arrives; other fields are passed over.

    Raises InvalidParameters for a body that is not a whole multipart body with one such file.
    """
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    found = whole = False
    segment: MultipartSegment | None = None
    try:
        with PushMultipartParser(boundary, strict=True, max_segment_count=64) as parser:
            async for chunk in body:
                if whole:
                    continue  # RFC 2046, 5.1.1: what follows the last boundary is ignored, in whichever chunk it comes
                events = list(parser.parse(chunk))
                for event in events:
                    if isinstance(event, MultipartSegment):
                        segment = event
                        if found and _is_file(segment, field_name):
                            raise _malformed(field_name, "The body holds more than one file.")
                        found = found or _is_file(segment, field_name)
                    elif event and _is_file(segment, field_name):
                        yield bytes(event)
                # Where no part has ended, it can't be the last one, and the question costs more than the chunk.
                whole = (segment is None or None in events) and _is_whole(parser)
    except MultipartError as error:
        raise _malformed(field_name, f"Not a valid multipart body: {error}") from error
    if not found:
        raise _malformed(field_name, "No file was submitted.")


def _is_whole(parser: PushMultipartParser) -> bool:
    """Has the last boundary come? The parser tells it only as it is closed, so a copy is."""
    try:
        copy(parser).close()
    except MultipartError:
        return False
    return True


def _is_file(segment: MultipartSegment | None, field_name: str) -> bool:
    return segment is not None and segment.name == field_name and segment.filename is not None


def _malformed(field_name: str, message: str) -> InvalidParameters:
    return InvalidParameters({field_name: [message]})
