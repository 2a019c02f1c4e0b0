"""What the views share: errors become answers, the project's transactions and its login page stay away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, TypeVar

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth.decorators import login_not_required
from django.core import exceptions
from django.db import Error, connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.utils.module_loading import import_string
from django.views import View

from async_uploads import outages
from async_uploads.conf import upload_settings
from async_uploads.databases import is_outage
from async_uploads.exceptions import (
    DatabaseUnavailable,
    InvalidParameters,
    PermissionDenied,
    UploadDisconnected,
    UploadError,
    UploadExpired,
    UploadNotFound,
)
from async_uploads.middleware_groups import BLOCKING_FORM

logger: logging.Logger = logging.getLogger("async_uploads")

ViewT = TypeVar("ViewT", bound=Callable[..., Any])
ResponseT = TypeVar("ResponseT", bound=HttpResponseBase | None)

CLIENT_CLOSED_REQUEST = 499
"""nginx's name for it: nobody is there to read the answer, but the log tells what happened."""


def outside_of_transactions(view: ViewT) -> ViewT:
    """As Django's ``non_atomic_requests``, for all of the project's databases."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


async def aask_throttle(request: Any) -> None:
    """Ask the setting ``THROTTLE``: a dotted path to a function ``(request) -> None``, sync or async."""
    path = upload_settings.THROTTLE
    if path is None:
        return
    throttle = import_string(path)
    await (throttle if iscoroutinefunction(throttle) else sync_to_async(throttle))(request)


def json_response(values: Mapping[str, object], **options: Any) -> JsonResponse:
    """Readable in every language, also where a person sees it as it is."""
    return JsonResponse(values, json_dumps_params={"ensure_ascii": False}, **options)


def wants_a_page(request: HttpRequest) -> bool:
    """Does a person wait for the answer in a window, and not a script or a player?"""
    if request.headers.get("sec-fetch-dest") == "document":
        return True
    return request.get_preferred_type(["application/json", "text/html"]) == "text/html"


# Each view asks for a permission or a token itself: LoginRequiredMiddleware would send scripts to the login page.
@method_decorator([outside_of_transactions, login_not_required], name="dispatch")
class UploadView(View):
    """An async view whose UploadErrors are answered with their status and JSON.

    Exempt from ATOMIC_REQUESTS, which Django refuses for async views, and which would hold a transaction open while
    bytes move.
    """

    is_opened_by_links: ClassVar[bool] = False
    """Whether a person may come here by a link, who is then shown the project's own error pages."""

    asks_database: ClassVar[bool] = True
    """Whether an answer shows that the database is there."""

    async def throttle(self, request: HttpRequest) -> None:
        """Called before anything else; raises Throttled (429) where the visitor asks too often.

        As it is, asks the setting ``THROTTLE``, for which ``request.resolver_match.url_name`` tells the views apart.
        """
        await aask_throttle(request)

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        view: Any = super().as_view(**initkwargs)
        if cls._is_answered_by_blocking():
            setattr(view, BLOCKING_FORM, (view, partial(cls._respond_blocking, initkwargs)))
        return view

    @classmethod
    def _is_answered_by_blocking(cls) -> bool:
        """Is there a ``post_blocking``, and no subclass that has changed what it stands for?"""
        stands_for = next((base for base in cls.__mro__ if "post_blocking" in vars(base)), None)
        return stands_for is not None and all(
            getattr(cls, name) is getattr(stands_for, name) for name in ("dispatch", "post", "throttle")
        )

    @classmethod
    def _respond_blocking(
        cls, initkwargs: Any, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase | None:
        """What ``dispatch`` would answer, where nothing has to be awaited for it; else None, and nothing is done."""
        self: Any = cls(**initkwargs)
        if (
            request.method != "POST"
            or "post" not in self.http_method_names
            or upload_settings.THROTTLE is not None
        ):
            return None
        self.setup(request, *args, **kwargs)
        try:
            response: HttpResponseBase | None = self._seen(self.post_blocking(request, *args, **kwargs))
            return response
        except Exception as error:  # noqa: BLE001  # raised again where it is none of ours
            refusal: HttpResponseBase = self._answer_to(request, error)
            return refusal

    async def dispatch(  # type: ignore[override]  # Django awaits it where the handlers are async
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        try:
            await self.throttle(request)
            response: HttpResponseBase = await super().dispatch(request, *args, **kwargs)  # type: ignore[misc]  # as above
        except Exception as error:  # noqa: BLE001  # raised again where it is none of ours
            return self._answer_to(request, error)
        return self._seen(response)

    def _seen(self, response: ResponseT) -> ResponseT:
        if self.asks_database and response is not None:
            outages.database.is_over()
        return response

    def _answer_to(self, request: HttpRequest, error: Exception) -> HttpResponseBase:
        """Raises the error again where it is a mistake of the program."""
        if isinstance(error, UploadError):
            return self._refusal(request, error)
        # What a project's permission, manager or throttle may raise, as it would in a view of its own.
        if isinstance(error, exceptions.PermissionDenied):
            return self._refusal(request, PermissionDenied(str(error) or None))
        if isinstance(error, Http404):
            return self._refusal(request, UploadNotFound(str(error) or None))
        if isinstance(error, UploadDisconnected):
            logger.info("The client went away during %s.", request.path)
            return HttpResponse(status=CLIENT_CLOSED_REQUEST)
        if isinstance(error, Error) and is_outage(error):
            outages.database.goes_on(error)
            refusal = self._refusal(request, DatabaseUnavailable())
            # It is in the log once, and Django would add a line, or a mail, for each request.
            refusal._has_been_logged = True  # type: ignore[attr-defined]  # what log_response() looks for
            return refusal
        raise error

    def _refusal(self, request: HttpRequest, error: UploadError) -> JsonResponse:
        if self.is_opened_by_links and wants_a_page(request):
            _raise_as_djangos(error)
        return json_response(error.as_json(), status=error.status, headers=error.headers)


def _raise_as_djangos(error: UploadError) -> None:
    """As Django's own, of which it makes the project's 400.html, 403.html or 404.html; returns for other errors."""
    if isinstance(error, PermissionDenied):
        raise exceptions.PermissionDenied(error.detail) from error
    if isinstance(error, (UploadNotFound, UploadExpired)):
        raise Http404(error.detail) from error
    if isinstance(error, InvalidParameters):
        raise exceptions.BadRequest(error.detail) from error
