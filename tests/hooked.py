"""Middleware and views that note when they are called, for comparing one handler with another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template import engines
from django.template.response import SimpleTemplateResponse
from django.urls import path
from django.utils.decorators import sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin

trace: list[str] = []


class Noting(MiddlewareMixin):
    """What it does is asked for by the request: ``?Outer.process_request=answer`` or ``=raise``."""

    def _called(self, request: HttpRequest, hook: str) -> HttpResponse | None:
        name = f"{type(self).__name__}.{hook}"
        trace.append(name)
        asked = request.GET.get(name)
        if asked == "raise":
            raise PermissionDenied(name)
        if asked == "crash":
            raise ValueError(name)
        if asked == "template":
            return template_response("from a hook")
        return HttpResponse(name) if asked == "answer" else None


class Hooks(Noting):
    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        return self._called(request, "process_request")

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        trace.append(f"for {view.__name__} {kwargs}")
        return self._called(request, "process_view")

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return self._called(request, "process_exception")

    def process_template_response(self, request: HttpRequest, response: Any) -> Any:
        self._called(request, "process_template_response")
        return response

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return self._called(request, "process_response") or response


class Outer(Hooks): ...


class Middle(Hooks): ...


class Inner(Hooks): ...


class OnlyIn(Noting):
    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        return self._called(request, "process_request")


class OnlyOut(Noting):
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return self._called(request, "process_response") or response


class Changing(MiddlewareMixin):
    """Sends ``/changed/`` to another view, as middleware for several sites does."""

    def process_request(self, request: HttpRequest) -> None:
        if request.path == "/changed/":
            request.path_info = "/blocking/7/"


class OwnCall(MiddlewareMixin):
    """One that does more than its hooks: it must be called as a whole."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        trace.append("OwnCall in")
        response = await super().__acall__(request)
        trace.append("OwnCall out")
        return response


class NotUsed(MiddlewareMixin):
    def __init__(self, get_response: Any) -> None:
        from django.core.exceptions import MiddlewareNotUsed

        raise MiddlewareNotUsed


@sync_and_async_middleware
def function(get_response: Callable[..., Any]) -> Callable[..., Any]:
    if not iscoroutinefunction(get_response):

        def blocking(request: HttpRequest) -> HttpResponseBase:
            trace.append("function")
            return get_response(request)  # type: ignore[no-any-return]

        return blocking

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        trace.append("function in")
        response: HttpResponseBase = await get_response(request)
        trace.append("function out")
        return response

    return middleware


def sync_only(get_response: Callable[..., Any]) -> Callable[..., Any]:
    def middleware(request: HttpRequest) -> HttpResponseBase:
        trace.append("sync only in")
        response: HttpResponseBase = get_response(request)
        trace.append("sync only out")
        return response

    return middleware


def template_response(text: str) -> SimpleTemplateResponse:
    return SimpleTemplateResponse(engines["django"].from_string("rendered: {{ text }}"), {"text": text})


def _answer(request: HttpRequest) -> HttpResponseBase:
    asked = request.GET.get("view")
    if asked == "raise":
        raise PermissionDenied("view")
    if asked == "crash":
        raise ValueError("view")
    if asked == "template":
        return template_response("from a view")
    if asked == "stream":
        return StreamingHttpResponse(iter([b"one ", b"two"]))
    return HttpResponse(
        f"{request.method} {request.path_info} {request.body!r}", status=int(request.GET.get("status", 200))
    )


def blocking(request: HttpRequest, number: int) -> HttpResponseBase:
    trace.append(f"view {number}")
    return _answer(request)


async def awaited(request: HttpRequest, number: int) -> HttpResponseBase:
    trace.append(f"view {number}")
    return _answer(request)


def nothing(request: HttpRequest) -> Any:
    """A mistake that Django has words for."""


urlpatterns = [
    path("blocking/<int:number>/", blocking),
    path("awaited/<int:number>/", awaited),
    path("nothing/", nothing),
]
