"""Uploaded through one process, watched through another, saved by a third: all through nginx."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings as project
from django.utils import timezone
from pytest_django import Settings
from websockets.exceptions import ConnectionClosed

from async_uploads.events import MESSAGE_TYPE, group_of
from async_uploads.models import AsyncTempFile
from tests.conftest import ticket_for, upload, visiting
from tests.many import settings_of
from tests.processes import ROOT, server_process
from tests.redis_process import RedisProcess, redis_process
from tests.servers.nginx import nginx_before
from tests.status_socket import listen_without_reading, status_socket
from tests.testapp.models import Document
from tests.watching import eventually
from tests.wire import wired

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql_only]


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisProcess]:
    folder = tmp_path / "redis"
    folder.mkdir()
    with redis_process(folder) as running:
        yield running


@pytest.fixture
def environment(redis: RedisProcess, settings: Settings) -> dict[str, str]:
    """Of all processes; this one, which saves, has the same channel layer."""
    settings.CHANNEL_LAYERS = settings_of(redis.address)
    return {
        "DJANGO_SETTINGS_MODULE": "tests.many.settings_shared",
        "ASYNC_UPLOADS_TEST_REDIS": redis.address,
    }


@pytest.fixture
async def site(environment: dict[str, str], tmp_path: Path) -> AsyncIterator[str]:
    """Three processes behind nginx; its address."""
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(server_process(environment=environment)) for _server in range(3)
        ]
        ports = [urlsplit(process.address).port or 0 for process in processes]
        media = Path(project.MEDIA_ROOT)
        media.mkdir(exist_ok=True)
        yield stack.enter_context(nginx_before(ports, media, tmp_path))


@pytest.fixture
async def visitor(site: str) -> AsyncIterator[httpx.AsyncClient]:
    async with visiting(site) as client:
        yield client


async def test_three_processes_are_one_site(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    served_by = set()

    async def slowly() -> AsyncIterator[bytes]:
        for _piece in range(5):
            yield b"x" * 1000
            await asyncio.sleep(0.2)

    async with status_socket(visitor) as first, status_socket(visitor) as second:
        for socket in (first, second):
            assert (await socket.subscribe(ticket["key"]))["state"] == "pending"
        put = await visitor.put(ticket["uploadUrl"]["url"], content=slowly())
        served_by |= {put.headers["x-upstream"], first.upstream, second.upstream}
        document = await Document.objects.acreate(file=ticket["key"])
        heard = [await socket.hear_until(is_promoted) for socket in (first, second)]
    status = await visitor.get("/async-uploads/upload-status/", params={"key": ticket["key"]})

    assert put.status_code == 201
    assert len(served_by | {status.headers["x-upstream"]}) == 3
    for messages in heard:
        states = list(dict.fromkeys(message["state"] for message in messages))
        assert states == ["uploading", "uploaded", "promoting", "promoted"]
        assert [message["seq"] for message in messages] == sorted(message["seq"] for message in messages)
        assert messages[-1]["url"] == document.file.url
        assert any(0 < message["received"] < 5000 for message in messages), "nginx has kept the body back."


def is_promoted(message: dict[str, Any]) -> bool:
    return bool(message["state"] == "promoted")


async def test_a_sweep_in_a_process_of_its_own_tells_the_watchers(
    visitor: httpx.AsyncClient, environment: dict[str, str]
) -> None:
    key = await upload(visitor)
    await AsyncTempFile.objects.aupdate(created_at=timezone.now() - timedelta(days=3))

    async with status_socket(visitor) as socket:
        await socket.subscribe(key)
        command = [sys.executable, "-m", "django", "cleanup_async_temp_files", "--quiet"]
        await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, env={**os.environ, **environment}, check=True
        )

        assert (await socket.hear_state("expired"))["key"] == key


async def test_a_body_that_is_too_large_is_refused_by_nginx(site: str, visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "large.bin")
    async with wired(site) as wire:
        await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": 200 * 1024 * 1024})

        assert (await wire.answer()).status == 413


@pytest.mark.parametrize("name", ["report.txt", "my räport 50%.txt", "отчёт #1?.txt"])
async def test_nginx_sends_the_bytes_to_whom_django_allows(
    site: str, visitor: httpx.AsyncClient, name: str
) -> None:
    key = await upload(visitor, b"0123456789", name)
    document = await Document.objects.acreate(file=key)

    whole = await visitor.get(document.file.url, follow_redirects=True)
    part = await visitor.get(document.file.url, follow_redirects=True, headers={"Range": "bytes=2-4"})
    past_django = await visitor.get(f"/media/{document.file.name}")

    assert (whole.status_code, whole.content) == (200, b"0123456789")
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["content-type"] == "text/plain"
    assert whole.headers["content-disposition"].startswith("inline")
    assert whole.headers["cache-control"].startswith("private")
    assert (part.status_code, part.content) == (206, b"234")
    assert past_django.status_code == 404


async def test_a_socket_that_never_reads_takes_no_memory(environment: dict[str, str]) -> None:
    """Fifty megabytes of news for it, and for one beside it that reads."""
    layer: Any = get_channel_layer()
    async with server_process(environment=environment) as process, visiting(process.address) as visitor:
        ticket = await ticket_for(visitor, "report.txt")
        async with wired(process.address) as deaf, status_socket(visitor) as watcher:
            await listen_without_reading(deaf, visitor, ticket["key"])
            await watcher.subscribe(ticket["key"])
            before = process.peak_memory
            for seq in range(1, 10_001):
                event = {"type": "status", "key": ticket["key"], "state": "uploading", "seq": seq}
                message = {"type": MESSAGE_TYPE, "status": {**event, "name": "x" * 5000}}
                await layer.group_send(group_of(ticket["key"]), message)
                if seq % 50 == 0:  # a layer takes a hundred messages for a channel, and drops what is more
                    await watcher.hear_until(lambda heard, seq=seq: heard["seq"] >= seq)  # type: ignore[misc]  # bound at once

            assert process.peak_memory - before < 16 * 1024 * 1024


async def test_redis_goes_and_comes_back_while_uploads_and_saves_go_on(
    visitor: httpx.AsyncClient, redis: RedisProcess
) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    async with status_socket(visitor) as socket:
        await socket.subscribe(ticket["key"])
        await asyncio.to_thread(redis.stop)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.hear_until(lambda message: False)

    put = await visitor.put(ticket["uploadUrl"]["url"], content=b"some bytes")
    document = await Document.objects.acreate(file=ticket["key"])
    await asyncio.to_thread(redis.start)

    async def comes_again() -> Any:
        try:
            async with status_socket(visitor) as socket:
                again.append(await socket.subscribe(ticket["key"]))
        except (ConnectionClosed, TimeoutError):
            pass
        return again

    again: list[dict[str, Any]] = []
    await eventually(comes_again)
    other = await ticket_for(visitor, "other.txt")
    async with status_socket(visitor) as socket:
        await socket.subscribe(other["key"])
        await visitor.put(other["uploadUrl"]["url"], content=b"some bytes")
        assert await socket.hear_state("uploaded")

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013
    assert put.status_code == 201
    assert await sync_to_async(Path(document.file.path).read_bytes)() == b"some bytes"
    assert again[-1]["state"] == "promoted"
