"""Transfers that break off: nothing is left behind, the watchers know, and the same URL works again."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest

from async_uploads.asgi import StreamingASGIHandler
from async_uploads.models import AsyncTempFile
from tests.conftest import serving, ticket_for, visiting
from tests.testapp.models import Letter
from tests.watching import Watcher, eventually, files_under_media, parts_of, watching
from tests.wire import Wire, wired

MIB = 1024 * 1024
HALF = b"the first half, "


@asynccontextmanager
async def half_sent(address: str, ticket: dict[str, Any]) -> AsyncIterator[tuple[Wire, Watcher]]:
    """An upload of which one half is on the disk."""
    async with watching(ticket["key"]) as watcher, wired(address) as wire:
        await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": 2 * len(HALF)})
        await wire.send(HALF)
        await eventually(lambda: any(p.read_bytes() == HALF for p in parts_of(ticket["key"])))
        yield wire, watcher


async def assert_ready_again(visitor: httpx.AsyncClient, ticket: dict[str, Any], error_code: str) -> None:
    row = await AsyncTempFile.objects.aget()
    assert (row.state, row.error_code, row.received) == ("pending", error_code, 0)
    assert row.error
    assert files_under_media() == []
    again = await visitor.put(ticket["uploadUrl"]["url"], content=b"the whole file")
    assert again.status_code == 201, again.text
    assert again.json()["error"] is None


async def test_a_client_that_goes_away_can_come_back(server: str, visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")

    async with half_sent(server, ticket) as (wire, watcher):
        wire.hang_up()
        told = await watcher.hears_state("pending")

    assert told["error"]["code"] == "interrupted"
    await assert_ready_again(visitor, ticket, "interrupted")


async def test_a_body_that_stops_arriving_is_given_up(
    server: str, visitor: httpx.AsyncClient, settings: Any
) -> None:
    settings.ASYNC_UPLOADS = {"IDLE_TIMEOUT": 1.0}
    ticket = await ticket_for(visitor, "report.txt")

    async with half_sent(server, ticket) as (wire, watcher):
        answer = await wire.answer()
        told = await watcher.hears_state("pending")

    assert (answer.status, answer.json()["code"]) == (408, "timed_out")
    assert answer.headers["connection"] == "close"
    assert told["error"]["code"] == "timed_out"
    await assert_ready_again(visitor, ticket, "timed_out")


async def test_a_slow_body_is_not_an_idle_one(server: str, visitor: httpx.AsyncClient, settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"IDLE_TIMEOUT": 1.0}
    ticket = await ticket_for(visitor, "report.txt")

    async with wired(server) as wire:
        await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": 8})
        for _ in range(8):
            await asyncio.sleep(0.25)  # twice the idle timeout in all, never once in a row
            await wire.send(b"x")
        assert (await wire.answer()).status == 201


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Writing behind ``size`` bytes fails in the kernel, as it does on a full disk (setrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_an_answer(server: str, visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "large.bin", model=Letter, field="attachment")
    size = 24 * MIB

    with no_file_larger_than(8 * MIB):
        async with watching(ticket["key"]) as watcher, wired(server) as wire:
            await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": size})
            for _ in range(size // MIB):
                await wire.send(bytes(MIB))
            answer = await wire.answer()
            told = await watcher.hears_state("pending")

    assert (answer.status, answer.json()["code"]) == (507, "storage_full")
    assert told["error"]["code"] == "storage_full"
    await assert_ready_again(visitor, ticket, "storage_full")


async def test_a_server_that_stops_leaves_the_upload_usable(transactional_db: None) -> None:
    async with serving(StreamingASGIHandler(), timeout_graceful_shutdown=1) as address:
        async with visiting(address) as visitor:
            ticket = await ticket_for(visitor, "report.txt")
        stack = half_sent(address, ticket)
        _wire, watcher = await stack.__aenter__()

    told = await watcher.hears_state("pending")
    await stack.__aexit__(None, None, None)

    assert told["error"]["code"] == "interrupted"
    async with serving(StreamingASGIHandler()) as address, visiting(address) as visitor:
        await assert_ready_again(visitor, ticket, "interrupted")


async def test_cancelling_stops_the_running_transfer(server: str, visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")

    async with half_sent(server, ticket) as (wire, watcher):
        cancelled = await visitor.post(ticket["cancelUrl"], json={"key": ticket["key"]})
        answer = await wire.answer()
        await watcher.hears_state("cancelled")

    assert cancelled.status_code == 204
    assert (answer.status, answer.json()["code"]) == (410, "expired")
    assert (await AsyncTempFile.objects.aget()).state == "cancelled"
    assert files_under_media() == []


async def test_cancelling_wins_over_the_last_byte(server: str, visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")

    async with half_sent(server, ticket) as (wire, _watcher):
        await visitor.post(ticket["cancelUrl"], json={"key": ticket["key"]})
        await wire.send(HALF)
        answer = await wire.answer()

    assert answer.status == 410
    assert (await AsyncTempFile.objects.aget()).state == "cancelled"
    assert files_under_media() == []


async def test_a_stranger_cannot_cancel(server: str, visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")

    async with half_sent(server, ticket) as (wire, _watcher), visiting(server) as stranger:
        refused = await stranger.post(ticket["cancelUrl"], json={"key": ticket["key"]})
        await wire.send(HALF)
        answer = await wire.answer()

    assert refused.status_code == 404
    assert answer.status == 201


async def test_an_upload_url_works_once(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    await visitor.put(ticket["uploadUrl"]["url"], content=b"mine")

    replayed = await visitor.put(ticket["uploadUrl"]["url"], content=b"somebody else's")

    assert (replayed.status_code, replayed.json()["code"]) == (409, "already_used")
    (stored,) = files_under_media()
    assert stored.read_bytes() == b"mine"


async def test_of_two_uploads_at_once_to_one_url_the_first_wins(
    server: str, visitor: httpx.AsyncClient
) -> None:
    ticket = await ticket_for(visitor, "report.txt")

    async with half_sent(server, ticket) as (wire, _watcher):
        second = await visitor.put(ticket["uploadUrl"]["url"], content=b"the second")
        await wire.send(HALF)
        first = await wire.answer()

    assert (second.status_code, second.json()["code"]) == (409, "already_used")
    assert first.status == 201
    (stored,) = files_under_media()
    assert stored.read_bytes() == 2 * HALF


async def test_a_race_for_one_url_has_one_winner(server: str, visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    contents = [bytes([ord("a") + i]) * 300_000 for i in range(6)]

    answers = await asyncio.gather(
        *(visitor.put(ticket["uploadUrl"]["url"], content=content) for content in contents)
    )

    codes = [answer.status_code for answer in answers]
    assert sorted(codes) == [201, 409, 409, 409, 409, 409]
    (stored,) = files_under_media()
    assert stored.read_bytes() == contents[codes.index(201)]


async def test_a_url_that_has_expired_is_refused(visitor: httpx.AsyncClient, settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"UPLOAD_URL_EXPIRY": -1}
    ticket = await ticket_for(visitor, "report.txt")

    late = await visitor.put(ticket["uploadUrl"]["url"], content=b"late")

    assert (late.status_code, late.json()["code"]) == (410, "expired")
    assert files_under_media() == []


@pytest.mark.parametrize("state", ["cancelled", "expired"])
async def test_an_upload_that_is_over_takes_no_bytes(visitor: httpx.AsyncClient, state: str) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    await AsyncTempFile.objects.aupdate(state=state)

    late = await visitor.put(ticket["uploadUrl"]["url"], content=b"late")

    assert (late.status_code, late.json()["code"]) == (410, "expired")
    assert files_under_media() == []
