"""UploadOwnerMiddleware: tells forms and saves who is asking, and the admin's forms who was faster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from async_uploads.exceptions import UploadKeyError
from async_uploads.owners import serving

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


OUTER = "_async_uploads_outer"


class UploadOwnerMiddleware:
    """Keeps the request within reach, so that nobody saves a file that somebody else has uploaded.

    Goes behind the session and authentication middleware. Loads neither user nor session by itself. Sync and async.
    """

    sync_capable = True
    async_capable = True
    is_made_of_hooks = True  # under async_uploads.asgi it is called by those below, with its neighbours

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async: bool = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self.__acall__(request)
        with serving(request):
            return self.get_response(request)

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        with serving(request):
            return await self.get_response(request)  # type: ignore[misc, no-any-return]  # async: asked in __init__

    def process_request(self, request: HttpRequest) -> None:
        outer = request.__dict__[OUTER] = ExitStack()
        outer.enter_context(serving(request))

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        request.__dict__.pop(OUTER).close()
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """An upload that another record took between validation and save, in a page of the admin.

        The admin has rolled back all that the page saved. Asked once more, its form finds the upload used, and says so.
        """
        match = request.resolver_match
        if (
            match is None
            or not isinstance(exception, UploadKeyError)
            or not _is_admin_form(request, match.func)
        ):
            return None
        try:
            return cast("HttpResponseBase", match.func(request, *match.args, **match.kwargs))
        except UploadKeyError:
            return None


def _is_admin_form(request: HttpRequest, view: Any) -> bool:
    """Is it a form of a ModelAdmin? Its actions are none: they are not rolled back."""
    is_action = "_selected_action" in request.POST and "_save" not in request.POST
    return hasattr(view, "model_admin") and not is_action
