"""Redis that hangs: it has not gone, and it does not answer."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from channels_redis.core import RedisChannelLayer  # type: ignore[import-untyped]  # it has no stubs

from async_uploads import events
from tests.conftest import ticket_for, upload
from tests.redis_process import redis_process
from tests.status_socket import status_socket
from tests.testapp.models import Document

attempts: list[str] = []


class CountingLayer(RedisChannelLayer):  # type: ignore[misc]  # channels_redis is not typed
    """Redis' own layer, and a note of each message that was tried."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        attempts.append(group)
        await super().group_send(group, message)


async def test_uploads_and_saves_wait_once_for_redis_that_hangs_and_news_go_out_again_after_it(
    settings: Any,
    visitor: httpx.AsyncClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "async_uploads")
    monkeypatch.setattr(events.layer_outage, "is_told", False)
    monkeypatch.setattr(events, "RETRY_AFTER", 3600.0)
    with redis_process(tmp_path) as redis:
        settings.CHANNEL_LAYERS = {
            "default": {
                "BACKEND": f"{__name__}.CountingLayer",
                "CONFIG": {"hosts": [redis.address]},
            }
        }
        redis.pause()
        attempts.clear()

        key = await upload(visitor)
        document = await Document.objects.acreate(file=key)

        await document.arefresh_from_db()
        assert not str(document.file.name).startswith("async-temp-files/")
        assert len(attempts) == 1

        redis.resume()
        ticket = await ticket_for(visitor, "report.txt")
        async with status_socket(visitor) as socket:
            await socket.subscribe(ticket["key"])
            await visitor.put(ticket["uploadUrl"]["url"], content=b"x")
            assert await socket.hear_state("uploaded")

    lines = [record.getMessage() for record in caplog.records if "channel layer" in record.getMessage()]
    assert ["does not answer" in lines[0], "answers again" in lines[1]] == [True, True]
    assert len(lines) == 2
