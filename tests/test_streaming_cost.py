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
from tests.processes import server_process
from tests.testapp.models import Letter
from tests.watching import eventually, parts_of
from tests.wire import Wire, wired

MIB = 1024 * 1024
SIZE = 64 * MIB
MOST_MEMORY = 24 * MIB

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


async def zeros(size: int) -> AsyncIterator[bytes]:
    piece = bytes(MIB)
    for _ in range(size // MIB):
        yield piece


async def send(visitor: httpx.AsyncClient, size: int) -> None:
    ticket = await ticket_for(visitor, "zeros.bin", model=Letter, field="attachment")
    response = await visitor.put(
        ticket["uploadUrl"]["url"], content=zeros(size), headers={"Content-Length": str(size)}
    )
    assert response.status_code == 201, response.text
    assert response.json()["received"] == size


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


async def test_slow_uploads_hold_neither_threads_nor_database_connections(transactional_db: None) -> None:
    uploads = 60
    # The loop's default executor has 32 threads at most, and all who need a thread for a moment share it.
    shared_threads = 40
    async with (
        server_process() as process,
        visiting(process.address) as visitor,
        AsyncExitStack() as stack,
    ):
        tickets = [await ticket_for(visitor, "slow.txt") for _ in range(uploads)]
        wires: list[Wire] = []
        for ticket in tickets:
            wire = await stack.enter_async_context(wired(process.address))
            await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": 10})
            await wire.send(b"first")
            wires.append(wire)
        await eventually(lambda: all(any(p.stat().st_size for p in parts_of(t["key"])) for t in tickets))

        assert await AsyncTempFile.objects.filter(state="uploading").acount() == uploads
        await eventually(lambda: process.open_files(settings.DATABASE_PATH) <= 2)
        await eventually(lambda: process.threads <= shared_threads)

        for wire in wires:
            await wire.send(b" rest")
            assert (await wire.answer()).status == 201
    assert await AsyncTempFile.objects.filter(state="uploaded").acount() == uploads
