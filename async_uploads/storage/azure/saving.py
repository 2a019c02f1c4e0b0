"""Files that Django itself writes: read in a thread, sent in blocks."""

from __future__ import annotations

import asyncio
from io import BytesIO
from secrets import token_hex
from typing import Any

from asgiref.sync import sync_to_async
from azure.core import MatchConditions
from azure.storage.blob import BlobBlock, ContentSettings
from azure.storage.blob.aio import BlobClient
from django.core.files.base import File
from storages.utils import to_bytes

from async_uploads.storage.azure.blocks import block_id, in_parallel
from async_uploads.storage.azure.errors import Place, answer

BLOCK_SIZE = 4 * 1024 * 1024
"""Bytes, as the SDK's own ``max_block_size``. So many times ``upload_max_conn`` are in memory at once."""

SMALL = 1024 * 1024
"""Bytes that are sent in one request. The SDK then sends them in one piece, which aiohttp warns of above this size."""


async def asave_blob(
    blob: BlobClient,
    content: Any,
    *,
    place: Place,
    settings: ContentSettings,
    overwrite: bool,
    connections: int,
) -> None:
    """Raises Refused, its condition unmet, where the name is taken and ``overwrite`` is not set; StorageUnavailable."""
    name = blob.blob_name
    head = await _in_thread(_begin)(content)
    if len(head) <= SMALL:
        small = blob.upload_blob(head, content_settings=settings, overwrite=overwrite)
        await answer(small, of=place, name=name)
        return
    owner = token_hex(16)
    reading = asyncio.Lock()
    pending = [head]
    count = 0

    async def send_some() -> None:
        nonlocal count
        while True:
            async with reading:
                chunk = pending.pop() if pending else await _in_thread(_read)(content)
                index, count = count, count + bool(chunk)
            if not chunk:
                return
            staged = blob.stage_block(block_id(owner, index), BytesIO(chunk), length=len(chunk))
            await answer(staged, of=place, name=name)

    await in_parallel(send_some, connections)
    blocks = [BlobBlock(block_id(owner, index)) for index in range(count)]
    condition = None if overwrite else MatchConditions.IfMissing
    commit = blob.commit_block_list(blocks, content_settings=settings, match_condition=condition)
    await answer(commit, of=place, name=name)


def _begin(content: Any) -> bytes:
    _file_of(content).seek(0)
    return _read(content)


def _read(content: Any) -> bytes:
    """A whole block, or what is left: a file may give less than it is asked for."""
    file = _file_of(content)
    parts: list[bytes] = []
    size = 0
    while size < BLOCK_SIZE and (part := to_bytes(file.read(BLOCK_SIZE - size))):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _file_of(content: Any) -> Any:
    """Django's File is only around it. To ask a FieldFile for it opens it: in a thread."""
    return content.file if isinstance(content, File) else content


def _in_thread(function: Any) -> Any:
    return sync_to_async(function, thread_sensitive=False)
