"""The consumer of the status socket."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from random import random
from typing import Any, ClassVar, TypeGuard

from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.core.handlers.asgi import get_script_prefix
from django.db import Error, close_old_connections
from django.urls import set_script_prefix

from async_uploads import outages
from async_uploads.conf import upload_settings
from async_uploads.consumers.layer import LayerUnavailable
from async_uploads.consumers.outbox import Outbox
from async_uploads.consumers.pace import BURST, Pace
from async_uploads.consumers.switchboard import Switchboard, Told, switchboard_of
from async_uploads.databases import is_outage
from async_uploads.events import apublish_progress, astatus_of
from async_uploads.owners import Owner, anew_owner_of_scope, aowner_of_scope
from async_uploads.temp_files import FINISHED_STATES, OPEN_STATES, AsyncTempFile, is_storable

logger: logging.Logger = logging.getLogger("async_uploads")

MAX_KEY_LENGTH = 500
MAX_BYTES = 2**53 - 1
MAX_TEXT = 256 * 1024
"""Characters of a message, which may name hundreds of keys."""

LOOK_INTERVAL = 30.0
"""Seconds between two looks at who is logged in, and whether a message was lost on its way."""

OWNER_GOOD_FOR = 5.0
"""Seconds for which a look at who is logged in need not be repeated."""

POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013
SOMEBODY_ELSE = 4401
"""Close codes: of RFC 6455 and IANA's registry, and one of ours. After each of them the browser connects again."""


class UploadStatusConsumer(AsyncJsonWebsocketConsumer):
    """Speaks the protocol of "Status" in the documentation. Another owner's keys are answered as unknown ones are.

    Put it behind AuthMiddlewareStack, which tells who is asking, and AllowedHostsOriginValidator, which keeps other
    sites' pages from asking in a visitor's name.
    """

    owner: Owner
    subscribed: dict[str, dict[str, Any]]
    """By key, the newest status that was put into the outbox."""
    joined: dict[str, Told | None]
    """By key, of those joined at the switchboard, what has come while it was looked up whose upload it is."""
    actions: ClassVar[set[str]] = {"subscribe", "unsubscribe", "progress"}

    _switchboard: Switchboard | None = None
    _outbox: Outbox | None = None
    _watch: asyncio.Task[None] | None = None
    _closing: asyncio.Task[None] | None = None

    @property  # type: ignore[override]  # a consumer without one is what Channels knows, too
    def channel_layer(self) -> None:
        """None: no socket has a channel of its own, whose messages Channels would wait for. See ``switchboard``."""
        return

    @channel_layer.setter
    def channel_layer(self, layer: Any) -> None:
        self._switchboard = None if layer is None else switchboard_of(layer)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subscribed, self.joined = {}, {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """What is away is told once, and the browser connects again until it is back."""
        try:
            await super().__call__(scope, receive, send)
        except LayerUnavailable:
            await _close(send)
        except Error as error:
            if not is_outage(error):
                raise
            outages.database.goes_on(error)
            await _close(send)
        finally:
            for key in self.joined:
                self._lines.forget(key, self)
            for task in (self._watch, self._closing):
                if task is not None:
                    await _cancelled(task)
            if self._outbox is not None:
                await self._outbox.aclose()

    async def connect(self) -> None:
        if self._switchboard is None:
            await self.close()
            return
        set_script_prefix(get_script_prefix(self.scope))  # as for a request: a status holds URLs
        self.owner = await aowner_of_scope(self.scope)
        self._looked_at: float = asyncio.get_running_loop().time()
        self._pace = Pace(upload_settings.SOCKET_MESSAGE_RATE)
        self._refused: int = 0
        await self.accept()
        self._outbox = Outbox(
            self._send, patience=upload_settings.SOCKET_SEND_TIMEOUT, on_stuck=self._give_up_on_reader
        )
        self._watch = asyncio.create_task(self._look_again_and_again())

    async def disconnect(self, code: int) -> None:
        for key in list(self.joined):
            await self._leave(key)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """Anything that is no message of the protocol is answered with an error, and the socket lives on."""
        if not self._pace.allows_another():
            await self._refuse_for_pace()
            return
        try:
            content = await self.decode_json(text_data or "") if len(text_data or "") <= MAX_TEXT else None
        except (ValueError, RecursionError):
            content = None
        await self.receive_json(content)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        action = content.get("action") if isinstance(content, dict) else None
        if not isinstance(action, str) or action not in self.actions:
            self._tell_error("invalid")
            return
        await getattr(self, action)(content)

    async def subscribe(self, content: dict[str, Any]) -> None:
        """Join first and look second, so that nothing falls between the present status and the next change."""
        keys = self._keys_in(content)
        if (
            asyncio.get_running_loop().time() - self._looked_at > OWNER_GOOD_FOR
            and not await self._is_owner()
        ):
            return
        for key in keys:
            if (
                len(self.subscribed) >= upload_settings.SOCKET_MAX_SUBSCRIPTIONS
                and key not in self.subscribed
            ):
                self._tell_error("too_many_subscriptions", key)
                continue
            self.joined[key] = None
            await self._lines.watch(key, self)
            temp_file = await self._find(key)
            if temp_file is None:
                await self._leave(key)
                self._tell_error("not_found", key)
                continue
            status = await astatus_of(temp_file)
            told = self.subscribed.get(key, status)
            self._tell(told if told["seq"] > status["seq"] else status)
            if (heard := self.joined[key]) is not None:
                await asyncio.sleep(0)  # the answer goes out first
                self.hear(heard)

    async def unsubscribe(self, content: dict[str, Any]) -> None:
        for key in self._keys_in(content):
            if self.subscribed.pop(key, None) is not None:
                await self._leave(key)

    async def progress(self, content: dict[str, Any]) -> None:
        """A browser that sends its bytes straight to the cloud tells its owner's other watchers how far it is."""
        key, received, total = content.get("key"), content.get("received"), content.get("total")
        if not (_is_key(key) and _is_count(received) and (total is None or _is_count(total))):
            self._tell_error("invalid")
            return
        temp_file = await self._find(key)
        if temp_file is None or temp_file.state not in OPEN_STATES:
            self._tell_error("not_found", key)
            return
        if temp_file.field.storage.receives_uploads:
            return  # counted by the server itself
        temp_file.total = total if total is not None else temp_file.total
        await apublish_progress(temp_file, received)

    def hear(self, status: Told) -> None:
        """What the switchboard tells. One that comes late is of no use to anybody."""
        key, seq = status["key"], status["seq"]
        told = self.subscribed.get(key) or self.joined.get(key)
        if told is not None and told["seq"] > seq:
            return
        if key in self.subscribed:
            self._tell(status)
        else:
            self.joined[key] = status

    def lose_layer(self) -> None:
        """The browser connects again, until the layer is back."""
        self._closing = asyncio.create_task(self.close(code=TRY_AGAIN_LATER))

    @property
    def _lines(self) -> Switchboard:
        if self._switchboard is None:
            raise LayerUnavailable
        return self._switchboard

    async def _send(self, message: dict[str, Any]) -> None:
        await self.send(message.text if isinstance(message, Told) else await self.encode_json(message))

    def _tell(self, status: dict[str, Any]) -> None:
        self.subscribed[status["key"]] = status
        if self._outbox is not None:
            self._outbox.put_status(status)

    def _tell_error(self, code: str, key: object = None) -> None:
        if self._outbox is not None:
            self._outbox.put({"type": "error", "code": code, "key": key})

    async def _refuse_for_pace(self) -> None:
        """With one error; who goes on all the same is no browser of ours."""
        if self._refused == 0:
            logger.warning("A status socket sends too many messages (SOCKET_MESSAGE_RATE).")
            self._tell_error("too_many_messages")
        self._refused += 1
        if self._refused > upload_settings.SOCKET_MESSAGE_RATE * BURST:
            await self.close(code=POLICY_VIOLATION)

    async def _give_up_on_reader(self) -> None:
        logger.warning("A status socket does not read what it is sent, and is closed (SOCKET_SEND_TIMEOUT).")
        await self.close(code=TRY_AGAIN_LATER)

    async def _look_again_and_again(self) -> None:
        """Logged out elsewhere, a visitor is told no more; and what the layer has dropped is told at last."""
        # Not all at once, though a server that is back has all its sockets within a second.
        await asyncio.sleep(LOOK_INTERVAL * random())  # noqa: S311  # nosec B311  # no secret
        while True:
            try:
                if not await self._is_owner():
                    return
                open_keys = [
                    key for key, told in self.subscribed.items() if told["state"] not in FINISHED_STATES
                ]
                for temp_file in await sync_to_async(_find_rows)(open_keys) if open_keys else ():
                    told = self.subscribed.get(temp_file.key)
                    if told is not None and told["seq"] < temp_file.seq:
                        self._tell(await astatus_of(temp_file))
            except Error as error:
                if not is_outage(error):
                    raise
                outages.database.goes_on(error)
            await asyncio.sleep(LOOK_INTERVAL)

    async def _is_owner(self) -> bool:
        """Is the visitor still who they were? If not, the socket is closed, and the browser connects as who it is."""
        self._looked_at = asyncio.get_running_loop().time()
        owner = await anew_owner_of_scope(self.scope)
        if owner is None or (owner.user, owner.session) == (self.owner.user, self.owner.session):
            return True
        await self.close(code=SOMEBODY_ELSE)
        return False

    def _keys_in(self, content: dict[str, Any]) -> list[str]:
        keys = content.get("keys")
        if not isinstance(keys, list) or not all(_is_key(key) for key in keys):
            self._tell_error("invalid")
            return []
        if len(keys) > upload_settings.SOCKET_MAX_SUBSCRIPTIONS:
            self._tell_error("too_many_subscriptions")
            return []
        return list(dict.fromkeys(keys))

    async def _leave(self, key: str) -> None:
        self.joined.pop(key, None)
        await self._lines.unwatch(key, self)

    async def _find(self, key: str) -> AsyncTempFile | None:
        temp_file = await sync_to_async(_find_row)(key)
        if temp_file is None or not self.owner.owns(temp_file.owner):
            return None
        return temp_file


async def _close(send: Any) -> None:
    with suppress(Exception):  # it is closed already
        await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _find_row(key: str) -> AsyncTempFile | None:
    close_old_connections()
    try:
        return AsyncTempFile.with_key(key)
    finally:
        close_old_connections()


def _find_rows(keys: list[str]) -> list[AsyncTempFile]:
    close_old_connections()
    try:
        return list(AsyncTempFile.objects.filter(key__in=keys))
    finally:
        close_old_connections()


def _is_key(key: object) -> TypeGuard[str]:
    return isinstance(key, str) and 0 < len(key) <= MAX_KEY_LENGTH and is_storable(key)


def _is_count(number: object) -> TypeGuard[int]:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= MAX_BYTES
