"""Telling the watchers: the status of an upload, published to the channel layer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import Context
from hashlib import sha256, shake_256
from typing import Any
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from django.utils import timezone
from django.utils.http import urlencode

from async_uploads.exceptions import StorageUnavailable
from async_uploads.outages import Outage
from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.view_urls import view_url

MESSAGE_TYPE = "upload.status"
PUBLISH_TIMEOUT = 2.0

RETRY_AFTER = 2.0
"""Seconds for which a layer that did not answer is not asked again: an upload is not to wait for it each time."""

MOST_UNSENT = 10_000

MOST_AT_ONCE = 16
"""Of one event loop, that wait for the layer. Each takes a connection, of which redis-py has a hundred, and a layer
drops messages that come faster than they are taken."""

layer_outage: Outage = Outage("The channel layer", "upload status is not sent live.")


def group_of(key: str) -> str:
    """The channel layer's group of a key. Group names are short and ASCII, keys are not."""
    return f"async_uploads.{sha256(key.encode()).hexdigest()[:40]}"


def download_query(field: Any, record_pk: str, name: str) -> str:
    """What a download view is asked for a record's file, with a hash of the name against stale caches."""
    query = {
        "field_id": field.async_field_registry.generate_id(field),
        "instance_id": record_pk,
        "v": shake_256(name.encode()).hexdigest(4),
    }
    return urlencode(query)


def download_url(field: Any, record_pk: str, name: str) -> str:
    """The permission-checking download view's URL for a record's file."""
    view = view_url("download-file", field.async_field_registry.name)
    return f"{view}?{download_query(field, record_pk, name)}"


async def aurl_of(temp_file: AsyncTempFile) -> str | None:
    """Where the owner can read the file now, None where there is nothing to read."""
    field = temp_file.field
    if temp_file.state == State.PROMOTED:
        return download_url(field, temp_file.record_pk, temp_file.final_name)
    if not temp_file.is_readable:
        return None
    field_id = field.async_field_registry.generate_id(field)
    try:
        url: str = await field.storage.agenerate_download_url(
            temp_file.key, field_id, filename=temp_file.name
        )
    except StorageUnavailable:  # to sign a URL can take a key that the cloud has to be asked for
        return None
    return url


async def astatus_of(temp_file: AsyncTempFile) -> dict[str, Any]:
    """The present status, as HTTP and WebSocket send it."""
    return temp_file.as_status(url=await aurl_of(temp_file))


async def apublish(temp_file: AsyncTempFile) -> None:
    """Send the present status to everyone who watches."""
    if is_published():
        await _asend(await astatus_of(temp_file))


async def apublish_after(before: dict[str, Any], temp_file: AsyncTempFile) -> None:
    """Send a status that has been meanwhile, then the present one."""
    await _asend(before)
    await apublish(temp_file)


def is_published() -> bool:
    """Is there a channel layer to publish to?"""
    return get_channel_layer() is not None


async def apublish_all(temp_files: Iterable[AsyncTempFile]) -> None:
    if is_published():
        await asyncio.gather(*map(apublish, temp_files))


async def apublish_progress(temp_file: AsyncTempFile, received: int) -> None:
    """Send the bytes received so far. ``temp_file`` is not changed in the database."""
    temp_file.received = received
    await _asend(temp_file.as_status(at=timezone.now()))


async def _asend(status: dict[str, Any]) -> None:
    """A channel layer that is down must not stop an upload: it costs the watchers news, and the log one line."""
    if not is_published():
        return
    unsent = _unsent.setdefault(asyncio.get_running_loop(), _Unsent())
    async with unsent.turn:
        if unsent.is_waiting or not await _is_sent(status):
            unsent.keep(status)


async def _is_sent(status: dict[str, Any]) -> bool:
    layer: Any = get_channel_layer()
    try:
        async with asyncio.timeout(PUBLISH_TIMEOUT):
            await layer.group_send(group_of(status["key"]), {"type": MESSAGE_TYPE, "status": status})
    except Exception as error:  # noqa: BLE001  # whatever a layer may raise
        layer_outage.goes_on(error)
        return False
    layer_outage.is_over()
    return True


class _Unsent:
    """The newest status of each upload that a layer which is away has not taken: sent when it is back.

    Meanwhile nobody waits for the layer but this one, every ``RETRY_AFTER`` seconds.
    """

    def __init__(self) -> None:
        self.turn: asyncio.Semaphore = asyncio.Semaphore(MOST_AT_ONCE)
        self._statuses: dict[str, dict[str, Any]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def is_waiting(self) -> bool:
        return layer_outage.is_told and self._task is not None and not self._task.done()

    def keep(self, status: dict[str, Any]) -> None:
        if len(self._statuses) < MOST_UNSENT or status["key"] in self._statuses:
            self._statuses[status["key"]] = status
        if self._task is None or self._task.done():
            # In a context of its own: the task outlives the request that happens to start it.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    async def _run(self) -> None:
        while self._statuses:
            await asyncio.sleep(RETRY_AFTER)
            while self._statuses:
                key = next(iter(self._statuses))
                status = self._statuses[key]
                if not await _is_sent(status):
                    break
                if self._statuses.get(key) is status:  # no newer one has come meanwhile
                    del self._statuses[key]


_unsent: WeakKeyDictionary[asyncio.AbstractEventLoop, _Unsent] = WeakKeyDictionary()
