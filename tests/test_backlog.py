"""The command async_uploads_status: how many uploads there are, and what waits for the sweep."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from async_uploads.models import AsyncTempFile
from async_uploads.sweeping import backlog
from async_uploads.temp_files import PROMOTION_FAILED, State

pytestmark = pytest.mark.django_db


def upload(state: State, age: timedelta = timedelta(), **columns: Any) -> AsyncTempFile:
    """A row that was asked for, and left alone, that long ago."""
    then = timezone.now() - age
    given = {"created_at": then, "updated_at": then, "model": "testapp.document", "field_name": "file"}
    number = AsyncTempFile.objects.count()
    return AsyncTempFile.objects.create(
        **{"key": f"async-temp-files/{number}", "name": "a.txt", "state": state, **given, **columns}
    )


def status(*arguments: str) -> str:
    printed = StringIO()
    call_command("async_uploads_status", *arguments, stdout=printed, no_color=True)
    return printed.getvalue()


def as_json() -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(status("--json"))
    return answer


def waiting() -> dict[str, int]:
    """What is in the backlog at all."""
    told = as_json()
    counts = {name: told[name] for name in ("interrupted", "promotions", "abandoned", "finished", "failed")}
    return {name: count for name, count in counts.items() if count}


def test_without_uploads_all_is_nought() -> None:
    told = as_json()

    assert set(told["states"]) == set(State.values)
    nothing = {"hour": 0, "day": 0, "week": 0, "earlier": 0}
    assert told["states"]["pending"] == {"count": 0, "size": 0, "oldest": None, "by_age": nothing}
    assert waiting() == {}


def test_uploads_are_counted_by_state_and_age() -> None:
    for minutes in (1, 59, 61, 23 * 60, 25 * 60, 8 * 24 * 60):
        upload(State.PROMOTED, timedelta(minutes=minutes), size=10, received=10)
    upload(State.UPLOADING, received=3)

    states = as_json()["states"]

    assert states["promoted"]["by_age"] == {"hour": 2, "day": 2, "week": 1, "earlier": 1}
    assert (states["promoted"]["count"], states["promoted"]["size"]) == (6, 60)
    assert (states["uploading"]["count"], states["uploading"]["size"]) == (1, 3)
    assert states["promoted"]["oldest"] < states["uploading"]["oldest"]


@pytest.mark.parametrize(
    ("state", "age", "columns", "counted"),
    [
        (State.PENDING, timedelta(hours=1), {}, {}),
        (State.PENDING, timedelta(days=3), {}, {"abandoned": 1}),
        (State.UPLOADED, timedelta(days=3), {"record_pk": "1"}, {"promotions": 1}),
        (State.UPLOADING, timedelta(seconds=5), {}, {}),
        (State.UPLOADING, timedelta(hours=1), {}, {"interrupted": 1}),
        (State.PROMOTING, timedelta(hours=1), {"record_pk": "1"}, {"promotions": 1}),
        (State.PROMOTING, timedelta(seconds=5), {"record_pk": "1"}, {}),
        (State.PROMOTED, timedelta(days=3), {"record_pk": "1"}, {"finished": 1}),
        (State.FAILED, timedelta(days=3), {}, {"finished": 1}),
        (State.FAILED, timedelta(hours=1), {"record_pk": "1", "error_code": PROMOTION_FAILED}, {"failed": 1}),
    ],
)
def test_what_waits_for_the_sweep_or_for_a_person_is_told(
    state: State, age: timedelta, columns: dict[str, Any], counted: dict[str, int]
) -> None:
    upload(state, age, **columns)

    assert waiting() == counted


def test_a_person_gets_a_table() -> None:
    upload(State.PENDING, timedelta(hours=5))
    upload(State.PROMOTED, size=3 * 1024 * 1024)

    lines = status().splitlines()

    assert re.split(r"\s{2,}", lines[0]) == [
        *("state", "uploads", "< 1 hour", "< 1 day", "< 1 week", "older", "size", "oldest")
    ]
    assert lines[1].split() == ["pending", "1", "0", "1", "0", "0", "0", "bytes", "5", "hours"]
    assert "3.0 MB" in next(line for line in lines if line.startswith("promoted"))
    assert len({line.index("bytes") for line in lines if "bytes" in line}) == 1
    assert "         0  promotions to be finished" in lines


def test_it_takes_two_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for state in State:
        upload(state)

    with django_assert_num_queries(2):
        backlog()
