"""Counts what single requests wait for. ``python -m benchmarks.sites.hops SESSION FIELD_ID ours|djangos``

Prints JSON: for each step of an upload the trips to threads, and the SQL statements. By our ASGI handler, or Django's.
A second request of each kind is counted: the first one's may be to what is then remembered.
"""

import asyncio
import json
import os
import sys
from asyncio.base_events import BaseEventLoop
from collections.abc import AsyncIterator
from typing import Any

import httpx

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.sites.settings"

SESSION, FIELD_ID, HANDLER = sys.argv[1:]
TOKEN = "a" * 32
PIECES, PIECE = 16, 256 * 1024

if HANDLER == "ours":
    from async_uploads.asgi import get_asgi_application
else:
    from django.core.asgi import get_asgi_application

application = get_asgi_application()

from django.conf import settings  # noqa: E402
from django.db.backends.signals import connection_created  # noqa: E402


class Counts:
    """Of the process, so far."""

    hops = 0
    statements = 0


class Counted:
    """What is between two looks at the counts."""

    def __init__(self) -> None:
        self.steps: dict[str, dict[str, int]] = {}

    async def step(self, name: str, asking: Any) -> httpx.Response:
        hops, statements = Counts.hops, Counts.statements
        answer: httpx.Response = await asking
        answer.raise_for_status()
        self.steps[name] = {
            "trips to a thread": Counts.hops - hops,
            "SQL statements": Counts.statements - statements,
        }
        return answer


def count_hops() -> None:
    run: Any = BaseEventLoop.run_in_executor

    def counted(*args: Any) -> Any:
        Counts.hops += 1
        return run(*args)

    BaseEventLoop.run_in_executor = counted  # type: ignore[method-assign]  # all of asyncio goes through it


def count_statements(connection: Any, **kwargs: Any) -> None:
    def counted(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        Counts.statements += 1
        return execute(sql, params, many, context)

    connection.execute_wrappers.append(counted)


async def body() -> AsyncIterator[bytes]:
    for _ in range(PIECES):
        yield bytes(PIECE)


async def journey(client: httpx.AsyncClient) -> dict[str, dict[str, int]]:
    counted = Counted()
    await counted.step("page", client.get("/page/"))
    if settings.SITE == "peer":
        given = await counted.step("upload URL", client.get("/uploads/generate-upload-url/", params=asked()))
        ticket = given.json()["uploadUrl"]
        sent = client.post(ticket["url"], files={"file": ("report.bin", bytes(PIECES * PIECE))})
    else:
        given = await counted.step("upload URL", client.post("/uploads/generate-upload-url/", json=asked()))
        ticket = given.json()["uploadUrl"]
        sent = client.put(ticket["url"], content=body(), headers=ticket["headers"])
    await counted.step("4 MiB", sent)
    await counted.step("save", client.post("/save/", json={"key": given.json()["key"]}))
    return counted.steps


def asked() -> dict[str, str]:
    return {"fieldId": FIELD_ID, "filename": "report.bin"}


async def main() -> None:
    transport = httpx.ASGITransport(application)
    headers = {"Cookie": f"sessionid={SESSION}; csrftoken={TOKEN}", "X-CSRFToken": TOKEN}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://testserver", headers=headers
    ) as client:
        await journey(client)
        json.dump(await journey(client), sys.stdout)


connection_created.connect(count_statements)
count_hops()
asyncio.run(main())
