"""Pieces of an upload on their way to the disk: few at a time, and none after the file is given up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from aiofiles.threadpool.binary import AsyncFileIO

from async_uploads.storage.base import IncomingFile
from async_uploads.storage.filesystem import FileSystemAsyncUploadStorage, IncomingLocalFile
from async_uploads.storage.local_writes import WritesTogether
from async_uploads.uploads import writing
from async_uploads.uploads.ticking import Ticks
from async_uploads.uploads.writing import CoalescingWriter
from tests.watching import eventually

CHUNK = 1000


@pytest.fixture(autouse=True)
def small_pieces(settings: Any) -> None:
    settings.ASYNC_UPLOADS = {**getattr(settings, "ASYNC_UPLOADS", {}), "CHUNK_SIZE": 4 * CHUNK}


class Gate(IncomingFile):
    """A storage that takes its time: writes nothing before it is opened, and fails where it is told to."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.pieces: list[bytes] = []
        self.error: Exception | None = None

    async def write(self, chunk: bytes) -> None:
        self.pieces.append(chunk)
        await self.opened.wait()
        if self.error is not None:
            raise self.error


async def feed(writer: CoalescingWriter, count: int) -> None:
    for number in range(count):
        await writer.feed(bytes([number]) * CHUNK)


async def test_no_more_than_two_pieces_are_held_for_a_slow_storage() -> None:
    gate = Gate()
    async with CoalescingWriter(gate) as writer:
        await feed(writer, 7)
        one_too_many = asyncio.create_task(feed(writer, 1))
        await asyncio.sleep(0)

        assert [len(piece) for piece in gate.pieces] == [4 * CHUNK]
        assert not one_too_many.done()

        gate.opened.set()
        await one_too_many

    assert [len(piece) for piece in gate.pieces] == [4 * CHUNK, 4 * CHUNK]


async def test_what_writing_raised_meets_the_next_chunk() -> None:
    gate = Gate()
    gate.error = OSError("The disk is gone.")
    gate.opened.set()

    writer = CoalescingWriter(gate)
    await feed(writer, 4)
    await eventually(lambda: gate.pieces)

    with pytest.raises(OSError, match="gone"):
        await feed(writer, 1)


async def test_what_writing_raised_meets_the_end() -> None:
    gate = Gate()
    gate.error = OSError("The disk is gone.")
    gate.opened.set()

    with pytest.raises(OSError, match="gone"):
        async with CoalescingWriter(gate) as writer:
            await feed(writer, 4)


async def test_few_bytes_that_come_during_a_slow_write_follow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "FLUSH_INTERVAL", 0.01)
    gate = Gate()
    async with CoalescingWriter(gate) as writer:
        await feed(writer, 5)
        await asyncio.sleep(0.05)
        assert [len(piece) for piece in gate.pieces] == [4 * CHUNK]

        gate.opened.set()
        await eventually(lambda: len(gate.pieces) == 2)

    assert [len(piece) for piece in gate.pieces] == [4 * CHUNK, CHUNK]


@pytest.mark.parametrize("size", [1, 10, 5000])
async def test_chunks_of_any_size_are_written_in_their_order(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * 80
    incoming = await FileSystemAsyncUploadStorage(location=tmp_path).aopen_incoming("whole.bin")

    await incoming.write_all([content[start : start + size] for start in range(0, len(content), size)])
    await incoming.commit()

    assert (tmp_path / "whole.bin").read_bytes() == content


@contextmanager
def full_pipe() -> Iterator[tuple[int, FileIO]]:
    """Its end to read from, and what nobody can write to before that is read."""
    reading, end = os.pipe()
    with FileIO(end, "wb") as file:
        os.set_blocking(end, False)
        while file.write(bytes(4096)):
            pass
        os.set_blocking(end, True)
        yield reading, file
    os.close(reading)


def empty(reading: int) -> None:
    os.set_blocking(reading, False)
    with suppress(BlockingIOError):
        while os.read(reading, 65536):
            pass


async def test_a_file_is_not_closed_under_a_thread_that_writes_to_it(tmp_path: Path) -> None:
    """Its descriptor would be another file's by then."""
    part = tmp_path / "x.part"
    part.touch()
    with full_pipe() as (reading, file):
        wrapped: Any = AsyncFileIO(file, None, None)
        incoming = IncomingLocalFile(
            wrapped, part, tmp_path / "x", fsync=False, mode=None, together=WritesTogether()
        )
        late = asyncio.create_task(incoming.write(b"late"))
        await asyncio.sleep(0)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late

        aborting = asyncio.create_task(incoming.abort())
        await asyncio.wait([aborting], timeout=0.1)
        assert not aborting.done()
        assert not file.closed

        empty(reading)
        await eventually(aborting.done)
        assert file.closed
    assert not part.exists()


async def test_a_timer_that_is_faster_than_who_waits_leaves_no_piece_unwaited_for() -> None:
    """It goes off in the round of the loop in which the piece before has been written."""
    at_once: list[int] = []

    class Slow(Gate):
        def __init__(self) -> None:
            super().__init__()
            self.busy = 0

        async def write(self, chunk: bytes) -> None:
            self.busy += 1
            at_once.append(self.busy)
            if not self.pieces:
                self.pieces.append(chunk)
                await self.opened.wait()
                asyncio.get_running_loop().call_soon(writer._flush, writer._pieces)  # as the timer does
            else:
                self.pieces.append(chunk)
                await asyncio.sleep(0.02)
            self.busy -= 1

    incoming = Slow()
    async with CoalescingWriter(incoming) as writer:
        await feed(writer, 7)
        waiting = asyncio.create_task(feed(writer, 1))
        await asyncio.sleep(0)
        incoming.opened.set()
        await waiting
        await feed(writer, 4)

    assert max(at_once) == 1
    assert incoming.busy == 0
    assert len(b"".join(incoming.pieces)) == 12 * CHUNK


async def test_a_timer_that_fails_does_not_stop_those_of_others(caplog: pytest.LogCaptureFixture) -> None:
    timers, told = Ticks(0.01), asyncio.Event()

    timers.call(lambda: 1 / 0)
    timers.call(told.set)

    await asyncio.wait_for(told.wait(), 20)
    assert "ZeroDivisionError" in caplog.text
