"""Copies in parts that fail or are cancelled leave none of their parts behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from django.core.files.base import ContentFile

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.base import FileChanged
from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.s3_parts import (
    LARGE,
    aborts,
    begins,
    completes,
    copies_a_part,
    film,
    in_parts,
    lists_parts,
    put_film,
)
from tests.s3_storage import (
    MIB,
    content_of,
    storage_on,
    unfinished_uploads,
)
from tests.servers.proxy import Asked, Proxy
from tests.servers.seaweedfs import S3Server

TARGET = "documents/film.mp4"
ERROR = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access denied.</Message></Error>"


@pytest.fixture
def storage(seaweedfs: S3Server, seaweedfs_proxy: Proxy) -> S3AsyncUploadStorage:
    return in_parts(seaweedfs, endpoint_url=seaweedfs_proxy.url)


@pytest.fixture
def at_once(seaweedfs: S3Server) -> Iterator[Any]:
    """The administrator's client, for what happens between two requests of ours."""
    client = seaweedfs.client()
    yield client
    client.close()


async def test_a_source_that_is_swapped_midway_is_refused(seaweedfs: S3Server, at_once: Any) -> None:
    # One part after the other, or all may have been asked for before the swap.
    storage = in_parts(seaweedfs, multipart_copy_concurrency=1)
    key = await put_film(storage, LARGE)
    etag = (await storage.astat(key)).etag
    told: list[int] = []

    async def on_progress(copied: int, total: int) -> None:
        told.append(copied)
        if len(told) == 2:
            await asyncio.to_thread(
                at_once.put_object, Bucket="uploads", Key=storage.key_of(key), Body=b"<script>"
            )

    with pytest.raises(FileChanged):
        await storage.acopy_file(key, TARGET, if_match=etag, on_progress=on_progress)

    assert len(told) == 2
    assert not await storage.aexists(TARGET)
    assert await unfinished_uploads(storage) == []


async def test_a_part_that_cannot_be_copied_leaves_nothing(
    storage: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    key = await put_film(storage, LARGE)
    seaweedfs_proxy.answer(
        500, ERROR, when=lambda asked: copies_a_part(asked) and "partNumber=7" in asked.query
    )

    with pytest.raises(StorageUnavailable, match="InternalError"):
        await storage.acopy_file(key, TARGET)

    assert not await storage.aexists(TARGET)
    assert await unfinished_uploads(storage) == []
    seaweedfs_proxy.forget()
    await storage.acopy_file(key, TARGET)
    assert await content_of(storage, TARGET) == film(LARGE)


async def test_a_copy_that_nobody_wants_to_hear_of_leaves_nothing(storage: S3AsyncUploadStorage) -> None:
    """Somebody else has the row now: its progress cannot be recorded."""
    key = await put_film(storage)

    async def on_progress(copied: int, total: int) -> None:
        raise LookupError("somebody else's")

    with pytest.raises(LookupError, match="somebody else's"):
        await storage.acopy_file(key, TARGET, on_progress=on_progress)

    assert not await storage.aexists(TARGET)
    assert await unfinished_uploads(storage) == []


async def cancelled(work: Coroutine[Any, Any, Any], *, when: Callable[[], bool], times: int = 1) -> None:
    task = asyncio.create_task(work)
    while not when():
        await asyncio.sleep(0.01)
        assert not task.done()
    for _time in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("stage", [begins, copies_a_part, completes], ids=lambda stage: stage.__name__)
async def test_a_cancelled_copy_leaves_no_parts(
    storage: S3AsyncUploadStorage, seaweedfs_proxy: Proxy, stage: Callable[[Asked], bool], times: int
) -> None:
    key = await put_film(storage)
    seaweedfs_proxy.delay(0.5, when=stage)

    await cancelled(
        storage.acopy_file(key, TARGET), when=lambda: bool(seaweedfs_proxy.requests(stage)), times=times
    )

    await asyncio.sleep(1)  # what was on its way has arrived
    assert await unfinished_uploads(storage) == []


async def test_a_cancelled_save_leaves_no_parts(seaweedfs: S3Server, seaweedfs_proxy: Proxy) -> None:
    storage = storage_on(
        seaweedfs,
        endpoint_url=seaweedfs_proxy.url,
        transfer_config=TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB),
    )
    seaweedfs_proxy.delay(0.5, when=copies_a_part)

    await cancelled(
        storage.asave("film.mp4", ContentFile(film())),
        when=lambda: bool(seaweedfs_proxy.requests(copies_a_part)),
    )

    assert not await storage.aexists("film.mp4")
    assert await unfinished_uploads(storage) == []
    # What was on its way stays in its connection until the proxy reads on; then the loop can be closed.
    async with asyncio.timeout(10):
        while seaweedfs_proxy.is_busy:
            await asyncio.sleep(0.01)


async def test_parts_that_arrive_after_the_abort_are_removed_too(
    storage: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    """S3 may still take parts that were on their way, and then has to be told again."""
    key = await put_film(storage)
    still_there = b"<ListPartsResult><Part><PartNumber>1</PartNumber></Part></ListPartsResult>"
    seaweedfs_proxy.answer(403, DENIED, when=copies_a_part)
    seaweedfs_proxy.answer(200, still_there, when=lists_parts, turns=1)

    with pytest.raises(StorageUnavailable):
        await storage.acopy_file(key, TARGET)

    assert len(seaweedfs_proxy.requests(aborts)) == 2
    assert await unfinished_uploads(storage) == []


async def test_parts_that_cannot_be_removed_are_told_of_once(
    storage: S3AsyncUploadStorage, seaweedfs_proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    key = await put_film(storage)
    seaweedfs_proxy.answer(500, ERROR, when=lambda asked: copies_a_part(asked) or aborts(asked))

    with pytest.raises(StorageUnavailable, match="InternalError"):
        await storage.acopy_file(key, TARGET)

    (line,) = [record.getMessage() for record in caplog.records if record.name == "async_uploads"]
    assert line == f"Parts of {storage.key_of(TARGET)} may be left in the bucket (InternalError)."
