"""Uploads reach the disk as they arrive, with the project's middleware around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.request import RawPostDataException
from django.http.response import HttpResponseBase

from async_uploads.asgi import StreamingASGIHandler
from async_uploads.models import AsyncTempFile
from async_uploads.streaming import RequestStream
from tests.conftest import serving, ticket_for, visiting
from tests.processes import server_process
from tests.testapp.models import Document
from tests.watching import eventually, parts_of, watching
from tests.wire import wired

SERVERS = ["uvicorn", "hypercorn"]
HALF = b"first half. "
REST = b"second half."


async def in_pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]
        await asyncio.sleep(0)


async def stored_content(key: str) -> bytes:
    storage: Any = Document._meta.get_field("file").storage
    return bytes(await storage.aread_range(key, 0, 10**9))


async def test_half_a_body_is_on_disk_and_told_before_the_rest_is_sent(
    server: str, visitor: httpx.AsyncClient
) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    key = ticket["key"]

    async with watching(key) as watcher, wired(server) as wire:
        await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": len(HALF + REST)})
        await wire.send(HALF)

        told = await watcher.hears(lambda status: status["received"] == len(HALF))
        await eventually(lambda: any(p.read_bytes() == HALF for p in parts_of(key)))
        assert (told["state"], told["total"]) == ("uploading", len(HALF + REST))

        await wire.send(REST)
        answer = await wire.answer()
        assert (answer.status, answer.json()["state"]) == (201, "uploaded")
        done = await watcher.hears_state("uploaded")

    assert done["received"] == len(HALF + REST)
    assert parts_of(key) == []
    assert await stored_content(key) == HALF + REST


@pytest.mark.parametrize("kind", SERVERS)
async def test_each_server_streams(kind: str, transactional_db: None) -> None:
    async with server_process(kind) as process, visiting(process.address) as visitor:
        ticket = await ticket_for(visitor, "report.txt")
        async with wired(process.address) as wire:
            await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Transfer-Encoding": "chunked"})
            await wire.send_chunk(HALF)
            await eventually(lambda: any(p.read_bytes() == HALF for p in parts_of(ticket["key"])))

            await wire.send_chunk(REST)
            await wire.send_chunk(b"")
            assert (await wire.answer()).status == 201

    assert await stored_content(ticket["key"]) == HALF + REST


async def test_put_without_a_length_is_taken(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    content = bytes(range(32, 127)) * 1000

    response = await visitor.put(ticket["uploadUrl"]["url"], content=in_pieces(content, 4096))

    assert response.status_code == 201, response.text
    assert response.request.headers["transfer-encoding"] == "chunked"
    assert response.json()["total"] == len(content)
    assert await stored_content(ticket["key"]) == content


@pytest.mark.parametrize("before", [{}, {"note": "a field before the file"}])
async def test_post_multipart_stores_the_file_alone(
    visitor: httpx.AsyncClient, before: dict[str, str]
) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    content = b"--\r\nnot a boundary\r\n" * 5000

    response = await visitor.post(
        ticket["uploadUrl"]["url"], data=before, files={"file": ("other name.bin", content)}
    )

    assert response.status_code == 201, response.text
    assert await stored_content(ticket["key"]) == content
    assert response.json()["name"] == "report.txt"


async def test_half_a_multipart_body_is_on_disk_before_the_rest_is_sent(
    server: str, visitor: httpx.AsyncClient
) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    body = head + HALF + REST + b"\r\n--b--\r\n"

    async with wired(server) as wire:
        await wire.begin(
            "POST",
            ticket["uploadUrl"]["url"],
            {"Content-Length": len(body), "Content-Type": "multipart/form-data; boundary=b"},
        )
        await wire.send(body[: len(head + HALF)])
        await eventually(
            lambda: any(p.read_bytes() and HALF.startswith(p.read_bytes()) for p in parts_of(ticket["key"]))
        )
        await wire.send(body[len(head + HALF) :])
        assert (await wire.answer()).status == 201

    assert await stored_content(ticket["key"]) == HALF + REST


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=b", b"no boundary in here"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data", b"--b\r\n"),
        ("text/plain", b"just text"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\ncut sho',
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="else"; filename="x"\r\n\r\nbytes\r\n--b--\r\n',
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n\r\n' * 2
            + b"--b--\r\n",
        ),
    ],
    ids=["garbage", "empty", "no-boundary", "not-multipart", "cut-short", "no-file", "two-files"],
)
async def test_malformed_multipart_is_the_clients_error_and_the_url_stays_usable(
    visitor: httpx.AsyncClient, content_type: str, body: bytes
) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    url = ticket["uploadUrl"]["url"]

    response = await visitor.post(url, content=body, headers={"Content-Type": content_type})

    assert response.status_code == 400, response.text
    assert list(response.json()) == ["file"]
    assert parts_of(ticket["key"]) == []
    assert (await visitor.put(url, content=b"now rightly")).status_code == 201


async def test_tiny_chunks_arrive_whole(server: str, visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    content = b"abcdefghij" * 30

    async with wired(server) as wire:
        await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Transfer-Encoding": "chunked"})
        for byte in content:
            await wire.send_chunk(bytes([byte]))
        await wire.send_chunk(b"")
        assert (await wire.answer()).status == 201

    assert await stored_content(ticket["key"]) == content


seen: list[tuple[str, str, int]] = []


class AsyncSeeing:
    """A project's own middleware."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        assert iscoroutinefunction(get_response)
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        states = [row.state async for row in AsyncTempFile.objects.all()]
        response: HttpResponseBase = await self.get_response(request)
        seen.append(("async", "".join(states), response.status_code))
        response["X-Seen"] = "async"
        return response


def sync_seeing(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """As Django's documentation shows one: it knows nothing of async."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        states = AsyncTempFile.objects.values_list("state", flat=True)
        before = "".join(states)
        response = get_response(request)
        seen.append(("sync", before, response.status_code))
        response["X-Seen"] = "sync"
        return response

    return middleware


@pytest.mark.parametrize(("kind", "name"), [("async", "AsyncSeeing"), ("sync", "sync_seeing")])
async def test_the_projects_middleware_is_around_the_streamed_view(
    transactional_db: None, settings: Any, kind: str, name: str
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.{name}"]
    async with serving(StreamingASGIHandler()) as address, visiting(address) as visitor:
        ticket = await ticket_for(visitor, "report.txt")
        seen.clear()

        async with wired(address) as wire:
            await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": len(HALF + REST)})
            await wire.send(HALF)
            await eventually(lambda: any(p.read_bytes() == HALF for p in parts_of(ticket["key"])))
            assert seen == []
            await wire.send(REST)
            answer = await wire.answer()

    assert answer.status == 201
    assert seen == [(kind, "pending", 201)]
    assert answer.headers["x-seen"] == kind
    assert answer.headers["x-frame-options"] == "DENY"


async def test_a_middleware_that_reads_the_body_is_told_why_it_cannot() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    stream = RequestStream(receive)

    with pytest.raises(RawPostDataException, match="as a stream"):
        stream.read()


async def test_views_that_do_not_stream_get_their_body_as_ever(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")

    cancelled = await visitor.post("/async-uploads/cancel-upload/", data={"key": ticket["key"]})

    assert cancelled.status_code == 204


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
async def test_the_upload_url_takes_nothing_but_uploads(visitor: httpx.AsyncClient, method: str) -> None:
    ticket = await ticket_for(visitor, "report.txt")

    response = await visitor.request(method, ticket["uploadUrl"]["url"])

    assert response.status_code == 405
    assert (await AsyncTempFile.objects.aget()).state == "pending"
