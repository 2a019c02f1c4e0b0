"""An object made of parts: several at once, and none left behind where one fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from async_uploads.storage.s3.errors import FAULTS, code_of
from async_uploads.storage.s3.parameters import accepted

logger: logging.Logger = logging.getLogger("async_uploads")

MAX_PARTS = 10_000
"""S3's limit: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""

NO_SUCH_UPLOAD = "NoSuchUpload"
MAX_ABORTS = 3
STALE_AFTER = 60.0  # seconds
ABORT_INTERVAL = 0.5  # seconds

SendPart = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Sends one part, given ``Bucket``, ``Key``, ``UploadId`` and ``PartNumber``; returns S3's answer."""


def part_size(size: int, wanted: int) -> int:
    """Bytes of each part, so that 10,000 are enough for ``size`` bytes."""
    return max(wanted, -(-size // MAX_PARTS))


@asynccontextmanager
async def multipart_upload(client: Any, request: dict[str, Any]) -> AsyncIterator[MultipartUpload]:
    """Begins an upload to ``Bucket`` and ``Key`` of ``request``; aborts it where the block raises or is cancelled."""
    beginning = asyncio.ensure_future(
        client.create_multipart_upload(**accepted(client, "CreateMultipartUpload", request))
    )
    try:
        begun = await asyncio.shield(beginning)
        yield MultipartUpload(client, request, begun["UploadId"])
    except BaseException:
        await _see_through(_abort(client, request, beginning))
        raise


class MultipartUpload:
    """An upload that has begun. ``request`` has the object's parameters, which each request gets what it knows of."""

    def __init__(self, client: Any, request: dict[str, Any], upload_id: str) -> None:
        self._client = client
        self._request = request
        self._named = {"Bucket": request["Bucket"], "Key": request["Key"], "UploadId": upload_id}
        self._parts: list[dict[str, Any]] = []

    async def send(self, parts: AsyncIterable[SendPart], *, concurrency: int) -> None:
        """Send the parts in their order, ``concurrency`` of them at once. Raises what the first to fail raises."""
        slots = asyncio.Semaphore(concurrency)
        number = 0
        try:
            async with asyncio.TaskGroup() as group:
                async for send_part in parts:
                    await slots.acquire()
                    number += 1
                    group.create_task(self._send_part(number, send_part, slots))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def complete(self, **conditions: Any) -> None:
        """Make the object out of the parts."""
        more = accepted(self._client, "CompleteMultipartUpload", self._request)
        parts = {"Parts": sorted(self._parts, key=lambda part: int(part["PartNumber"]))}
        await self._client.complete_multipart_upload(
            **{**more, **self._named, "MultipartUpload": parts, **conditions}
        )

    async def _send_part(self, number: int, send_part: SendPart, slots: asyncio.Semaphore) -> None:
        answer = await send_part({**self._named, "PartNumber": number})
        slots.release()
        checksums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        wanted = checksums if "ChecksumAlgorithm" in self._request else {}
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"], **wanted})


async def aabort_stale(client: Any, request: dict[str, Any]) -> None:
    """Remove the parts of uploads to ``Bucket`` and ``Key`` of ``request`` that were begun and left alone long ago.

    Whoever began them was killed, or else is told by S3 that they are gone, and begins again. Where the bucket's policy
    does not let us ask (``s3:ListBucketMultipartUploads``), they stay until its lifecycle rule ends them.
    """
    named = {"Bucket": request["Bucket"], "Key": request["Key"]}
    before = datetime.now(UTC) - timedelta(seconds=STALE_AFTER)
    try:
        found = await client.list_multipart_uploads(Bucket=named["Bucket"], Prefix=named["Key"])
        for upload in found.get("Uploads", ()):
            if upload["Key"] == named["Key"] and upload["Initiated"] < before:
                aborting = accepted(client, "AbortMultipartUpload", request)
                await client.abort_multipart_upload(**{**aborting, **named, "UploadId": upload["UploadId"]})
    except FAULTS as error:
        logger.debug("Unfinished uploads to %s could not be looked for (%r).", named["Key"], error)


async def _abort(client: Any, request: dict[str, Any], beginning: asyncio.Future[dict[str, Any]]) -> None:
    """Remove the parts. Those on their way may arrive after an abort, so S3 is asked whether it was the last."""
    await asyncio.wait({beginning})
    if beginning.cancelled() or beginning.exception() is not None:
        return
    named = {"Bucket": request["Bucket"], "Key": request["Key"], "UploadId": beginning.result()["UploadId"]}
    aborting = {**accepted(client, "AbortMultipartUpload", request), **named}
    listing = {**accepted(client, "ListParts", request), **named}
    try:
        for _attempt in range(MAX_ABORTS):
            await client.abort_multipart_upload(**aborting)
            await client.list_parts(**listing)
            await asyncio.sleep(ABORT_INTERVAL)
    except FAULTS as error:
        if isinstance(error, ClientError) and code_of(error) == NO_SUCH_UPLOAD:
            return
        told = code_of(error) if isinstance(error, ClientError) else type(error).__name__
        logger.warning("Parts of %s may be left in the bucket (%s).", named["Key"], told)


async def _see_through(work: Coroutine[Any, Any, None]) -> None:
    """Wait for ``work`` to its end, cancelled or not: whoever calls this is on the way out anyway."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue
