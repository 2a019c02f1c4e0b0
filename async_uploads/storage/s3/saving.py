"""Files that the server itself puts into S3."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from storages.utils import ReadBytesWrapper, is_seekable

from async_uploads.storage.s3.multipart import SendPart, multipart_upload, part_size
from async_uploads.storage.s3.options import S3Options
from async_uploads.storage.s3.parameters import accepted

if TYPE_CHECKING:
    from django.core.files.base import File


ATTEMPTS = 5
SLOWEST = 128 * 1024
"""Bytes a second, on an average over all attempts."""


async def send_file(storage: S3Options, client: Any, key: str, content: File[Any]) -> None:
    """As ``_save`` of django-storages: type, gzip, object parameters, in parts above the transfer's threshold.

    Raises botocore's errors.
    """
    parameters = storage._get_write_parameters(key, content)
    source: Any = ReadBytesWrapper(content)
    if is_seekable(content):
        await sync_to_async(content.seek, thread_sensitive=False)(0)
    if (
        storage.gzip
        and parameters["ContentType"] in storage.gzip_content_types
        and "ContentEncoding" not in parameters
    ):
        source = storage._compress_content(source)
        parameters["ContentEncoding"] = "gzip"
    config = storage.transfer_config
    request = {**parameters, "Bucket": storage.bucket_name, "Key": key}
    beginning = await _read(source, config.multipart_threshold)
    if len(beginning) < config.multipart_threshold:
        async with _patience(client, beginning):
            await client.put_object(**request, Body=beginning)
        return
    step = part_size(getattr(content, "size", None) or 0, config.multipart_chunksize)
    async with multipart_upload(client, request) as upload:
        await upload.send(
            _parts(client, request, source, beginning, step), concurrency=config.max_request_concurrency
        )
        await upload.complete()


async def _parts(
    client: Any, request: dict[str, Any], source: Any, beginning: bytes, step: int
) -> AsyncIterator[SendPart]:
    chunk = beginning
    while True:
        if len(chunk) < step:
            chunk += await _read(source, step - len(chunk))
        if not chunk:
            return
        yield partial(_send_part, client, request, chunk[:step])
        chunk = chunk[step:]


async def _send_part(
    client: Any, request: dict[str, Any], chunk: bytes, part: dict[str, Any]
) -> dict[str, Any]:
    async with _patience(client, chunk):
        answer: dict[str, Any] = await client.upload_part(
            **{**accepted(client, "UploadPart", request), **part, "Body": chunk}
        )
    return answer


def _patience(client: Any, body: bytes) -> asyncio.Timeout:
    """aiohttp's timeouts begin when a body has been sent, and a server may have stopped to take it."""
    config = client.meta.config
    attempts = ATTEMPTS * (config.connect_timeout + config.read_timeout)
    return asyncio.timeout(attempts + len(body) / SLOWEST)


async def _read(source: Any, size: int) -> bytes:
    """``size`` bytes, or all that is left. In a thread: it may be a file on a disk, or has to be compressed."""
    return await sync_to_async(_read_fully, thread_sensitive=False)(source, size)


def _read_fully(source: Any, size: int) -> bytes:
    chunks = []
    while size > 0 and (chunk := source.read(size)):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
