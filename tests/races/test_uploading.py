"""Requests for one upload at the same instant, to two server processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.files.base import ContentFile

from async_uploads.models import AsyncTempFile
from async_uploads.uploads import acancel, acomplete
from tests.arrivals import begun, row_of, stored_names
from tests.clouds import s3_cloud
from tests.conftest import ticket_for, visiting
from tests.processes import server_process
from tests.races.crowd import CROWD, acrowded, crowded, kinds
from tests.servers.seaweedfs import S3Server
from tests.testapp.models import Album
from tests.watching import files_under_media

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql_only]


@pytest.fixture
async def visitors() -> AsyncIterator[list[httpx.AsyncClient]]:
    """One person, known to two servers."""
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(server_process()) for _server in range(2)]
        clients = [await stack.enter_async_context(visiting(process.address)) for process in processes]
        await ticket_for(clients[0])
        clients[1].cookies.update(clients[0].cookies)
        for client in clients:
            client.timeout = httpx.Timeout(120)
        await AsyncTempFile.objects.all().adelete()
        yield clients


async def test_of_a_hundred_transfers_to_one_url_one_is_taken(visitors: list[httpx.AsyncClient]) -> None:
    ticket = await ticket_for(visitors[0], "a.bin")

    async def send(number: int) -> httpx.Response:
        content = f"{number:03}".encode() * 10_000
        return await visitors[number % 2].put(ticket["uploadUrl"]["url"], content=content)

    answers = await acrowded(send)

    assert kinds(answers) == {"201": 1, "409": CROWD - 1}
    winner = next(number for number, answer in enumerate(answers) if answer.status_code == 201)
    assert Path(settings.MEDIA_ROOT, ticket["key"]).read_bytes() == f"{winner:03}".encode() * 10_000
    assert len(files_under_media()) == 1


async def test_a_cancel_during_transfers_leaves_nothing(visitors: list[httpx.AsyncClient]) -> None:
    tickets = [await ticket_for(visitors[0], "a.bin") for _ticket in range(50)]

    async def slowly() -> AsyncIterator[bytes]:
        for _piece in range(10):
            yield bytes(10_000)
            await asyncio.sleep(0.02)

    async def act(number: int) -> httpx.Response:
        ticket = tickets[number % 50]
        if number < 50:
            return await visitors[0].put(ticket["uploadUrl"]["url"], content=slowly())
        await asyncio.sleep(number % 10 * 0.03)
        return await visitors[1].post("/async-uploads/cancel-upload/", json={"key": ticket["key"]})

    answers = await acrowded(act)

    assert set(kinds(answers[:50])) <= {"201", "410"}
    assert kinds(answers[50:]) == {"204": 50}
    assert {row.state async for row in AsyncTempFile.objects.all()} == {"cancelled"}
    assert files_under_media() == []


@pytest.fixture
def bucket(seaweedfs: S3Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    cloud = s3_cloud(seaweedfs)
    cloud.use(cloud.storage, monkeypatch)
    return cloud.storage


def sent_to(bucket: Any) -> AsyncTempFile:
    temp_file = begun("a.txt", model=Album, field="booklet")
    bucket.save(temp_file.key, ContentFile(b"some words"))
    return temp_file


def test_an_upload_completed_twenty_times_at_once_is_complete(bucket: Any) -> None:
    key = sent_to(bucket).key

    answers = crowded(lambda number: async_to_sync(acomplete)(AsyncTempFile.objects.get(key=key)), 20)

    assert kinds(answers) == {"done": 20}
    assert (row_of(key).state, row_of(key).size) == ("uploaded", 10)


def test_a_cancel_during_completion_leaves_nothing(bucket: Any) -> None:
    keys = [sent_to(bucket).key for _upload in range(20)]

    def act(number: int) -> None:
        do = acancel if number % 2 else acomplete
        async_to_sync(do)(AsyncTempFile.objects.get(key=keys[number // 2]))

    answers = crowded(act, 40)

    assert set(kinds(answers)) <= {"done", "UploadExpired", "UploadIncomplete"}
    assert {row_of(key).state for key in keys} == {"cancelled"}
    assert not any(bucket.exists(key) for key in keys)
    assert stored_names() == set()
