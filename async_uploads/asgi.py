"""Django's ASGI handler, handing the bodies of uploads on as streams."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

import django
from asgiref.sync import sync_to_async
from django.core import signals
from django.core.exceptions import BadRequest, ImproperlyConfigured
from django.core.handlers.asgi import get_script_prefix
from django.http import HttpResponse, HttpResponseBadRequest
from django.urls import set_script_prefix

from async_uploads.checks import check_storages
from async_uploads.file_responses import FileOnDiskResponse, PathInPlaceOfBody
from async_uploads.middleware_groups import GroupingASGIHandler, view_for
from async_uploads.request_threads import (
    RequestContext,
    RequestThreads,
    release_request_thread,
)
from async_uploads.storage.clients import aclose_clients
from async_uploads.streaming import RequestStream, wants_stream

Message = dict[str, Any]

REQUEST_THREADS = 1
"""That a busy processor is given. See ``RequestThreads``."""

CANCELLED_WITHIN = 2.0
WIND_UP_WITHIN = 10.0
"""Seconds for the rows and parts of transfers as a server stops: where it has cancelled them, and where we have to."""


class StreamingASGIHandler(GroupingASGIHandler):
    """As Django's, except for views marked with ``streams_request_body``.

    Django reads a whole body, and spools it to disk, before any middleware or view runs. Here the route is resolved
    first; a streaming view gets a request whose body is still on its way, with the project's middleware around it.
    """

    streams_request_bodies = True

    def __init__(self, *, threads: int | None = REQUEST_THREADS) -> None:
        super().__init__()
        self._threads = None if threads is None else RequestThreads(threads)
        self._streaming: WeakSet[asyncio.Task[Any]] = WeakSet()

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._threads is None or scope["type"] != "http":
            await super().__call__(scope, receive, send)
        else:
            async with RequestContext(self._threads):
                await self.handle(scope, receive, send)

    async def handle(self, scope: Message, receive: Any, send: Any) -> None:
        if not self.is_streaming_route(scope):
            await super().handle(scope, receive, send)
            return
        task = asyncio.current_task()
        if task is not None:
            self._streaming.add(task)
        stream = RequestStream(receive)
        set_script_prefix(get_script_prefix(scope))
        try:
            response = await self._respond_to_stream(scope, stream)
        except asyncio.CancelledError:  # the server stops: without a response, Django closes no connection
            await release_request_thread()
            raise
        if isinstance(response, HttpResponse):
            # So that a client knows the end of the answer when it sees it, not when the connection closes.
            response.headers.setdefault("Content-Length", str(len(response.content)))
        try:
            await self.send_response(response, _AnswerBeforeEnd(scope, stream, send))
        finally:
            await sync_to_async(response.close)()

    async def _respond_to_stream(self, scope: Message, stream: RequestStream) -> Any:
        if self.is_one_group:
            return await self.respond(scope, stream)
        await signals.request_started.asend(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, stream)
        return refusal if request is None else await self.run_get_response(request)

    def create_request(self, scope: Any, body_file: Any) -> Any:
        """As Django's, and a head that can't be understood is the client's mistake, no failure of ours (Django 6.1)."""
        request: Any
        try:
            request, refusal = super().create_request(scope, body_file)
        except BadRequest:
            return None, HttpResponseBadRequest()
        if isinstance(body_file, RequestStream) and request is not None:
            request._read_started = True  # so that POST is empty for whoever looks, as a log handler may
        return request, refusal

    async def send_response(self, response: Any, send: Any) -> None:
        """As Django's; a file on disk is left to the server, where it has said that it can."""
        if isinstance(response, FileOnDiskResponse) and response.path is not None:
            response, send = response.without_content(), PathInPlaceOfBody(send, response.path)
        await super().send_response(response, send)

    async def _live(self, receive: Any, send: Any) -> None:
        """The lifespan protocol (ASGI 3.0): at the end transfers are wound up, and clients of clouds closed."""
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await self._wind_up()
        await aclose_clients()
        await send({"type": "lifespan.shutdown.complete"})

    async def _wind_up(self) -> None:
        """uvicorn has cancelled what is under way after its grace, hypercorn has not; both end right after this."""
        loop = asyncio.get_running_loop()
        under_way = {task for task in self._streaming if task.get_loop() is loop}
        if under_way:
            _ended, under_way = await asyncio.wait(under_way, timeout=CANCELLED_WITHIN)
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way, timeout=WIND_UP_WITHIN)

    def is_streaming_route(self, scope: Message) -> bool:
        return scope["method"] in ("PUT", "POST") and wants_stream(view_for(scope))


class _AnswerBeforeEnd:
    """Sends the answer; where the client is still sending its body, lets it do so for a while before the end.

    A server that closes a connection with unread bytes resets it, and the client may never see why it was refused. So
    the whole answer goes out, the rest of the body is read and dropped (within bounds), and only then is the response
    finished and the connection closed.
    """

    def __init__(self, scope: Message, stream: RequestStream, send: Any) -> None:
        self._stream = stream
        self._send = send
        self._is_http_1 = scope.get("http_version", "1.1").startswith("1")
        # A client that waits for "100 Continue" and was refused sends no body.
        expects = any(name == b"expect" for name, _value in scope.get("headers", ()))
        self._has_rest = not stream.exhausted and not (expects and not stream.begun)

    async def __call__(self, message: Mapping[str, Any]) -> None:
        if self._stream.exhausted:
            await self._send(message)
        elif message["type"] == "http.response.start":
            close = [(b"Connection", b"close")] if self._is_http_1 else []
            await self._send({**message, "headers": [*message["headers"], *close]})
        elif message.get("more_body", False) or not self._has_rest:
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            await release_request_thread()
            await self._stream.drain()
            await self._send({"type": "http.response.body"})


def get_asgi_application(*, threads: int | None = REQUEST_THREADS) -> StreamingASGIHandler:
    """In the place of ``django.core.asgi.get_asgi_application``.

    ``threads``: how many threads, each with the database connections that ``CONN_MAX_AGE`` lets it keep, requests share
    for what blocks while the processor is busy; while it is not, there are more. None: a new one for each request, as
    Django has.

    Raises ImproperlyConfigured where a field's storage takes no uploads: a server runs no system checks.
    """
    django.setup(set_prefix=False)
    if wrong := list(check_storages()):
        raise ImproperlyConfigured("\n".join(map(str, wrong)))
    return StreamingASGIHandler(threads=threads)
