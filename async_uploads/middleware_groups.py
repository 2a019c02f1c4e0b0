"""Middleware called in groups: one thread hop for all of them where Django's ASGI handler makes one for each hook.

Most middleware, Django's own among it, is a MiddlewareMixin that consists of hooks (``process_request`` and the like),
which block. Under ASGI Django sends each of them to the request's thread and waits for it: a dozen times a request.
Called there one after the other, they do the same, in the same order and in the same thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeGuard

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response, response_for_exception
from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, URLResolver, get_resolver, set_script_prefix, set_urlconf
from django.utils.deprecation import MiddlewareMixin
from django.utils.log import log_response

from async_uploads.request_threads import in_request_thread

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

LONGEST_REMEMBERED = 200

BLOCKING_FORM = "blocking_form"
"""On an async view: a function that answers, or returns None where the view itself has to be called."""

# On a request: what a group has found out already, for Django's own code that comes after it to take.
MATCH = "_async_uploads_match"
HOOKS_ANSWER = "_async_uploads_view_hooks_answer"


class _Internals:
    """What Django's handlers have, and django-stubs does not tell."""

    _middleware_chain: Any
    _view_middleware: Any
    _template_response_middleware: Any
    _exception_middleware: Any
    _get_response: Any
    _get_response_async: Any


class GroupingASGIHandler(_Internals, ASGIHandler):
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
        return view is not None and (not iscoroutinefunction(view) or hasattr(view, BLOCKING_FORM))

    async def _handle_at_once(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGIHandler.handle. Nobody waits for the client to go away: a thread can't be stopped."""
        try:
            body_file = await self.read_body(receive)
        except RequestAborted:
            return
        with body_file:
            set_script_prefix(get_script_prefix(scope))
            response: Any = None
            try:
                response = await self.respond(scope, body_file)
                await self.send_response(response, send)
            finally:
                finish = partial(signals.request_finished.send, sender=self.__class__)
                await in_request_thread(finish if response is None else response.close)

    async def respond(self, scope: Any, body_file: Any) -> Any:
        """The answer to a request whose middleware is one group: a hop, and where the view is async another one."""
        request, response, entered = await sync_to_async(self._begin)(scope, body_file)
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
        self._blocking = _BlockingHandler()
        super().load_middleware(is_async=is_async)
        self._blocking.take_hooks(self)
        if self._view_middleware:
            self._view_middleware = [_ViewHooks(self._blocking)]

    def adapt_method_mode(
        self, is_async: bool, method: Any, method_is_async: bool | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Django calls it with each link of the chain before it makes the next one."""
        middleware = getattr(method, "__wrapped__", None)
        if is_async and iscoroutinefunction(method) and _consists_of_hooks(middleware):
            method = convert_exception_to_response(self._group_with(middleware))
        return super().adapt_method_mode(is_async, method, method_is_async, *args, **kwargs)

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        return _resolved(request) or super().resolve_request(request)

    def _group_with(self, middleware: MiddlewareMixin) -> HookGroup:
        inner: Any = middleware.get_response
        around = getattr(inner, "__wrapped__", None)
        if isinstance(around, HookGroup):
            return HookGroup([middleware, *around.middleware], around.get_response, around.blocking)
        return HookGroup([middleware], inner, self._blocking if around == self._get_response_async else None)


class HookGroup:
    """Middleware that consists of hooks, outermost first. ``blocking`` answers for views that block, where the view
    is what comes next."""

    def __init__(
        self, middleware: Sequence[Any], get_response: GetResponse, blocking: _BlockingHandler | None
    ) -> None:
        self.middleware = middleware
        self.get_response = get_response
        self.blocking = blocking
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response, entered = await sync_to_async(self.enter)(request)
        return await self.proceed(request, entered) if response is None else response

    async def proceed(
        self,
        request: HttpRequest,
        entered: list[Any],
        last: Callable[[HttpResponseBase], None] = lambda response: None,
    ) -> HttpResponseBase:
        """The answer of what comes next, on its way out through the middleware that the request has entered.

        ``last`` is called with it in the same hop.
        """

        def leave(response: HttpResponseBase) -> HttpResponseBase:
            response = self._leave(request, response, entered)
            last(response)
            return response

        return await sync_to_async(leave)(await self.get_response(request))

    def enter(self, request: HttpRequest) -> tuple[HttpResponseBase | None, list[Any]]:
        """The answer, where one of the hooks or a blocking view has given it, and how far it got."""
        entered: list[Any] = []
        response: HttpResponseBase | None = None
        for each in self.middleware:
            try:
                response = each.process_request(request) if hasattr(each, "process_request") else None
            except Exception as error:  # noqa: BLE001  # as Django does around each
                return self._leave(request, response_for_exception(request, error), entered), entered
            entered.append(each)
            if response:
                break
        if not response and self.blocking is not None:
            response = self.blocking.respond(request)
        if response:
            response = self._leave(request, response, entered)
        return response or None, entered

    def _leave(
        self, request: HttpRequest, response: HttpResponseBase, entered: list[Any]
    ) -> HttpResponseBase:
        for each in reversed(entered):
            if hasattr(each, "process_response"):
                try:
                    response = each.process_response(request, response)
                except Exception as error:  # noqa: BLE001  # as Django does around each
                    response = response_for_exception(request, error)
        return response


class _BlockingHandler(_Internals, BaseHandler):
    """Calls views that block as Django does under WSGI, with the hooks of the middleware that is loaded already."""

    def take_hooks(self, handler: GroupingASGIHandler) -> None:
        view, template = handler._view_middleware or [], handler._template_response_middleware or []
        self._view_middleware = [self._blocking_form(hook) for hook in view]
        self._template_response_middleware = [self._blocking_form(hook) for hook in template]
        self._exception_middleware = handler._exception_middleware
        answer: Any = self._answer  # which may leave it to the view itself, and return None
        self._respond: Any = convert_exception_to_response(answer)

    def respond(self, request: HttpRequest) -> HttpResponseBase | None:
        """None where the view is async: its ``process_view`` hooks have been called then, and it is its turn."""
        answer: HttpResponseBase | None = self._respond(request)
        return answer

    def _answer(self, request: Any) -> HttpResponseBase | None:
        match = super().resolve_request(request)
        setattr(request, MATCH, match)
        if not iscoroutinefunction(self.make_view_atomic(match.func)):
            response: HttpResponseBase = self._get_response(request)
            return response
        answer = self.apply_view_hooks(request, match.func, match.args, match.kwargs)
        form = getattr(match.func, BLOCKING_FORM, None)
        if answer is None and form is not None:
            try:
                answer = form(request, *match.args, **match.kwargs)
            except Exception as error:
                answer = self.process_exception_by_middleware(error, request)
                if answer is None:
                    raise
            if answer is not None:
                return answer
        setattr(request, HOOKS_ANSWER, answer)
        return None

    def apply_view_hooks(self, request: HttpRequest, *view: Any) -> HttpResponseBase | None:
        """The answer of the first one that has one."""
        return next(filter(None, (hook(request, *view) for hook in self._view_middleware or ())), None)

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        return _resolved(request) or super().resolve_request(request)

    def _blocking_form(self, hook: Any) -> Any:
        return getattr(hook, "func", None) or self.adapt_method_mode(False, hook)


class _ViewHooks:
    """All ``process_view`` hooks, unless a group has called them already."""

    def __init__(self, blocking: _BlockingHandler) -> None:
        self._blocking = blocking
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest, *view: Any) -> HttpResponseBase | None:
        if HOOKS_ANSWER in request.__dict__:
            answer: HttpResponseBase | None = request.__dict__.pop(HOOKS_ANSWER)
            return answer
        return await sync_to_async(self._blocking.apply_view_hooks)(request, *view)


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


def _resolved(request: HttpRequest) -> ResolverMatch | None:
    match: ResolverMatch | None = request.__dict__.pop(MATCH, None)
    return match


def _consists_of_hooks(middleware: object) -> TypeGuard[MiddlewareMixin]:
    """Does it call its hooks and nothing else? ``is_made_of_hooks`` says so of one that has a form for others, too."""
    if getattr(middleware, "is_made_of_hooks", False):
        return True
    return isinstance(middleware, MiddlewareMixin) and all(
        getattr(type(middleware), name) is getattr(MiddlewareMixin, name)
        for name in ("__call__", "__acall__")
    )
