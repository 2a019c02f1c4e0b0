"""One client for each event loop, closed with it: under ASGI, WSGI, management commands and tests alike."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any, Self

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from async_uploads.asgi import get_asgi_application
from async_uploads.storage.clients import ClientPerLoop


class Cloud:
    """Counts its clients; opening and closing one takes a moment, as it does in a network."""

    def __init__(self) -> None:
        self.opened: list[asyncio.AbstractEventLoop] = []
        self.closed: list[asyncio.AbstractEventLoop] = []
        self.failures: list[Exception] = []
        self.clients = ClientPerLoop(lambda: Client(self))


class Client:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def __aenter__(self) -> Self:
        await asyncio.sleep(0)
        if self._cloud.failures:
            raise self._cloud.failures.pop()
        self._cloud.opened.append(asyncio.get_running_loop())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await asyncio.sleep(0)
        self._cloud.closed.append(asyncio.get_running_loop())


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def test_all_of_a_loop_share_one_client_which_is_closed_with_the_loop(cloud: Cloud) -> None:
    async def ask_at_once() -> set[Client]:
        return set(await asyncio.gather(*(cloud.clients.get() for _ in range(20))))

    assert len(asyncio.run(ask_at_once())) == 1
    assert len(cloud.opened) == 1
    assert cloud.closed == cloud.opened


def test_each_loop_has_a_client_of_its_own(cloud: Cloud) -> None:
    """As under WSGI, where each request makes a loop."""
    first, second = async_to_sync(cloud.clients.get)(), async_to_sync(cloud.clients.get)()

    assert first is not second
    assert len(cloud.opened) == 2
    assert cloud.closed == cloud.opened


def test_loops_in_threads_do_not_meet(cloud: Cloud) -> None:
    threads = [threading.Thread(target=asyncio.run, args=[cloud.clients.get()]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(cloud.opened) == 8
    assert set(cloud.closed) == set(cloud.opened)


async def test_a_sync_view_uses_the_client_of_the_loop_that_serves_it(cloud: Cloud) -> None:
    ours = await cloud.clients.get()

    theirs = await sync_to_async(async_to_sync(cloud.clients.get))()

    assert theirs is ours


async def test_a_client_that_could_not_be_opened_is_tried_again(cloud: Cloud) -> None:
    cloud.failures.append(OSError("no credentials yet"))
    with pytest.raises(OSError, match="no credentials yet"):
        await cloud.clients.get()

    assert isinstance(await cloud.clients.get(), Client)


async def test_somebody_who_gives_up_waiting_does_not_spoil_it_for_the_rest(cloud: Cloud) -> None:
    impatient = asyncio.create_task(cloud.clients.get())
    patient = asyncio.create_task(cloud.clients.get())
    await asyncio.sleep(0)
    impatient.cancel()

    assert await patient is await cloud.clients.get()


async def test_the_shutdown_of_the_server_closes_the_clients_of_its_loop(cloud: Cloud) -> None:
    """Where the server speaks the lifespan protocol."""
    ours = await cloud.clients.get()
    sent: list[dict[str, Any]] = []
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        return {"type": next(messages)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await get_asgi_application()({"type": "lifespan"}, receive, send)

    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert cloud.closed == cloud.opened
    assert await cloud.clients.get() is not ours, "and who comes late gets a new one"


def test_loops_that_have_ended_are_forgotten(cloud: Cloud) -> None:
    async def ask_at_once() -> None:
        await asyncio.gather(cloud.clients.get(), cloud.clients.get())

    for _ in range(50):
        asyncio.run(ask_at_once())
    cloud.opened.clear()
    cloud.closed.clear()
    gc.collect()

    assert len(cloud.clients._held) == 0
