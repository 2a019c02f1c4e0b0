"""Uploads whose bytes go past Django, straight to the storage, as they do to S3 and Azure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import AsyncClient

from async_uploads.models import AsyncTempFile
from async_uploads.signals import upload_completed
from tests.asking import as_json, ask_ticket, url_of
from tests.cloud import PDF, Cloud, booklet_ticket, complete, direct_uploads
from tests.conftest import image_bytes
from tests.testapp.models import Album
from tests.watching import watching

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with direct_uploads() as cloud:
        yield cloud


async def test_completed_once_the_storage_has_it(async_client: AsyncClient, cloud: Cloud) -> None:
    key = await booklet_ticket(async_client)
    early = await complete(async_client, key)
    cloud.receive(key, PDF)
    async with watching(key) as watcher:
        done = await complete(async_client, key)
        told = await watcher.hears_state("uploaded")

    assert (early.status_code, early.json()["code"]) == (409, "incomplete")
    assert done.status_code == 200
    assert (done.json()["state"], done.json()["received"], done.json()["total"]) == (
        "uploaded",
        len(PDF),
        len(PDF),
    )
    assert told["seq"] == done.json()["seq"]
    row = await AsyncTempFile.objects.aget()
    assert (row.size, row.content_type) == (len(PDF), "application/pdf")
    assert row.etag


async def test_completing_twice_is_harmless_and_is_told_to_the_project_once(
    async_client: AsyncClient, cloud: Cloud
) -> None:
    told: list[str] = []

    def note(temp_file: AsyncTempFile, **kwargs: Any) -> None:
        told.append(temp_file.key)

    upload_completed.connect(note)
    key = await booklet_ticket(async_client)
    cloud.receive(key, PDF)
    try:
        answers = [await complete(async_client, key) for _twice in range(2)]
    finally:
        upload_completed.disconnect(note)

    assert [answer.json()["state"] for answer in answers] == ["uploaded", "uploaded"]
    assert told == [key]


async def test_two_completions_at_once_are_both_told_that_it_is_there(
    async_client: AsyncClient, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await booklet_ticket(async_client)
    cloud.receive(key, PDF)
    answers: list[Any] = []
    ask_the_storage = cloud.storage.astat

    async def be_overtaken(name: str) -> Any:
        monkeypatch.setattr(cloud.storage, "astat", ask_the_storage)
        answers.append(await complete(async_client, key))
        return await ask_the_storage(name)

    monkeypatch.setattr(cloud.storage, "astat", be_overtaken)
    answers.append(await complete(async_client, key))

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.json()["state"] for answer in answers] == ["uploaded", "uploaded"]


async def test_larger_than_allowed_is_deleted(async_client: AsyncClient, cloud: Cloud) -> None:
    """The storage is asked what arrived; what the browser told before does not count."""
    ticket = await ask_ticket(async_client, "booklet.pdf", model=Album, field="booklet", size=10)
    cloud.receive(ticket["key"], PDF + bytes(1024**2))

    response = await complete(async_client, ticket["key"])

    assert (response.status_code, response.json()["code"]) == (413, "file_too_large")
    await _assert_failed_without_bytes(async_client, cloud, ticket["key"], "file_too_large")


async def test_another_type_than_allowed_is_deleted(async_client: AsyncClient, cloud: Cloud) -> None:
    key = await booklet_ticket(async_client)
    cloud.receive(key, image_bytes())

    response = await complete(async_client, key)

    assert (response.status_code, response.json()["code"]) == (415, "type_not_allowed")
    await _assert_failed_without_bytes(async_client, cloud, key, "type_not_allowed")


async def _assert_failed_without_bytes(client: AsyncClient, cloud: Cloud, key: str, code: str) -> None:
    status = (await client.get(url_of("upload-status", key=key))).json()
    assert (status["state"], status["error"]["code"]) == ("failed", code)
    assert not cloud.holds(key)


async def test_djangos_own_upload_url_is_closed(async_client: AsyncClient, cloud: Cloud) -> None:
    ticket = await ask_ticket(async_client, "booklet.pdf", model=Album, field="booklet")

    response = await async_client.put(ticket["uploadUrl"]["url"], data=PDF, content_type="application/pdf")

    assert response.status_code == 403
    assert not cloud.holds(ticket["key"])


async def test_cancelled_is_deleted_and_not_completed_afterwards(
    async_client: AsyncClient, cloud: Cloud
) -> None:
    key = await booklet_ticket(async_client)
    cloud.receive(key, PDF)
    await async_client.post(url_of("cancel-upload"), **as_json(key=key))
    assert not cloud.holds(key)
    cloud.receive(key, PDF)  # the browser's request was still on its way

    assert (await complete(async_client, key)).status_code == 410


async def test_download_of_what_has_not_been_checked_is_refused(
    async_client: AsyncClient, cloud: Cloud
) -> None:
    key = await booklet_ticket(async_client)
    cloud.receive(key, b"<script>alert(1)</script>")

    status = (await async_client.get(url_of("upload-status", key=key))).json()

    assert (status["state"], status["url"]) == ("pending", None)
