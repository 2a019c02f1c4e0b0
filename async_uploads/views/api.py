"""The JSON views: ticket, completion, cancelling, status; and the redirect to a record's file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _

from async_uploads.events import astatus_of
from async_uploads.exceptions import PermissionDenied
from async_uploads.owners import aowner_of_request, owner_in_thread
from async_uploads.permissions import auser_of_request, user_of_request
from async_uploads.registry import AsyncFieldRegistry
from async_uploads.storage.base import GenerateUploadUrlResponse
from async_uploads.temp_files import AsyncTempFile
from async_uploads.uploads import Visitor, abegin, acancel, acomplete, begin
from async_uploads.view_urls import view_url
from async_uploads.views.base import UploadView, json_response
from async_uploads.views.parameters import Parameters
from async_uploads.views.requests import adownload_url, asked_for, aupload_named_in, ticket


class GenerateUploadUrlView(UploadView):
    """A ticket by ``POST`` or ``GET``: ``fieldId``, ``filename``, optional ``instanceId``, ``contentType``, ``size``"""

    http_method_names: Sequence[str] = (
        "get",
        "post",
        "options",
    )  # a HEAD would make a row that nobody hears of

    async def post(self, request: HttpRequest, registry: AsyncFieldRegistry) -> HttpResponse:
        return await self._answer(request, registry, Parameters.of_body(request))

    async def get(self, request: HttpRequest, registry: AsyncFieldRegistry) -> HttpResponse:
        """For existing front ends. Only theirs: no token tells whose request it is, and each takes up a place."""
        if request.headers.get("sec-fetch-site") == "cross-site":
            raise PermissionDenied(_("Another site may not ask for uploads in your name."))
        return await self._answer(request, registry, Parameters.of_query(request))

    def post_blocking(self, request: HttpRequest, registry: AsyncFieldRegistry) -> HttpResponse | None:
        begun = begin(asked_for(Parameters.of_body(request), registry), _visitor(request))
        return None if begun is None else _ticket_response(registry, *begun)

    async def _answer(
        self, request: HttpRequest, registry: AsyncFieldRegistry, given: Parameters
    ) -> HttpResponse:
        return _ticket_response(registry, *await abegin(asked_for(given, registry), _visitor(request)))


def _visitor(request: HttpRequest) -> Visitor:
    return Visitor(
        user=partial(user_of_request, request), owner=partial(owner_in_thread, request, create=True)
    )


def _ticket_response(
    registry: AsyncFieldRegistry, temp_file: AsyncTempFile, how: GenerateUploadUrlResponse
) -> HttpResponse:
    response = json_response(ticket(temp_file, how, partial(view_url, namespace=registry.name)))
    add_never_cache_headers(response)
    return response


class CompleteUploadView(UploadView):
    """``POST`` ``key`` after a direct upload: the status, once the storage has been asked what arrived."""

    async def post(self, request: HttpRequest, registry: AsyncFieldRegistry) -> HttpResponse:
        temp_file = await _upload_named_in(Parameters.of_body(request), request)
        await acomplete(temp_file)
        return await status_response(temp_file)


class CancelUploadView(UploadView):
    """``POST`` ``key``: give the upload up and delete its bytes."""

    async def post(self, request: HttpRequest, registry: AsyncFieldRegistry) -> HttpResponse:
        await acancel(await _upload_named_in(Parameters.of_body(request), request))
        return HttpResponse(status=204)


class UploadStatusView(UploadView):
    """``GET`` ``?key=``: the present status."""

    async def get(self, request: HttpRequest, registry: AsyncFieldRegistry) -> HttpResponse:
        return await status_response(await _upload_named_in(Parameters.of_query(request), request))


class DownloadRedirectView(UploadView):
    """``GET`` ``?field_id=&instance_id=``: a redirect to the file, for those who may see the record."""

    is_opened_by_links = True

    async def get(self, request: HttpRequest, registry: AsyncFieldRegistry) -> HttpResponse:
        given = Parameters.of_query(request)
        user = await auser_of_request(request)
        response = HttpResponseRedirect(await adownload_url(given, registry, user=user))
        add_never_cache_headers(response)  # the signed URL expires, and permissions change
        return response


async def status_response(temp_file: AsyncTempFile, *, status: int = 200) -> JsonResponse:
    response = json_response(await astatus_of(temp_file), status=status)
    add_never_cache_headers(response)
    return response


async def _upload_named_in(given: Parameters, request: HttpRequest) -> AsyncTempFile:
    return await aupload_named_in(given, await aowner_of_request(request))
