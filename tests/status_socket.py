"""The status socket as a browser holds it: a real WebSocket to a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.watching import PATIENCE
from tests.wire import Wire

Message = dict[str, Any]


class StatusSocket:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    @property
    def upstream(self) -> str:
        """Which process nginx has chosen."""
        response = self.connection.response
        return response.headers.get("X-Upstream", "") if response is not None else ""

    async def say(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def hear(self) -> Message:
        """The next message, whatever it is."""
        async with asyncio.timeout(PATIENCE):
            message: Message = json.loads(await self.connection.recv())
            return message

    async def hear_until(self, wanted: Callable[[Message], bool]) -> list[Message]:
        """All messages up to the first that is as wanted."""
        heard = [await self.hear()]
        while not wanted(heard[-1]):
            heard.append(await self.hear())
        return heard

    async def hear_state(self, state: str) -> Message:
        return (await self.hear_until(lambda message: message.get("state") == state))[-1]

    async def subscribe(self, key: str) -> Message:
        """Subscribe to one key; the answer."""
        await self.say(action="subscribe", keys=[key])
        return await self.hear()

    async def is_quiet(self) -> bool:
        """Is nothing on its way? The server answers one message after the other."""
        await self.say(action="nonsense")
        return await self.hear() == {"type": "error", "code": "invalid", "key": None}


@asynccontextmanager
async def status_socket(
    client: httpx.AsyncClient, *, origin: str | None = None
) -> AsyncIterator[StatusSocket]:
    """The socket of a page that this visitor has open."""
    address = str(client.base_url).rstrip("/")
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)
    async with connect(
        f"{address.replace('http', 'ws', 1)}/ws/async-uploads/",
        additional_headers={"Cookie": cookies},
        origin=origin or address,  # type: ignore[arg-type]  # a NewType of str
    ) as connection:
        yield StatusSocket(connection)


async def listen_without_reading(wire: Wire, client: httpx.AsyncClient, key: str) -> None:
    """Subscribe by hand to the visitor's upload; what comes is left in the socket."""
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": 13,
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Origin": str(client.base_url).rstrip("/"),
        "Cookie": cookies,
    }
    await wire.begin("GET", "/ws/async-uploads/", headers)
    assert (await wire.head()).status == 101
    content = json.dumps({"action": "subscribe", "keys": [key]}).encode()
    # RFC 6455, 5.2: a text of up to 64 KiB, with a mask of zeros.
    await wire.send(bytes([0x81, 0x80 | 126]) + len(content).to_bytes(2, "big") + bytes(4) + content)
