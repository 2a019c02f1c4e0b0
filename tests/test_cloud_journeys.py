"""From the ticket to the record's file, on real clouds; and what happens when the cloud is not there."""

from __future__ import annotations

import io
import logging
import os
import urllib.request
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient
from django.utils import timezone
from PIL import Image

from async_uploads.models import AsyncTempFile
from async_uploads.storage.base import StoredFile
from async_uploads.sweeping import asweep
from async_uploads.testing import send
from tests.asking import as_json, ask_ticket, url_of
from tests.cloud import PDF, complete
from tests.clouds import RealCloud, cloud_in_use
from tests.testapp.models import Album

pytestmark = pytest.mark.django_db(transaction=True)

FINAL = "booklets/booklet.pdf"


@pytest.fixture(params=["s3", "azure"])
def cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RealCloud:
    return cloud_in_use(request, monkeypatch, max_size=1)


async def sent(
    client: AsyncClient, content: bytes = PDF, filename: str = "booklet.pdf", field: str = "booklet"
) -> str:
    """The key of an upload that the browser has sent and has not completed."""
    ticket = await ask_ticket(client, filename, model=Album, field=field)
    assert 200 <= await send(ticket["uploadUrl"], content, filename) < 300
    return str(ticket["key"])


async def uploaded(client: AsyncClient) -> str:
    key = await sent(client)
    answer = await complete(client, key)
    assert (answer.status_code, answer.json()["state"]) == (200, "uploaded"), answer.content
    return key


async def downloaded(client: AsyncClient, url: str) -> bytes:
    """As a browser gets it: Django sends it on to the cloud."""
    redirect = await client.get(url)
    assert redirect.status_code == 302, redirect.content
    return await sync_to_async(_fetch, thread_sensitive=False)(redirect["Location"])


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url) as response:
        return bytes(response.read())


async def test_from_ticket_to_download(async_client: AsyncClient, cloud: RealCloud) -> None:
    key = await uploaded(async_client)

    album = await Album.objects.acreate(booklet=key)

    assert album.booklet.name == FINAL
    assert await album.booklet.aread() == PDF
    assert await downloaded(async_client, album.booklet.url) == PDF
    assert not await cloud.storage.aexists(key)


async def test_two_files_of_one_name_are_both_kept(async_client: AsyncClient, cloud: RealCloud) -> None:
    first = await Album.objects.acreate(booklet=await uploaded(async_client))
    second = await Album.objects.acreate(booklet=await uploaded(async_client))

    assert first.booklet.name != second.booklet.name
    assert await second.booklet.aread() == await first.booklet.aread() == PDF


async def test_cancelled_upload_is_deleted(async_client: AsyncClient, cloud: RealCloud) -> None:
    key = await sent(async_client)
    assert await cloud.storage.aexists(key)

    await async_client.post(url_of("cancel-upload"), **as_json(key=key))

    assert not await cloud.storage.aexists(key)


async def test_only_what_tells_type_and_size_of_an_image_is_read(
    async_client: AsyncClient, cloud: RealCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    Image.frombytes("RGB", (900, 700), os.urandom(900 * 700 * 3)).save(file, "PNG")
    assert len(file.getvalue()) > 1_800_000
    key = await sent(async_client, file.getvalue(), "cover.png", field="cover")
    asked: list[int] = []
    read_range = cloud.storage.aread_range

    async def note(name: str, start: int, end: int, **options: Any) -> bytes:
        asked.append(end - start)
        return await read_range(name, start, end, **options)

    monkeypatch.setattr(cloud.storage, "aread_range", note)

    answer = await complete(async_client, key)

    assert answer.json()["state"] == "uploaded"
    row = await AsyncTempFile.objects.aget()
    assert (row.width, row.height, row.content_type) == (900, 700, "image/png")
    assert sum(asked) < 300_000
    assert len(asked) <= 2


@pytest.mark.parametrize(
    ("content", "code"),
    [(PDF + bytes(1024**2), "file_too_large"), (b"\x89PNG\r\n\x1a\n", "type_not_allowed")],
)
async def test_saved_without_completion_the_promotion_refuses_and_deletes(
    async_client: AsyncClient, cloud: RealCloud, content: bytes, code: str
) -> None:
    """A signature for Azure can't limit the size; one for S3 can, and this browser found a way around it."""
    ticket = await ask_ticket(async_client, "booklet.pdf", model=Album, field="booklet")
    incoming = await cloud.storage.agenerate_upload_url(
        ticket["key"], "any", expire=60, max_size=None, content_type=None
    )
    await send(incoming, content)

    album = await Album.objects.acreate(booklet=ticket["key"])

    row = await AsyncTempFile.objects.aget()
    assert (row.state, row.error_code) == ("failed", code)
    assert not await cloud.storage.aexists(ticket["key"])
    assert (await async_client.get(album.booklet.url)).status_code == 404


async def test_bytes_that_are_swapped_after_the_check_are_not_promoted(
    async_client: AsyncClient, cloud: RealCloud
) -> None:
    key = await uploaded(async_client)
    await cloud.storage.adelete(key)
    await send(
        await cloud.storage.agenerate_upload_url(key, "any", expire=60, max_size=None),
        b"<script>alert(1)</script>",
    )

    album = await Album.objects.acreate(booklet=key)

    row = await AsyncTempFile.objects.aget()
    assert (row.state, row.error_code) == ("failed", "file_changed")
    assert not await cloud.storage.aexists(FINAL)
    assert (await async_client.get(album.booklet.url)).status_code == 404


async def test_bytes_that_are_swapped_during_the_check_are_not_accepted(
    async_client: AsyncClient, cloud: RealCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad bytes are stored, good ones are shown to the check, and the bad ones are put back."""
    key = await sent(async_client, b"<script>alert(1)</script>")
    stat = cloud.storage.astat

    async def swap_afterwards(name: str) -> StoredFile:
        found = await stat(name)
        await cloud.storage.adelete(key)
        await send(await cloud.storage.agenerate_upload_url(key, "any", expire=60, max_size=None), PDF)
        return found

    monkeypatch.setattr(cloud.storage, "astat", swap_afterwards)

    answer = await complete(async_client, key)

    assert (answer.status_code, answer.json()["code"]) == (409, "incomplete")
    assert (await AsyncTempFile.objects.aget()).state == "pending"


################################
# The cloud does not answer
################################


async def test_unreachable_at_completion_it_is_completed_by_another_try(
    async_client: AsyncClient, cloud: RealCloud, caplog: pytest.LogCaptureFixture
) -> None:
    key = await sent(async_client)

    with cloud.paused():
        refused = await complete(async_client, key)
    again = await complete(async_client, key)

    assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
    assert (again.status_code, again.json()["state"]) == (200, "uploaded")
    assert_one_clear_line(caplog, cloud, key)
    assert not any(secret in refused.content.decode() for secret in cloud.secrets)


async def test_tickets_are_signed_while_the_cloud_is_down(
    async_client: AsyncClient, cloud: RealCloud
) -> None:
    with cloud.stopped():
        ticket = await ask_ticket(async_client, "booklet.pdf", model=Album, field="booklet")

    assert await send(ticket["uploadUrl"], PDF) in (200, 201, 204)


async def test_unreachable_during_promotion_the_record_serves_its_upload_until_the_sweep_promotes_it(
    async_client: AsyncClient, cloud: RealCloud, caplog: pytest.LogCaptureFixture
) -> None:
    key = await uploaded(async_client)

    with cloud.stopped():
        album = await Album.objects.acreate(booklet=key)
    row = await AsyncTempFile.objects.aget()
    meanwhile = await downloaded(async_client, album.booklet.url)
    await AsyncTempFile.objects.aupdate(lease_until=timezone.now() - timedelta(seconds=1))
    report = await asweep()

    assert (row.state, row.error_code, album.booklet.name) == ("promoting", "promotion_failed", key)
    assert meanwhile == PDF
    assert (report.promoted, report.errors) == (1, [])
    assert (await Album.objects.aget()).booklet.name == FINAL
    assert_one_clear_line(caplog, cloud, key)


@pytest.mark.parametrize("fault", ["a wrong key", "no such place"])
async def test_what_is_configured_wrongly_is_said_in_the_log_and_not_to_the_visitor(
    async_client: AsyncClient,
    cloud: RealCloud,
    fault: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = await sent(async_client)
    cloud.use(cloud.broken[fault], monkeypatch)

    refused = await complete(async_client, key)
    await Album.objects.acreate(booklet=key)
    cloud.use(cloud.storage, monkeypatch)
    mended = await complete(async_client, key)

    assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
    assert mended.json()["state"] == "uploaded"
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [key in line for line in lines if line.startswith(("Completion", "Promotion"))] == [True, True]
    assert ("nowhere" in lines[0]) == (fault == "no such place")
    assert not any(secret in caplog.text + refused.content.decode() for secret in cloud.secrets)


def assert_one_clear_line(caplog: pytest.LogCaptureFixture, cloud: RealCloud, key: str) -> None:
    said = [record for record in caplog.records if record.name.startswith("async_uploads")]
    (line,) = (record for record in said if record.levelno >= logging.WARNING)
    assert key in line.getMessage()
    assert "booklet" in line.getMessage()
    assert "Album" in line.getMessage() or "album" in line.getMessage()
    assert line.exc_info is None
    assert not any(secret in caplog.text for secret in cloud.secrets)
