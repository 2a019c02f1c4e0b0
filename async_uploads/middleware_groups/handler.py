"""Django's ASGI handler, with the project's middleware in groups."""

from __future__ import annotations

import asyncio
from functools import lru_cache, partial
from io import BytesIO
from typing import Any

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import FileResponse, HttpRequest
from django.urls import Resolver404, ResolverMatch, URLResolver, get_resolver, set_script_prefix, set_urlconf
from django.utils.deprecation import MiddlewareMixin
from django.utils.log import log_response

from async_uploads.middleware_groups.groups import (
    BlockingHandler,
    HookGroup,
    Internals,
    ViewHooks,
    blocking_form_of,
    consists_of_hooks,
    resolved,
)

LONGEST_REMEMBERED = 200


class GroupingASGIHandler(Internals, ASGIHandler):
    """Django's, with neighbouring middleware of hooks in a group.

    A view that blocks is called in the same hop as the innermost group. Where the whole chain is one group, as with
    Django's own middleware, such a request costs one hop in all.
    """

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        if self._is_answered_at_once(scope):
            await self._handle_at_once(scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    def _is_answered_at_once(self, scope: Any) -> bool:
        """A guess, before any middleware has had a word: where it is wrong, the rest takes some hops more."""
        if not self.is_one_group:
            return False
        view = view_for(scope)
        return view is not None and (not iscoroutinefunction(view) or blocking_form_of(view) is not None)

    async def _handle_at_once(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGIHandler.handle. While a thread works, nobody waits for the client to go away: it can't be stopped."""
        try:
            body_file = await self.read_body(receive)
        except RequestAborted:
            return
        with body_file:
            set_script_prefix(get_script_prefix(scope))
            response: Any = None
            try:
                response = await self.respond(scope, body_file)
                if response.streaming:
                    await self._send_while_wanted(response, receive, send)
                else:
                    await self.send_response(response, send)
            finally:
                finish = partial(signals.request_finished.send, sender=self.__class__)
                await sync_to_async(finish if response is None else response.close)()

    async def _send_while_wanted(self, response: Any, receive: Any, send: Any) -> None:
        """A stream may have no end, but that of the client."""
        sending = asyncio.create_task(self.send_response(response, send))
        listening = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait((sending, listening), return_when=asyncio.FIRST_COMPLETED)
        finally:
            listening.cancel()
            sending.cancel()
            sent, _gone = await asyncio.gather(sending, listening, return_exceptions=True)
        if isinstance(sent, Exception):
            raise sent

    async def read_body(self, receive: Any) -> Any:
        """As Django's; one that is there at once, as most are, needs no file that may be spooled."""
        messages = [await receive()]
        if messages[0]["type"] == "http.request" and not messages[0].get("more_body", False):
            return BytesIO(messages[0].get("body", b""))

        async def receive_all() -> Any:
            return messages.pop() if messages else await receive()

        return await super().read_body(receive_all)

    async def respond(self, scope: Any, body_file: Any) -> Any:
        """The answer to a request whose middleware is one group: a hop, and where the view is async another one."""
        request, response, entered = await self._begin_in_thread(scope, body_file)
        if response is not None:
            return response
        group: HookGroup = self._middleware_chain.__wrapped__
        return await group.proceed(request, entered, last=partial(self._end, request))

    @property
    def is_one_group(self) -> bool:
        """Is all of the project's middleware called together?"""
        return isinstance(getattr(self._middleware_chain, "__wrapped__", None), HookGroup)

    def _begin(self, scope: Any, body_file: Any) -> tuple[Any, Any, list[Any]]:
        """The request; the response, unless the view is async; how far the request has got."""
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body_file)
        if request is None:
            return None, refusal, []
        set_urlconf(settings.ROOT_URLCONF)
        group: HookGroup = self._middleware_chain.__wrapped__
        response, entered = group.enter(request)
        if response is not None:
            self._end(request, response)
        return request, response, entered

    def _end(self, request: Any, response: Any) -> None:
        """What Django does with each response, in ``get_response_async`` and ``run_get_response``."""
        response._resource_closers.append(request.close)
        response._handler_class = self.__class__
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        if response.status_code >= 400:
            log_response("%s: %s", response.reason_phrase, request.path, response=response, request=request)

    def load_middleware(self, is_async: bool = False) -> None:
        self._blocking = BlockingHandler()
        self._begin_in_thread = sync_to_async(self._begin)
        super().load_middleware(is_async=is_async)
        self._blocking.take_hooks(self)
        if self._view_middleware:
            self._view_middleware = [ViewHooks(self._blocking)]

    def adapt_method_mode(
        self, is_async: bool, method: Any, method_is_async: bool | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Django calls it with each link of the chain before it makes the next one."""
        middleware = getattr(method, "__wrapped__", None)
        if is_async and iscoroutinefunction(method) and consists_of_hooks(middleware):
            method = convert_exception_to_response(self._group_with(middleware))
        return super().adapt_method_mode(is_async, method, method_is_async, *args, **kwargs)

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        return resolved(request) or super().resolve_request(request)

    def _group_with(self, middleware: MiddlewareMixin) -> HookGroup:
        inner: Any = middleware.get_response
        around = getattr(inner, "__wrapped__", None)
        if isinstance(around, HookGroup):
            return HookGroup([middleware, *around.middleware], around.get_response, around.blocking)
        return HookGroup([middleware], inner, self._blocking if around == self._get_response_async else None)


def view_for(scope: Any) -> Any:
    """The view that an ASGI request is for by its URL, None where there is none. Middleware may decide otherwise."""
    prefix = get_script_prefix(scope).rstrip("/")
    path = scope["path"]
    path = path[len(prefix) :] if prefix and path.startswith(f"{prefix}/") else path
    look = _view_at if len(path) < LONGEST_REMEMBERED else _view_at.__wrapped__
    return look(get_resolver(), path)


@lru_cache(maxsize=1024)
def _view_at(resolver: URLResolver, path: str) -> Any:
    try:
        return resolver.resolve(path).func
    except Resolver404:
        return None
