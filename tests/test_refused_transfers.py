"""Transfers that a rule forbids: stopped as early as can be known, and the client really reads why."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from async_uploads.asgi import StreamingASGIHandler
from async_uploads.models import AsyncTempFile
from async_uploads.streaming import RequestStream
from tests.conftest import image_bytes, serving, ticket_for, visiting
from tests.processes import server_process
from tests.testapp.models import Document, Picture
from tests.watching import files_under_media, watching
from tests.wire import wired

MIB = 1024 * 1024
LIMIT = MIB  # of Document.file
HTML = b"<!doctype html><script>alert(1)</script>"


async def assert_refused(ticket: dict[str, Any], code: str) -> None:
    row = await AsyncTempFile.objects.aget(key=ticket["key"])
    assert (row.state, row.error_code) == ("failed", code)
    assert row.error
    assert files_under_media() == []


@pytest.mark.parametrize("kind", ["uvicorn", "hypercorn"])
@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
async def test_a_client_that_sends_too_much_reads_the_answer_and_not_a_reset(
    transactional_db: None, kind: str, chunked: bool
) -> None:
    size = 16 * MIB
    async with server_process(kind) as process, visiting(process.address) as visitor:
        ticket = await ticket_for(visitor, "large.bin")
        async with wired(process.address) as wire:
            length = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": size}
            await wire.begin("PUT", ticket["uploadUrl"]["url"], length)
            for _ in range(size // MIB):  # looks for the answer only when it has sent everything
                await (wire.send_chunk if chunked else wire.send)(bytes(MIB))
            if chunked:
                await wire.send_chunk(b"")
            answer = await wire.answer()

            assert (answer.status, answer.json()["code"]) == (413, "file_too_large")
            assert await wire.is_closed_by_server()
    await assert_refused(ticket, "file_too_large")


async def test_an_announced_size_over_the_limit_is_refused_before_the_body(
    server: str, visitor: httpx.AsyncClient
) -> None:
    ticket = await ticket_for(visitor, "large.bin")

    async with watching(ticket["key"]) as watcher, wired(server) as wire:
        await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": LIMIT + 1})
        answer = await wire.answer()
        told = await watcher.hears_state("failed")

    assert (answer.status, answer.json()["code"]) == (413, "file_too_large")
    assert told["error"]["code"] == "file_too_large"
    await assert_refused(ticket, "file_too_large")


async def test_a_multipart_body_far_over_the_limit_is_refused_before_it_is_read(
    server: str, visitor: httpx.AsyncClient
) -> None:
    ticket = await ticket_for(visitor, "large.bin")

    async with wired(server) as wire:
        await wire.begin(
            "POST",
            ticket["uploadUrl"]["url"],
            {"Content-Length": LIMIT * 2, "Content-Type": "multipart/form-data; boundary=b"},
        )
        answer = await wire.answer()

    assert answer.status == 413
    await assert_refused(ticket, "file_too_large")


async def test_an_unannounced_body_is_refused_at_the_byte_that_exceeds_the_limit(
    server: str, visitor: httpx.AsyncClient
) -> None:
    ticket = await ticket_for(visitor, "large.bin")

    async with watching(ticket["key"]) as watcher, wired(server) as wire:
        await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Transfer-Encoding": "chunked"})
        await wire.send_chunk(bytes(LIMIT))
        await watcher.hears(lambda status: status["received"] == LIMIT)
        await wire.send_chunk(b"x")
        answer = await wire.answer()
        told = await watcher.hears_state("failed")

    assert (answer.status, answer.json()["code"]) == (413, "file_too_large")
    assert told["error"]["code"] == "file_too_large"
    await assert_refused(ticket, "file_too_large")


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_file_of_exactly_the_limit_is_taken(visitor: httpx.AsyncClient, method: str) -> None:
    ticket = await ticket_for(visitor, "large.bin")
    body: dict[str, Any] = (
        {"content": bytes(LIMIT)} if method == "PUT" else {"files": {"file": ("large.bin", bytes(LIMIT))}}
    )

    response = await visitor.request(method, ticket["uploadUrl"]["url"], **body)

    assert response.status_code == 201, response.text
    assert response.json()["received"] == LIMIT


async def test_one_byte_more_in_multipart_is_refused(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "large.bin")

    response = await visitor.post(ticket["uploadUrl"]["url"], files={"file": ("large.bin", bytes(LIMIT + 1))})

    assert response.status_code == 413
    await assert_refused(ticket, "file_too_large")


async def test_a_size_over_the_limit_gets_no_ticket(visitor: httpx.AsyncClient) -> None:
    field = Document._meta.get_field("file")

    response = await visitor.post(
        "/async-uploads/generate-upload-url/",
        json={
            "fieldId": field.async_field_registry.generate_id(field),
            "filename": "large.bin",
            "size": LIMIT + 1,
        },
    )

    assert (response.status_code, response.json()["code"]) == (413, "file_too_large")
    assert not await AsyncTempFile.objects.aexists()


async def test_the_wrong_type_is_refused_after_the_first_bytes(
    server: str, visitor: httpx.AsyncClient
) -> None:
    ticket = await ticket_for(visitor, "photo.png", model=Picture, field="image")

    async with watching(ticket["key"]) as watcher, wired(server) as wire:
        await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": 50 * MIB})
        await wire.send(HTML.ljust(10_000))
        answer = await wire.answer()
        told = await watcher.hears_state("failed")

    assert (answer.status, answer.json()["code"]) == (415, "type_not_allowed")
    assert told["error"]["code"] == "type_not_allowed"
    await assert_refused(ticket, "type_not_allowed")


@pytest.mark.parametrize(
    "content", [HTML, b"", b"\x89PNG\r\n\x1a\n", image_bytes()[:40]], ids=["html", "empty", "magic", "cut"]
)
async def test_what_is_no_image_is_refused_at_the_end(visitor: httpx.AsyncClient, content: bytes) -> None:
    ticket = await ticket_for(visitor, "photo.png", model=Picture, field="image")

    response = await visitor.put(ticket["uploadUrl"]["url"], content=content)

    assert (response.status_code, response.json()["code"]) == (415, "type_not_allowed")
    await assert_refused(ticket, "type_not_allowed")


async def test_a_refused_upload_cannot_be_tried_again(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "photo.png", model=Picture, field="image")
    await visitor.put(ticket["uploadUrl"]["url"], content=HTML)

    again = await visitor.put(ticket["uploadUrl"]["url"], content=image_bytes())

    assert (again.status_code, again.json()["code"]) == (409, "already_used")
    assert files_under_media() == []


async def test_a_client_that_asks_first_is_refused_without_sending(
    server: str, visitor: httpx.AsyncClient
) -> None:
    ticket = await ticket_for(visitor, "large.bin")

    async with wired(server) as wire:
        await wire.begin(
            "PUT", ticket["uploadUrl"]["url"], {"Content-Length": LIMIT + 1, "Expect": "100-continue"}
        )
        answer = await wire.answer()
        # Nothing is waited for: a lingering server would keep the connection for seconds.
        async with asyncio.timeout(3):
            assert await wire.is_closed_by_server()

    assert answer.status == 413


async def test_a_client_that_asks_first_is_told_to_go_on(server: str, visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")

    async with wired(server) as wire:
        await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": 4, "Expect": "100-continue"})
        interim = await wire.answer()
        await wire.send(b"body")
        answer = await wire.answer()

    assert (interim.status, answer.status) == (100, 201)


async def test_the_answer_is_whole_before_the_rest_of_the_body_is_read(
    transactional_db: None, settings: Any
) -> None:
    """Also where no middleware of Django's tells its length."""
    settings.MIDDLEWARE = []
    async with serving(StreamingASGIHandler()) as address, visiting(address) as visitor:
        ticket = await ticket_for(visitor, "large.bin")
        async with wired(address) as wire:
            await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": LIMIT + 1})
            async with asyncio.timeout(3):  # the server reads on for five seconds
                answer = await wire.answer()

    assert answer.status == 413
    assert answer.headers["content-length"] == str(len(answer.body))


async def test_a_connection_serves_one_upload_after_the_other(
    server: str, visitor: httpx.AsyncClient
) -> None:
    tickets = [await ticket_for(visitor, "report.txt") for _ in range(2)]

    async with wired(server) as wire:
        for ticket in tickets:
            await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": 4})
            await wire.send(b"body")
            assert (await wire.answer()).status == 201


async def test_a_refused_body_is_not_read_for_ever() -> None:
    """Neither one that goes on and on, nor one that stops."""
    read = 0

    async def endless() -> dict[str, Any]:
        nonlocal read
        read += 1
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def silent() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async with asyncio.timeout(10):
        await RequestStream(endless).drain(total=0.3, idle=0.2)
        await RequestStream(silent).drain(total=30, idle=0.2)
    assert read > 1
