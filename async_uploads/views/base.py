"""What the views share: errors become answers, and the project's transactions stay away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.views import View

from async_uploads.exceptions import UploadDisconnected, UploadError

logger = logging.getLogger("async_uploads")

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

CLIENT_CLOSED_REQUEST = 499
"""nginx's name for it: nobody is there to read the answer, but the log tells what happened."""


def outside_of_transactions(view: ViewT) -> ViewT:
    """As Django's ``non_atomic_requests``, for all of the project's databases."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


@method_decorator(outside_of_transactions, name="dispatch")
class UploadView(View):
    """An async view whose UploadErrors are answered with their status and JSON.

    Exempt from ATOMIC_REQUESTS, which Django refuses for async views, and which would hold a transaction open while
    bytes move.
    """

    async def dispatch(  # type: ignore[override]  # Django awaits it where the handlers are async
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        try:
            return await super().dispatch(request, *args, **kwargs)  # type: ignore[misc, no-any-return]  # as above
        except UploadError as error:
            return JsonResponse(error.as_json(), status=error.status)
        except UploadDisconnected:
            logger.info("The client went away during %s.", request.path)
            return HttpResponse(status=CLIENT_CLOSED_REQUEST)
