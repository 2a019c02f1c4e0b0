"""The Content-Security-Policy header; Django 6.0 and later have it built in, as SECURE_CSP."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware


@sync_and_async_middleware
def content_security_policy(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    def with_header(response: HttpResponse) -> HttpResponse:
        # Django's own pages about errors, which DEBUG shows, are made of inline scripts and styles.
        if not (settings.DEBUG and response.status_code in (404, 500)):
            response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        return response

    async def async_middleware(request: HttpRequest) -> HttpResponse:
        return with_header(await get_response(request))

    def sync_middleware(request: HttpRequest) -> HttpResponse:
        return with_header(get_response(request))

    return async_middleware if iscoroutinefunction(get_response) else sync_middleware
