"""Under Django's own handlers, which spool the body before the view runs, uploads work too."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections

from async_uploads.models import AsyncFileInputData, AsyncTempFile
from async_uploads.views import filesystem
from tests.conftest import field_id_of, serving, ticket_for, visiting
from tests.testapp.models import Document
from tests.wire import wired

TOKEN = "a" * 32


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Django under WSGI, whose connections end with the thread that they belong to."""
    return WSGIHandler()(environ, start_response)


@contextmanager
def serving_wsgi() -> Iterator[str]:
    """wsgiref's server in a thread; yields its address."""

    def serve() -> None:
        try:
            server.serve_forever(poll_interval=0.01)
        finally:
            connections.close_all()

    with make_server("127.0.0.1", 0, application, handler_class=Quiet) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def sync_visitor(transactional_db: None) -> Iterator[httpx.Client]:
    with (
        serving_wsgi() as address,
        httpx.Client(
            base_url=address, timeout=30, cookies={"csrftoken": TOKEN}, headers={"X-CSRFToken": TOKEN}
        ) as client,
    ):
        yield client


def ticket_over_wsgi(client: httpx.Client, filename: str = "report.txt", **more: Any) -> dict[str, Any]:
    response = client.post(
        "/async-uploads/generate-upload-url/",
        json={"fieldId": field_id_of(), "filename": filename, **more},
    )
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_wsgi_put_save_and_download(sync_visitor: httpx.Client) -> None:
    ticket = ticket_over_wsgi(sync_visitor)
    content = b"0123456789" * 50_000

    response = sync_visitor.put(ticket["uploadUrl"]["url"], content=content)
    assert response.status_code == 201, response.text
    document = Document.objects.create(file=AsyncFileInputData(key=ticket["key"], name="report.txt"))

    assert document.file.name == "documents/report.txt"
    assert sync_visitor.get(document.file.url, follow_redirects=True).content == content


def test_wsgi_post_multipart(sync_visitor: httpx.Client) -> None:
    ticket = ticket_over_wsgi(sync_visitor)

    response = sync_visitor.post(ticket["uploadUrl"]["url"], files={"file": ("x", b"some bytes")})

    assert response.status_code == 201, response.text
    assert response.json()["received"] == len(b"some bytes")


async def test_wsgi_refuses_what_is_too_large(transactional_db: None) -> None:
    with serving_wsgi() as address:
        async with visiting(address) as visitor:
            ticket = await ticket_for(visitor, "report.txt")
        async with wired(address) as wire:
            await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": 1024 * 1024 + 1})
            answer = await wire.answer()

    assert answer.status == 413
    assert (await AsyncTempFile.objects.aget()).error_code == "file_too_large"


async def test_djangos_own_asgi_handler_takes_uploads_and_warns_once(
    transactional_db: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "_warned", [])
    async with serving(ASGIHandler()) as address, visiting(address) as visitor:
        for send in (
            {"method": "PUT", "content": b"some bytes"},
            {"method": "POST", "files": {"file": ("x", b"some bytes")}},
        ):
            ticket = await ticket_for(visitor, "report.txt")
            with caplog.at_level(logging.WARNING, logger="async_uploads"):
                response = await visitor.request(url=ticket["uploadUrl"]["url"], **send)
            assert response.status_code == 201, response.text
            assert response.json()["received"] == len(b"some bytes")

    assert caplog.text.count("get_asgi_application()") == 1


async def test_two_uploads_at_once_under_djangos_own_asgi_handler(transactional_db: None) -> None:
    async with serving(ASGIHandler()) as address, visiting(address) as visitor:
        tickets = [await ticket_for(visitor, "report.txt") for _ in range(2)]

        answers = await asyncio.gather(
            *(visitor.put(ticket["uploadUrl"]["url"], content=b"x" * 500_000) for ticket in tickets)
        )

    assert [answer.status_code for answer in answers] == [201, 201]
