"""The JSON views: ticket, completion, cancelling, status; and the redirect to a record's file."""

from __future__ import annotations

import posixpath
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers

from async_uploads.events import astatus_of
from async_uploads.exceptions import PermissionDenied, UploadNotFound
from async_uploads.owners import aowner_of_request
from async_uploads.permissions import aallows, auser_of_request
from async_uploads.promotion import record_pk_of
from async_uploads.registry import AsyncFieldRegistry
from async_uploads.temp_files import AsyncTempFile, iso
from async_uploads.uploads import abegin, acancel, acomplete, afind_record, afind_upload
from async_uploads.views.base import UploadView
from async_uploads.views.parameters import Parameters

FIELD_ID_ALIASES = ("async_field_id",)


class GenerateUploadUrlView(UploadView):
    """A ticket by ``POST`` or ``GET``: ``fieldId``, ``filename``, optional ``instanceId``, ``contentType``, ``size``"""

    http_method_names = ("get", "post", "options")  # a HEAD would make a row that nobody hears of

    async def post(self, request: HttpRequest, registry: AsyncFieldRegistry) -> HttpResponse:
        return await self._answer(request, registry, Parameters.of_body(request))

    async def get(self, request: HttpRequest, registry: AsyncFieldRegistry) -> HttpResponse:
        """For existing front ends."""
        return await self._answer(request, registry, Parameters.of_query(request))

    async def _answer(
        self, request: HttpRequest, registry: AsyncFieldRegistry, given: Parameters
    ) -> HttpResponse:
        field_id = given.text("field_id", required=True, aliases=FIELD_ID_ALIASES)
        filename = given.text("filename", required=True)
        instance_id = given.text("instance_id")
        content_type = given.text("content_type")
        size = given.size("size")
        if any(character in content_type for character in "\r\n"):
            given.errors["contentType"] = ["Enter a valid value."]
        given.check()
        field = registry.fields_by_id.get(field_id)
        if field is None:
            raise UploadNotFound("There is no such field.")
        temp_file, how = await abegin(
            field,
            user=await auser_of_request(request),
            aowner=partial(aowner_of_request, request, create=True),
            filename=filename,
            instance_id=instance_id or None,
            content_type=content_type,
            size=size,
        )
        response = JsonResponse(
            {
                "key": temp_file.key,
                "uploadUrl": how,
                "completeUrl": reverse("async_uploads:complete-upload", current_app=registry.name),
                "statusUrl": reverse("async_uploads:upload-status", current_app=registry.name),
                "cancelUrl": reverse("async_uploads:cancel-upload", current_app=registry.name),
                "expiresAt": iso(temp_file.expires_at) if temp_file.expires_at else None,
            }
        )
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

    async def get(self, request: HttpRequest, registry: AsyncFieldRegistry) -> HttpResponse:
        given = Parameters.of_query(request)
        field_id = given.text("field_id", required=True, aliases=FIELD_ID_ALIASES)
        instance_id = given.text("instance_id", required=True)
        given.check()
        field = registry.fields_by_id.get(field_id)
        if field is None:
            raise UploadNotFound("There is no such field.")
        record = await afind_record(field.model, instance_id)
        if not await aallows(field.perm_detail, await auser_of_request(request), record):
            raise PermissionDenied()
        name = str(getattr(record, field.attname) or "")
        if not name:
            raise UploadNotFound("There is no file.")
        filename = posixpath.basename(name)
        if field.storage.is_temporary_path(name):
            temp_file = await readable_temp_file(field, name)
            if temp_file.record_pk not in ("", record_pk_of(field, record)):
                raise UploadNotFound("There is no file.")
            filename = temp_file.name
        url = await field.storage.agenerate_download_url(
            name, field_id, filename=filename, **field.download_params
        )
        response = HttpResponseRedirect(url)
        add_never_cache_headers(response)  # the signed URL expires, and permissions change
        return response


async def status_response(temp_file: AsyncTempFile, *, status: int = 200) -> JsonResponse:
    response = JsonResponse(await astatus_of(temp_file), status=status)
    add_never_cache_headers(response)
    return response


async def _upload_named_in(given: Parameters, request: HttpRequest) -> AsyncTempFile:
    key = given.text("key", required=True)
    given.check()
    return await afind_upload(key, await aowner_of_request(request))


async def readable_temp_file(field: Any, key: str) -> AsyncTempFile:
    """The row of a temporary file that may be read; raises UploadNotFound for bytes that were not checked."""
    temp_file = await AsyncTempFile.awith_key(key)
    if temp_file is None or not temp_file.belongs_to(field) or not temp_file.is_readable:
        raise UploadNotFound("The file is not ready.")
    return temp_file
