"""Saving what went straight to the storage: by the form, past the form, and what failed the check there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django import forms
from django.test import AsyncClient
from django.utils import timezone

from async_uploads.models import AsyncTempFile
from async_uploads.promotion import apromote_key
from async_uploads.signals import file_promoted, promotion_failed
from async_uploads.sweeping import asweep
from tests.asking import as_json, url_of
from tests.cloud import PDF, Cloud, booklet_ticket, complete, direct_uploads
from tests.testapp.models import Album
from tests.watching import watching

pytestmark = pytest.mark.django_db(transaction=True)


class AlbumForm(forms.ModelForm):
    class Meta:
        model = Album
        fields = ["booklet"]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with direct_uploads() as cloud:
        yield cloud


async def test_record_that_waits_for_its_bytes_keeps_its_upload(
    async_client: AsyncClient, cloud: Cloud
) -> None:
    """Saved before the bytes have arrived: the upload is the record's, and cancelling it comes too late."""
    key = await booklet_ticket(async_client)
    album = await Album.objects.acreate(booklet=key)

    refused = await async_client.post(url_of("cancel-upload"), **as_json(key=key))
    cloud.receive(key, PDF)
    await complete(async_client, key)
    assert await apromote_key(key)

    assert (refused.status_code, refused.json()["code"]) == (409, "already_used")
    assert (await Album.objects.aget(pk=album.pk)).booklet.name == "booklets/booklet.pdf"


def save_by_form(key: str) -> AlbumForm:
    return AlbumForm({"booklet": json.dumps({"key": key, "name": "booklet.pdf"})})


async def test_never_completed_is_completed_by_the_form(async_client: AsyncClient, cloud: Cloud) -> None:
    key = await booklet_ticket(async_client)
    cloud.receive(key, PDF)

    album = await sync_to_async(save_by_form(key).save)()

    assert album.booklet.name == "booklets/booklet.pdf"
    assert (await AsyncTempFile.objects.aget()).state == "promoted"
    assert not cloud.holds(key)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "incomplete"),
        (PDF + bytes(1024**2), "file_too_large"),
        (b"\x89PNG\r\n\x1a\n", "type_not_allowed"),
    ],
)
async def test_form_says_what_is_wrong_with_what_never_was_completed(
    async_client: AsyncClient, cloud: Cloud, content: bytes | None, code: str
) -> None:
    key = await booklet_ticket(async_client)
    if content is not None:
        cloud.receive(key, content)

    form = save_by_form(key)

    assert not await sync_to_async(form.is_valid)()
    assert form.errors.as_data()["booklet"][0].code == code
    assert not cloud.holds(key)


async def test_saved_past_the_form_is_checked_by_the_promotion(
    async_client: AsyncClient, cloud: Cloud
) -> None:
    key = await booklet_ticket(async_client)
    cloud.receive(key, PDF)

    album = await Album.objects.acreate(booklet=key)

    assert album.booklet.name == "booklets/booklet.pdf"
    assert await album.booklet.aread() == PDF
    row = await AsyncTempFile.objects.aget()
    assert (row.state, row.size, row.content_type) == ("promoted", len(PDF), "application/pdf")


@pytest.mark.parametrize(
    ("content", "code"),
    [(PDF + bytes(1024**2), "file_too_large"), (b"\x89PNG\r\n\x1a\n", "type_not_allowed")],
)
async def test_what_fails_the_check_of_the_promotion_is_deleted_and_told(
    async_client: AsyncClient, cloud: Cloud, content: bytes, code: str
) -> None:
    told: list[dict[str, Any]] = []

    def note(**kwargs: Any) -> None:
        told.append(kwargs)

    promotion_failed.connect(note)
    file_promoted.connect(note)
    key = await booklet_ticket(async_client)
    cloud.receive(key, content)
    try:
        async with watching(key) as watcher:
            album = await Album.objects.acreate(booklet=key)
            status = await watcher.hears_state("failed")
    finally:
        promotion_failed.disconnect(note)
        file_promoted.disconnect(note)

    assert status["error"]["code"] == code
    assert not cloud.holds(key)
    assert not cloud.holds("booklets/booklet.pdf")
    (failure,) = told
    assert failure["signal"] is promotion_failed
    assert (failure["sender"], failure["temp_file"].key, failure["will_retry"]) == (Album, key, False)
    assert failure["error"].code == code
    assert (await Album.objects.aget(pk=album.pk)).booklet.name == key  # for a person to look at


async def test_object_swapped_between_check_and_promotion_is_not_promoted(
    async_client: AsyncClient, cloud: Cloud
) -> None:
    key = await booklet_ticket(async_client)
    cloud.receive(key, PDF)
    await complete(async_client, key)
    cloud.receive(key, b"<script>alert(1)</script>")

    album = await Album.objects.acreate(booklet=key)

    row = await AsyncTempFile.objects.aget()
    assert (row.state, row.error_code) == ("failed", "file_changed")
    assert not cloud.holds("booklets/booklet.pdf")
    assert album.booklet.name == key
    assert (await async_client.get(album.booklet.url)).status_code == 404


@pytest.mark.parametrize("swapped_in", [b"<script>alert(1)</script>", PDF + bytes(1024**2)])
async def test_bytes_that_failed_are_not_served_when_they_are_sent_again(
    async_client: AsyncClient, cloud: Cloud, swapped_in: bytes
) -> None:
    """The browser's permission to send to the cloud is older than our refusal, and may outlive it."""
    key = await booklet_ticket(async_client)
    cloud.receive(key, swapped_in)
    album = await Album.objects.acreate(booklet=key)
    cloud.receive(key, swapped_in)

    response = await async_client.get(album.booklet.url)

    assert response.status_code == 404


async def test_bytes_that_failed_are_not_promoted_when_a_queue_delivers_twice(
    async_client: AsyncClient, cloud: Cloud
) -> None:
    key = await booklet_ticket(async_client)
    cloud.receive(key, b"<script>alert(1)</script>")
    album = await Album.objects.acreate(booklet=key)
    cloud.receive(key, b"<script>alert(1)</script>")

    assert not await apromote_key(key)

    assert (await AsyncTempFile.objects.aget()).state == "failed"
    assert (await Album.objects.aget(pk=album.pk)).booklet.name == key


def let_it_grow_old() -> None:
    AsyncTempFile.objects.update(
        created_at=timezone.now() - timedelta(hours=49), updated_at=timezone.now() - timedelta(hours=49)
    )


async def test_bytes_that_never_arrive_are_not_waited_for_without_end(
    async_client: AsyncClient, cloud: Cloud
) -> None:
    """Saved past the form, and the browser was closed before it had sent anything."""
    key = await booklet_ticket(async_client)
    album = await Album.objects.acreate(booklet=key)
    await AsyncTempFile.objects.aupdate(updated_at=timezone.now() - timedelta(hours=1))
    early = await asweep()
    assert (await AsyncTempFile.objects.aget()).state == "pending", "it may still come"
    await sync_to_async(let_it_grow_old)()

    first, second = await asweep(), await asweep()

    assert early.errors == []
    assert len(first.errors) == 1
    assert second.errors == []
    row = await AsyncTempFile.objects.aget()
    assert (row.state, row.error_code, row.record_pk) == ("failed", "incomplete", str(album.pk))


async def test_bytes_that_arrive_after_the_save_are_promoted_by_the_sweep(
    async_client: AsyncClient, cloud: Cloud
) -> None:
    key = await booklet_ticket(async_client)
    await Album.objects.acreate(booklet=key)
    cloud.receive(key, PDF)
    await sync_to_async(let_it_grow_old)()

    report = await asweep()

    assert (report.promoted, report.errors) == (1, [])
    assert (await Album.objects.aget()).booklet.name == "booklets/booklet.pdf"
