"""The views for clients with tokens: DRF's authentication, permissions and throttles, on the event loop.

All of DRF's class attributes (``authentication_classes``, ``permission_classes``, ``throttle_classes``, …) apply, with
the project's defaults. Who may upload to a field and read from it, the field's own permissions say.
"""

from __future__ import annotations

import zlib
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import SuspiciousOperation
from django.db import Error
from django.http import HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.utils.cache import add_never_cache_headers
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from rest_framework import exceptions as drf_exceptions
from rest_framework import status
from rest_framework.response import Response
from rest_framework.reverse import reverse

from async_uploads import outages
from async_uploads.databases import is_outage
from async_uploads.drf.addresses import absolute, download_address, namespace_of
from async_uploads.events import astatus_of
from async_uploads.exceptions import (
    DatabaseUnavailable,
    FileTooLarge,
    InvalidParameters,
    PermissionDenied,
    Throttled,
    UploadError,
)
from async_uploads.owners import aowner_of_request, owner_in_thread
from async_uploads.registry import AsyncFieldRegistry, default_async_field_registry
from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.uploads import Visitor, abegin, acancel, acomplete
from async_uploads.views.base import aask_throttle, outside_of_transactions
from async_uploads.views.parameters import Parameters
from async_uploads.views.requests import adownload_url, asked_for, aupload_named_in, ticket

if TYPE_CHECKING:
    from rest_framework.views import APIView  # adrf's has no types
else:
    from adrf.views import APIView


class UploadFailed(drf_exceptions.APIException):
    """An UploadError, as DRF's exception handler and the project's own know errors."""

    wait: int | None = None
    """Seconds; DRF makes the header Retry-After of it."""

    def __init__(self, error: UploadError) -> None:
        super().__init__(error.detail, error.code)
        self.status_code: int = error.status
        if isinstance(error, Throttled) and error.retry_after is not None:
            self.wait = ceil(error.retry_after)
        if isinstance(error, DatabaseUnavailable):
            self.wait = error.retry_after


@method_decorator(outside_of_transactions, name="dispatch")
class UploadAPIView(APIView):
    """Errors are ``{"code", "detail"}``, DRF's own too, unless the project has an exception handler of its own."""

    registry: AsyncFieldRegistry = default_async_field_registry
    request: Any

    async def throttle(self, request: Any) -> None:
        """As of the views for browsers: raises Throttled (429). DRF's ``throttle_classes`` are asked after it.

        ``request`` is DRF's; its user is authenticated, and the view's permissions are checked.
        """
        await aask_throttle(request)

    def check_throttles(self, request: Any) -> None:
        async_to_sync(self.throttle)(request)
        super().check_throttles(request)

    def handle_exception(self, exc: Exception) -> Response:
        response: Response = super().handle_exception(self._as_drf_knows_it(exc))
        detail = response.data.get("detail") if isinstance(response.data, dict) else None
        if isinstance(detail, drf_exceptions.ErrorDetail):
            response.data = {"code": detail.code, **response.data}
            if detail.code == DatabaseUnavailable.code:
                response._has_been_logged = True  # type: ignore[attr-defined]  # Django would, for each request
        return response

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        add_never_cache_headers(response)
        return response

    def _as_drf_knows_it(self, error: Exception) -> Exception:
        if isinstance(error, Error) and is_outage(error):
            outages.database.goes_on(error)
            return UploadFailed(DatabaseUnavailable())
        if isinstance(error, InvalidParameters):
            return drf_exceptions.ValidationError(error.errors)
        if isinstance(error, PermissionDenied) and self._asks_who_is_there():
            return drf_exceptions.NotAuthenticated()  # 401, where a token would help
        return UploadFailed(error) if isinstance(error, UploadError) else error

    def _asks_who_is_there(self) -> bool:
        return bool(self.request.authenticators and not self.request.successful_authenticator)

    def url_of(self, view: str) -> str:
        """The URL of a neighbour among these views, by its name, under the same prefix."""
        here = self.request.resolver_match
        if here is None:  # called past the URLconf, as with DRF's APIRequestFactory
            return str(reverse(f"{namespace_of(self.registry)}:{view}", request=self.request))
        name = f"{here.namespace}:{view}" if here.namespace else view
        captured = {key: value for key, value in here.kwargs.items() if key not in here.extra_kwargs}
        url: str = reverse(name, kwargs=captured, request=self.request)
        return url.partition("?")[0]  # without the ?format= of this very request

    @property
    def user(self) -> Any:
        return self.request.user or AnonymousUser()

    async def aupload_named_in(self, given: Parameters) -> AsyncTempFile:
        return await aupload_named_in(given, await aowner_of_request(self.request))


class GenerateUploadUrlView(UploadAPIView):
    """``POST`` ``fieldId``, ``filename``, optional ``instanceId``, ``contentType``, ``size``: a ticket."""

    async def post(self, request: Any, **captured: Any) -> Response:
        asked = asked_for(await aparameters_of(request), self.registry)
        visitor = Visitor(user=lambda: self.user, owner=partial(owner_in_thread, request, create=True))
        temp_file, how = await abegin(asked, visitor)
        how["url"] = absolute(how["url"], request)
        return Response(ticket(temp_file, how, self.url_of))


class CompleteUploadView(UploadAPIView):
    """``POST`` ``key`` after a direct upload: the status, once the storage has been asked what arrived."""

    async def post(self, request: Any, **captured: Any) -> Response:
        temp_file = await self.aupload_named_in(await aparameters_of(request))
        await acomplete(temp_file)
        return await astatus_response(temp_file, request)


class CancelUploadView(UploadAPIView):
    """``POST`` ``key``: give the upload up and delete its bytes."""

    async def post(self, request: Any, **captured: Any) -> Response:
        await acancel(await self.aupload_named_in(await aparameters_of(request)))
        return Response(status=status.HTTP_204_NO_CONTENT)


class UploadStatusView(UploadAPIView):
    """``GET`` ``?key=``: the present status."""

    async def get(self, request: Any, **captured: Any) -> Response:
        return await astatus_response(await self.aupload_named_in(Parameters.of_query(request)), request)


class DownloadRedirectView(UploadAPIView):
    """``GET`` ``?field_id=&instance_id=``: a redirect to the file, for those who may see the record."""

    async def get(self, request: Any, **captured: Any) -> HttpResponseBase:
        return HttpResponseRedirect(
            await adownload_url(Parameters.of_query(request), self.registry, user=self.user)
        )


async def aparameters_of(request: Any) -> Parameters:
    """What the view's parsers make of the body; raises InvalidParameters, FileTooLarge, and what parsers raise."""
    length = request.META.get("CONTENT_LENGTH") or 0
    limit: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if limit is not None and int(length) > limit:
        raise FileTooLarge(_("The request is too large."))
    data = await sync_to_async(_parsed)(request)
    if isinstance(data, QueryDict):
        return Parameters(data.dict())
    if not isinstance(data, dict):
        raise InvalidParameters({"detail": [_("A JSON object is expected.")]})
    return Parameters(data)


async def astatus_response(temp_file: AsyncTempFile, request: Any) -> Response:
    told = await astatus_of(temp_file)
    if temp_file.state == State.PROMOTED:
        told["url"] = download_address(temp_file.field, temp_file.record_pk, temp_file.final_name, request)
    elif told["url"]:
        told["url"] = absolute(told["url"], request)
    return Response(told)


def _parsed(request: Any) -> Any:
    try:
        return request.data
    # What DRF's parsers let through: JSON that is nested too deep, a charset that is none of text, too many fields.
    except (RecursionError, LookupError, zlib.error, SuspiciousOperation) as error:
        raise drf_exceptions.ParseError(_("The request could not be read.")) from error
