"""PostgreSQL is restarted while people upload: a clear answer, nothing lost, and all is well when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone

from async_uploads.models import AsyncTempFile
from async_uploads.sweeping import asweep
from async_uploads.uploads import receiving
from tests.conftest import ticket_for, upload
from tests.servers.postgresql import PostgreSQL
from tests.testapp.models import Document
from tests.watching import eventually, files_under_media, parts_of
from tests.wire import wired

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql_only]


@pytest.fixture
async def outage(postgresql: PostgreSQL) -> AsyncIterator[PostgreSQL]:
    """The server, which is running again after the test, whatever happened in it."""
    yield postgresql
    if not is_running(postgresql):
        await asyncio.to_thread(postgresql.start)


async def start_again(postgresql: PostgreSQL) -> None:
    await asyncio.to_thread(postgresql.start)
    await sync_to_async(connections.close_all)()  # the test's own are broken, too


def is_running(postgresql: PostgreSQL) -> bool:
    return (postgresql.log.parent / "postmaster.pid").exists()


@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_an_upload_in_flight_survives_a_restart(
    server: str, visitor: httpx.AsyncClient, outage: PostgreSQL, how: Any
) -> None:
    ticket = await ticket_for(visitor, "report.txt")

    async with wired(server) as wire:
        await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": 10})
        await wire.send(b"first")
        await eventually(lambda: any(part.stat().st_size for part in parts_of(ticket["key"])))
        await asyncio.to_thread(outage.stop, how)
        await wire.send(b"other")
        await eventually(lambda: any(path.name.endswith("report.txt") for path in files_under_media()))
        await start_again(outage)
        answer = await wire.answer()

    assert answer.status == 201, answer.body
    document = await Document.objects.acreate(file=ticket["key"])
    assert await document.file.aread() == b"firstother"


async def test_requests_are_answered_clearly_and_told_once(
    visitor: httpx.AsyncClient, outage: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    key = await upload(visitor)
    await asyncio.to_thread(outage.stop)

    refused = [
        await visitor.get("/async-uploads/upload-status/", params={"key": key}) for _request in range(5)
    ]
    await start_again(outage)
    answered = await visitor.get("/async-uploads/upload-status/", params={"key": key})

    assert {answer.status_code for answer in refused} == {503}
    assert refused[0].json()["code"] == "database_unavailable"
    assert refused[0].headers["retry-after"] == "5"
    assert (answered.status_code, answered.json()["state"]) == (200, "uploaded")
    told = [record.getMessage() for record in caplog.records if record.name == "async_uploads"]
    assert len([line for line in told if line.startswith("The database does not answer")]) == 1
    assert len([line for line in told if line == "The database answers again."]) == 1


async def test_an_upload_that_ends_in_an_outage_that_does_not_end_is_refused_and_can_be_sent_again(
    server: str, visitor: httpx.AsyncClient, outage: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "DATABASE_PATIENCE", 0.5)
    ticket = await ticket_for(visitor, "report.txt")

    async with wired(server) as wire:
        await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": 10})
        await wire.send(b"first")
        await eventually(lambda: any(part.stat().st_size for part in parts_of(ticket["key"])))
        await asyncio.to_thread(outage.stop)
        await wire.send(b"other")
        answer = await wire.answer()
    await start_again(outage)

    assert (answer.status, answer.json()["code"]) == (503, "database_unavailable")
    await sweep_later()
    again = await visitor.put(ticket["uploadUrl"]["url"], content=b"once more!")
    assert again.status_code == 201
    assert len(files_under_media()) == 1


async def sweep_later() -> None:
    await AsyncTempFile.objects.aupdate(updated_at=timezone.now() - timedelta(minutes=10))
    assert (await asweep()).restarted == 1


@pytest.fixture(autouse=True)
def fresh_connections(outage: PostgreSQL) -> Iterator[None]:
    """For what comes after the test."""
    yield
    connections.close_all()
