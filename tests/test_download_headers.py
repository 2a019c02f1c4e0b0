"""What a browser is told about a download: its name, whether it may be shown, and who sends the bytes."""

from __future__ import annotations

from email.message import Message
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from django.core.files.base import ContentFile

from tests.test_downloads import storage, url_of


def name_in(disposition: str) -> str:
    """The file name that a browser takes from a Content-Disposition (RFC 6266, RFC 8187)."""
    message = Message()
    message["Content-Disposition"] = disposition
    name = message.get_filename()
    assert name is not None, disposition
    return unquote(name)


@pytest.fixture
def stored(empty_media: None) -> str:
    return str(storage().save("documents/stored.bin", ContentFile(b"some bytes")))


@pytest.mark.parametrize(
    "name",
    [
        "report.pdf",
        "تقرير سنوي.pdf",
        "年度报告.pdf",
        "🎉 party 👩\u200d👩\u200d👧.png",
        'say "hello".txt',
        "back\\slash.txt",
        "semi;colon, comma.txt",
        "naïve café.txt",
        "plus+plus & more=x.txt",
        "o'clock.txt",
        "a" * 250 + ".txt",
    ],
)
async def test_the_name_arrives_as_it_is(visitor: httpx.AsyncClient, stored: str, name: str) -> None:
    response = await visitor.get(url_of(stored, filename=name))

    assert response.status_code == 200, response.text
    assert name_in(response.headers["content-disposition"]) == name


@pytest.mark.parametrize("name", ["100%.txt", "50%41.txt"])
async def test_a_percent_sign_in_a_name_is_itself(visitor: httpx.AsyncClient, stored: str, name: str) -> None:
    response = await visitor.get(url_of(stored, filename=name))

    assert response.headers["content-disposition"] == f'attachment; filename="{name}"'.replace(
        "attachment", "inline"
    )


@pytest.mark.parametrize(
    "name", ["two\nlines.txt", "two\r\nX-Evil: yes.txt", "ends in one.txt\n", "nul\0.txt"]
)
async def test_a_name_cannot_add_headers(visitor: httpx.AsyncClient, stored: str, name: str) -> None:
    response = await visitor.get(url_of(stored, filename=name))

    assert response.status_code == 200
    assert "x-evil" not in response.headers
    assert "\n" not in response.headers["content-disposition"]


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("photo.png", "image/png"),
        ("photo.jpg", "image/jpeg"),
        ("paper.pdf", "application/pdf"),
        ("notes.txt", "text/plain"),
    ],
)
async def test_what_is_harmless_may_be_shown(
    visitor: httpx.AsyncClient, stored: str, name: str, content_type: str
) -> None:
    response = await visitor.get(url_of(stored, filename=name))

    assert response.headers["content-disposition"] == f'inline; filename="{name}"'
    assert response.headers["content-type"] == content_type
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name",
    [
        "page.html",
        "page.HTML",
        "page.htm",
        "page.xhtml",
        "drawing.svg",
        "feed.xml",
        "code.js",
        "unknown",
        "a.zip",
    ],
)
async def test_what_could_run_in_the_sites_name_is_only_saved(
    visitor: httpx.AsyncClient, stored: str, name: str
) -> None:
    response = await visitor.get(url_of(stored, filename=name, inline=True))

    assert response.headers["content-disposition"].startswith("attachment; ")
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_the_setting_tells_what_may_be_shown(
    visitor: httpx.AsyncClient, stored: str, settings: Any
) -> None:
    settings.ASYNC_UPLOADS = {"INLINE_TYPES": ["text/csv"]}

    table = await visitor.get(url_of(stored, filename="table.csv"))
    photo = await visitor.get(url_of(stored, filename="photo.png"))

    assert table.headers["content-disposition"].startswith("inline")
    assert photo.headers["content-disposition"].startswith("attachment")


async def test_a_link_can_ask_for_an_attachment(visitor: httpx.AsyncClient, stored: str) -> None:
    response = await visitor.get(url_of(stored, filename="photo.png", inline=False))

    assert response.headers["content-disposition"].startswith("attachment")


SENT_BY_SERVER = "documents/تقرير 50%41.txt"


@pytest.fixture
def sent_by_server(empty_media: None) -> str:
    """A link to a file whose name needs escaping, as an ``upload_to`` of the project's own may give it."""
    path = storage().path(SENT_BY_SERVER)
    storage().save("documents/made.txt", ContentFile(b""))
    with open(path, "wb") as file:
        file.write(b"some bytes")
    return url_of(SENT_BY_SERVER, filename="report.txt")


async def test_nginx_sends_the_file(visitor: httpx.AsyncClient, sent_by_server: str, settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"SENDFILE": "x-accel-redirect"}
    settings.MEDIA_URL = "/protected/"

    response = await visitor.get(sent_by_server, headers={"Range": "bytes=0-3"})

    # nginx unescapes the URI and serves ranges itself.
    assert unquote(response.headers["x-accel-redirect"]) == f"/protected/{SENT_BY_SERVER}"
    assert (response.status_code, response.content) == (200, b"")
    assert "content-range" not in response.headers
    assert response.headers["content-disposition"] == 'inline; filename="report.txt"'
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_apache_sends_the_file(visitor: httpx.AsyncClient, sent_by_server: str, settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"SENDFILE": "x-sendfile"}

    response = await visitor.get(sent_by_server)

    # mod_xsendfile unescapes the path (XSendFileUnescape is on by default), lighttpd too.
    assert unquote(response.headers["x-sendfile"]) == storage().path(SENT_BY_SERVER)
    assert (response.status_code, response.content) == (200, b"")
