"""A server is restarted while people upload: what was under way is told, and can be sent again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from async_uploads.models import AsyncTempFile
from tests.conftest import ticket_for, visiting
from tests.processes import server_process
from tests.watching import eventually, files_under_media, parts_of
from tests.wire import wired

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.on_postgresql]

SERVERS = [
    pytest.param("uvicorn", ["--timeout-graceful-shutdown", "1", "--lifespan", "on"], id="uvicorn"),
    pytest.param("hypercorn", ["--graceful-timeout", "1"], id="hypercorn"),
]


WAITS_FOR_CLIENTS = "From Python 3.12 on, hypercorn waits until its clients have gone, whatever its grace."


@pytest.mark.parametrize(("kind", "grace"), SERVERS)
async def test_uploads_under_way_can_be_sent_again_after_a_restart(kind: str, grace: Sequence[str]) -> None:
    if kind == "hypercorn" and sys.version_info >= (3, 12):
        pytest.skip(WAITS_FOR_CLIENTS)
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(server_process(kind, arguments=grace))
        visitor = await stack.enter_async_context(visiting(process.address))
        tickets = [await ticket_for(visitor, "report.txt") for _upload in range(5)]
        for ticket in tickets:
            wire = await stack.enter_async_context(wired(process.address))
            await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": 10})
            await wire.send(b"first")
            await eventually(lambda key=ticket["key"]: any(part.stat().st_size for part in parts_of(key)))  # type: ignore[misc]  # bound at once

        process.terminate()
        await asyncio.to_thread(process.process.wait, 20)

    rows = [(row.state, row.error_code) async for row in AsyncTempFile.objects.all()]
    assert rows == [("pending", "interrupted")] * 5
    assert files_under_media() == []
    async with server_process(kind) as process, visiting(process.address) as visitor:
        for ticket in tickets:
            again = await visitor.put(ticket["uploadUrl"]["url"], content=b"once again")
            assert again.status_code == 201, again.text


@pytest.mark.parametrize(("kind", "grace"), SERVERS)
async def test_an_upload_that_ends_within_the_grace_arrives(kind: str, grace: Sequence[str]) -> None:
    patient = [grace[0], "20", *grace[2:]]
    async with server_process(kind, arguments=patient) as process, visiting(process.address) as visitor:
        ticket = await ticket_for(visitor, "report.txt")
        async with wired(process.address) as wire:
            await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": 10})
            await wire.send(b"first")
            await eventually(lambda: any(part.stat().st_size for part in parts_of(ticket["key"])))
            process.terminate()
            await eventually(lambda: refuses(process.address))
            await wire.send(b"other")

            assert (await wire.answer()).status == 201
        await asyncio.to_thread(process.process.wait, 20)


async def refuses(address: str) -> Any:
    """Takes it no connections any more?"""
    try:
        async with httpx.AsyncClient() as client:
            await client.get(address, timeout=1)
    except httpx.HTTPError:
        return True
    return False
