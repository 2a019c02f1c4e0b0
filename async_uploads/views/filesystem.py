"""The bytes themselves: upload and download through Django, each allowed by a signed token."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.decorators import method_decorator
from django.utils.http import http_date
from django.views.decorators.csrf import csrf_exempt

from async_uploads.conf import upload_settings
from async_uploads.exceptions import PermissionDenied, UploadExpired, UploadNotFound
from async_uploads.file_responses import FileOnDiskResponse, offers_pathsend
from async_uploads.inspection import disposition, served_type
from async_uploads.registry import AsyncFieldRegistry
from async_uploads.request_threads import release_request_thread
from async_uploads.signing import DownloadToken, UploadToken, unsign_download, unsign_upload
from async_uploads.storage.base import AsyncUploadStorage, StoredFile
from async_uploads.storage.direct import UPLOAD_FIELD_NAME
from async_uploads.streaming import (
    body_of,
    content_length,
    file_in_multipart,
    is_streamed,
    streams_request_body,
)
from async_uploads.temp_files import AsyncTempFile
from async_uploads.uploads import areceive
from async_uploads.views.api import status_response
from async_uploads.views.base import UploadView
from async_uploads.views.parameters import Parameters
from async_uploads.views.ranges import ByteRange, RangeNotSatisfiable, parse_range
from async_uploads.views.requests import readable_temp_file

logger: logging.Logger = logging.getLogger("async_uploads")
_warned: list[bool] = []

MULTIPART_OVERHEAD = 64 * 1024
"""Bytes that a multipart body may be longer than its file before we refuse it unread."""


@method_decorator([csrf_exempt, streams_request_body], name="dispatch")
class UploadDirectView(UploadView):
    """``PUT`` a raw body or ``POST`` multipart with the file in ``file``. The token in the URL is the permission."""

    async def put(self, request: HttpRequest, registry: AsyncFieldRegistry) -> HttpResponse:
        return await self._receive(request, registry, body_of(request), content_length(request))

    async def post(self, request: HttpRequest, registry: AsyncFieldRegistry) -> HttpResponse:
        body = file_in_multipart(body_of(request), request.META.get("CONTENT_TYPE", ""), UPLOAD_FIELD_NAME)
        whole = content_length(request)
        at_least = None if whole is None else max(whole - MULTIPART_OVERHEAD, 0)
        return await self._receive(request, registry, body, None, at_least=at_least)

    async def _receive(
        self,
        request: HttpRequest,
        registry: AsyncFieldRegistry,
        body: AsyncIterator[bytes],
        announced: int | None,
        *,
        at_least: int | None = None,
    ) -> HttpResponse:
        _warn_if_spooled(request)
        token = unsign_upload(_token_of(request))
        temp_file = await _upload_for(token, registry)
        await areceive(temp_file, body, max_size=token.max_size, announced=announced, at_least=at_least)
        return await status_response(temp_file, status=201)


@method_decorator(csrf_exempt, name="dispatch")
class DownloadDirectView(UploadView):
    """``GET`` or ``HEAD`` a stored file, whole or one range of it. The token in the URL is the permission."""

    is_opened_by_links = True
    asks_database = False

    async def get(self, request: HttpRequest, registry: AsyncFieldRegistry) -> HttpResponseBase:
        token = unsign_download(_token_of(request))
        field = registry.fields_by_id.get(token.field_id)
        if field is None:
            raise UploadNotFound("There is no such file.")
        storage: AsyncUploadStorage = field.storage
        if storage.is_temporary_path(token.key):
            await readable_temp_file(field, token.key)
        try:
            stored = await storage.astat(token.key)
        except (FileNotFoundError, SuspiciousFileOperation) as error:
            raise UploadNotFound("There is no such file.") from error
        return _file_response(request, storage, token, stored)


def _warn_if_spooled(request: HttpRequest) -> None:
    if isinstance(request, ASGIRequest) and not is_streamed(request) and not _warned:
        _warned.append(True)
        logger.warning(
            "Django has spooled a whole upload before it reached the view. Use "
            "async_uploads.asgi.get_asgi_application() in the project's asgi.py to have uploads streamed."
        )


def _token_of(request: HttpRequest) -> str:
    given = Parameters.of_query(request)
    token = given.text("token", required=True)
    given.check()
    return token


async def _upload_for(token: UploadToken, registry: AsyncFieldRegistry) -> AsyncTempFile:
    field = registry.fields_by_id.get(token.field_id)
    temp_file = await AsyncTempFile.awith_key(token.key)
    if temp_file is None:
        raise UploadExpired()  # swept: the token proves that it was there
    if field is None or not temp_file.belongs_to(field) or not field.storage.receives_uploads:
        raise PermissionDenied()
    return temp_file


def _file_response(
    request: HttpRequest, storage: AsyncUploadStorage, token: DownloadToken, stored: StoredFile
) -> HttpResponseBase:
    etag = f'"{stored.etag}"'
    modified = stored.modified
    unchanged = get_conditional_response(request, etag=etag, last_modified=modified)
    if unchanged is not None:
        _set_headers(unchanged, token, etag, modified)
        return unchanged
    try:
        wanted = _wanted_range(request, stored.size, etag, modified)
    except RangeNotSatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{stored.size}"})
    response = _content_response(request, storage, token, wanted or ByteRange(0, stored.size, stored.size))
    if wanted is not None and not _is_sent_by_server(response):
        response.status_code = 206
        response["Content-Range"] = wanted.content_range
        # A part of a file must not be compressed by a middleware as if it were the whole.
        response["Content-Encoding"] = "identity"
    _set_headers(response, token, etag, modified)
    return response


def _content_response(
    request: HttpRequest, storage: Any, token: DownloadToken, wanted: ByteRange
) -> HttpResponseBase:
    sendfile = upload_settings.SENDFILE
    if sendfile == "x-sendfile":
        return HttpResponse(headers={"X-Sendfile": quote(storage.path(token.key))})
    if sendfile == "x-accel-redirect":
        return HttpResponse(headers={"X-Accel-Redirect": storage.url(token.key)})
    response: HttpResponseBase
    if request.method == "HEAD":
        response = HttpResponse()
    elif isinstance(request, ASGIRequest):
        chunks = _chunks(storage, token.key, wanted)
        is_sent_by_path = (
            isinstance(storage, FileSystemStorage) and wanted.is_whole and offers_pathsend(request)
        )
        response = (
            FileOnDiskResponse(chunks, storage.path(token.key))
            if is_sent_by_path
            else StreamingHttpResponse(chunks)
        )
    else:
        response = StreamingHttpResponse(_chunks_in_thread(storage, token.key, wanted))
    response["Content-Length"] = str(wanted.length)
    return response


def _is_sent_by_server(response: HttpResponseBase) -> bool:
    return response.has_header("X-Sendfile") or response.has_header("X-Accel-Redirect")


def _set_headers(response: HttpResponseBase, token: DownloadToken, etag: str, modified: int | None) -> None:
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    if modified is not None:
        response["Last-Modified"] = http_date(modified)
    response["Cache-Control"] = "private, max-age=0, must-revalidate"
    response["Content-Type"] = served_type(token.filename)
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Disposition"] = disposition(token.filename, inline=token.inline)


def _wanted_range(request: HttpRequest, size: int, etag: str, modified: int | None) -> ByteRange | None:
    # RFC 9110, 14.2: a range means something for GET alone.
    if request.method != "GET" or "range" not in request.headers:
        return None
    if not _if_range_holds(request, etag, modified):
        return None
    return parse_range(request.headers["range"], size)


def _if_range_holds(request: HttpRequest, etag: str, modified: int | None) -> bool:
    """RFC 9110, 13.1.5: a range of a file that has changed would not fit the part that the client has."""
    condition = request.headers.get("if-range")
    if condition is None or condition == etag:
        return True
    try:
        then = parsedate_to_datetime(condition)
    except (TypeError, ValueError, OverflowError):
        return False
    return modified is not None and then.tzinfo is not None and datetime.fromtimestamp(modified, UTC) == then


async def _chunks(storage: AsyncUploadStorage, name: str, wanted: ByteRange) -> AsyncIterator[bytes]:
    """The bytes, read ahead of nothing: a slow client holds no thread and no database connection."""
    await release_request_thread()
    position = wanted.start
    while position < wanted.end:
        chunk = await storage.aread_range(
            name, position, min(position + upload_settings.CHUNK_SIZE, wanted.end)
        )
        if not chunk:
            return
        position += len(chunk)
        yield chunk


def _chunks_in_thread(storage: AsyncUploadStorage, name: str, wanted: ByteRange) -> Iterator[bytes]:
    """For WSGI, where Django would collect an async iterator in memory first."""
    position = wanted.start
    while position < wanted.end:
        chunk = storage.read_range(name, position, min(position + upload_settings.CHUNK_SIZE, wanted.end))
        if not chunk:
            return
        position += len(chunk)
        yield chunk
