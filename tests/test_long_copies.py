"""A promotion whose copy takes its time: it tells how far it is, keeps its lease and holds no connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import AsyncClient
from django.utils import timezone

from async_uploads.models import AsyncTempFile
from async_uploads.promotion import copying
from async_uploads.storage.base import OnProgress
from async_uploads.storage.memory import MemoryAsyncUploadStorage
from tests.cloud import PDF, Cloud, booklet_ticket, complete, direct_uploads
from tests.testapp.models import Album, memory_storage
from tests.watching import watching

pytestmark = pytest.mark.django_db(transaction=True)

FINAL = "booklets/booklet.pdf"


class SlowCopies:
    """Makes the copies of Album.booklet go in steps; what a test does between two of them is ``at_step``."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.total = steps * 100

    async def at_step(self, step: int) -> None:
        await asyncio.sleep(0.01)

    async def acopy_file(
        self,
        from_key: str,
        to_key: str,
        *,
        if_match: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        assert on_progress is not None
        for step in range(1, self.steps + 1):
            await self.at_step(step)
            await on_progress(step * 100, self.total)
        await sync_to_async(memory_storage.copy_file)(from_key, to_key, if_match=if_match)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with direct_uploads() as cloud:
        yield cloud


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowCopies:
    slow = SlowCopies(5)
    monkeypatch.setattr(MemoryAsyncUploadStorage, "acopy_file", staticmethod(slow.acopy_file))
    return slow


@pytest.fixture
def each_step_is_told(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ASYNC_UPLOADS = {"PROGRESS_INTERVAL": 0}
    monkeypatch.setattr(copying, "RECORD_INTERVAL", 0)


async def uploaded(client: AsyncClient, cloud: Cloud) -> str:
    key = await booklet_ticket(client)
    cloud.receive(key, PDF)
    await complete(client, key)
    return key


async def test_watchers_are_told_how_far_it_is(
    async_client: AsyncClient, cloud: Cloud, slow: SlowCopies, each_step_is_told: None
) -> None:
    key = await uploaded(async_client, cloud)

    async with watching(key) as watcher:
        await Album.objects.acreate(booklet=key)
        await watcher.hears_state("promoted")

    copied = [status["received"] for status in watcher.heard if status["state"] == "promoting"]
    numbers = [status["seq"] for status in watcher.heard]
    assert copied == [len(PDF), 100, 200, 300, 400, 500]
    assert numbers == sorted(set(numbers)), "no watcher drops one of them as late"
    assert watcher.heard[-1]["received"] == len(PDF)


async def test_somebody_who_looks_later_sees_how_far_it_is(
    async_client: AsyncClient,
    cloud: Cloud,
    slow: SlowCopies,
    each_step_is_told: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = await uploaded(async_client, cloud)
    seen: list[int] = []

    async def look(step: int) -> None:
        seen.append((await AsyncTempFile.objects.aget(key=key)).received)

    monkeypatch.setattr(slow, "at_step", look)

    await Album.objects.acreate(booklet=key)

    assert seen == [len(PDF), 100, 200, 300, 400]


async def test_its_lease_is_kept_alive(
    async_client: AsyncClient, cloud: Cloud, slow: SlowCopies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a sweep would start a second copy beside it."""
    key = await uploaded(async_client, cloud)
    monkeypatch.setattr(copying, "LEASE", 0.3)
    monkeypatch.setattr(copying, "LONG_COPY", 0.01)
    left: list[timedelta] = []

    async def take_longer_than_a_lease(step: int) -> None:
        await asyncio.sleep(0.15)
        row = await AsyncTempFile.objects.aget(key=key)
        assert row.lease_until is not None
        left.append(row.lease_until - timezone.now())

    monkeypatch.setattr(slow, "at_step", take_longer_than_a_lease)
    await AsyncTempFile.objects.aupdate(lease_until=None)

    await Album.objects.acreate(booklet=key)

    assert all(timedelta() < each < timedelta(seconds=0.4) for each in left[1:]), left


async def test_it_holds_no_database_connection(
    async_client: AsyncClient, cloud: Cloud, slow: SlowCopies, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await uploaded(async_client, cloud)
    open_connections: list[bool] = []

    async def look(step: int) -> None:
        await asyncio.sleep(0.1)
        open_connections.append(await sync_to_async(lambda: connection.connection is not None)())

    monkeypatch.setattr(slow, "at_step", look)
    monkeypatch.setattr(copying, "LONG_COPY", 0.01)
    monkeypatch.setattr(copying, "RECORD_INTERVAL", 0)

    await Album.objects.acreate(booklet=key)

    assert not any(open_connections[2:]), open_connections
    assert (await AsyncTempFile.objects.aget(key=key)).state == "promoted"


async def test_a_copy_whose_row_was_taken_by_another_promoter_stops(
    async_client: AsyncClient, cloud: Cloud, slow: SlowCopies, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await uploaded(async_client, cloud)
    steps: list[int] = []

    async def lose_the_lease(step: int) -> None:
        steps.append(step)
        await AsyncTempFile.objects.aupdate(version=100)

    monkeypatch.setattr(slow, "at_step", lose_the_lease)

    album = await Album.objects.acreate(booklet=key)

    assert steps == [1]
    assert album.booklet.name == key
    assert not cloud.holds(FINAL)
