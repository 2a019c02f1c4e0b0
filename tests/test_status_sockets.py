"""Sockets that do not read, that talk too much, that outlive a login, and guesses at keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.test import AsyncClient
from pytest_django import Settings
from websockets.exceptions import ConnectionClosed

from async_uploads.consumers import status as consumer
from async_uploads.consumers.outbox import Outbox
from async_uploads.events import MESSAGE_TYPE, group_of
from async_uploads.models import AsyncTempFile
from tests.conftest import ticket_for, upload, visiting
from tests.status_socket import StatusSocket, listen_without_reading, status_socket
from tests.watching import eventually
from tests.wire import wired

pytestmark = pytest.mark.django_db(transaction=True)


def status_of(key: str, seq: int, **more: Any) -> dict[str, Any]:
    return {"type": "status", "key": key, "state": "uploading", "seq": seq, **more}


####################################
# Who does not read
####################################


async def test_of_what_waits_the_newest_is_sent_and_in_order() -> None:
    sent: list[Any] = []
    may_go = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        await may_go.wait()
        sent.append((message.get("key"), message.get("seq")))

    async def never() -> None:
        raise AssertionError("It is not stuck.")

    outbox = Outbox(send, patience=20, on_stuck=never)
    for seq in range(1000):
        outbox.put_status(status_of("a", seq))
        outbox.put_status(status_of("b", seq))
    outbox.put_status(status_of("a", 7))  # late
    outbox.put({"code": "invalid"})
    assert len(outbox) == 3
    may_go.set()
    await eventually(lambda: len(outbox) == 0)
    await outbox.aclose()

    assert sent[-3:] == [("a", 999), ("b", 999), (None, None)]


async def test_a_reader_that_keeps_reading_is_not_stuck_however_long_there_is_news() -> None:
    sent: list[Any] = []

    async def send(message: dict[str, Any]) -> None:
        await asyncio.sleep(0.01)
        sent.append(message["seq"])
        if message["seq"] < 60:  # there is always something waiting
            outbox.put_status(status_of("a", message["seq"] + 1))

    async def never() -> None:
        sent.append("stuck")

    outbox = Outbox(send, patience=0.3, on_stuck=never)
    outbox.put_status(status_of("a", 1))
    await eventually(lambda: "stuck" in sent or 60 in sent)
    await outbox.aclose()

    assert sent == list(range(1, 61))


async def test_a_reader_that_is_stuck_is_given_up() -> None:
    given_up = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    async def give_up() -> None:
        given_up.set()

    outbox = Outbox(send, patience=0.05, on_stuck=give_up)
    outbox.put_status(status_of("a", 1))

    await asyncio.wait_for(given_up.wait(), 20)
    await outbox.aclose()


async def test_a_socket_that_never_reads_slows_nobody(server: str, visitor: httpx.AsyncClient) -> None:
    """Five thousand events for two sockets, one of which reads nothing after its handshake."""
    ticket = await ticket_for(visitor, "report.txt")
    layer: Any = get_channel_layer()
    async with wired(server) as deaf, status_socket(visitor) as watcher:
        await listen_without_reading(deaf, visitor, ticket["key"])
        await watcher.subscribe(ticket["key"])
        filler = "x" * 2000
        for seq in range(1, 5_001):
            event = status_of(ticket["key"], seq, name=filler)
            await layer.group_send(group_of(ticket["key"]), {"type": MESSAGE_TYPE, "status": event})
            if seq % 50 == 0:  # a layer takes a hundred messages for a channel, and drops what is more
                await asyncio.sleep(0.02)
        last = await watcher.hear_until(lambda message: message["seq"] == 5_000)
        answer = await visitor.put(ticket["uploadUrl"]["url"], content=b"x")

    assert len(last) <= 5_000
    assert answer.status_code == 201


####################################
# Who talks too much
####################################


async def talk(socket: StatusSocket, times: int, heard: list[dict[str, Any]], **message: Any) -> None:
    """Say it so many times, and then listen until the end."""
    for _time in range(times):
        await socket.say(**message)
    while True:
        heard.append(await socket.hear())


async def test_more_messages_than_allowed_are_refused_once_and_then_end_the_socket(
    visitor: httpx.AsyncClient, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ASYNC_UPLOADS = {"SOCKET_MESSAGE_RATE": 5}
    async with status_socket(visitor) as socket:
        heard: list[dict[str, Any]] = []
        with pytest.raises(ConnectionClosed) as closed:
            await talk(socket, 200, heard)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    codes = [message["code"] for message in heard]
    assert codes.count("too_many_messages") <= 1
    assert codes.count("invalid") <= 11
    assert len([line for line in caplog.messages if "SOCKET_MESSAGE_RATE" in line]) == 1


async def test_a_message_that_is_too_long_is_not_looked_at(visitor: httpx.AsyncClient) -> None:
    async with status_socket(visitor) as socket:
        await socket.say(action="subscribe", keys=["x"], more="x" * 300_000)

        assert await socket.hear() == {"type": "error", "code": "invalid", "key": None}


async def test_the_number_of_subscriptions_is_a_setting(
    visitor: httpx.AsyncClient, settings: Settings
) -> None:
    settings.ASYNC_UPLOADS = {"SOCKET_MAX_SUBSCRIPTIONS": 1}
    keys = [await upload(visitor) for _upload in range(2)]
    async with status_socket(visitor) as socket:
        await socket.subscribe(keys[0])
        refused = await socket.subscribe(keys[1])

    assert refused == {"type": "error", "code": "too_many_subscriptions", "key": keys[1]}


async def test_guesses_at_keys_find_nothing_and_are_slowed_down(
    visitor: httpx.AsyncClient, settings: Settings
) -> None:
    settings.ASYNC_UPLOADS = {"SOCKET_MESSAGE_RATE": 20}
    async with visiting(str(visitor.base_url)) as other:
        key = await upload(other)
    async with status_socket(visitor) as socket:
        answers = [await socket.subscribe(guess) for guess in (key, key[:-1], f"{key}x", key.upper())]
        with pytest.raises(ConnectionClosed):
            await talk(socket, 1000, answers, action="subscribe", keys=["async-temp-files/2026/11/27/a.txt"])

    assert {answer["code"] for answer in answers} <= {"not_found", "too_many_messages"}
    assert len(answers) < 100


####################################
# Who was logged in
####################################


@pytest.fixture
async def ada(server: str) -> AsyncIterator[httpx.AsyncClient]:
    """Logged in, by the session that Django's own client makes."""
    user = await get_user_model().objects.acreate(username="ada")
    client = AsyncClient()
    await client.aforce_login(user)
    async with visiting(server) as visitor:
        visitor.cookies.set("sessionid", client.cookies["sessionid"].value)
        yield visitor


async def test_who_logs_out_is_told_no_more(ada: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "LOOK_INTERVAL", 0.1)
    ticket = await ticket_for(ada, "report.txt")
    async with status_socket(ada) as socket:
        await socket.subscribe(ticket["key"])
        await asyncio.sleep(0.3)  # looks that find the same person
        await socket.subscribe(ticket["key"])

        await sync_to_async(log_out)(ada.cookies["sessionid"])

        with pytest.raises(ConnectionClosed) as closed:
            await socket.hear_until(lambda message: False)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


async def test_who_logs_out_can_subscribe_no_more(
    ada: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "OWNER_GOOD_FOR", 0.0)
    ticket = await ticket_for(ada, "report.txt")
    async with status_socket(ada) as socket:
        await sync_to_async(log_out)(ada.cookies["sessionid"])

        with pytest.raises(ConnectionClosed):
            await socket.subscribe(ticket["key"])


def log_out(session_key: str) -> None:
    Session.objects.filter(session_key=session_key).delete()


####################################
# What the layer has dropped
####################################


async def test_news_that_got_lost_are_told_at_the_next_look(
    visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "LOOK_INTERVAL", 0.1)
    ticket = await ticket_for(visitor, "report.txt")
    async with status_socket(visitor) as socket:
        await socket.subscribe(ticket["key"])
        row = await AsyncTempFile.objects.aget()
        await row.amove("uploaded")  # type: ignore[arg-type]  # and nobody publishes it

        assert (await socket.hear_state("uploaded"))["seq"] > 0


async def test_a_page_of_another_site_gets_no_socket(visitor: httpx.AsyncClient) -> None:
    with pytest.raises(Exception, match="403"):
        async with status_socket(visitor, origin="https://evil.example"):
            pass
