"""adrf: serializers and views that are awaited, and that never stop the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.core.files.base import ContentFile
from rest_framework.serializers import ValidationError

from tests.arrivals import aarrived, abegun
from tests.cloud import PDF, Cloud, direct_uploads
from tests.drfapp.asking import JSON, ask_for_ticket, client_of, upload_by_api
from tests.drfapp.models import Page, Shelf, Volume
from tests.drfapp.serializers import AsyncShelfSerializer, AsyncVolumeSerializer, PageOfVolumeSerializer
from tests.drfapp.views import AlbumSerializer
from tests.testapp.models import Album, memory_storage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.drfapp.urls")]

SLOW = 1.5
"""Seconds that the storage of ``slow_cloud`` takes for anything: on the event loop, asyncio would complain of it."""


@contextmanager
def loop_never_stopped(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """asyncio's debug mode names each callback that keeps the loop too long. Django guards its own database calls."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = SLOW / 2
    with caplog.at_level(logging.WARNING, logger="asyncio"):
        yield
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


@pytest.fixture
def slow_cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with direct_uploads() as cloud:
        for verb in ("stat", "read_range", "copy_file", "delete"):
            at_once = getattr(type(memory_storage), verb)

            @wraps(at_once)
            def take_time(*args: Any, at_once: Any = at_once, **kwargs: Any) -> Any:
                time.sleep(SLOW)
                return at_once(memory_storage, *args, **kwargs)

            monkeypatch.setattr(memory_storage, verb, take_time)
        yield cloud
        monkeypatch.undo()


def api_url_of(volume: Volume) -> str:
    return volume.text.url.replace("/async-uploads/", "/api/uploads/")


async def volume_with(name: str, **more: Any) -> Volume:
    return await sync_to_async(Volume.objects.create)(text=ContentFile(b"x", name=name), **more)


####################################
# The guards themselves
####################################


async def test_the_guard_sees_a_loop_that_is_stopped(caplog: pytest.LogCaptureFixture) -> None:
    async def stop() -> None:
        time.sleep(SLOW)

    with pytest.raises(AssertionError), loop_never_stopped(caplog):
        await asyncio.create_task(stop())


async def test_the_guard_sees_a_serializer_that_asks_the_database_on_the_loop() -> None:
    serializer = AsyncVolumeSerializer(data={"text": {"key": await aarrived(model=Volume, field="text")}})

    with pytest.raises(SynchronousOnlyOperation):
        serializer.is_valid()


####################################
# Serializers
####################################


async def test_an_upload_is_validated_saved_and_shown(caplog: pytest.LogCaptureFixture) -> None:
    key = await aarrived(model=Volume, field="text")
    with loop_never_stopped(caplog):
        serializer = AsyncVolumeSerializer(data={"title": "x", "text": {"key": key}})
        assert await serializer.ais_valid(), serializer.errors
        volume = await serializer.asave()
        data = await serializer.adata

    assert data == {
        "id": volume.pk,
        "title": "x",
        "text": {"key": "volumes/report.txt", "name": "report.txt", "url": api_url_of(volume)},
    }
    assert (await Volume.objects.aget()).text.name == "volumes/report.txt"


async def test_the_unchanged_value_is_kept_and_another_replaces_it() -> None:
    volume = await volume_with("old.txt")
    shown = await AsyncVolumeSerializer(volume).adata

    unchanged = AsyncVolumeSerializer(volume, data={**shown, "title": "new"})
    await unchanged.ais_valid(raise_exception=True)
    await unchanged.asave()
    replaced = AsyncVolumeSerializer(
        volume, data={"text": {"key": await aarrived(model=Volume, field="text")}}, partial=True
    )
    await replaced.ais_valid(raise_exception=True)
    await replaced.asave()

    stored = await Volume.objects.aget()
    assert (stored.title, stored.text.name) == ("new", "volumes/report.txt")


async def test_what_is_wrong_is_told() -> None:
    serializer = AsyncVolumeSerializer(data={"text": {"key": "volumes/theirs.txt"}})

    assert not await serializer.ais_valid()
    assert serializer.errors["text"][0].code == "not_found"
    with pytest.raises(ValidationError):
        await serializer.ais_valid(raise_exception=True)


@pytest.mark.parametrize("many", [False, True])
async def test_a_key_that_is_used_between_validation_and_save_is_an_error_of_the_serializer(
    many: bool,
) -> None:
    key = await aarrived(model=Volume, field="text")
    data: Any = {"text": {"key": key}}
    serializer = AsyncVolumeSerializer(data=[data] if many else data, many=many)
    await sync_to_async(serializer.is_valid)(raise_exception=True)
    await Volume.objects.acreate(text=key)

    with pytest.raises(ValidationError) as refused:
        await serializer.asave()

    assert refused.value.get_codes() == {"text": ["already_used"]}
    assert await Volume.objects.acount() == 1


async def test_an_update_with_a_used_key_is_an_error_of_the_serializer() -> None:
    key = await aarrived(model=Volume, field="text")
    volume = await volume_with("old.txt")
    serializer = AsyncVolumeSerializer(volume, data={"text": {"key": key}})
    await serializer.ais_valid(raise_exception=True)
    await Volume.objects.acreate(text=key)

    with pytest.raises(ValidationError):
        await serializer.asave()


async def test_a_record_whose_file_was_not_loaded_is_shown_nevertheless() -> None:
    await volume_with("old.txt")
    volume = await Volume.objects.only("title").aget()

    data = await AsyncVolumeSerializer(volume).adata

    assert data["text"]["key"] == "volumes/old.txt"


async def test_a_chain_of_sources_is_followed_without_stopping_the_loop() -> None:
    from async_uploads.drf.async_serializer import AsyncUploadsModelSerializer

    class PageOfVolume(AsyncUploadsModelSerializer):
        text = PageOfVolumeSerializer().fields["text"].__class__(source="volume.text")

        class Meta:
            model = Page
            fields = ["text"]

    await sync_to_async(Page.objects.create)(
        volume=await volume_with("old.txt"), scan=ContentFile(b"x", name="p.txt")
    )

    data = await PageOfVolume(await Page.objects.aget()).adata

    assert data["text"]["key"] == "volumes/old.txt"


async def test_children_are_shown_with_their_files() -> None:
    shelf = await Shelf.objects.acreate(title="x")
    for name in ("one.txt", "two.txt"):
        await volume_with(name, shelf=shelf)

    data = await AsyncShelfSerializer(shelf).adata

    assert [volume["text"]["name"] for volume in data["volumes"]] == ["one.txt", "two.txt"]
    assert data["plan"] is None


async def test_an_upload_that_was_never_completed_is_completed_without_stopping_the_loop(
    slow_cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    key = (await abegun("booklet.pdf", model=Album, field="booklet")).key
    await sync_to_async(slow_cloud.receive)(key, PDF)

    with loop_never_stopped(caplog):
        serializer = AlbumSerializer(data={"booklet": {"key": key}})
        assert await serializer.ais_valid(), serializer.errors
        album = await serializer.asave()

    assert album.booklet.name == "booklets/booklet.pdf"


####################################
# Views
####################################


async def test_a_viewset_creates_shows_edits_and_deletes_without_stopping_the_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ada = await client_of("ada")
    with loop_never_stopped(caplog):
        key = await upload_by_api(ada)
        created = await ada.post("/api/volumes/", {"title": "a", "text": {"key": key}}, content_type=JSON)
        one = f"/api/volumes/{created.json()['id']}/"
        shown = (await ada.get(one)).json()
        put = await ada.put(one, {**shown, "title": "b"}, content_type=JSON)
        other = await upload_by_api(ada, filename="other.txt")
        patched = await ada.patch(one, {"text": {"key": other}}, content_type=JSON)
        listed = (await ada.get("/api/volumes/")).json()
        deleted = await ada.delete(one)

    assert created.status_code == 201, created.content
    assert (put.status_code, put.json()["text"]["key"]) == (200, "volumes/report.txt")
    assert (patched.status_code, patched.json()["text"]["name"]) == (200, "other.txt")
    assert listed == [patched.json()]
    assert deleted.status_code == 204


async def test_generic_views_do_too(caplog: pytest.LogCaptureFixture) -> None:
    ada = await client_of("ada")
    with loop_never_stopped(caplog):
        key = await upload_by_api(ada, model=Shelf, field="plan")
        created = await ada.post(
            "/api/shelves/", {"title": "a", "plan": {"key": key, "name": "x"}}, content_type=JSON
        )
        one = f"/api/shelves/{created.json()['id']}/"
        cleared = await ada.patch(one, {"plan": None}, content_type=JSON)

    assert created.json()["plan"]["key"] == "plans/report.txt"
    assert (cleared.status_code, cleared.json()["plan"]) == (200, None)


async def test_a_direct_upload_goes_all_the_way_without_stopping_the_loop(
    slow_cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    ada = await client_of("ada")
    with loop_never_stopped(caplog):
        key = (await ask_for_ticket(ada, "booklet.pdf", model=Album, field="booklet")).json()["key"]
        await sync_to_async(slow_cloud.receive)(key, PDF)
        created = await ada.post("/api/albums/", {"booklet": {"key": key}}, content_type=JSON)
        cancelled = (await ask_for_ticket(ada, "booklet.pdf", model=Album, field="booklet")).json()["key"]
        await ada.post("/api/uploads/cancel-upload/", {"key": cancelled}, content_type=JSON)

    assert created.status_code == 201, created.content
    assert created.json()["booklet"]["key"] == "booklets/booklet.pdf"


async def test_a_missing_or_malformed_value_is_an_answer_of_400() -> None:
    ada = await client_of("ada")

    values: list[Any] = [None, [], 5, {"key": []}, "x", {"key": "async-temp-files/\ud800"}]
    for value in values:
        answer = await ada.post("/api/volumes/", {"text": value}, content_type=JSON)
        assert (answer.status_code, list(answer.json())) == (400, ["text"]), answer.content


async def test_the_browsable_api_shows_the_value_as_it_is_sent_back() -> None:
    ada = await client_of("ada")
    volume = await Volume.objects.acreate(text='volumes/it\'s <b>"bold"\\ö.txt')

    page = await ada.get(f"/api/volumes/{volume.pk}/", headers={"accept": "text/html"})

    assert page.status_code == 200
    text = page.content.decode()
    assert "<b>" not in text.partition('name="text"')[2]
    sent = await sync_to_async(_value_of_input)(text, "text")
    answer = await ada.generic(
        "PUT",
        f"/api/volumes/{volume.pk}/",
        *_multipart({"title": "edited", "text": sent}),
    )
    assert answer.status_code == 200, answer.content
    stored = await Volume.objects.aget()
    assert (stored.title, stored.text.name) == ("edited", volume.text.name)


def _value_of_input(page: str, name: str) -> str:
    from html.parser import HTMLParser

    found: list[str] = []

    class Inputs(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            attributes = dict(attrs)
            if tag == "input" and attributes.get("name") == name:
                found.append(attributes["value"])

    Inputs().feed(page)
    return found[0]


def _multipart(values: dict[str, str]) -> tuple[bytes, str]:
    from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

    return encode_multipart(BOUNDARY, values), MULTIPART_CONTENT
