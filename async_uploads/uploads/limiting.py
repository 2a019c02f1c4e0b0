"""How many unfinished uploads one owner, and the anonymous visitors of one address, may have."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, router, transaction
from django.db.models import Count, Q
from django.utils import timezone

from async_uploads.conf import upload_settings
from async_uploads.exceptions import TooManyUploads
from async_uploads.owners import USER_PREFIX
from async_uploads.temp_files import OPEN_STATES, AsyncTempFile

logger: logging.Logger = logging.getLogger("async_uploads")

LOG_INTERVAL = 60.0
"""Seconds between two lines about one owner or address: who is refused may ask on as fast as they like."""
MAX_REMEMBERED = 1000

_told: dict[str, float] = {}


def insert_within_limits(temp_file: AsyncTempFile) -> None:
    """Insert the row, or raise TooManyUploads and leave none.

    Of many requests at once exactly as many pass as there is room for, on PostgreSQL and SQLite. On other databases
    none slips through either, but where they come at the same instant, more may be refused than need be.
    """
    using = router.db_for_write(AsyncTempFile, instance=temp_file)
    limited = {
        temp_file.owner: upload_settings.MAX_PENDING_PER_OWNER,
        temp_file.address: upload_settings.MAX_PENDING_PER_ADDRESS,
    }
    with _one_at_a_time(using, [whose for whose, limit in limited.items() if whose and limit is not None]):
        # Insert first: it makes SQLite's transaction a writing one, of which there is one at a time.
        temp_file.save(using=using, force_insert=True)
        excess = _excess(temp_file, using)
        if excess is not None:
            temp_file.delete(using=using)
            _tell(*excess)
            raise TooManyUploads()


@contextmanager
def _one_at_a_time(using: str, whose: list[str]) -> Iterator[None]:
    vendor = connections[using].vendor
    if vendor not in ("postgresql", "sqlite"):
        yield  # what is inserted is committed, and seen by whoever counts after it
        return
    with transaction.atomic(using=using):
        if vendor == "postgresql" and whose:
            # In ascending order, so that two requests can't wait for each other.
            locks = sorted(_lock_number(one) for one in whose)
            with connections[using].cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(one) FROM unnest(%s::bigint[]) AS one", [locks])
        yield


def _lock_number(whose: str) -> int:
    digest = hashlib.sha256(f"async_uploads.limits {whose}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _excess(temp_file: AsyncTempFile, using: str) -> tuple[str, str, int] | None:
    """The setting that the row is too many for, whose the others are, and how many."""
    of_owner, of_address = Q(owner=temp_file.owner), Q(address=temp_file.address)
    none: Any = Q(pk__in=[])
    unfinished = AsyncTempFile.objects.using(using).filter(
        (of_owner if temp_file.owner else none) | (of_address if temp_file.address else none),
        state__in=OPEN_STATES,
        expires_at__gt=timezone.now(),
    )
    counts = unfinished.order_by().aggregate(
        of_owner=Count("pk", filter=of_owner), of_address=Count("pk", filter=of_address)
    )
    # A session's value is a secret; the hash of an address is none without SECRET_KEY.
    owner = temp_file.owner if temp_file.owner.startswith(USER_PREFIX) else "a visitor"
    address = f"the address {temp_file.address}"
    limits = (
        ("MAX_PENDING_PER_OWNER", temp_file.owner, owner, counts["of_owner"]),
        ("MAX_PENDING_PER_ADDRESS", temp_file.address, address, counts["of_address"]),
    )
    for setting, whose, who, count in limits:
        limit = getattr(upload_settings, setting)
        if whose and limit is not None and count > limit:
            return setting, who, count - 1
    return None


def _tell(setting: str, who: str, count: int) -> None:
    now = time.monotonic()
    if now - _told.get(who, -LOG_INTERVAL) < LOG_INTERVAL:
        return
    if len(_told) >= MAX_REMEMBERED:
        _told.clear()
    _told[who] = now
    logger.warning("An upload was refused: %s has %d unfinished ones (%s).", who, count, setting)
