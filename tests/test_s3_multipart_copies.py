"""Copies of what is too large for one request: in parts, several at once, with progress, overwriting nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from async_uploads.storage.s3 import S3AsyncUploadStorage
from async_uploads.storage.s3.multipart import part_size
from tests.s3_parts import (
    LARGE,
    begins,
    completes,
    copies_a_part,
    film,
    in_parts,
    put_film,
)
from tests.s3_storage import (
    MIB,
    content_of,
    put,
    storage_on,
    stored,
    tags_of,
    unfinished_uploads,
)
from tests.servers.proxy import Proxy
from tests.servers.seaweedfs import S3Server

TARGET = "documents/film.mp4"
CONFLICT = b"<Error><Code>ConditionalRequestConflict</Code><Message>Try again.</Message></Error>"


@pytest.fixture
def storage(seaweedfs: S3Server, seaweedfs_proxy: Proxy) -> S3AsyncUploadStorage:
    return in_parts(seaweedfs, endpoint_url=seaweedfs_proxy.url)


@pytest.fixture
def at_once(seaweedfs: S3Server) -> Iterator[Any]:
    """The administrator's client, for what happens between two requests of ours."""
    client = seaweedfs.client()
    yield client
    client.close()


async def test_a_large_object_is_copied_in_parts_with_progress(storage: S3AsyncUploadStorage) -> None:
    key = await put_film(storage, LARGE, Metadata={"scanned-by": "us"}, Tagging="kind=film")
    told: list[tuple[int, int]] = []

    async def on_progress(copied: int, total: int) -> None:
        told.append((copied, total))

    await storage.acopy_file(key, TARGET, if_match=(await storage.astat(key)).etag, on_progress=on_progress)

    assert len(told) == 13
    assert [copied for copied, _total in told] == sorted({copied for copied, _total in told})
    assert told[-1] == (LARGE, LARGE)
    assert {total for _copied, total in told} == {LARGE}
    assert await content_of(storage, TARGET) == film(LARGE)
    found = await stored(storage, TARGET)
    assert found["ETag"].endswith('-13"')
    assert found["ContentType"] == "video/mp4"
    assert found["Metadata"]["scanned-by"] == "us"
    assert await tags_of(storage, TARGET) == {"kind": "film"}
    assert await unfinished_uploads(storage) == []


async def test_the_projects_parameters_are_applied(seaweedfs: S3Server) -> None:
    storage = in_parts(
        seaweedfs,
        object_parameters={
            "CacheControl": "max-age=60",
            "ServerSideEncryption": "AES256",
            "StorageClass": "STANDARD_IA",
            "Tagging": "kind=final",
            "Metadata": {"owner": "us"},
        },
    )
    key = await put_film(storage, ContentType="text/html", Tagging="kind=temporary")

    await storage.acopy_file(key, TARGET)

    found = await stored(storage, TARGET)
    assert found["CacheControl"] == "max-age=60"
    assert found["ServerSideEncryption"] == "AES256"
    assert found["StorageClass"] == "STANDARD_IA"
    assert found["Metadata"]["owner"] == "us"
    assert found["ContentDisposition"] == "attachment"
    assert await tags_of(storage, TARGET) == {"kind": "final"}
    assert await content_of(storage, TARGET) == film()


async def test_only_what_is_above_the_threshold_is_copied_in_parts(
    storage: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    for size, name in ((5 * MIB, "as-large.mp4"), (5 * MIB + 1, "larger.mp4")):
        await storage.acopy_file(await put_film(storage, size), name)

    assert [asked.path.rpartition("/")[2] for asked in seaweedfs_proxy.requests(begins)] == ["larger.mp4"]
    assert [(await storage.astat(name)).size - 5 * MIB for name in ("as-large.mp4", "larger.mp4")] == [0, 1]


async def test_parts_are_copied_at_the_same_time(seaweedfs: S3Server, seaweedfs_proxy: Proxy) -> None:
    storage = in_parts(seaweedfs, endpoint_url=seaweedfs_proxy.url, multipart_copy_concurrency=3)
    key = await put_film(storage, LARGE)
    three = threading.Barrier(3)

    def meet() -> None:
        """Returns only when three parts are on their way."""
        three.wait(timeout=30)

    seaweedfs_proxy.first(meet, when=copies_a_part, turns=12)

    await storage.acopy_file(key, TARGET)

    assert not three.broken
    assert await content_of(storage, TARGET) == film(LARGE)


@pytest.mark.parametrize(
    ("size", "wanted", "parts"),
    [
        (12 * MIB, 5 * MIB, 3),
        (5 * 1024**4, 512 * MIB, 10_000),
        (5 * 1024**4 - 1, 5 * MIB, 10_000),
        (50 * 1024**4, 512 * MIB, 10_000),
    ],
)
def test_ten_thousand_parts_are_enough_for_any_object(size: int, wanted: int, parts: int) -> None:
    step = part_size(size, wanted)

    assert step >= wanted or size < wanted
    assert -(-size // step) <= parts


async def test_what_is_there_is_seen_before_anything_is_copied(
    storage: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    key = await put_film(storage)
    await put(storage, TARGET, b"somebody else's")

    with pytest.raises(FileExistsError):
        await storage.acopy_file(key, TARGET)

    assert seaweedfs_proxy.requests(begins) == []
    assert await content_of(storage, TARGET) == b"somebody else's"


async def test_what_arrives_while_parts_are_copied_is_not_overwritten(
    storage: S3AsyncUploadStorage, seaweedfs_proxy: Proxy, at_once: Any
) -> None:
    key = await put_film(storage)
    seaweedfs_proxy.first(
        lambda: at_once.put_object(Bucket="uploads", Key=storage.key_of(TARGET), Body=b"somebody else's"),
        when=completes,
    )

    with pytest.raises(FileExistsError):
        await storage.acopy_file(key, TARGET)

    assert await content_of(storage, TARGET) == b"somebody else's"
    assert await unfinished_uploads(storage) == []


async def test_a_copy_that_another_one_has_replaced_at_once_is_not_taken_for_ours(
    storage: S3AsyncUploadStorage, seaweedfs_proxy: Proxy, at_once: Any
) -> None:
    """Two writers complete at the same moment: SeaweedFS may let both of them, where S3 refuses one."""
    key = await put_film(storage)
    seaweedfs_proxy.first(
        lambda: at_once.put_object(Bucket="uploads", Key=storage.key_of(TARGET), Body=b"somebody else's"),
        when=lambda asked: asked.method == "HEAD" and bool(seaweedfs_proxy.requests(completes)),
    )

    with pytest.raises(FileExistsError):
        await storage.acopy_file(key, TARGET)

    assert await content_of(storage, TARGET) == b"somebody else's"


async def test_a_copy_that_was_made_already_is_not_made_again(
    storage: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    key = await put_film(storage)
    await storage.acopy_file(key, TARGET)

    await storage.acopy_file(key, TARGET)

    assert len(seaweedfs_proxy.requests(begins)) == 1


async def test_a_copy_whose_last_answer_was_lost_is_known_again(
    storage: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    key = await put_film(storage)
    seaweedfs_proxy.lose_answer(when=completes, turns=1)

    await storage.acopy_file(key, TARGET)

    assert len(seaweedfs_proxy.requests(completes)) == 2  # aiobotocore has asked again
    assert await content_of(storage, TARGET) == film()


async def test_a_writer_who_is_told_to_try_again_begins_anew(
    storage: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    """As S3's documentation wants it, which SeaweedFS never asks for."""
    key = await put_film(storage)
    seaweedfs_proxy.answer(409, CONFLICT, when=completes, turns=1)

    await storage.acopy_file(key, TARGET)

    assert len(seaweedfs_proxy.requests(begins)) == 2
    assert await content_of(storage, TARGET) == film()
    assert await unfinished_uploads(storage) == []


async def test_without_conditional_writes_nothing_is_asked_of_the_server(
    seaweedfs: S3Server, seaweedfs_proxy: Proxy
) -> None:
    storage = in_parts(seaweedfs, endpoint_url=seaweedfs_proxy.url, conditional_writes=False)
    key = await put_film(storage)

    await storage.acopy_file(key, TARGET)

    assert not seaweedfs_proxy.requests(lambda asked: "if-none-match" in asked.headers)
    assert await content_of(storage, TARGET) == film()


async def test_options_come_from_settings_too(settings: Any, seaweedfs: S3Server) -> None:
    settings.AWS_S3_MULTIPART_COPY_THRESHOLD = 5 * MIB
    settings.AWS_S3_MULTIPART_COPY_CHUNKSIZE = 6 * MIB
    settings.AWS_S3_MULTIPART_COPY_CONCURRENCY = 1
    storage = storage_on(seaweedfs)
    told: list[int] = []

    async def on_progress(copied: int, total: int) -> None:
        told.append(copied)

    await storage.acopy_file(await put_film(storage), TARGET, on_progress=on_progress)

    assert told == [6 * MIB, 12 * MIB]


async def test_a_project_that_wants_checksums_can_copy_in_parts(
    seaweedfs: S3Server, seaweedfs_proxy: Proxy
) -> None:
    storage = in_parts(
        seaweedfs, endpoint_url=seaweedfs_proxy.url, object_parameters={"ChecksumAlgorithm": "CRC32"}
    )
    key = await put_film(storage)

    await storage.acopy_file(key, TARGET)

    (begun,) = seaweedfs_proxy.requests(begins)
    assert begun.headers["x-amz-checksum-algorithm"] == "CRC32"
    assert await content_of(storage, TARGET) == film()
