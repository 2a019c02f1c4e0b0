"""How much a visitor may ask for, and for how long: each limit is a setting, with an answer and a line in the log."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from django.db import connection, connections
from django.http import HttpRequest
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from PIL import Image
from pytest_django import Settings

from async_uploads.exceptions import TooManyUploads, TypeNotAllowed
from async_uploads.inspection import measure_image, pixel_limit
from async_uploads.models import AsyncTempFile
from async_uploads.owners import hashed_address
from async_uploads.temp_files import expiry
from async_uploads.uploads import limiting
from tests.asking import as_json, ask_ticket, send, url_of
from tests.conftest import field_id_of, image_bytes, ticket_for, visiting
from tests.drfapp.asking import ask_for_ticket, client_of
from tests.processes import ROOT
from tests.races.crowd import acrowded, crowded, kinds
from tests.servers.postgresql import PostgreSQL
from tests.testapp.models import Picture
from tests.watching import eventually, parts_of
from tests.wire import Wire, wired

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nobody_told() -> None:
    """What was told in the test before does not count."""
    limiting._told.clear()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "async_uploads"]


####################################
# Unfinished uploads
####################################


async def ask_anew(headers: dict[str, str] | None = None) -> Any:
    """A visitor who has dropped their cookies."""
    asked = as_json(fieldId=field_id_of(), filename="a.txt")
    return await AsyncClient().post(url_of("generate-upload-url"), **asked, headers=headers)


async def test_who_drops_cookies_is_known_by_address(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_ADDRESS": 3}

    answers = [await ask_anew() for _time in range(5)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].json()["code"] == "too_many_uploads"
    rows = [row async for row in AsyncTempFile.objects.all()]
    assert len(rows) == 3
    who = f"the address {hashed_address('127.0.0.1')}"
    line = f"An upload was refused: {who} has 3 unfinished ones (MAX_PENDING_PER_ADDRESS)."
    assert {row.address for row in rows} == {hashed_address("127.0.0.1")}
    assert told(caplog) == [line], "Once, however many were refused."


async def test_each_owner_and_address_is_told_again_after_a_while(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_ADDRESS": 1}
    for _time in range(3):
        await ask_anew()
    assert len(told(caplog)) == 1

    monkeypatch.setattr(limiting, "LOG_INTERVAL", 0.0)
    await ask_anew()

    assert len(told(caplog)) == 2


async def test_a_session_is_not_told(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_OWNER": 0}

    await ask_anew()

    assert told(caplog) == ["An upload was refused: a visitor has 0 unfinished ones (MAX_PENDING_PER_OWNER)."]


async def test_a_refused_upload_is_not_told_as_begun(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_ADDRESS": 1}
    caplog.set_level(logging.INFO, "async_uploads")

    for _time in range(4):
        await ask_anew()

    begun = [record for record in caplog.records if getattr(record, "to_state", None) == "pending"]
    assert len(begun) == 1


async def test_who_asks_by_get_is_counted_by_address(settings: Settings) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_ADDRESS": 1}
    url = url_of("generate-upload-url", fieldId=field_id_of(), filename="a.txt")

    answers = [await AsyncClient().get(url) for _twice in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]


@pytest.mark.urls("tests.drfapp.urls")
async def test_of_an_api_whoever_has_no_token_is_counted_by_address(settings: Settings) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_ADDRESS": 1}
    ada = await client_of("ada")

    answers = [await ask_for_ticket(client) for client in (AsyncClient(), AsyncClient(), ada, ada)]

    assert [answer.status_code for answer in answers] == [200, 429, 200, 200]
    assert answers[1].json()["code"] == "too_many_uploads"


async def test_only_who_begins_an_upload_is_asked_for_an_address(
    settings: Settings, async_client: AsyncClient
) -> None:
    ticket = await ask_ticket(async_client)
    settings.ASYNC_UPLOADS = {"CLIENT_ADDRESS": f"{__name__}.no_address"}

    answer = await async_client.get(url_of("upload-status", key=ticket["key"]))

    assert answer.status_code == 200


def no_address(request: HttpRequest) -> str | None:
    raise AssertionError("Nobody needs it.")


async def test_a_person_who_is_logged_in_is_not_counted_by_address(
    settings: Settings, django_user_model: Any
) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_ADDRESS": 1}
    ada = AsyncClient()
    await ada.aforce_login(await django_user_model.objects.acreate(username="ada"))

    for _time in range(3):
        await ask_ticket(ada)

    assert {row.address async for row in AsyncTempFile.objects.all()} == {""}


async def test_without_the_limit_any_number_goes(settings: Settings) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_ADDRESS": None}

    assert [(await ask_anew()).status_code for _time in range(3)] == [200, 200, 200]


def address_in_a_header(request: HttpRequest) -> str | None:
    return request.headers.get("X-Real-IP")


async def test_the_project_may_tell_where_the_address_stands(settings: Settings) -> None:
    path = f"{__name__}.address_in_a_header"
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_ADDRESS": 1, "CLIENT_ADDRESS": path}

    answers = [await ask_anew(headers={"X-Real-IP": f"192.0.2.{number}"}) for number in (1, 1, 2)]

    assert [answer.status_code for answer in answers] == [200, 429, 200]


async def test_a_header_that_anybody_can_send_is_not_believed(settings: Settings) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_ADDRESS": 1}

    answers = [await ask_anew(headers={"X-Forwarded-For": f"192.0.2.{number}"}) for number in (1, 2)]

    assert [answer.status_code for answer in answers] == [200, 429]


def test_addresses_of_one_person_are_one_and_none_is_stored() -> None:
    assert hashed_address("2001:db8::1") == hashed_address("2001:db8::ffff:1")
    assert hashed_address("2001:db8::1") != hashed_address("2001:db8:0:1::1")
    assert hashed_address("::ffff:192.0.2.1") == hashed_address("192.0.2.1") != hashed_address("192.0.2.2")
    assert hashed_address("") == hashed_address(None) == hashed_address("unix:") == ""
    assert "192" not in hashed_address("192.0.2.1")[:3]


@pytest.mark.on_postgresql
@pytest.mark.parametrize("attempt", range(3))
async def test_of_many_requests_at_once_none_slips_through(
    settings: Settings, server: str, attempt: int
) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_ADDRESS": 10}

    async def ask(number: int) -> httpx.Response:
        async with visiting(server) as visitor:
            asked = {"fieldId": field_id_of(), "filename": "a.txt"}
            return await visitor.post("/async-uploads/generate-upload-url/", json=asked)

    answers = await acrowded(ask, 40)

    assert kinds(answers) == {"200": 10, "429": 30}
    assert await AsyncTempFile.objects.acount() == 10


@pytest.mark.on_postgresql
def test_of_an_owner_and_addresses_at_once_none_waits_for_ever(settings: Settings) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_OWNER": 10, "MAX_PENDING_PER_ADDRESS": 10}

    def begin(number: int) -> None:
        owner, address = f"session:{number % 3}", f"address{number // 3 % 3}"
        limiting.insert_within_limits(row_of(number, owner=owner, address=address))

    answers = crowded(begin, 20)

    assert kinds(answers) == {"done": 20}


@pytest.mark.postgresql_only
def test_where_there_is_room_nobody_waits(settings: Settings, postgresql: PostgreSQL) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_ADDRESS": 1}

    with CaptureQueriesContext(connection) as fitting:
        limiting.insert_within_limits(row_of(1, address="a"))
    with CaptureQueriesContext(connection) as too_many, pytest.raises(TooManyUploads):
        limiting.insert_within_limits(row_of(2, address="a"))

    assert "advisory" not in str(fitting.captured_queries)
    assert str(too_many.captured_queries).count("advisory") == 1


def row_of(number: int, **more: Any) -> AsyncTempFile:
    whole = {
        "key": f"async-temp-files/2026/11/22/{number}-a.txt",
        "name": "a.txt",
        "expires_at": expiry(3600),
    }
    return AsyncTempFile(model="testapp.document", field_name="file", **whole, **more)


class AnotherDatabase:
    """The tests' own, by another name."""

    vendor = "mysql"

    def __getattr__(self, name: str) -> Any:
        return getattr(connections["default"], name)


def test_other_databases_let_none_through_either(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_ADDRESS": 1}
    monkeypatch.setattr(limiting, "connections", {"default": AnotherDatabase()})
    limiting.insert_within_limits(row_of(1, address="a"))

    with pytest.raises(TooManyUploads):
        limiting.insert_within_limits(row_of(2, address="a"))

    assert AsyncTempFile.objects.count() == 1


####################################
# Time
####################################


async def trickle(wire: Wire) -> None:
    while True:
        await wire.send(b"x")
        await asyncio.sleep(0.1)


async def test_a_body_that_trickles_for_ever_is_given_up(
    server: str, visitor: httpx.AsyncClient, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ASYNC_UPLOADS = {"IDLE_TIMEOUT": 5.0, "UPLOAD_TIMEOUT": 1.0}
    caplog.set_level(logging.INFO, "async_uploads")
    ticket = await ticket_for(visitor, "report.txt")

    async with wired(server) as wire:
        await wire.begin("PUT", ticket["uploadUrl"]["url"], {"Content-Length": 1000})
        trickling = asyncio.create_task(trickle(wire))
        answer = await wire.answer()
        trickling.cancel()

    assert (answer.status, answer.json()["code"]) == (408, "timed_out")
    row = await AsyncTempFile.objects.aget()
    assert (row.state, row.error_code) == ("pending", "timed_out")
    await eventually(lambda: parts_of(ticket["key"]) == [])
    assert any(line.startswith(f"{ticket['key']} was given up: ") for line in told(caplog))


async def test_headers_of_a_part_that_trickle_are_given_up(
    server: str, visitor: httpx.AsyncClient, settings: Settings
) -> None:
    settings.ASYNC_UPLOADS = {"IDLE_TIMEOUT": 1.0}
    ticket = await ticket_for(visitor, "report.txt")
    headers = {"Content-Length": 100_000, "Content-Type": "multipart/form-data; boundary=b"}

    async with wired(server) as wire:
        await wire.begin("POST", ticket["uploadUrl"]["url"], headers)
        await wire.send(b"--b\r\nContent-Disposition: form-data; name=")
        trickling = asyncio.create_task(trickle(wire))
        answer = await wire.answer()
        trickling.cancel()

    assert (answer.status, answer.json()["code"]) == (408, "timed_out")


####################################
# What a body may hold beside its file
####################################


def multipart(*parts: bytes) -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


FILE = b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nsome bytes'
FIELD = b'Content-Disposition: form-data; name="n%d"\r\n\r\nx'
MULTIPART = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([b"X-Long: " + b"x" * 10_000 + b"\r\n" + FILE], id="a long header"),
        pytest.param([b"".join(b"X-%d: x\r\n" % n for n in range(1000)) + FILE], id="many headers"),
        pytest.param([*(FIELD % n for n in range(200)), FILE], id="many fields"),
        pytest.param([FILE, FILE], id="two files"),
    ],
)
async def test_a_body_of_too_much_else_is_refused(async_client: AsyncClient, parts: list[bytes]) -> None:
    ticket = await ask_ticket(async_client, "a.txt")

    url = ticket["uploadUrl"]["url"]
    answer = await async_client.post(url, data=multipart(*parts), content_type=MULTIPART)

    assert answer.status_code == 400
    assert "file" in answer.json()


async def test_a_header_without_an_end_is_refused(server: str, visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "a.txt")

    async def endless() -> AsyncIterator[bytes]:
        yield b"--b\r\nX-Endless: "
        for _piece in range(100):
            yield b"x" * 65536

    url, headers = ticket["uploadUrl"]["url"], {"Content-Type": MULTIPART}
    answer = await visitor.post(url, content=endless(), headers=headers)

    assert answer.status_code == 400


async def test_a_request_for_a_ticket_that_is_too_large_is_refused(visitor: httpx.AsyncClient) -> None:
    asked = {"fieldId": field_id_of(), "filename": "a" * 3_000_000}

    answer = await visitor.post("/async-uploads/generate-upload-url/", json=asked)

    assert answer.status_code in (400, 413)


####################################
# Pixels
####################################


async def test_an_image_with_too_many_pixels_is_refused(
    async_client: AsyncClient, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ASYNC_UPLOADS = {"MAX_IMAGE_PIXELS": 34}
    caplog.set_level(logging.INFO, "async_uploads")
    ticket = await ask_ticket(async_client, "photo.png", model=Picture, field="image")

    answer = await send(async_client, ticket, image_bytes(size=(7, 5)))

    assert (answer.status_code, answer.json()["code"]) == (415, "type_not_allowed")
    assert answer.json()["detail"] == "The image has too many pixels: at most 34 are allowed."
    assert "An image was refused: 7 x 5 pixels, and at most 34." in told(caplog)


def test_above_what_pillow_reads_the_number_that_is_told_is_pillows(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    settings.ASYNC_UPLOADS = {"MAX_IMAGE_PIXELS": 1_000_000}
    caplog.set_level(logging.INFO, "async_uploads")

    with pytest.raises(TypeNotAllowed, match="at most 20 are allowed"):
        measure_image(io.BytesIO(image_bytes(size=(7, 5))))

    assert "exceeds limit of 20 pixels" in told(caplog)[0]


@pytest.mark.parametrize(
    ("setting", "pillows", "limit"), [(None, None, None), (34, None, 34), (None, 10, 10), (15, 10, 15)]
)
def test_the_setting_goes_before_pillows_limit(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    setting: int | None,
    pillows: int | None,
    limit: int | None,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows)
    settings.ASYNC_UPLOADS = {"MAX_IMAGE_PIXELS": setting}

    assert pixel_limit() == limit


BOMB = """
import django, io, resource, sys
from django.conf import settings
settings.configure()
django.setup()
from async_uploads.exceptions import TypeNotAllowed
from async_uploads.inspection import measure_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    measure_image(io.BytesIO(sys.stdin.buffer.read()))
except TypeNotAllowed:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def png_bomb(side: int) -> bytes:
    """One that says it is ``side`` pixels wide and high, in a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + checksum

    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    pixels = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_without_its_pixels() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BOMB], cwd=ROOT, input=png_bomb(60_000), capture_output=True, check=True
    )

    assert int(done.stdout) < 20_000, "KiB: three bytes for each pixel would be ten gigabytes."
