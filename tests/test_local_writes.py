"""Small writes to the disk, of many uploads together."""

from __future__ import annotations

import asyncio
import gc
import os
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from async_uploads.storage.local_writes import WritesTogether, writes_together
from async_uploads.uploads.ticking import ticks

UPLOADS = 100


@contextmanager
def parts(folder: Path, count: int) -> Iterator[list[int]]:
    """Descriptors of files that are open for writing."""
    with ExitStack() as stack:
        files = [stack.enter_context((folder / f"{number}.part").open("wb")) for number in range(count)]
        yield [file.fileno() for file in files]


def fill(pipe: int) -> None:
    """So that whoever writes to it has to wait."""
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, bytes(65536))
    os.set_blocking(pipe, True)


async def test_of_many_uploads_each_file_has_its_own_bytes_in_their_order(tmp_path: Path) -> None:
    together = writes_together(str(tmp_path))

    async def upload(number: int, descriptor: int) -> None:
        for piece in range(20):
            await together.write(descriptor, f"{number}:{piece} ".encode())

    with parts(tmp_path, UPLOADS) as descriptors:
        await asyncio.gather(*(upload(number, each) for number, each in enumerate(descriptors)))

    for number in range(UPLOADS):
        expected = "".join(f"{number}:{piece} " for piece in range(20))
        assert (tmp_path / f"{number}.part").read_text() == expected


async def test_they_take_one_thread_however_many_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    hops: list[Any] = []
    to_thread = loop.run_in_executor

    def counted(*args: Any) -> Any:
        hops.append(args)
        return to_thread(*args)

    monkeypatch.setattr(loop, "run_in_executor", counted)

    with parts(tmp_path, UPLOADS) as descriptors:
        together = writes_together(str(tmp_path))
        await asyncio.gather(*(together.write(each, b"bytes") for each in descriptors))

    assert len(hops) == 1


async def test_one_upload_that_can_not_be_written_fails_alone(tmp_path: Path) -> None:
    together = writes_together(str(tmp_path))
    read_only = os.open(os.devnull, os.O_RDONLY)
    try:
        with parts(tmp_path, 2) as (first, last):
            writes = [together.write(each, b"bytes") for each in (first, read_only, last)]
            found = await asyncio.gather(*writes, return_exceptions=True)
    finally:
        os.close(read_only)

    assert [type(each) for each in found] == [type(None), OSError, type(None)]
    assert (tmp_path / "1.part").read_bytes() == b"bytes"


async def test_what_is_given_up_before_it_has_begun_is_not_written(tmp_path: Path) -> None:
    together = writes_together(str(tmp_path))
    with parts(tmp_path, 2) as (wanted, given_up):
        together.write(given_up, b"bytes").cancel()
        await together.write(wanted, b"bytes")

    assert (tmp_path / "0.part").read_bytes() == b"bytes"
    assert (tmp_path / "1.part").read_bytes() == b""


async def test_disk_that_stalls_holds_up_neither_the_event_loop_nor_other_disks(tmp_path: Path) -> None:
    reader, full_pipe = os.pipe()
    fill(full_pipe)
    stalled = WritesTogether().write(full_pipe, b"bytes")
    await asyncio.sleep(0)  # it has begun

    with parts(tmp_path, 1) as (other,):
        await WritesTogether().write(other, b"bytes")

    assert not stalled.done()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        await stalled
    os.close(full_pipe)


def test_an_event_loop_that_has_written_is_forgotten(tmp_path: Path) -> None:
    """Under WSGI each request has one of its own."""

    async def write() -> weakref.ref[asyncio.AbstractEventLoop]:
        with (tmp_path / "part").open("wb") as part:
            await writes_together("there").write(part.fileno(), b"some bytes")
        ticks(0.0).call(lambda: None)
        await asyncio.sleep(0.01)
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(write())
    gc.collect()

    assert loop() is None
