"""The status socket over Redis, as projects with more than one process have it; and with Redis gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from async_uploads import events
from tests.asking import url_of
from tests.conftest import ticket_for, upload
from tests.redis_process import RedisProcess, redis_process
from tests.status_socket import status_socket
from tests.test_status import HalfBody
from tests.testapp.models import Document


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with redis_process(tmp_path_factory.mktemp("redis")) as process:
        yield process


def use(redis: RedisProcess, settings: Any) -> None:
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [redis.address]},
        }
    }


async def test_whole_journey_over_redis(
    redis: RedisProcess, settings: Any, visitor: httpx.AsyncClient
) -> None:
    use(redis, settings)
    ticket = await ticket_for(visitor, "report.txt")
    body = HalfBody(b"x" * 50_000)
    async with status_socket(visitor) as one, status_socket(visitor) as other:
        first = await one.subscribe(ticket["key"])
        await other.subscribe(ticket["key"])
        put = asyncio.create_task(visitor.put(ticket["uploadUrl"]["url"], content=body))
        told = [first, *await one.hear_until(lambda message: message["received"] == 50_000)]
        body.go_on.set()
        assert (await put).status_code == 201
        await Document.objects.acreate(file=ticket["key"])
        told += await one.hear_until(lambda message: message["state"] == "promoted")
        assert await other.hear_state("promoted") == told[-1]

    states = list(dict.fromkeys(message["state"] for message in told))
    assert states == ["pending", "uploading", "uploaded", "promoting", "promoted"]
    assert [message["seq"] for message in told] == sorted({message["seq"] for message in told})


async def test_subscriptions_end_over_redis(
    redis: RedisProcess, settings: Any, visitor: httpx.AsyncClient
) -> None:
    use(redis, settings)
    ticket = await ticket_for(visitor, "report.txt")
    async with status_socket(visitor) as socket:
        await socket.subscribe(ticket["key"])
        await socket.say(action="unsubscribe", keys=[ticket["key"]])
        assert await socket.is_quiet()
        await visitor.put(ticket["uploadUrl"]["url"], content=b"x")

        assert await socket.is_quiet()


async def test_upload_survives_the_end_of_redis_with_one_line_in_the_log(
    settings: Any,
    visitor: httpx.AsyncClient,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(events.layer_outage, "is_told", False)
    with redis_process(tmp_path_factory.mktemp("redis")) as mortal:
        use(mortal, settings)
        ticket = await ticket_for(visitor, "report.txt")
        body = HalfBody(b"x" * 50_000)
        async with status_socket(visitor) as socket:
            await socket.subscribe(ticket["key"])
            put = asyncio.create_task(visitor.put(ticket["uploadUrl"]["url"], content=body))
            await socket.hear_until(lambda message: message["received"] == 50_000)

            await asyncio.to_thread(mortal.stop)
            body.go_on.set()

            assert (await put).status_code == 201
            with pytest.raises(
                ConnectionClosed
            ):  # so that the browser reconnects, or asks over HTTP meanwhile
                await socket.hear_until(lambda message: False)

        document = await Document.objects.acreate(file=ticket["key"])
        await upload(visitor, b"another one")

    status = (await visitor.get(url_of("upload-status", key=ticket["key"]))).json()
    assert status["state"] == "promoted"
    assert await document.file.asize() == 100_000
    lines = [record for record in caplog.records if record.name.startswith("async_uploads")]
    assert len(lines) == 1
    assert "channel layer" in lines[0].getMessage()


async def test_news_go_out_again_when_redis_is_back(
    redis: RedisProcess, settings: Any, visitor: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """And the next outage has its line in the log again."""
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]},
        }
    }
    await upload(visitor)
    assert events.layer_outage.is_told

    use(redis, settings)
    ticket = await ticket_for(visitor, "report.txt")
    async with status_socket(visitor) as socket:
        await socket.subscribe(ticket["key"])
        await visitor.put(ticket["uploadUrl"]["url"], content=b"x")
        assert await socket.hear_state("uploaded")

    assert not events.layer_outage.is_told
