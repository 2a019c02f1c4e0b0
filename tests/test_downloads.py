"""Files go out in pieces: whole, in ranges, or not at all where the client has them already (RFC 9110)."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import httpx
import pytest
from django.core.files.base import ContentFile

from async_uploads.asgi import StreamingASGIHandler
from tests.conftest import field_id_of, serving, upload, visiting
from tests.processes import server_process
from tests.test_spooled_uploads import serving_wsgi
from tests.testapp.models import Document, Letter
from tests.wire import wired

CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)
NAME = "documents/stored.bin"


def storage() -> Any:
    return Document._meta.get_field("file").storage


def url_of(name: str = NAME, *, filename: str | None = None, **params: Any) -> str:
    return str(storage().generate_download_url(name, field_id_of(), filename=filename, **params))


@pytest.fixture
def url(empty_media: None) -> str:
    """A link to a stored file that holds CONTENT."""
    storage().save(NAME, ContentFile(CONTENT))
    return url_of()


async def test_the_whole_file(visitor: httpx.AsyncClient, url: str) -> None:
    response = await visitor.get(url)

    assert response.status_code == 200
    assert response.content == CONTENT
    assert response.headers["content-length"] == str(SIZE)
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "private, max-age=0, must-revalidate"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=5000-5999", 5000, 6000),
        ("bytes=10000-", 10000, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        ("bytes=-100", SIZE - 100, SIZE),
        ("bytes=-999999", 0, SIZE),
        ("bytes=0-999999", 0, SIZE),
        (f"bytes={SIZE - 1}-{SIZE - 1}", SIZE - 1, SIZE),
        ("bytes= 1 - 2", 1, 3),
        ("Bytes=1-2", 1, 3),
    ],
)
async def test_a_range(visitor: httpx.AsyncClient, url: str, asked: str, start: int, end: int) -> None:
    response = await visitor.get(url, headers={"Range": asked})

    assert response.status_code == 206
    assert response.content == CONTENT[start:end]
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert response.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=999999-", "bytes=-0", f"bytes={SIZE}-{SIZE + 5}"])
async def test_a_range_behind_the_end(visitor: httpx.AsyncClient, url: str, asked: str) -> None:
    response = await visitor.get(url, headers={"Range": asked})

    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{SIZE}"
    assert response.content == b""


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,5-6",
        "bytes=5-2",
        "bytes=-",
        "bytes=a-b",
        "bytes=--1",
        "bytes",
        "lines=0-1",
        "bytes=0x1-2",
        f"bytes=0-{'9' * 5000}",
    ],
)
async def test_a_range_that_is_not_understood_gets_the_whole(
    visitor: httpx.AsyncClient, url: str, asked: str
) -> None:
    response = await visitor.get(url, headers={"Range": asked})

    assert response.status_code == 200
    assert response.content == CONTENT


async def test_the_ranges_of_a_file_make_the_file(visitor: httpx.AsyncClient, url: str) -> None:
    pieces = [
        (await visitor.get(url, headers={"Range": f"bytes={start}-{start + 999}"})).content
        for start in range(0, SIZE, 1000)
    ]

    assert b"".join(pieces) == CONTENT


async def test_head_tells_about_the_whole_file(visitor: httpx.AsyncClient, url: str) -> None:
    whole = await visitor.get(url)

    head = await visitor.head(url)
    with_range = await visitor.head(url, headers={"Range": "bytes=0-1"})

    assert (head.status_code, head.content) == (200, b"")
    for name in (
        "content-length",
        "etag",
        "last-modified",
        "content-type",
        "content-disposition",
        "accept-ranges",
    ):
        assert head.headers[name] == whole.headers[name]
    # RFC 9110, 14.2: a Range means something for GET alone.
    assert (with_range.status_code, with_range.headers["content-length"]) == (200, str(SIZE))


async def test_what_the_client_has_is_not_sent_again(visitor: httpx.AsyncClient, url: str) -> None:
    first = await visitor.get(url)

    for condition in (
        {"If-None-Match": first.headers["etag"]},
        {"If-None-Match": f'"other", W/{first.headers["etag"]}'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": first.headers["last-modified"]},
    ):
        again = await visitor.get(url, headers=condition)
        assert (again.status_code, again.content) == (304, b""), condition
        assert again.headers["etag"] == first.headers["etag"]
        assert "cache-control" in again.headers


async def test_what_the_client_has_not_is_sent(visitor: httpx.AsyncClient, url: str) -> None:
    for condition in (
        {"If-None-Match": '"other"'},
        {"If-Modified-Since": formatdate(0, usegmt=True)},
        {"If-Modified-Since": "the day before yesterday"},
    ):
        assert (await visitor.get(url, headers=condition)).content == CONTENT, condition


async def test_if_range_holds_only_for_the_very_same_file(visitor: httpx.AsyncClient, url: str) -> None:
    first = await visitor.get(url)
    etag, modified = first.headers["etag"], first.headers["last-modified"]

    for condition, status in (
        (etag, 206),
        (modified, 206),
        ('"other"', 200),
        (f"W/{etag}", 200),
        (formatdate(0, usegmt=True), 200),
        ("nonsense", 200),
    ):
        response = await visitor.get(url, headers={"Range": "bytes=0-9", "If-Range": condition})
        assert response.status_code == status, condition


async def test_a_changed_file_has_another_etag(visitor: httpx.AsyncClient, url: str) -> None:
    before = (await visitor.get(url)).headers["etag"]
    storage().delete(NAME)
    storage().save(NAME, ContentFile(CONTENT[::-1]))

    after = await visitor.get(url, headers={"If-None-Match": before})

    assert after.status_code == 200
    assert after.content == CONTENT[::-1]


async def test_an_empty_file(visitor: httpx.AsyncClient) -> None:
    storage().save("documents/empty.txt", ContentFile(b""))
    url = url_of("documents/empty.txt")

    whole = await visitor.get(url)
    ranged = await visitor.get(url, headers={"Range": "bytes=0-"})

    assert (whole.status_code, whole.content, whole.headers["content-length"]) == (200, b"", "0")
    assert ranged.status_code == 416


async def test_a_file_that_has_gone(visitor: httpx.AsyncClient, url: str) -> None:
    storage().delete(NAME)

    response = await visitor.get(url)

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_a_part_is_not_compressed_as_if_it_were_the_whole(
    transactional_db: None, settings: Any, url: str
) -> None:
    settings.MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware", *settings.MIDDLEWARE]
    text = b"the same words again and again. " * 1000
    storage().save("documents/words.txt", ContentFile(text))
    words = url_of("documents/words.txt")
    async with serving(StreamingASGIHandler()) as address, visiting(address) as visitor:
        whole = await visitor.get(words)
        part = await visitor.get(words, headers={"Range": "bytes=0-9999"})

        resumed = await visitor.get(
            words, headers={"Range": "bytes=0-9999", "If-Range": whole.headers["etag"]}
        )

    assert (whole.headers["content-encoding"], whole.content) == ("gzip", text)
    assert part.status_code == 206
    assert part.content == text[:10_000]
    assert part.headers["content-length"] == "10000"
    assert resumed.status_code == 200, (
        "what the client has are compressed bytes: no range of others fits them"
    )


async def test_a_large_file_goes_out_in_pieces_while_the_server_does_other_things(
    transactional_db: None,
) -> None:
    """A client that takes nothing holds up nobody, and little memory."""
    size = 64 * 1024 * 1024
    with open(storage().path(storage().save("documents/large.bin", ContentFile(b""))), "wb") as file:
        file.truncate(size)
    async with server_process() as process, visiting(process.address) as visitor:
        await upload(visitor, b"warm", model=Letter, field="attachment")
        await visitor.get(url_of("documents/large.bin"), headers={"Range": "bytes=0-3000000"})
        memory = process.peak_memory

        async with wired(process.address) as slow:
            await slow.begin("GET", url_of("documents/large.bin"))
            other = await visitor.get(url_of("documents/large.bin"), headers={"Range": "bytes=-5"})
            answer = await slow.answer()

        assert other.status_code == 206
        assert len(answer.body) == size
        assert process.peak_memory - memory < 24 * 1024 * 1024


async def test_under_wsgi(transactional_db: None, url: str) -> None:
    with serving_wsgi() as address:
        async with visiting(address) as visitor:
            whole = await visitor.get(url)
            part = await visitor.get(url, headers={"Range": "bytes=10-19"})
            head = await visitor.head(url)

    assert whole.content == CONTENT
    assert (part.status_code, part.content) == (206, CONTENT[10:20])
    assert (head.content, head.headers["content-length"]) == (b"", str(SIZE))
