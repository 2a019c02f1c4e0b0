"""Forms without a script on real clouds: Django itself puts the file there, and the cloud may fail meanwhile."""

from __future__ import annotations

import json
import logging
import re
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django import forms
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path
from django.utils import timezone

from async_uploads.forms import AsyncModelFormMixin
from async_uploads.models import AsyncTempFile
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.sweeping import asweep
from tests.cloud import PDF
from tests.clouds import RealCloud, cloud_in_use
from tests.servers.proxy import Asked, Proxy, When
from tests.testapp.models import Album

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

MIB = 1024 * 1024
LARGE = PDF + bytes(range(256)) * (9 * 4096)  # more than one part on S3, more than one block on Azure
UNREACHABLE = "The file storage cannot be reached at the moment. Please try again later."


class AlbumForm(AsyncModelFormMixin, forms.ModelForm):
    note = forms.CharField(max_length=5, required=False)

    class Meta:
        model = Album
        fields = ["booklet"]


async def add_album(request: HttpRequest) -> HttpResponse:
    form = AlbumForm(request.POST or None, request.FILES or None)
    if await form.ais_valid():
        return HttpResponse(str((await form.asave()).pk), status=201)
    return HttpResponse(await sync_to_async(form.as_div)())


def add_album_in_sync(request: HttpRequest) -> HttpResponse:
    form = AlbumForm(request.POST, request.FILES)
    if form.is_valid():
        with transaction.atomic():
            return HttpResponse(str(form.save().pk), status=201)
    return HttpResponse(form.as_div())


urlpatterns = [
    path("albums/add/", add_album),
    path("albums/add-in-sync/", add_album_in_sync),
    path("", include("tests.urls")),
]


@pytest.fixture(params=["s3", "azure"])
def cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RealCloud:
    return cloud_in_use(request, monkeypatch, max_size=16)


@pytest.fixture
def proxy(cloud: RealCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Between Django and the cloud; a test tells it what shall go wrong."""
    server: Any = cloud.server
    with Proxy(server.endpoint_url if hasattr(server, "endpoint_url") else server.account_url) as proxy:
        cloud.use(cloud.through(proxy), monkeypatch)
        yield proxy


def picked(content: bytes = PDF, name: str = "booklet.pdf") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type="application/pdf")


async def post(client: AsyncClient, content: bytes = PDF, **more: Any) -> Any:
    return await client.post("/albums/add/", {"booklet-plain": picked(content), **more})


def errors_in(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return re.findall(r'<ul class="errorlist"[^>]*><li>(.*?)</li>', unescape(answer.content.decode()))


def temporary_names(storage: AsyncUploadStorage, folder: str = "async-temp-files") -> list[str]:
    folders, files = storage.listdir(folder)
    inner = [name for one in folders for name in temporary_names(storage, f"{folder}/{one}")]
    return [f"{folder}/{name}" for name in files] + inner


async def temporary_files(storage: AsyncUploadStorage) -> list[str]:
    return await sync_to_async(temporary_names)(storage)


def assert_one_clear_line(caplog: pytest.LogCaptureFixture, cloud: RealCloud, doing: str) -> None:
    said = [record for record in caplog.records if record.name == "async_uploads"]
    (line,) = (record for record in said if record.levelno >= logging.ERROR)
    assert line.getMessage().startswith(f"{doing} of async-temp-files/")
    assert "testapp.Album.booklet" in line.getMessage()
    assert line.exc_info is None
    assert not any(secret in caplog.text for secret in cloud.secrets)


##########################
# The cloud does its work
##########################


@pytest.mark.parametrize("content", [PDF, LARGE], ids=["small", "in parts"])
async def test_file_of_a_form_is_staged_promoted_and_downloaded(
    async_client: AsyncClient, cloud: RealCloud, content: bytes
) -> None:
    answer = await post(async_client, content)

    assert answer.status_code == 201, answer.content
    album, row = await Album.objects.aget(), await AsyncTempFile.objects.aget()
    assert album.booklet.name == "booklets/booklet.pdf"
    assert (row.state, row.size, row.content_type) == ("promoted", len(content), "application/pdf")
    assert await temporary_files(cloud.storage) == []
    redirect = await async_client.get(album.booklet.url)
    assert await sync_to_async(fetched, thread_sensitive=False)(redirect["Location"]) == content


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url) as response:
        return bytes(response.read())


def test_sync_view_stages_as_well(client: Client, cloud: RealCloud) -> None:
    answer = client.post("/albums/add-in-sync/", {"booklet-plain": picked(LARGE)})

    assert answer.status_code == 201, answer.content
    with Album.objects.get().booklet.open() as file:
        assert file.read() == LARGE


async def test_file_is_kept_while_another_field_is_put_right(
    async_client: AsyncClient, cloud: RealCloud
) -> None:
    refused = await post(async_client, note="too long")
    page = unescape(refused.content.decode())
    shown = re.search(r'<input type="hidden" name="booklet" value=\'?"?({.*?})', page)
    assert shown is not None

    answer = await async_client.post("/albums/add/", {"booklet": shown[1], "booklet-plain": ""})

    assert json.loads(shown[1])["name"] == "booklet.pdf"
    assert answer.status_code == 201, answer.content
    assert await (await Album.objects.aget()).booklet.aread() == PDF


async def test_file_that_nobody_saved_is_swept(async_client: AsyncClient, cloud: RealCloud) -> None:
    await post(async_client, note="too long")
    assert len(await temporary_files(cloud.storage)) == 1
    long_ago = timezone.now() - timedelta(hours=50)
    await AsyncTempFile.objects.aupdate(created_at=long_ago, updated_at=long_ago, expires_at=long_ago)

    report = await asweep()

    assert report.errors == []
    assert await temporary_files(cloud.storage) == []


###################################
# Refused before the cloud is asked
###################################


@pytest.mark.parametrize(
    ("content", "name", "error"),
    [
        (PDF + bytes(16 * MIB), "booklet.pdf", "The file is larger than 16 MiB."),
        (b"MZ" + bytes(100), "booklet.pdf", "Only these types are allowed: PDF, TXT."),
        (PDF, "booklet.exe", "Only these types are allowed: PDF, TXT."),
        (b"", "booklet.pdf", "The submitted file is empty."),
    ],
    ids=["too large", "of another type", "of another name", "empty"],
)
async def test_what_the_field_does_not_take_never_goes_to_the_cloud(
    async_client: AsyncClient, proxy: Proxy, content: bytes, name: str, error: str
) -> None:
    answer = await async_client.post("/albums/add/", {"booklet-plain": picked(content, name)})

    assert errors_in(answer) == [error]
    assert proxy.requests() == []
    assert not await AsyncTempFile.objects.aexists()


#############################
# The cloud does not answer
#############################


@pytest.mark.parametrize("away", ["stopped", "paused"])
async def test_cloud_that_is_away_is_an_error_of_the_form(
    async_client: AsyncClient, cloud: RealCloud, away: str, caplog: pytest.LogCaptureFixture
) -> None:
    with getattr(cloud, away)():
        refused = await post(async_client)
    again = await post(async_client)

    assert errors_in(refused) == [UNREACHABLE]
    assert not any(secret in refused.content.decode() for secret in cloud.secrets)
    assert again.status_code == 201
    assert [row.state async for row in AsyncTempFile.objects.order_by("pk")] == ["failed", "promoted"]
    assert_one_clear_line(caplog, cloud, "Staging")


def test_cloud_that_is_away_is_an_error_of_the_form_in_a_sync_view(client: Client, cloud: RealCloud) -> None:
    with cloud.stopped():
        refused = client.post("/albums/add-in-sync/", {"booklet-plain": picked()})

    assert errors_in(refused) == [UNREACHABLE]


async def test_cloud_that_lets_nobody_in_is_an_error_of_the_form(
    async_client: AsyncClient,
    cloud: RealCloud,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cloud.use(cloud.broken["a wrong key"], monkeypatch)

    refused = await post(async_client)

    assert errors_in(refused) == [UNREACHABLE]
    assert_one_clear_line(caplog, cloud, "Staging")


def is_write(asked: Asked) -> bool:
    return asked.method == "PUT"


def check_of(proxy: Proxy) -> When:
    """What is read when the bytes are there."""
    return lambda asked: asked.method in ("GET", "HEAD") and bool(proxy.requests(is_write))


def deletion(asked: Asked) -> bool:
    return asked.method == "DELETE"


def is_copy(asked: Asked) -> bool:
    return any("copy-source" in name for name in asked.headers)


CUT_SHORT: dict[str, Callable[[Proxy], None]] = {
    "at the first part": lambda proxy: proxy.cut(when=is_write),
    "at a later part": lambda proxy: proxy.cut(when=is_write, after=1),
    "by an answer that is none": lambda proxy: proxy.answer(
        502, b"<html>Bad Gateway</html>", when=is_write, after=1
    ),
    "by a server that is too busy": lambda proxy: proxy.answer(503, when=is_write),
    "between the bytes and their check": lambda proxy: proxy.cut(when=check_of(proxy)),
}


@pytest.mark.parametrize("fault", CUT_SHORT)
async def test_cloud_that_goes_away_meanwhile_is_an_error_of_the_form(
    async_client: AsyncClient, cloud: RealCloud, proxy: Proxy, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    CUT_SHORT[fault](proxy)

    refused = await post(async_client, LARGE)
    proxy.forget()
    again = await post(async_client, LARGE)

    assert errors_in(refused) == [UNREACHABLE]
    assert_one_clear_line(caplog, cloud, "Staging")
    assert again.status_code == 201, again.content
    assert await (await Album.objects.aget()).booklet.aread() == LARGE
    assert await temporary_files(cloud.storage) == []


async def test_file_whose_arrival_was_not_confirmed_is_stored_once(
    async_client: AsyncClient, cloud: RealCloud, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.use(cloud.through(proxy, retrying=True), monkeypatch)
    proxy.lose_answer(when=is_write, turns=1)

    answer = await post(async_client)

    assert answer.status_code == 201, answer.content
    assert len(proxy.requests(is_write)) > 1
    assert await (await Album.objects.aget()).booklet.aread() == PDF
    assert await temporary_files(cloud.storage) == []


async def test_file_that_the_cloud_has_lost_is_an_error_of_the_form(
    async_client: AsyncClient, cloud: RealCloud, proxy: Proxy
) -> None:
    def lose() -> None:
        """As a lifecycle rule would that is too eager."""
        for name in temporary_names(cloud.storage):
            cloud.storage.delete(name[name.rindex("async-temp-files/") :])

    proxy.first(lose, when=check_of(proxy))

    assert errors_in(await post(async_client)) == ["The file has not arrived yet."]
    assert (await AsyncTempFile.objects.aget()).state == "failed"


async def test_bytes_whose_deletion_failed_too_go_with_the_sweep(
    async_client: AsyncClient, cloud: RealCloud, proxy: Proxy
) -> None:
    proxy.cut(when=check_of(proxy))
    proxy.cut(when=deletion)
    assert errors_in(await post(async_client)) == [UNREACHABLE]
    proxy.forget()
    assert len(await temporary_files(cloud.storage)) == 1
    await AsyncTempFile.objects.aupdate(updated_at=timezone.now() - timedelta(days=30))

    report = await asweep()

    assert report.errors == []
    assert await temporary_files(cloud.storage) == []


async def test_cloud_that_goes_away_at_the_promotion_keeps_the_saved_record(
    async_client: AsyncClient, cloud: RealCloud, proxy: Proxy
) -> None:
    proxy.cut(when=is_copy)

    answer = await post(async_client)
    meanwhile = await (await Album.objects.aget()).booklet.aread()
    proxy.forget()
    await AsyncTempFile.objects.aupdate(lease_until=timezone.now() - timedelta(seconds=1))
    report = await asweep()

    assert answer.status_code == 201, answer.content
    assert meanwhile == PDF
    assert (report.promoted, report.errors) == (1, [])
    assert (await Album.objects.aget()).booklet.name == "booklets/booklet.pdf"
