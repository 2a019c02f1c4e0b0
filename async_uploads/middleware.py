"""UploadOwnerMiddleware: tells forms and saves who is asking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from async_uploads.owners import serving

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class UploadOwnerMiddleware:
    """Keeps the request within reach, so that nobody saves a file that somebody else has uploaded.

    Goes behind the session and authentication middleware. Loads neither user nor session by itself. Sync and async.
    """

    sync_capable = True
    async_capable = True

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
