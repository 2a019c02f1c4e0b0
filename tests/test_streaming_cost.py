"""What an upload costs the server, seen from outside its process."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
from django.conf import settings

from async_uploads.models import AsyncTempFile
from tests.conftest import ticket_for, visiting
from tests.processes import ServerProcess, server_process
from tests.testapp.models import Letter
from tests.watching import eventually, files_under_media, parts_of
from tests.wire import Wire, wired

MIB = 1024 * 1024
SIZE = 64 * MIB
MOST_MEMORY = 24 * MIB
PAGE = 4096

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


async def zeros(size: int) -> AsyncIterator[bytes]:
    piece = bytes(MIB)
    for _ in range(size // MIB):
        yield piece


async def send(visitor: httpx.AsyncClient, size: int) -> str:
    """Upload so many zeros; returns where their owner can read them, which a look at the row permits."""
    ticket = await ticket_for(visitor, "zeros.bin", model=Letter, field="attachment")
    response = await visitor.put(
        ticket["uploadUrl"]["url"], content=zeros(size), headers={"Content-Length": str(size)}
    )
    assert response.status_code == 201, response.text
    assert response.json()["received"] == size
    return str(response.json()["url"])


@pytest.mark.parametrize("kind", ["uvicorn", "hypercorn"])
async def test_a_large_upload_takes_little_memory_and_is_written_once(
    transactional_db: None, kind: str
) -> None:
    async with server_process(kind) as process, visiting(process.address) as visitor:
        await send(visitor, 4 * MIB)
        memory, written = process.peak_memory, process.bytes_written

        await send(visitor, SIZE)

        assert process.peak_memory - memory < MOST_MEMORY
        assert process.bytes_written - written < 1.05 * SIZE


async def test_the_memory_of_a_chunk_is_used_again_for_the_next(transactional_db: None) -> None:
    """Taken from the kernel anew for each, it would cost a large upload more time than anything else."""
    async with server_process() as process, visiting(process.address) as visitor:
        await send(visitor, 4 * MIB)
        before = process.page_faults

        await send(visitor, SIZE)

        assert process.page_faults - before < SIZE / PAGE / 32


SLOW = 60
# The loop's default executor has 32 threads at most, and all who need a thread for a moment share it.
SHARED_THREADS = 40


def settles(process: ServerProcess) -> bool:
    return process.open_files(settings.DATABASE_PATH) <= 2 and process.threads <= SHARED_THREADS


async def test_slow_uploads_hold_neither_threads_nor_database_connections(transactional_db: None) -> None:
    async with (
        server_process() as process,
        visiting(process.address) as visitor,
        AsyncExitStack() as stack,
    ):
        tickets = [await ticket_for(visitor, "slow.txt") for _ in range(SLOW)]
        wires: list[Wire] = []
        for ticket in tickets:
            wire = await stack.enter_async_context(wired(process.address))
            await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": 10})
            await wire.send(b"first")
            wires.append(wire)
        await eventually(lambda: all(any(p.stat().st_size for p in parts_of(t["key"])) for t in tickets))

        assert await AsyncTempFile.objects.filter(state="uploading").acount() == SLOW
        await eventually(lambda: settles(process))

        for wire in wires:
            await wire.send(b" rest")
            assert (await wire.answer()).status == 201
    assert await AsyncTempFile.objects.filter(state="uploaded").acount() == SLOW


async def test_slow_downloads_hold_neither_threads_nor_database_connections(transactional_db: None) -> None:
    size = 16 * MIB
    async with (
        server_process() as process,
        visiting(process.address) as visitor,
        AsyncExitStack() as stack,
    ):
        url = await send(visitor, size)
        (path,) = files_under_media()
        wires = [await stack.enter_async_context(wired(process.address)) for _ in range(SLOW)]
        for wire in wires:
            await wire.begin("GET", url)
        heads = [await wire.head() for wire in wires]
        await eventually(lambda: process.open_files(path) == 0 and settles(process))

        bodies = [await wire.body_after(head) for wire, head in zip(wires, heads, strict=True)]

    assert {head.status for head in heads} == {200}
    assert {len(body) for body in bodies} == {size}
