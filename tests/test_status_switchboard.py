"""Many sockets of one process have one channel of the layer between them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from channels.layers import InMemoryChannelLayer, get_channel_layer
from pytest_django import Settings

from async_uploads.consumers.switchboard import Switchboard, Told
from async_uploads.events import MESSAGE_TYPE, group_of
from tests.conftest import ticket_for
from tests.redis_process import redis_process
from tests.status_socket import status_socket
from tests.watching import eventually


class Listener:
    def __init__(self) -> None:
        self.heard: list[Told] = []

    def hear(self, status: Told) -> None:
        self.heard.append(status)

    def lose_layer(self) -> None:
        raise AssertionError("The layer is there.")


class SlowLayer(InMemoryChannelLayer):
    """Takes its time to let a member go, as one over a network may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_let_go = asyncio.Event()

    async def group_discard(self, group: str, channel: str) -> None:
        await self.may_let_go.wait()
        await super().group_discard(group, channel)


def message_of(key: str, seq: int) -> dict[str, Any]:
    return {"type": MESSAGE_TYPE, "status": {"key": key, "seq": seq}}


@pytest.mark.django_db(transaction=True)
async def test_however_many_sockets_watch_the_layer_has_one_message_to_bring(
    visitor: httpx.AsyncClient,
) -> None:
    layer: Any = get_channel_layer()
    ticket = await ticket_for(visitor, "report.txt")
    group = group_of(ticket["key"])
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(status_socket(visitor)) for _socket in range(3)]
        for socket in sockets:
            await socket.subscribe(ticket["key"])
        members = len(layer.groups[group])
        await visitor.put(ticket["uploadUrl"]["url"], content=b"hello world")
        told = [await socket.hear_state("uploaded") for socket in sockets]
        await sockets[0].say(action="unsubscribe", keys=[ticket["key"]])
        assert await sockets[0].is_quiet()
        assert group in layer.groups  # for the others

    assert members == 1
    assert told[0] == told[1] == told[2]
    await eventually(lambda: not layer.groups and not layer.channels)


async def test_who_comes_while_the_last_one_goes_is_told() -> None:
    layer = SlowLayer()
    switchboard = Switchboard(layer)
    first, second = Listener(), Listener()
    await switchboard.watch("a", first)
    going = asyncio.create_task(switchboard.unwatch("a", first))
    await asyncio.sleep(0)
    coming = asyncio.create_task(switchboard.watch("a", second))
    await asyncio.sleep(0)
    layer.may_let_go.set()
    await asyncio.gather(going, coming)

    await layer.group_send(group_of("a"), message_of("a", 1))

    await eventually(lambda: [status["seq"] for status in second.heard] == [1])
    assert first.heard == []
    await switchboard.unwatch("a", second)
    assert layer.groups == {}


async def test_a_second_who_goes_at_the_same_time_takes_nothing_from_a_third() -> None:
    layer = SlowLayer()
    switchboard = Switchboard(layer)
    first, second, third = Listener(), Listener(), Listener()
    await switchboard.watch("a", first)
    await switchboard.watch("a", second)
    going = [asyncio.create_task(switchboard.unwatch("a", listener)) for listener in (first, second)]
    await asyncio.sleep(0)
    layer.may_let_go.set()
    await asyncio.gather(*going)
    await switchboard.watch("a", third)

    await layer.group_send(group_of("a"), message_of("a", 1))

    await eventually(lambda: len(third.heard) == 1)
    await switchboard.unwatch("a", third)


@pytest.mark.django_db(transaction=True)
async def test_many_subscribe_at_once_over_few_connections_to_redis(
    settings: Settings, visitor: httpx.AsyncClient, tmp_path: Path
) -> None:
    """A pool of connections that is used up is an error of redis-py's, and was the end of a socket."""
    with redis_process(tmp_path) as redis:
        host = {"address": redis.address, "max_connections": 30}
        settings.CHANNEL_LAYERS = {
            "default": {
                "BACKEND": "channels_redis.core.RedisChannelLayer",
                "CONFIG": {"hosts": [host]},
            }
        }
        keys = [(await ticket_for(visitor, f"{number}.txt"))["key"] for number in range(60)]
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(status_socket(visitor)) for _key in keys]
            answers = await asyncio.gather(
                *(socket.subscribe(key) for socket, key in zip(sockets, keys, strict=True))
            )

    assert [answer["key"] for answer in answers] == keys


async def test_a_socket_that_goes_while_another_leaves_takes_no_news_from_the_next() -> None:
    layer = SlowLayer()
    switchboard, other, first, gone, last = Switchboard(layer), *(Listener() for _listener in range(4))
    await switchboard.watch("other", other)
    await switchboard.watch("key", first)
    leaving = asyncio.create_task(switchboard.unwatch("key", first))
    await asyncio.sleep(0)
    coming = asyncio.create_task(switchboard.watch("key", gone))
    await asyncio.sleep(0)
    coming.cancel()
    await asyncio.wait([coming])
    switchboard.forget("key", gone)

    watching = asyncio.create_task(switchboard.watch("key", last))
    await asyncio.sleep(0)
    layer.may_let_go.set()
    await asyncio.gather(leaving, watching)
    await layer.group_send(group_of("key"), message_of("key", 1))

    await eventually(lambda: last.heard)
    await switchboard.unwatch("key", last)
    await switchboard.unwatch("other", other)
    assert switchboard._lines == {}


async def test_a_listener_that_fails_has_all_begin_anew(caplog: pytest.LogCaptureFixture) -> None:
    lost = asyncio.Event()

    class Failing(Listener):
        def hear(self, status: Told) -> None:
            raise ZeroDivisionError

        def lose_layer(self) -> None:
            lost.set()

    layer = InMemoryChannelLayer()
    switchboard, next_one = Switchboard(layer), Listener()
    await switchboard.watch("key", Failing())
    await layer.group_send(group_of("key"), message_of("key", 1))
    await asyncio.wait_for(lost.wait(), 20)

    await switchboard.watch("key", next_one)
    await layer.group_send(group_of("key"), message_of("key", 2))

    await eventually(lambda: next_one.heard)
    assert "ZeroDivisionError" in caplog.text


async def test_a_socket_that_goes_while_it_joins_leaves_nothing_behind() -> None:
    class Stuck(InMemoryChannelLayer):
        async def group_add(self, group: str, channel: str) -> None:
            await asyncio.Event().wait()

    switchboard, gone = Switchboard(Stuck()), Listener()
    joining = asyncio.create_task(switchboard.watch("key", gone))
    await eventually(lambda: "key" in switchboard._lines and switchboard._lines["key"].lock.locked())

    switchboard.forget("key", gone)
    joining.cancel()
    await asyncio.wait([joining])

    assert switchboard._lines == {}
