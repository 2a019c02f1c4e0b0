"""What every storage promises to the rest of the package."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from django.core.files.base import ContentFile

from async_uploads.storage.base import AsyncUploadStorage, FileChanged
from async_uploads.storage.filesystem import FileSystemAsyncUploadStorage
from async_uploads.storage.memory import MemoryAsyncUploadStorage

CONTENT = b"0123456789"
SOURCE = "async-temp-files/2026/11/22/token-report.txt"
TARGET = "documents/report.txt"


@pytest.fixture(params=["filesystem", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncUploadStorage:
    if request.param == "memory":
        return MemoryAsyncUploadStorage()
    return FileSystemAsyncUploadStorage(location=tmp_path)


def put(storage: AsyncUploadStorage, content: bytes = CONTENT, name: str = SOURCE) -> str:
    assert storage.save(name, ContentFile(content)) == name
    return name


async def content_of(storage: AsyncUploadStorage, name: str) -> bytes:
    return await storage.aread_range(name, 0, 10**6)


async def receive(storage: AsyncUploadStorage, *chunks: bytes, name: str = SOURCE) -> None:
    incoming = await storage.aopen_incoming(name)
    try:
        for chunk in chunks:
            await incoming.write(chunk)
        await incoming.commit()
    finally:
        await incoming.abort()


async def test_stat_tells_size_and_an_etag_that_changes_with_the_content(storage: AsyncUploadStorage) -> None:
    put(storage)
    before = await storage.astat(SOURCE)
    again = storage.stat(SOURCE)
    await storage.adelete(SOURCE)
    put(storage, CONTENT[::-1])

    after = await storage.astat(SOURCE)

    assert before == again
    assert before.size == after.size == len(CONTENT)
    assert before.etag
    assert before.etag != after.etag


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 4, b"0123"),
        (3, 7, b"3456"),
        (8, 100, b"89"),
        (10, 20, b""),
        (50, 60, b""),
        (5, 5, b""),
        (7, 3, b""),
    ],
)
async def test_a_range_is_read(storage: AsyncUploadStorage, start: int, end: int, expected: bytes) -> None:
    put(storage)

    assert await storage.aread_range(SOURCE, start, end) == expected
    assert storage.read_range(SOURCE, start, end) == expected


async def test_what_is_not_there_is_not_found(storage: AsyncUploadStorage) -> None:
    with pytest.raises(FileNotFoundError):
        await storage.astat(SOURCE)
    with pytest.raises(FileNotFoundError):
        await storage.aread_range(SOURCE, 0, 1)
    with pytest.raises(FileNotFoundError):
        await storage.acopy_file(SOURCE, TARGET)
    with pytest.raises(FileNotFoundError):
        await storage.acopy_file(SOURCE, TARGET, if_match="etag")
    with pytest.raises(FileNotFoundError):
        await storage.aopen(SOURCE)
    assert not await storage.aexists(SOURCE)


async def test_a_file_is_read_in_pieces(storage: AsyncUploadStorage) -> None:
    put(storage)

    async with await storage.aopen(SOURCE) as file:
        assert await file.read(3) == b"012"
        assert file.tell() == 3
        await file.seek(-2, 2)
        assert await file.read() == b"89"
        await file.seek(0)
        assert b"".join([chunk async for chunk in file]) == CONTENT
    assert await storage.asize(SOURCE) == len(CONTENT)


async def test_a_copy_has_the_bytes_and_leaves_the_source(storage: AsyncUploadStorage) -> None:
    put(storage)

    await storage.acopy_file(SOURCE, TARGET, if_match=storage.stat(SOURCE).etag)

    assert await content_of(storage, TARGET) == CONTENT
    assert await content_of(storage, SOURCE) == CONTENT


async def test_a_copy_outlives_its_source(storage: AsyncUploadStorage) -> None:
    put(storage)
    await storage.acopy_file(SOURCE, TARGET)

    await storage.adelete(SOURCE)

    assert await content_of(storage, TARGET) == CONTENT
    assert not await storage.aexists(SOURCE)


@pytest.mark.parametrize("there", [b"somebody else's", CONTENT], ids=["other-bytes", "equal-bytes"])
async def test_a_copy_never_overwrites(storage: AsyncUploadStorage, there: bytes) -> None:
    put(storage)
    put(storage, there, TARGET)

    with pytest.raises(FileExistsError):
        await storage.acopy_file(SOURCE, TARGET)
    with pytest.raises(FileExistsError):
        storage.copy_file(SOURCE, TARGET)

    assert await content_of(storage, TARGET) == there


async def test_a_copy_that_was_made_already_is_no_error(storage: AsyncUploadStorage) -> None:
    """A promotion that died between the copy and the record is resumed."""
    put(storage)
    await storage.acopy_file(SOURCE, TARGET)

    await storage.acopy_file(SOURCE, TARGET)

    assert await content_of(storage, TARGET) == CONTENT


async def test_bytes_that_were_swapped_after_the_check_are_not_copied(storage: AsyncUploadStorage) -> None:
    put(storage)
    checked = storage.stat(SOURCE).etag
    await storage.adelete(SOURCE)
    put(storage, b"<script>..", SOURCE)

    with pytest.raises(FileChanged):
        await storage.acopy_file(SOURCE, TARGET, if_match=checked)

    assert not await storage.aexists(TARGET)


async def test_a_move_leaves_no_source(storage: AsyncUploadStorage) -> None:
    put(storage)

    await storage.amove_file(SOURCE, TARGET)

    assert await content_of(storage, TARGET) == CONTENT
    assert not await storage.aexists(SOURCE)


def test_the_sync_move_does_the_same(storage: AsyncUploadStorage) -> None:
    put(storage)

    storage.move_file(SOURCE, TARGET)

    assert storage.read_range(TARGET, 0, 100) == CONTENT
    assert not storage.exists(SOURCE)


async def test_a_failed_move_loses_nothing(storage: AsyncUploadStorage) -> None:
    put(storage)
    put(storage, b"somebody else's", TARGET)

    with pytest.raises(FileExistsError):
        await storage.amove_file(SOURCE, TARGET)

    assert await content_of(storage, SOURCE) == CONTENT


async def test_deleting_twice_is_harmless(storage: AsyncUploadStorage) -> None:
    put(storage)

    await storage.adelete(SOURCE)
    await storage.adelete(SOURCE)
    storage.delete(SOURCE)

    assert not await storage.aexists(SOURCE)


async def test_an_incoming_file_is_invisible_until_it_is_whole(storage: AsyncUploadStorage) -> None:
    incoming = await storage.aopen_incoming(SOURCE)
    await incoming.write(CONTENT[:4])
    assert not await storage.aexists(SOURCE)
    await incoming.write(CONTENT[4:])
    assert not await storage.aexists(SOURCE)

    await incoming.commit()
    await incoming.abort()

    assert await content_of(storage, SOURCE) == CONTENT


async def test_an_incoming_file_that_is_given_up_leaves_nothing(storage: AsyncUploadStorage) -> None:
    incoming = await storage.aopen_incoming(SOURCE)
    await incoming.write(CONTENT)

    await incoming.abort()
    await incoming.abort()

    assert not await storage.aexists(SOURCE)


async def test_an_empty_file_can_come_in(storage: AsyncUploadStorage) -> None:
    await receive(storage)

    assert (await storage.astat(SOURCE)).size == 0


async def test_two_files_can_come_in_at_once(storage: AsyncUploadStorage) -> None:
    names = [f"async-temp-files/2026/11/22/token-{i}.txt" for i in range(5)]

    await asyncio.gather(*(receive(storage, name.encode(), b" ", CONTENT, name=name) for name in names))

    for name in names:
        assert await content_of(storage, name) == name.encode() + b" " + CONTENT


def test_keys_are_unguessable_and_lie_where_only_uploads_lie(storage: AsyncUploadStorage) -> None:
    keys = {storage.generate_temporary_path("report.txt", 500) for _ in range(1000)}

    assert len(keys) == 1000
    assert all(storage.is_temporary_path(key) for key in keys)
    tokens = [key.rsplit("/", 1)[1].removesuffix("-report.txt") for key in keys]
    assert {len(token) for token in tokens} == {22}  # 128 bits, 6 in a character
    assert len({character for token in tokens for character in token}) == 64


@pytest.mark.parametrize(
    "name", ["documents/report.txt", "async-temp-files", "x/async-temp-files/a", "async-temp-files2/a"]
)
def test_other_names_are_not_temporary(storage: AsyncUploadStorage, name: str) -> None:
    assert not storage.is_temporary_path(name)
