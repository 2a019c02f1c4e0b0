"""Five hundred slow uploads at once, and a database that gives twenty connections."""

from __future__ import annotations

import asyncio
import hashlib
import resource
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection

from async_uploads.models import AsyncTempFile
from tests.conftest import ticket_for, visiting
from tests.processes import server_process
from tests.races.crowd import kinds
from tests.servers.postgresql import PostgreSQL
from tests.wire import Answer, wired

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql_only]

UPLOADS = 500
PIECES = 20
PIECE = bytes(range(256)) * 4
PAUSE = 0.5  # seconds between two pieces: ten seconds for an upload


@pytest.fixture
def twenty(postgresql: PostgreSQL) -> Iterator[None]:
    """A user of the test database who may not have more connections than that."""
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE twenty LOGIN CONNECTION LIMIT 20")
        cursor.execute(f"GRANT ALL ON DATABASE {name} TO twenty")
        cursor.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO twenty")
        cursor.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO twenty")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP OWNED BY twenty")
        cursor.execute("DROP ROLE twenty")


@pytest.fixture
def many_files() -> Iterator[None]:
    """Open ones, which the server inherits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def send_slowly(address: str, ticket: dict[str, Any]) -> Answer:
    async with wired(address) as wire:
        await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": PIECES * len(PIECE)})
        for _piece in range(PIECES):
            await wire.send(PIECE)
            await asyncio.sleep(PAUSE)
        return await wire.answer()


async def look_all_the_time(visitor: httpx.AsyncClient, key: str) -> list[Any]:
    """Another page, which asks the database."""
    answers: list[Any] = []
    try:
        while True:
            try:
                answers.append(await visitor.get("/async-uploads/upload-status/", params={"key": key}))
            except httpx.HTTPError as error:
                answers.append(error)
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        return answers


def sessions_of_twenty() -> list[tuple[str, bool]]:
    """The state of each, and whether it has been in a transaction for longer than any query takes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, xact_start < clock_timestamp() - interval '2 seconds' FROM pg_stat_activity "
            "WHERE usename = 'twenty'"
        )
        return [(str(state), bool(is_long)) for state, is_long in cursor.fetchall()]


async def watch_sessions() -> tuple[int, int]:
    """The most sessions at any time, and how many were seen in a long transaction."""
    most = long = 0
    try:
        while True:
            sessions = await sync_to_async(sessions_of_twenty)()
            most = max(most, len(sessions))
            long += sum(is_long for _state, is_long in sessions)
            await asyncio.sleep(0.2)
    except asyncio.CancelledError:
        return most, long


@pytest.mark.usefixtures("twenty", "many_files")
async def test_five_hundred_slow_uploads_get_by_with_twenty_connections() -> None:
    environment = {"DJANGO_SETTINGS_MODULE": "tests.races.settings_of_twenty"}
    async with server_process(environment=environment) as process, AsyncExitStack() as stack:
        visitors = [await stack.enter_async_context(visiting(process.address)) for _visitor in range(10)]
        tickets = [await ticket_for(visitors[number % 10], "slow.bin") for number in range(UPLOADS)]
        looking = asyncio.create_task(look_all_the_time(visitors[0], tickets[0]["key"]))
        watching = asyncio.create_task(watch_sessions())

        sent = await asyncio.gather(
            *(send_slowly(process.address, ticket) for ticket in tickets), return_exceptions=True
        )
        looking.cancel()
        looked = await looking
        watching.cancel()
        most, long = await watching

    assert {answer.status if isinstance(answer, Answer) else repr(answer) for answer in sent} == {201}
    assert set(kinds(looked)) == {"200"}
    assert len(looked) > 20
    assert most <= 12
    assert long == 0, "A transaction was open while bytes moved."
    assert await AsyncTempFile.objects.filter(state="uploaded").acount() == UPLOADS
    await sync_to_async(assert_whole)()


def assert_whole() -> None:
    whole = hashlib.sha256(PIECE * PIECES).hexdigest()
    for key in AsyncTempFile.objects.values_list("key", flat=True):
        assert hashlib.sha256(Path(settings.MEDIA_ROOT, key).read_bytes()).hexdigest() == whole
