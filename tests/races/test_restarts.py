"""PostgreSQL goes away in the middle, and comes back: requests say so, nothing is lost, all goes on by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import OperationalError, connections
from django.test import AsyncClient
from django.utils import timezone
from websockets.exceptions import ConnectionClosed

from async_uploads import databases, outages
from async_uploads.sweeping import asweep
from async_uploads.temp_files import AsyncTempFile, State
from tests.conftest import field_id_of, serving, ticket_for, upload, visiting
from tests.processes import server_process
from tests.races.crowd import exist
from tests.servers.postgresql import PostgreSQL, StopMode
from tests.status_socket import status_socket
from tests.testapp.models import Document
from tests.watching import eventually, files_under_media

pytestmark = pytest.mark.postgresql_only

WHOLE = bytes(range(256)) * 256  # 64 KiB


@pytest.fixture(autouse=True)
def no_outage_before() -> None:
    outages.database.is_told = False


@pytest.fixture
async def visitor(restarted: PostgreSQL) -> AsyncIterator[httpx.AsyncClient]:
    from tests.asgi import application

    async with serving(application) as address, visiting(address) as client:
        yield client


async def stop(server: PostgreSQL, mode: StopMode = "fast") -> None:
    await asyncio.to_thread(server.stop, mode)


async def start(server: PostgreSQL) -> None:
    """And the test's own connection, which it has broken, is made anew."""
    await asyncio.to_thread(server.start)
    await sync_to_async(connections.close_all)()


@asynccontextmanager
async def half_sent(
    visitor: httpx.AsyncClient,
) -> AsyncIterator[tuple[str, asyncio.Task[httpx.Response], asyncio.Event]]:
    """Its key, the request, and the event upon which the second half follows."""
    gate = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield WHOLE[: len(WHOLE) // 2]
        await gate.wait()
        yield WHOLE[len(WHOLE) // 2 :]

    ticket = await ticket_for(visitor, "report.bin")
    sending = asyncio.create_task(visitor.put(ticket["uploadUrl"]["url"], content=body(), timeout=60))
    rows = AsyncTempFile.objects.filter(key=ticket["key"], state=State.UPLOADING, received__gt=0)
    await eventually(lambda: exist(rows))
    try:
        yield ticket["key"], sending, gate
    finally:
        gate.set()
        await asyncio.gather(sending, return_exceptions=True)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_an_upload_that_ends_during_a_restart_arrives(
    visitor: httpx.AsyncClient, restarted: PostgreSQL, mode: StopMode
) -> None:
    async with half_sent(visitor) as (key, sending, gate):
        await stop(restarted, mode)
        gate.set()
        await eventually((Path(settings.MEDIA_ROOT) / key).exists)
        outages.database.is_told = False
        await eventually(lambda: outages.database.is_told)  # its last step has met the outage
        assert not sending.done()
        await start(restarted)
        answer = await sending

    assert answer.status_code == 201, answer.text
    assert answer.json()["state"] == "uploaded"
    row = await AsyncTempFile.objects.aget()
    assert (row.state, row.size) == (State.UPLOADED, len(WHOLE))
    assert (Path(settings.MEDIA_ROOT) / key).read_bytes() == WHOLE


async def test_an_upload_whose_database_stays_away_is_told_so_swept_and_sent_again(
    visitor: httpx.AsyncClient, restarted: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "PATIENCE", 0.5)
    async with half_sent(visitor) as (key, sending, gate):
        await stop(restarted)
        gate.set()
        answer = await sending
    await start(restarted)

    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    row = await AsyncTempFile.objects.aget()
    assert row.state == State.UPLOADING
    await AsyncTempFile.objects.aupdate(updated_at=timezone.now() - timedelta(hours=1))
    assert (await asweep()).restarted == 1
    assert files_under_media() == []
    again = await visitor.put(answer.request.url, content=WHOLE)
    assert again.status_code == 201
    assert (Path(settings.MEDIA_ROOT) / key).read_bytes() == WHOLE


async def test_a_transfer_that_breaks_off_during_a_restart_can_be_sent_again(
    visitor: httpx.AsyncClient, restarted: PostgreSQL
) -> None:
    async with half_sent(visitor) as (_key, sending, _gate):
        await stop(restarted)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await eventually(lambda: files_under_media() == [])
        await start(restarted)
        await eventually(lambda: exist(AsyncTempFile.objects.filter(state=State.PENDING)))


async def test_requests_during_an_outage_say_so_and_the_log_says_it_once(
    visitor: httpx.AsyncClient, restarted: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    key = await upload(visitor)
    status_url = f"/async-uploads/upload-status/?key={key}"
    ticket = {"fieldId": field_id_of(), "filename": "report.pdf"}
    await stop(restarted)
    with caplog.at_level(logging.WARNING):
        answers = [await visitor.get(status_url) for _ in range(5)]
        answers += [await visitor.post("/async-uploads/cancel-upload/", json={"key": key}) for _ in range(5)]
    answers.append(await visitor.post("/async-uploads/generate-upload-url/", json=ticket))
    await start(restarted)
    after = await visitor.get(status_url)

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage().split(" (")[0] for record in told] == [
        "The database does not answer",
        "The database answers again.",
    ]
    assert told[0].exc_info is None
    assert after.status_code == 200
    assert after.json()["state"] == "uploaded"


@pytest.mark.urls("tests.drfapp.urls")
async def test_clients_of_the_api_are_told_of_an_outage_too(
    async_client: AsyncClient, restarted: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    url = "/api/uploads/upload-status/?key=x"
    await stop(restarted)
    answers = [await async_client.get(url, headers={"Authorization": "Token secret"}) for _ in range(3)]
    await start(restarted)
    after = await async_client.get(url, headers={"Authorization": "Token secret"})

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.name for record in told] == ["async_uploads"], [record.getMessage() for record in told]
    assert after.status_code == 401


async def test_a_pool_of_connections_outlives_a_restart(restarted: PostgreSQL) -> None:
    environment = {"DJANGO_SETTINGS_MODULE": "tests.races.settings_of_a_pool"}
    async with server_process(environment=environment) as server, visiting(server.address) as visitor:
        key = await upload(visitor)
        url = f"/async-uploads/upload-status/?key={key}"
        await asyncio.gather(*(visitor.get(url) for _ in range(20)))
        await stop(restarted, "immediate")
        await start(restarted)
        answers = await asyncio.gather(*(visitor.get(url) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}


async def test_a_save_during_an_outage_fails_and_can_be_made_again(
    visitor: httpx.AsyncClient, restarted: PostgreSQL
) -> None:
    key = await upload(visitor, WHOLE, "report.bin")
    await stop(restarted, "immediate")
    with pytest.raises(OperationalError):
        await Document(title="a record", file=key).asave()
    await start(restarted)

    document = Document(title="a record", file=key)
    await document.asave()

    assert document.file.name == "documents/report.bin"
    assert await document.file.aread() == WHOLE
    assert await Document.objects.acount() == 1


async def test_sockets_outlive_an_outage_and_those_that_ask_in_it_are_to_come_again(
    visitor: httpx.AsyncClient, restarted: PostgreSQL
) -> None:
    async with (
        half_sent(visitor) as (key, sending, gate),
        status_socket(visitor) as quiet,
        status_socket(visitor) as asking,
    ):
        assert (await quiet.subscribe(key))["state"] == "uploading"
        assert (await asking.subscribe(key))["state"] == "uploading"
        await stop(restarted)
        await asking.say(action="subscribe", keys=[f"{key}-other"])
        with pytest.raises(ConnectionClosed) as closed:
            await asking.hear_until(lambda message: False)
        await start(restarted)
        gate.set()
        assert (await sending).status_code == 201
        assert (await quiet.hear_state("uploaded"))["received"] == len(WHOLE)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013
