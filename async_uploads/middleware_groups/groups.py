"""Middleware called in groups: one thread hop for all of them where Django's ASGI handler makes one for each hook.

Most middleware, Django's own among it, is a MiddlewareMixin that consists of hooks (``process_request`` and the like),
which block. Under ASGI Django sends each of them to the request's thread and waits for it: a dozen times a request.
Called there one after the other, they do the same, in the same order and in the same thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeGuard

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response, response_for_exception
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch
from django.utils.deprecation import MiddlewareMixin

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

BLOCKING_FORM = "blocking_form"
"""On an async view: the view, and a function that answers, or returns None where the view itself has to be called.

A decorator copies the attributes of what it decorates, and is to have its say: what it returns is not that view.
"""

# On a request: what a group has found out already, for Django's own code that comes after it to take.
MATCH = "_async_uploads_match"
HOOKS_ANSWER = "_async_uploads_view_hooks_answer"


class Internals:
    """What Django's handlers have, and django-stubs does not tell."""

    _middleware_chain: Any
    _view_middleware: Any
    _template_response_middleware: Any
    _exception_middleware: Any
    _get_response: Any
    _get_response_async: Any


class HookGroup:
    """Middleware that consists of hooks, outermost first. ``blocking`` answers for views that block, where the view
    is what comes next."""

    def __init__(
        self, middleware: Sequence[Any], get_response: GetResponse, blocking: BlockingHandler | None
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


class BlockingHandler(Internals, BaseHandler):
    """Calls views that block as Django does under WSGI, with the hooks of the middleware that is loaded already."""

    def take_hooks(self, handler: Internals) -> None:
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
        form = blocking_form_of(match.func)
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
        return resolved(request) or super().resolve_request(request)

    def _blocking_form(self, hook: Any) -> Any:
        return getattr(hook, "func", None) or self.adapt_method_mode(False, hook)


def blocking_form_of(view: Callable[..., Any]) -> Callable[..., Any] | None:
    of_view, form = getattr(view, BLOCKING_FORM, (None, None))
    return form if of_view is view else None


class ViewHooks:
    """All ``process_view`` hooks, unless a group has called them already."""

    def __init__(self, blocking: BlockingHandler) -> None:
        self._blocking = blocking
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest, *view: Any) -> HttpResponseBase | None:
        if HOOKS_ANSWER in request.__dict__:
            answer: HttpResponseBase | None = request.__dict__.pop(HOOKS_ANSWER)
            return answer
        return await sync_to_async(self._blocking.apply_view_hooks)(request, *view)


def resolved(request: HttpRequest) -> ResolverMatch | None:
    match: ResolverMatch | None = request.__dict__.pop(MATCH, None)
    return match


def consists_of_hooks(middleware: object) -> TypeGuard[MiddlewareMixin]:
    """Does it call its hooks and nothing else?

    ``is_made_of_hooks`` says so of one that has another form, too, and of no subclass, which may have changed it.
    """
    if vars(type(middleware)).get("is_made_of_hooks", False):
        return True
    return isinstance(middleware, MiddlewareMixin) and all(
        getattr(type(middleware), name) is getattr(MiddlewareMixin, name)
        for name in ("__call__", "__acall__")
    )
