"""How many uploads there are, by state and age, and what waits for the sweep."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Min, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from async_uploads.conf import upload_settings
from async_uploads.sweeping.due import Due
from async_uploads.temp_files import PROMOTION_FAILED, AsyncTempFile, State

AGES: dict[str, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


@dataclass(frozen=True)
class StateCount:
    """The uploads in one state. ``size`` in bytes, as far as they have arrived.

    ``by_age``: how many were asked for within the last ``hour``, else the last ``day``, else the last ``week``, or
    ``earlier``.
    """

    count: int
    size: int
    oldest: datetime | None
    by_age: dict[str, int]


@dataclass(frozen=True)
class Backlog:
    """``states`` has every state. The rest are counts of uploads.

    ``interrupted``, ``promotions``, ``abandoned`` and ``finished`` are what the next sweep restarts, promotes, expires
    and prunes; of the last two it keeps those that a record turns out to have. ``failed`` promotions wait for a person.
    """

    at: datetime
    states: dict[str, StateCount]
    interrupted: int
    promotions: int
    abandoned: int
    finished: int
    failed: int


def backlog() -> Backlog:
    """As it is now; two queries."""
    now = timezone.now()
    due = Due.at(now, now - timedelta(hours=upload_settings.TEMP_FILE_MAX_AGE))
    counts: dict[str, int] = AsyncTempFile.objects.aggregate(
        interrupted=_count(due.interrupted),
        promotions=_count(due.promotions | due.taken),
        abandoned=_count(due.abandoned),
        finished=_count(due.finished),
        failed=_count(Q(state=State.FAILED, error_code=PROMOTION_FAILED)),
    )
    return Backlog(at=now, states=_states(now), **counts)


def _states(now: datetime) -> dict[str, StateCount]:
    within = {name: _count(Q(created_at__gt=now - age)) for name, age in AGES.items()}
    rows = AsyncTempFile.objects.order_by().values("state")
    found = rows.annotate(
        count=Count("pk"), bytes=Sum(Coalesce(F("size"), F("received"))), oldest=Min("created_at"), **within
    )
    by_state: dict[str, Any] = {row["state"]: row for row in found}
    return {state: _state_count(by_state.get(state)) for state in State.values}


def _state_count(row: dict[str, Any] | None) -> StateCount:
    if row is None:
        return StateCount(0, 0, None, dict.fromkeys([*AGES, "earlier"], 0))
    bounds = [0, *(row[name] for name in AGES), row["count"]]
    by_age = {
        name: above - below
        for name, below, above in zip([*AGES, "earlier"], bounds, bounds[1:], strict=False)
    }
    return StateCount(row["count"], row["bytes"], row["oldest"], by_age)


def _count(which: Q) -> Count:
    return Count("pk", filter=which)
