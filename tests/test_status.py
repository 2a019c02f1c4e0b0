"""The status socket: what a visitor sees of their uploads while they are on their way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from async_uploads.consumers import UploadStatusConsumer
from async_uploads.models import AsyncTempFile
from async_uploads.temp_files import State
from async_uploads.uploads import progress
from tests.asking import url_of
from tests.conftest import ticket_for, upload, visiting
from tests.status_socket import status_socket
from tests.testapp.models import Document
from tests.watching import PATIENCE

STATUS_KEYS = {"type", "key", "state", "received", "total", "name", "url", "error", "seq", "at"}


class HalfBody:
    """A body of which one half is sent, and the other when the test says so."""

    def __init__(self, half: bytes) -> None:
        self.half = half
        self.go_on = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.half
        await self.go_on.wait()
        yield self.half


class BodyInThirds(HalfBody):
    """And another part after those, when the test says so again."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for half in super().__aiter__():
            yield half
        self.go_on.clear()
        await self.go_on.wait()
        yield self.half


async def test_first_message_is_the_present_state(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt", size=11)

    async with status_socket(visitor) as socket:
        status = await socket.subscribe(ticket["key"])

    assert set(status) == STATUS_KEYS
    assert (status["type"], status["key"], status["name"]) == ("status", ticket["key"], "report.txt")
    assert (status["state"], status["received"], status["total"]) == ("pending", 0, 11)
    assert (status["url"], status["error"]) == (None, None)
    assert datetime.fromisoformat(status["at"]).tzinfo is not None


async def test_socket_and_http_tell_the_same(visitor: httpx.AsyncClient) -> None:
    key = await upload(visitor)
    async with status_socket(visitor) as socket:
        over_socket = await socket.subscribe(key)
    over_http = (await visitor.get(url_of("upload-status", key=key))).json()

    assert {**over_socket, "url": ""} == {**over_http, "url": ""}
    assert (await visitor.get(over_socket["url"])).content == b"some bytes"


async def test_progress_is_told_while_the_bytes_move(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    body = HalfBody(b"x" * 100_000)
    async with status_socket(visitor) as socket:
        await socket.subscribe(ticket["key"])

        put = asyncio.create_task(visitor.put(ticket["uploadUrl"]["url"], content=body))
        half = await socket.hear_until(lambda message: message["received"] == 100_000)
        body.go_on.set()
        rest = await socket.hear_until(lambda message: message["state"] == "uploaded")
        assert (await put).status_code == 201

    told = half + rest
    assert half[-1]["state"] == "uploading"
    assert rest[-1]["received"] == rest[-1]["total"] == 200_000
    assert [message["seq"] for message in told] == sorted({message["seq"] for message in told})
    assert rest[-1]["url"]


async def test_with_many_uploads_under_way_each_is_told_more_seldom(
    visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "MOST_PER_SECOND", 1 / PATIENCE)  # so that one upload is as many
    ticket = await ticket_for(visitor, "report.txt")
    body = BodyInThirds(b"x" * 100_000)
    async with status_socket(visitor) as socket:
        await socket.subscribe(ticket["key"])

        put = asyncio.create_task(visitor.put(ticket["uploadUrl"]["url"], content=body))
        await socket.hear_until(lambda message: message["received"] == 100_000)
        body.go_on.set()
        while not await AsyncTempFile.objects.filter(key=ticket["key"], received=200_000).aexists():
            await asyncio.sleep(0.05)
        body.go_on.set()
        rest = await socket.hear_until(lambda message: message["state"] == "uploaded")
        assert (await put).status_code == 201

    assert [message["received"] for message in rest] == [300_000]


async def test_every_change_up_to_promotion_is_told(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    async with status_socket(visitor) as socket:
        first = await socket.subscribe(ticket["key"])
        await visitor.put(ticket["uploadUrl"]["url"], content=b"hello world")
        document = await Document.objects.acreate(file=ticket["key"])
        told = [first, *await socket.hear_until(lambda message: message["state"] == "promoted")]

    states = list(dict.fromkeys(message["state"] for message in told))
    assert states == ["pending", "uploading", "uploaded", "promoting", "promoted"]
    assert [message["seq"] for message in told] == sorted({message["seq"] for message in told})
    page = await visitor.get(told[-1]["url"], follow_redirects=True)
    assert page.content == b"hello world"
    assert document.file.name == "documents/report.txt"


async def test_refusal_and_cancelling_are_told_with_their_reason(visitor: httpx.AsyncClient) -> None:
    refused, cancelled = await ticket_for(visitor, "a.txt"), await ticket_for(visitor, "b.txt")
    async with status_socket(visitor) as socket:
        await socket.subscribe(refused["key"])
        await socket.subscribe(cancelled["key"])
        await visitor.put(refused["uploadUrl"]["url"], content=bytes(1024**2 + 1))
        failed = await socket.hear_state("failed")
        await visitor.post(cancelled["cancelUrl"], json={"key": cancelled["key"]})
        gone = await socket.hear_state("cancelled")

    assert failed["error"]["code"] == "file_too_large"
    assert failed["error"]["message"]
    assert (gone["key"], gone["error"]) == (cancelled["key"], None)


async def test_who_reconnects_misses_nothing_that_matters(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    async with status_socket(visitor) as socket:
        before = await socket.subscribe(ticket["key"])
    await visitor.put(ticket["uploadUrl"]["url"], content=b"hello world")  # while nobody listens

    async with status_socket(visitor) as socket:
        after = await socket.subscribe(ticket["key"])

    assert (before["state"], after["state"]) == ("pending", "uploaded")
    assert after["seq"] > before["seq"]


async def test_change_between_joining_and_looking_is_not_missed(
    visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    upload_while_looking(monkeypatch, visitor, ticket)
    async with status_socket(visitor) as socket:
        await socket.subscribe(ticket["key"])
        assert await socket.hear_state("uploaded")


async def test_strangers_are_not_told_what_happens_while_the_server_looks(
    server: str, visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    upload_while_looking(monkeypatch, visitor, ticket)
    async with visiting(server) as stranger, status_socket(stranger) as socket:
        assert (await socket.subscribe(ticket["key"]))["code"] == "not_found"
        assert await socket.is_quiet()


def upload_while_looking(
    monkeypatch: pytest.MonkeyPatch, client: httpx.AsyncClient, ticket: dict[str, Any]
) -> None:
    """The socket joins first and looks second: stretch the moment between the two to hold a whole upload."""
    look = UploadStatusConsumer._find

    async def look_and_upload(self: UploadStatusConsumer, key: str) -> AsyncTempFile | None:
        found = await look(self, key)
        await client.put(ticket["uploadUrl"]["url"], content=b"hello world")
        return found

    monkeypatch.setattr(UploadStatusConsumer, "_find", look_and_upload)


async def test_row_is_at_most_a_second_behind(visitor: httpx.AsyncClient) -> None:
    """So that the snapshot of who comes late, over the socket or over HTTP, is not far from the truth."""
    ticket = await ticket_for(visitor, "report.txt")
    body = HalfBody(b"x" * 50_000)
    put = asyncio.create_task(visitor.put(ticket["uploadUrl"]["url"], content=body))

    async with asyncio.timeout(PATIENCE):
        while not await AsyncTempFile.objects.filter(received=50_000, state=State.UPLOADING).aexists():
            await asyncio.sleep(0.02)
    async with status_socket(visitor) as socket:
        snapshot = await socket.subscribe(ticket["key"])
        body.go_on.set()
        done = await socket.hear_state("uploaded")

    assert (snapshot["state"], snapshot["received"]) == ("uploading", 50_000)
    assert snapshot["seq"] < done["seq"]
    assert (await put).status_code == 201


async def test_two_pages_of_one_visitor_are_both_told(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    async with status_socket(visitor) as one, status_socket(visitor) as other:
        await one.subscribe(ticket["key"])
        await other.subscribe(ticket["key"])

        await visitor.put(ticket["uploadUrl"]["url"], content=b"hello world")

        assert await one.hear_state("uploaded") == await other.hear_state("uploaded")


async def test_unsubscribed_means_quiet(visitor: httpx.AsyncClient) -> None:
    left, kept = await ticket_for(visitor, "left.txt"), await ticket_for(visitor, "kept.txt")
    async with status_socket(visitor) as socket:
        await socket.subscribe(left["key"])
        await socket.subscribe(kept["key"])
        await socket.say(action="unsubscribe", keys=[left["key"], "never subscribed"])
        assert await socket.is_quiet()

        await visitor.put(left["uploadUrl"]["url"], content=b"x")
        await visitor.put(kept["uploadUrl"]["url"], content=b"x")
        told = await socket.hear_until(lambda message: message["state"] == "uploaded")

    assert {message["key"] for message in told} == {kept["key"]}


async def test_several_keys_are_each_answered(visitor: httpx.AsyncClient) -> None:
    keys = [(await ticket_for(visitor, f"{number}.txt"))["key"] for number in range(3)]
    async with status_socket(visitor) as socket:
        await socket.say(action="subscribe", keys=[keys[0], "unknown", keys[1], keys[1], keys[2]])
        told = [await socket.hear() for _answer in range(4)]
        assert await socket.is_quiet()

    assert [message["key"] for message in told] == [keys[0], "unknown", keys[1], keys[2]]
    assert told[1] == {"type": "error", "code": "not_found", "key": "unknown"}


async def test_unknown_and_foreign_keys_are_answered_alike(server: str, visitor: httpx.AsyncClient) -> None:
    foreign = await upload(visitor)
    async with visiting(server) as stranger, status_socket(stranger) as socket:
        for key in (foreign, "async-temp-files/2026/11/22/guessed-a.txt", foreign.swapcase()):
            assert await socket.subscribe(key) == {"type": "error", "code": "not_found", "key": key}


async def test_strangers_are_not_told_what_comes_later(server: str, visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "a.txt")
    async with visiting(server) as stranger, status_socket(stranger) as socket:
        await socket.subscribe(ticket["key"])

        await visitor.put(ticket["uploadUrl"]["url"], content=b"x")

        assert await socket.is_quiet()
