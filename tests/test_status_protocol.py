"""The status socket and people who do not speak its language, come from elsewhere, or ask for too much."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from channels.layers import get_channel_layer
from websockets.exceptions import InvalidStatus

from async_uploads.conf import upload_settings
from async_uploads.models import AsyncTempFile
from tests.asgi import application
from tests.asking import url_of
from tests.conftest import serving, ticket_for, upload, visiting
from tests.status_socket import status_socket
from tests.testapp.models import Album, memory_storage
from tests.watching import eventually

INVALID = {"type": "error", "code": "invalid", "key": None}

MALFORMED: list[str | bytes] = [
    "",
    "hello",
    "{",
    "null",
    "[]",
    "1",
    '"subscribe"',
    "[" * 50_000,
    "9" * 50_000,
    b"\x00\xff",
    b'{"action": "subscribe", "keys": []}',
    "{}",
    '{"action": null}',
    '{"action": ["subscribe"]}',
    '{"action": {"subscribe": 1}}',
    '{"action": "close"}',
    '{"action": "websocket_disconnect"}',
    '{"action": "subscribe"}',
    '{"action": "subscribe", "keys": "abc"}',
    '{"action": "subscribe", "keys": {"a": 1}}',
    '{"action": "subscribe", "keys": [1]}',
    '{"action": "subscribe", "keys": [null]}',
    '{"action": "subscribe", "keys": [""]}',
    '{"action": "subscribe", "keys": ["a\\u0000b"]}',
    '{"action": "subscribe", "keys": ["\\ud800"]}',
    json.dumps({"action": "subscribe", "keys": ["x" * 501]}),
    '{"action": "unsubscribe", "keys": [[]]}',
    '{"action": "progress"}',
    '{"action": "progress", "key": "a", "received": -1}',
    '{"action": "progress", "key": "a", "received": true}',
    '{"action": "progress", "key": "a", "received": 1.5}',
    '{"action": "progress", "key": "a", "received": 1e400}',
    '{"action": "progress", "key": "a", "received": 9007199254740993}',
    '{"action": "progress", "key": "a", "received": 1, "total": "2"}',
    '{"action": "progress", "key": "\\udfff", "received": 1}',
]


@pytest.fixture
def direct_storage(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The memory storage of Album.booklet as one whose bytes do not come through Django, like S3."""
    monkeypatch.setattr(memory_storage, "receives_uploads", False, raising=False)
    return memory_storage


async def test_malformed_messages_are_answered_and_the_socket_lives_on(visitor: httpx.AsyncClient) -> None:
    key = await upload(visitor)
    async with status_socket(visitor) as socket:
        for message in MALFORMED:
            await socket.connection.send(message)
            assert await socket.hear() == INVALID, message[:80]

        assert (await socket.subscribe(key))["state"] == "uploaded"


async def test_subscriptions_have_a_limit(visitor: httpx.AsyncClient, settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_OWNER": upload_settings.SOCKET_MAX_SUBSCRIPTIONS + 1}
    key = await upload(visitor)
    row = await AsyncTempFile.objects.aget()
    keys = [f"{key}{number}" for number in range(upload_settings.SOCKET_MAX_SUBSCRIPTIONS)]
    for number, each in enumerate(keys):
        row.pk, row.key = row.pk + number + 1, each
        await row.asave(force_insert=True)

    async with status_socket(visitor) as socket:
        await socket.say(action="subscribe", keys=keys)
        told = [await socket.hear() for _key in keys]
        one_more = await socket.subscribe(key)
        again = await socket.subscribe(keys[0])
        await socket.say(action="unsubscribe", keys=keys[:1])
        instead = await socket.subscribe(key)

    assert {message["type"] for message in told} == {"status"}
    assert one_more == {"type": "error", "code": "too_many_subscriptions", "key": key}
    assert again["type"] == "status"
    assert instead["type"] == "status"


async def test_more_keys_at_once_than_anyone_may_watch_are_refused(visitor: httpx.AsyncClient) -> None:
    async with status_socket(visitor) as socket:
        await socket.say(
            action="subscribe",
            keys=[f"key-{number}" for number in range(upload_settings.SOCKET_MAX_SUBSCRIPTIONS + 1)],
        )

        assert await socket.hear() == {"type": "error", "code": "too_many_subscriptions", "key": None}


async def test_page_of_another_site_is_refused(visitor: httpx.AsyncClient) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with status_socket(visitor, origin="https://evil.example"):
            pytest.fail("The socket was opened.")

    assert refused.value.response.status_code == 403


async def test_progress_of_a_direct_upload_reaches_the_owners_other_pages(
    visitor: httpx.AsyncClient, direct_storage: Any
) -> None:
    ticket = await ticket_for(visitor, "a.pdf", model=Album, field="booklet", size=100)
    async with status_socket(visitor) as sender, status_socket(visitor) as watcher:
        before = await watcher.subscribe(ticket["key"])

        await sender.say(action="progress", key=ticket["key"], received=40, total=100)
        first = await watcher.hear()
        await sender.say(action="progress", key=ticket["key"], received=60)
        second = await watcher.hear()

    assert (first["type"], first["received"], first["total"]) == ("status", 40, 100)
    assert (second["received"], second["total"]) == (60, 100)
    assert before["seq"] < first["seq"] < second["seq"]


async def test_progress_of_others_uploads_can_not_be_forged(
    server: str, visitor: httpx.AsyncClient, direct_storage: Any
) -> None:
    ticket = await ticket_for(visitor, "a.pdf", model=Album, field="booklet")
    async with (
        visiting(server) as stranger,
        status_socket(stranger) as forger,
        status_socket(visitor) as watcher,
    ):
        await watcher.subscribe(ticket["key"])
        await forger.say(action="progress", key=ticket["key"], received=1)

        assert await forger.hear() == {"type": "error", "code": "not_found", "key": ticket["key"]}
        assert await watcher.is_quiet()


async def test_progress_that_the_server_counts_itself_is_not_relayed(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "a.txt")
    async with status_socket(visitor) as socket:
        await socket.subscribe(ticket["key"])
        await socket.say(action="progress", key=ticket["key"], received=1, total=2)

        assert await socket.is_quiet()


async def test_progress_after_the_end_is_refused(visitor: httpx.AsyncClient, direct_storage: Any) -> None:
    ticket = await ticket_for(visitor, "a.pdf", model=Album, field="booklet")
    await visitor.post(ticket["cancelUrl"], json={"key": ticket["key"]})
    async with status_socket(visitor) as socket:
        await socket.say(action="progress", key=ticket["key"], received=1)

        assert (await socket.hear())["code"] == "not_found"


async def test_closed_sockets_leave_no_subscription_behind(visitor: httpx.AsyncClient) -> None:
    layer: Any = get_channel_layer()
    key = await upload(visitor)
    async with status_socket(visitor) as socket:
        await socket.subscribe(key)
        await socket.say(action="subscribe", keys=["unknown"])
        await socket.hear()
        assert len(layer.groups) == 1

    await eventually(lambda: not layer.groups)


async def test_without_a_channel_layer_all_but_the_socket_works(
    visitor: httpx.AsyncClient, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CHANNEL_LAYERS = {}

    key = await upload(visitor, b"hello")

    status = (await visitor.get(url_of("upload-status", key=key))).json()
    assert (status["state"], status["received"]) == ("uploaded", 5)
    assert not [record for record in caplog.records if record.name == "async_uploads"]
    with pytest.raises(InvalidStatus):
        async with status_socket(visitor):
            pytest.fail("The socket was opened.")


async def test_urls_over_the_socket_know_where_the_project_is_mounted(transactional_db: None) -> None:
    """Behind a proxy that strips a prefix, which uvicorn's ``root_path`` puts before the path again."""
    async with serving(application, root_path="/below") as address, visiting(address) as visitor:
        ticket = await ticket_for(visitor, "a.txt")
        upload_url = ticket["uploadUrl"]["url"]
        await visitor.put(upload_url.removeprefix("/below"), content=b"x")
        async with status_socket(visitor) as socket:
            status = await socket.subscribe(ticket["key"])

    assert upload_url.startswith("/below/async-uploads/upload-file-direct/")
    assert status["url"].startswith("/below/async-uploads/download-file-direct/")
