"""Rows taken for a sweep, a batch at a time: two sweeps beside each other share the work, and neither waits."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import connections, router, transaction
from django.db.models import Q
from django.utils import timezone

from async_uploads.promotion import LEASE
from async_uploads.temp_files import AsyncTempFile, expiry

BATCH = 200


def take(which: Q, *, after: int) -> list[AsyncTempFile]:
    """The next rows by primary key that nobody is at, with a lease on them that a sweep elsewhere respects.

    A lease does not keep the row's owner from anything: a save or a cancel that comes meanwhile wins, and the sweep
    finds the row changed. Two statements in a transaction of their own, or three without one. Blocking.
    """
    free = which & (Q(lease_until=None) | Q(lease_until__lte=timezone.now()))
    until = expiry(LEASE)
    alias = router.db_for_write(AsyncTempFile)
    rows = AsyncTempFile.objects.using(alias).filter(free, pk__gt=after).order_by("pk")
    if not connections[alias].features.has_select_for_update_skip_locked:
        # One statement takes them. The lease's microseconds tell which ones are ours.
        found = rows.model.objects.using(alias).filter(pk__in=list(rows.values_list("pk", flat=True)[:BATCH]))
        found.filter(free).update(lease_until=until)
        return list(found.filter(lease_until=until).order_by("pk"))
    with transaction.atomic(using=alias):
        taken = list(rows.select_for_update(skip_locked=True)[:BATCH])
        AsyncTempFile.objects.using(alias).filter(pk__in=[row.pk for row in taken]).update(lease_until=until)
    for row in taken:
        row.lease_until = until
    return taken


def look_at(which: Q, *, after: int) -> list[AsyncTempFile]:
    """As ``take``, for a dry run: without a lease. Blocking."""
    return list(AsyncTempFile.objects.filter(which, pk__gt=after).order_by("pk")[:BATCH])


def give_back(rows: list[AsyncTempFile], until: datetime | None, *, without: Iterable[int] = ()) -> None:
    """End the lease of those of ``rows`` that are still held by it, and delete those of ``without``. Blocking."""
    held = AsyncTempFile.objects.filter(pk__in=[row.pk for row in rows], lease_until=until)
    held.filter(pk__in=list(without)).delete()
    held.update(lease_until=None)
