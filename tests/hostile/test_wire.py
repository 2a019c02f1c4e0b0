"""Bytes on the socket that a browser never sends: smuggled lengths, broken chunks, headers without end."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from async_uploads.models import AsyncTempFile
from tests.asgi import application
from tests.conftest import serving, ticket_for, visiting
from tests.watching import eventually, files_under_media
from tests.wire import Wire, wired

pytestmark = pytest.mark.django_db(transaction=True)

BODY = b"0123456789"
SECOND = b"GET /async-uploads/upload-status/?key=smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def answers(
    wire: Wire, ticket: dict[str, Any], method: str, headers: list[str], body: bytes
) -> list[int]:
    """The status of each answer, until the server closes the connection or has nothing more to say."""
    head = [f"{method} {ticket['uploadUrl']['url']} HTTP/1.1", "Host: localhost", *headers, "", ""]
    await wire.send("\r\n".join(head).encode("latin-1") + body)
    found = []
    try:
        async with asyncio.timeout(0.5):  # some of them wait for more, as they may
            while True:
                head_of_answer = await wire.head()
                await wire.body_after(head_of_answer)
                found.append(head_of_answer.status)
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
        return found


SMUGGLED = {
    "two lengths": (["Content-Length: 10", "Content-Length: 5"], BODY),
    "two lengths in one": (["Content-Length: 10, 5"], BODY),
    "a length below zero": (["Content-Length: -1"], BODY),
    "a length with a sign": (["Content-Length: +10"], BODY),
    "a length that is none": (["Content-Length: ten"], BODY),
    "a length in other digits": (["Content-Length: \xb2"], BODY),
    "a length beyond all numbers": (["Content-Length: " + "9" * 40], BODY),
    "a length and chunks": (
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        b"a\r\n0123456789\r\n0\r\n\r\n",
    ),
    "chunks and a second request": (
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        b"0\r\n\r\n" + SECOND,
    ),
    "an encoding that is none": (["Transfer-Encoding: xchunked"], b"a\r\n0123456789\r\n0\r\n\r\n"),
    "chunks twice": (["Transfer-Encoding: chunked, chunked"], b"a\r\n0123456789\r\n0\r\n\r\n"),
    "a chunk below zero": (["Transfer-Encoding: chunked"], b"-1\r\nx\r\n0\r\n\r\n"),
    "a chunk of any size": (["Transfer-Encoding: chunked"], b"fffffffffffffffff\r\nx\r\n0\r\n\r\n"),
    "a chunk with another number": (["Transfer-Encoding: chunked"], b"0x5\r\n01234\r\n0\r\n\r\n"),
    "a chunk longer than told": (["Transfer-Encoding: chunked"], b"2\r\n0123456789\r\n0\r\n\r\n"),
    "a chunk without its end": (["Transfer-Encoding: chunked"], b"a\r\n0123456789"),
    "a header with a line feed": (["X: a\nContent-Length: 10"], BODY),
    "a header folded": (["X: a\r\n  Content-Length: 5", "Content-Length: 10"], BODY),
    "a space before the colon": (["Content-Length : 10"], BODY),
}


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize(("headers", "body"), SMUGGLED.values(), ids=SMUGGLED)
async def test_lengths_that_can_be_read_in_two_ways(http: str, headers: list[str], body: bytes) -> None:
    """Whatever the server makes of them: never a 500, and a file is stored whole or not at all."""
    async with serving(application, http=http) as address, visiting(address) as visitor:
        ticket = await ticket_for(visitor, "a.txt")
        async with wired(address) as wire:
            found = await answers(wire, ticket, "PUT", headers, body)

        assert all(status < 500 for status in found)
        row: Any = await eventually(lambda: _settled(ticket["key"]))
        stored = [path.read_bytes() for path in files_under_media()]
        if row.state == "uploaded":
            assert not found or found[0] == 201
            assert stored == [BODY[: row.size]]
            assert row.size in (0, 5, 10)
        else:
            assert stored == []


async def _settled(key: str) -> Any:
    row = await AsyncTempFile.objects.aget(key=key)
    return None if row.state == "uploading" else row


BROKEN_FORMS = {
    "a part without an end": b"--b\r\n" + b"X: y\r\n" * 2000,
    "a header without an end": b"--b\r\nX: " + b"y" * 200_000,
    "another boundary": b"--c\r\n\r\nx\r\n--c--\r\n",
    "only a boundary": b"--b--\r\n",
    "nested": b'--b\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n'
    b"--m\r\n\r\nx\r\n--m--\r\n--b--\r\n",
    "interleaved": b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx\r\n--b\r\n'
    b'Content-Disposition: form-data; name="else"\r\n--b--\r\n\r\nx\r\n--b',
    "cut": b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nsome by',
}


@pytest.mark.parametrize("size", [7, 100_000])
@pytest.mark.parametrize("body", BROKEN_FORMS.values(), ids=BROKEN_FORMS)
async def test_a_broken_form_is_the_clients_error(
    server: str, visitor: httpx.AsyncClient, body: bytes, size: int
) -> None:
    ticket = await ticket_for(visitor, "a.txt")

    async def in_chunks() -> Any:
        for start in range(0, min(len(body), size * 2000), size):
            yield body[start : start + size]

    response = await visitor.post(
        ticket["uploadUrl"]["url"],
        content=in_chunks(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )

    assert (response.status_code, list(response.json())) == (400, ["file"])
    assert files_under_media() == []
    assert (await AsyncTempFile.objects.aget()).state == "pending"


async def test_a_form_whose_last_line_break_comes_late_is_taken(
    server: str, visitor: httpx.AsyncClient
) -> None:
    ticket = await ticket_for(visitor, "a.txt")
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx\r\n--b--'

    async with wired(server) as wire:
        await wire.begin(
            "POST",
            ticket["uploadUrl"]["url"],
            {"Content-Length": len(form) + 2, "Content-Type": "multipart/form-data; boundary=b"},
        )
        await wire.send(form)
        await eventually(lambda: any(path.read_bytes() == b"x" for path in files_under_media()))
        await wire.send(b"\r\n")
        assert (await wire.answer()).status == 201
