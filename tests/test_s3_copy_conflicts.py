"""Copies within S3 overwrite nothing, take no swapped bytes, and know their own work again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.base import FileChanged
from async_uploads.storage.s3 import S3AsyncUploadStorage
from async_uploads.storage.s3.copying import Copying
from tests.s3_storage import (
    CONTENT,
    content_of,
    put,
    put_temporary,
    send_form,
    storage_on,
    stored,
    ticket_for,
)
from tests.servers.proxy import Asked, Proxy
from tests.servers.seaweedfs import S3Server

TARGET = "documents/report.pdf"
CONFLICT = b"<Error><Code>ConditionalRequestConflict</Code><Message>Try again.</Message></Error>"
NOT_IMPLEMENTED = b"<Error><Code>NotImplemented</Code><Message>A header is not.</Message></Error>"


def copies(asked: Asked) -> bool:
    return asked.method == "PUT" and "x-amz-copy-source" in asked.headers


@pytest.fixture
def storage(seaweedfs: S3Server) -> S3AsyncUploadStorage:
    return storage_on(seaweedfs)


@pytest.fixture
def storage_behind(seaweedfs: S3Server, seaweedfs_proxy: Proxy) -> S3AsyncUploadStorage:
    """Behind the proxy."""
    return storage_on(seaweedfs, endpoint_url=seaweedfs_proxy.url)


@pytest.mark.parametrize("there", [b"somebody else's", CONTENT], ids=["other-bytes", "equal-bytes"])
async def test_what_is_there_is_never_overwritten(storage: S3AsyncUploadStorage, there: bytes) -> None:
    key = await put_temporary(storage)
    before = await put(storage, TARGET, there, Metadata={"its": "own"})

    with pytest.raises(FileExistsError):
        await storage.acopy_file(key, TARGET)

    assert (await storage.astat(TARGET)).etag == before
    assert (await stored(storage, TARGET))["Metadata"] == {"its": "own"}


async def test_what_arrives_at_the_last_moment_is_not_overwritten(
    seaweedfs: S3Server, storage_behind: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    """The server's own check: ours has found nothing there."""
    key = await put_temporary(storage_behind)
    client = seaweedfs.client()
    seaweedfs_proxy.first(
        lambda: client.put_object(
            Bucket="uploads", Key=storage_behind.key_of(TARGET), Body=b"somebody else's"
        ),
        when=copies,
    )

    with pytest.raises(FileExistsError):
        await storage_behind.acopy_file(key, TARGET)

    client.close()
    assert await content_of(storage_behind, TARGET) == b"somebody else's"


async def test_of_many_copies_at_once_one_succeeds(storage: S3AsyncUploadStorage) -> None:
    contents = [f"file {number}".encode() for number in range(6)]
    keys = [await put_temporary(storage, content) for content in contents]

    outcomes = await asyncio.gather(
        *(storage.acopy_file(key, TARGET) for key in keys), return_exceptions=True
    )

    assert [type(each) for each in outcomes if each is not None] == [FileExistsError] * 5
    assert await content_of(storage, TARGET) == contents[outcomes.index(None)]


async def test_one_promotion_done_twice_at_once_succeeds_twice(storage: S3AsyncUploadStorage) -> None:
    """A task queue may deliver twice."""
    key = await put_temporary(storage)

    await asyncio.gather(*(storage.acopy_file(key, TARGET) for _ in range(4)))

    assert await content_of(storage, TARGET) == CONTENT


async def test_a_copy_whose_answer_was_lost_is_known_again(
    storage_behind: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    key = await put_temporary(storage_behind)
    seaweedfs_proxy.lose_answer(when=copies, turns=1)

    await storage_behind.acopy_file(key, TARGET)

    assert [asked.status for asked in seaweedfs_proxy.requests(copies)] == [200, 412]
    assert await content_of(storage_behind, TARGET) == CONTENT


async def test_a_copy_of_what_the_source_was_before_is_not_taken_for_this_one(
    storage: S3AsyncUploadStorage,
) -> None:
    key = await put_temporary(storage, b"before")
    await storage.acopy_file(key, TARGET)
    await put(storage, key, b"after.")

    with pytest.raises(FileExistsError):
        await storage.acopy_file(key, TARGET)

    assert await content_of(storage, TARGET) == b"before"


async def test_bytes_that_were_swapped_after_the_check_are_refused(storage: S3AsyncUploadStorage) -> None:
    key = storage.generate_temporary_path("report.pdf")
    ticket = await ticket_for(storage, key)
    await send_form(ticket)
    checked = (await storage.astat(key)).etag
    swapped = await send_form(ticket, b"<script>alert(1)</script>")

    with pytest.raises(FileChanged):
        await storage.acopy_file(key, TARGET, if_match=checked)

    assert swapped.status_code == 201  # the URL can be used again: that is why the ETag is recorded
    assert not await storage.aexists(TARGET)


@pytest.mark.parametrize("checked", [True, False], ids=["with-etag", "without-etag"])
async def test_bytes_that_are_swapped_at_the_last_moment_are_refused(
    seaweedfs: S3Server, storage_behind: S3AsyncUploadStorage, seaweedfs_proxy: Proxy, checked: bool
) -> None:
    key = await put_temporary(storage_behind)
    etag = (await storage_behind.astat(key)).etag
    client = seaweedfs.client()
    seaweedfs_proxy.first(
        lambda: client.put_object(Bucket="uploads", Key=storage_behind.key_of(key), Body=b"<script>"),
        when=copies,
    )

    with pytest.raises(FileChanged):
        await storage_behind.acopy_file(key, TARGET, if_match=etag if checked else None)

    client.close()
    assert not await storage_behind.aexists(TARGET)


async def test_a_source_that_goes_at_the_last_moment_is_missing(
    seaweedfs: S3Server, storage_behind: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    key = await put_temporary(storage_behind)
    client = seaweedfs.client()
    seaweedfs_proxy.first(
        lambda: client.delete_object(Bucket="uploads", Key=storage_behind.key_of(key)), when=copies
    )

    with pytest.raises(FileNotFoundError) as missing:
        await storage_behind.acopy_file(key, TARGET)

    client.close()
    assert str(missing.value) == key


async def test_a_server_that_was_seen_to_refuse_is_not_asked_first_whether_a_name_is_free(
    storage_behind: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    key = await put_temporary(storage_behind)
    for number in range(3):
        await storage_behind.acopy_file(key, f"{number}-{TARGET}")
    before = len(seaweedfs_proxy.requests())
    await storage_behind.acopy_file(key, f"new-{TARGET}")
    asked = [each.method for each in seaweedfs_proxy.requests()[before:]]

    other = await put_temporary(storage_behind, b"other bytes")
    with pytest.raises(FileExistsError):
        await storage_behind.acopy_file(other, f"new-{TARGET}")

    assert asked == ["HEAD", "PUT"]
    await storage_behind.acopy_file(key, f"new-{TARGET}")  # its own copy is known again
    assert await content_of(storage_behind, f"new-{TARGET}") == CONTENT


async def test_a_server_that_overwrites_whatever_it_is_told_is_asked_each_time(
    storage_behind: S3AsyncUploadStorage, seaweedfs_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the header for nothing, here by never being sent it."""
    monkeypatch.setattr(Copying, "_exclusively", lambda self: {})
    key = await put_temporary(storage_behind)
    for number in range(5):
        await storage_behind.acopy_file(key, f"{number}-{TARGET}")
    await put(storage_behind, TARGET, b"somebody else's")

    with pytest.raises(FileExistsError):
        await storage_behind.acopy_file(key, TARGET)

    assert await content_of(storage_behind, TARGET) == b"somebody else's"


async def test_a_writer_who_is_told_to_try_again_does(
    storage_behind: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    """S3's answer to all but one of those who write to one name at once; SeaweedFS lets them wait instead."""
    key = await put_temporary(storage_behind)
    seaweedfs_proxy.answer(409, CONFLICT, when=copies, turns=2)

    await storage_behind.acopy_file(key, TARGET)

    assert [asked.status for asked in seaweedfs_proxy.requests(copies)] == [409, 409, 200]
    assert await content_of(storage_behind, TARGET) == CONTENT


async def test_a_writer_who_is_always_told_to_try_again_gives_up(
    storage_behind: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    key = await put_temporary(storage_behind)
    seaweedfs_proxy.answer(409, CONFLICT, when=copies)

    with pytest.raises(StorageUnavailable, match="Others are writing"):
        await storage_behind.acopy_file(key, TARGET)

    assert len(seaweedfs_proxy.requests(copies)) == 4


async def test_a_server_without_conditional_writes_says_which_option_to_set(
    storage_behind: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    """SeaweedFS knows them."""
    key = await put_temporary(storage_behind)
    seaweedfs_proxy.answer(
        501, NOT_IMPLEMENTED, when=lambda asked: copies(asked) and "if-none-match" in asked.headers
    )

    with pytest.raises(StorageUnavailable, match="AWS_S3_CONDITIONAL_WRITES = False"):
        await storage_behind.acopy_file(key, TARGET)


async def test_without_conditional_writes_each_final_name_has_a_random_part(
    seaweedfs: S3Server, seaweedfs_proxy: Proxy, settings: Any
) -> None:
    by_option = storage_on(seaweedfs, endpoint_url=seaweedfs_proxy.url, conditional_writes=False)
    settings.AWS_S3_CONDITIONAL_WRITES = False
    by_setting = storage_on(seaweedfs)
    key = await put_temporary(by_option)
    seaweedfs_proxy.answer(501, NOT_IMPLEMENTED, when=lambda asked: "if-none-match" in asked.headers)

    names = {by_option.reserve_name(TARGET, 100) for _ in range(10)}
    for name in sorted(names)[:2]:
        await by_option.acopy_file(key, name)
        await by_option.acopy_file(key, name)

    assert not by_option.copies_exclusively
    assert not by_setting.copies_exclusively
    assert len(names) == 10
    other = await put_temporary(by_option, b"other bytes")
    with pytest.raises(FileExistsError):
        await by_option.acopy_file(other, min(names))
    assert await content_of(by_option, min(names)) == CONTENT


async def test_with_conditional_writes_the_wanted_name_is_the_final_one(
    storage: S3AsyncUploadStorage,
) -> None:
    assert storage.copies_exclusively
    assert storage.reserve_name(TARGET, 100) == TARGET
