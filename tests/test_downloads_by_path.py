"""Whole files that the server sends itself, where it offers to (ASGI's ``http.response.pathsend``)."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.files.base import ContentFile
from pytest_django import Settings

from async_uploads.asgi import StreamingASGIHandler
from async_uploads.testing import memory_uploads
from tests.test_downloads import CONTENT, NAME, SIZE, storage, url_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def stored(empty_media: None) -> None:
    storage().save(NAME, ContentFile(CONTENT))


async def ask(
    url: str, *headers: tuple[bytes, bytes], method: str = "GET", offered: bool = True
) -> list[Any]:
    """The messages that the handler sends to a server."""
    split = urlsplit(url)
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": split.path,
        "query_string": split.query.encode(),
        "headers": [(b"host", b"testserver"), *headers],
        "extensions": {"http.response.pathsend": {}} if offered else {},
    }
    asked = False
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await StreamingASGIHandler()(scope, receive, send)
    return sent


def headers_of(message: Any) -> dict[str, str]:
    return {name.decode().lower(): value.decode() for name, value in message["headers"]}


def body_of(messages: list[Any]) -> bytes:
    return b"".join(message["body"] for message in messages if "body" in message)


async def test_the_server_is_given_the_path_of_a_whole_file() -> None:
    start, path = await ask(url_of())

    assert path == {"type": "http.response.pathsend", "path": storage().path(NAME)}
    assert start["status"] == 200
    headers = headers_of(start)
    assert headers["content-length"] == str(SIZE)
    assert headers["x-content-type-options"] == "nosniff"
    assert "etag" in headers


async def test_the_head_is_the_same_as_with_the_bytes() -> None:
    by_path = await ask(url_of())
    by_bytes = await ask(url_of(), offered=False)

    assert headers_of(by_path[0]) == headers_of(by_bytes[0])
    assert body_of(by_bytes) == CONTENT


async def test_a_range_is_sent_by_ourselves() -> None:
    start, *rest = await ask(url_of(), (b"range", b"bytes=5-9"))

    assert start["status"] == 206
    assert body_of(rest) == CONTENT[5:10]


async def test_a_head_has_no_path() -> None:
    _start, *rest = await ask(url_of(), method="HEAD")

    assert body_of(rest) == b""


async def test_what_a_middleware_has_compressed_is_sent_and_not_the_file(settings: Settings) -> None:
    settings.MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware"]

    start, *rest = await ask(url_of(), (b"accept-encoding", b"gzip"))

    assert headers_of(start)["content-encoding"] == "gzip"
    assert gzip.decompress(body_of(rest)) == CONTENT


async def test_a_storage_that_is_no_disk_has_no_path() -> None:
    with memory_uploads() as memory:
        memory.save(NAME, ContentFile(CONTENT))
        _start, *rest = await ask(url_of())

    assert body_of(rest) == CONTENT
