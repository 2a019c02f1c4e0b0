"""The status socket: subscribe to keys, get their present status at once and every change after it."""

from __future__ import annotations

from typing import Any, ClassVar, TypeGuard

from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.core.handlers.asgi import get_script_prefix
from django.db import close_old_connections
from django.urls import set_script_prefix

from async_uploads.events import apublish_progress, astatus_of, group_of
from async_uploads.owners import Owner, aowner_of_scope
from async_uploads.temp_files import OPEN_STATES, AsyncTempFile, is_storable

MAX_SUBSCRIPTIONS = 200
MAX_KEY_LENGTH = 500
MAX_BYTES = 2**53 - 1


class UploadStatusConsumer(AsyncJsonWebsocketConsumer):
    """Speaks the protocol of "Status" in the documentation. Another owner's keys are answered as unknown ones are.

    Put it behind AuthMiddlewareStack, which tells who is asking, and AllowedHostsOriginValidator, which keeps other
    sites' pages from asking in a visitor's name.
    """

    owner: Owner
    actions: ClassVar[set[str]] = {"subscribe", "unsubscribe", "progress"}

    async def connect(self) -> None:
        if self.channel_layer is None:
            await self.close()
            return
        set_script_prefix(get_script_prefix(self.scope))  # as for a request: a status holds URLs
        self.owner = await aowner_of_scope(self.scope)
        self.subscribed: set[str] = set()
        await self.accept()

    async def disconnect(self, code: int) -> None:
        for key in getattr(self, "subscribed", ()):
            await self.channel_layer.group_discard(group_of(key), self.channel_name)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """Anything that is no message of the protocol is answered with an error, and the socket lives on."""
        try:
            content = await self.decode_json(text_data or "")
        except (ValueError, RecursionError):
            content = None
        await self.receive_json(content)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        action = content.get("action") if isinstance(content, dict) else None
        if not isinstance(action, str) or action not in self.actions:
            await self.send_error("invalid")
            return
        await getattr(self, action)(content)

    async def subscribe(self, content: dict[str, Any]) -> None:
        """Join first and look second, so that nothing falls between the present status and the next change."""
        for key in await self._keys_in(content):
            if len(self.subscribed) >= MAX_SUBSCRIPTIONS and key not in self.subscribed:
                await self.send_error("too_many_subscriptions", key)
                continue
            await self.channel_layer.group_add(group_of(key), self.channel_name)
            temp_file = await self._find(key)
            if temp_file is None:
                await self.channel_layer.group_discard(group_of(key), self.channel_name)
                await self.send_error("not_found", key)
                continue
            self.subscribed.add(key)
            await self.send_json(await astatus_of(temp_file))

    async def unsubscribe(self, content: dict[str, Any]) -> None:
        for key in await self._keys_in(content):
            if key in self.subscribed:
                self.subscribed.discard(key)
                await self.channel_layer.group_discard(group_of(key), self.channel_name)

    async def progress(self, content: dict[str, Any]) -> None:
        """A browser that sends its bytes straight to the cloud tells its owner's other watchers how far it is."""
        key, received, total = content.get("key"), content.get("received"), content.get("total")
        if not (_is_key(key) and _is_count(received) and (total is None or _is_count(total))):
            await self.send_error("invalid")
            return
        temp_file = await self._find(key)
        if temp_file is None or temp_file.state not in OPEN_STATES:
            await self.send_error("not_found", key)
            return
        if temp_file.field.storage.receives_uploads:
            return  # counted by the server itself
        temp_file.total = total if total is not None else temp_file.total
        await apublish_progress(temp_file, received)

    async def upload_status(self, event: dict[str, Any]) -> None:
        """Takes the messages of ``events.MESSAGE_TYPE``."""
        if event["status"]["key"] in self.subscribed:
            await self.send_json(event["status"])

    async def send_error(self, code: str, key: object = None) -> None:
        await self.send_json({"type": "error", "code": code, "key": key})

    async def _keys_in(self, content: dict[str, Any]) -> list[str]:
        keys = content.get("keys")
        if not isinstance(keys, list) or not all(_is_key(key) for key in keys):
            await self.send_error("invalid")
            return []
        if len(keys) > MAX_SUBSCRIPTIONS:
            await self.send_error("too_many_subscriptions")
            return []
        return list(dict.fromkeys(keys))

    async def _find(self, key: str) -> AsyncTempFile | None:
        temp_file = await sync_to_async(_find_row)(key)
        if temp_file is None or not self.owner.owns(temp_file.owner):
            return None
        return temp_file


def _find_row(key: str) -> AsyncTempFile | None:
    close_old_connections()
    try:
        return AsyncTempFile.with_key(key)
    finally:
        close_old_connections()


def _is_key(key: object) -> TypeGuard[str]:
    return isinstance(key, str) and 0 < len(key) <= MAX_KEY_LENGTH and is_storable(key)


def _is_count(number: object) -> TypeGuard[int]:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= MAX_BYTES
