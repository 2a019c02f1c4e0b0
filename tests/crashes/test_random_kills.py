"""Hundreds of kills at random instants, while people upload, save, replace, delete and cancel."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.utils import timezone

from async_uploads.models import AsyncTempFile
from async_uploads.sweeping import asweep
from async_uploads.temp_files import FINISHED_STATES, State
from tests.conftest import field_id_of
from tests.crashes.workers import Worker, save_again_and_again, serve, sweep_again_and_again
from tests.servers.processes import free_ports
from tests.testapp.models import Portrait

KILLS = int(os.environ.get("ASYNC_UPLOADS_TEST_KILLS", "300"))
SEED = int(os.environ.get("ASYNC_UPLOADS_TEST_SEED") or random.SystemRandom().randrange(10**6))
PEOPLE = 6
LONGEST_PAUSE = 0.15  # seconds between two kills

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql_only, pytest.mark.timeout(900)]


class Person:
    """Uploads one file after the other, tries again when the server is gone, and cancels some."""

    def __init__(self, ports: list[int], seed: int) -> None:
        self._rng = random.Random(seed)
        self._ports = ports
        self.acknowledged: set[str] = set()
        self.refused: list[str] = []

    async def upload_again_and_again(self) -> None:
        async with httpx.AsyncClient(timeout=10) as client:
            client.cookies.set("csrftoken", "a" * 32)
            client.headers["X-CSRFToken"] = "a" * 32
            while True:
                try:
                    await self._upload(client)
                except httpx.HTTPError:
                    await asyncio.sleep(0.02)  # the server is being started

    async def _upload(self, client: httpx.AsyncClient) -> None:
        content = self._rng.randbytes(self._rng.choice([10, 1000, 100_000, 300_000]))
        name = f"{hash_of(content)}.bin"
        asked = {"fieldId": field_id_of(Portrait), "filename": name}
        ticket = (await client.post(self._url("/async-uploads/generate-upload-url/"), json=asked)).json()
        for _attempt in range(10):
            try:
                answer = await client.put(
                    self._url(ticket["uploadUrl"]["url"]), content=self._slowly(content)
                )
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
                continue
            if answer.status_code == 201:
                break
            if answer.status_code not in (404, 409, 410):
                self.refused.append(answer.text)
            await asyncio.sleep(0.2)
        else:
            return
        if self._rng.random() < 0.1:
            await client.post(self._url("/async-uploads/cancel-upload/"), json={"key": ticket["key"]})
        else:
            self.acknowledged.add(ticket["key"])

    async def _slowly(self, content: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(content), 50_000):
            yield content[start : start + 50_000]
            await asyncio.sleep(self._rng.random() * 0.02)

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._rng.choice(self._ports)}{path}"


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def stored_names() -> set[str]:
    root = Path(settings.MEDIA_ROOT)
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def named() -> set[str]:
    return set(Portrait.objects.exclude(file="").values_list("file", flat=True))


def assert_records_have_their_files() -> None:
    """Each name begins with the hash of its content."""
    for name in named():
        content = Path(settings.MEDIA_ROOT, name).read_bytes()
        assert hash_of(content) in Path(name).name, f"{name} has somebody else's content."


def aged(by: timedelta) -> None:
    then = timezone.now() - by
    AsyncTempFile.objects.update(created_at=then, updated_at=then)
    AsyncTempFile.objects.exclude(lease_until=None).update(lease_until=then)


@pytest.fixture
def workers(tmp_path: Path) -> Any:
    ports = free_ports(2)
    jobs = [(serve, port) for port in ports] + [(save_again_and_again, 0)] * 3 + [(sweep_again_and_again, 0)]
    made = [
        Worker(work, number, port, tmp_path / f"{number}.diary", seed=SEED + 1000 * number)
        for number, (work, port) in enumerate(jobs)
    ]
    for worker in made:
        worker.start()
    yield made
    for worker in made:
        worker.stop()


async def test_random_kills_lose_nothing_and_leak_nothing(workers: list[Worker]) -> None:
    print(f"ASYNC_UPLOADS_TEST_SEED={SEED}")  # noqa: T201  # shown where the test fails
    rng = random.Random(SEED)
    people = [Person([worker.port for worker in workers if worker.port], SEED + n) for n in range(PEOPLE)]
    at_work = [asyncio.create_task(person.upload_again_and_again()) for person in people]
    await asyncio.sleep(2)
    for _kill in range(KILLS):
        worker = rng.choice(workers)
        await asyncio.to_thread(worker.kill)
        worker.start()
        await asyncio.sleep(rng.random() * LONGEST_PAUSE)
    await asyncio.sleep(1)
    for task in at_work:
        task.cancel()
    ended = await asyncio.gather(*at_work, return_exceptions=True)
    for worker in workers:
        await asyncio.to_thread(worker.kill)
    await sync_to_async(aged)(timedelta(minutes=10))
    first = await asweep()

    assert [one for one in ended if not isinstance(one, asyncio.CancelledError)] == []
    assert [answer for person in people for answer in person.refused] == []
    assert first.errors == []
    await sync_to_async(assert_all_is_well)(people, workers)


def assert_all_is_well(people: list[Person], workers: list[Worker]) -> None:
    kept = set(AsyncTempFile.objects.exclude(owner="-").values_list("key", "state"))
    uploads = set().union(*(person.acknowledged for person in people))
    assert len(uploads) > KILLS / 2, "Hardly anybody came to upload anything."
    # A sweep of 30 seconds' age expires what no saver took in that time; anything else would be a loss.
    lost = {
        key: state for key, state in kept if key in uploads and state in ("failed", "cancelled", "pending")
    }
    assert {key for key in lost if not was_given_up(key)} == set()
    assert not AsyncTempFile.objects.filter(state__in=(State.UPLOADING, State.PROMOTING)).exists()

    there = set(Portrait.objects.values_list("pk", flat=True))
    for worker in workers:
        present, _unsure = worker.acknowledged()
        assert present <= there, f"Acknowledged records are gone: {present - there}"
    assert_records_have_their_files()
    known = {name for row in AsyncTempFile.objects.all() for name in (row.key, row.final_name) if name}
    assert stored_names() <= known | named()

    aged(timedelta(days=3))
    for _round in range(2):
        assert async_to_sync(asweep)(age=timedelta()).errors == []
    assert_records_have_their_files()
    assert stored_names() == named()
    assert not AsyncTempFile.objects.exclude(state__in=FINISHED_STATES).exists()


def was_given_up(key: str) -> bool:
    """``cancelled`` is also what becomes of an upload whose record was deleted before its promotion."""
    row = AsyncTempFile.objects.get(key=key)
    return row.state == State.CANCELLED and bool(row.record_pk)
