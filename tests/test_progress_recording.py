"""The progress of all uploads of a process goes to their rows together."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async

from async_uploads.models import AsyncTempFile
from async_uploads.temp_files import State
from async_uploads.uploads import progress
from async_uploads.uploads.patience import Patience
from async_uploads.uploads.progress import Progress, record
from tests.arrivals import abegun

pytestmark = [pytest.mark.on_postgresql, pytest.mark.django_db(transaction=True)]


async def under_way(received: int) -> Progress:
    temp_file = await abegun()
    await temp_file.amove(State.UPLOADING)
    one = Progress(temp_file, Patience(0))
    one.received = received
    return one


@pytest.fixture(params=["one statement for two rows", "a statement for each"])
def statements(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As PostgreSQL and SQLite take them, and as other databases do."""
    monkeypatch.setattr(progress, "TOGETHER", 2)
    if request.param == "a statement for each":
        monkeypatch.setattr(progress, "knows_returning", lambda connection: False)


@pytest.mark.usefixtures("statements")
async def test_each_row_gets_its_own_number_however_many_there_are() -> None:
    uploads = [await under_way(received) for received in (10, 20, 3_000_000_000, 40, 50)]

    lost = await sync_to_async(record)(uploads)

    assert lost == []
    found = AsyncTempFile.objects.order_by("pk").values_list("received", flat=True)
    assert [received async for received in found] == [10, 20, 3_000_000_000, 40, 50]


@pytest.mark.usefixtures("statements")
async def test_uploads_that_somebody_else_has_moved_are_told_apart_and_left_alone() -> None:
    uploads = [await under_way(received) for received in (10, 20, 30)]
    taken = await AsyncTempFile.objects.aget(pk=uploads[1].temp_file.pk)
    await taken.amove(State.CANCELLED)

    lost = await sync_to_async(record)(uploads)

    assert lost == [taken.pk]
    await taken.arefresh_from_db()
    assert (taken.state, taken.received) == (State.CANCELLED, 0)
