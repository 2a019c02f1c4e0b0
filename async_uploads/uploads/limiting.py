"""How many unfinished uploads one owner, and the anonymous visitors of one address, may have."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connections, router, transaction
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
    limits = _limits(temp_file)
    # Committed, and so seen by whoever counts after it: where all of them fit, no lock is needed to know it.
    temp_file.insert(using)
    if _excess(limits, using) is not None:
        # They come to a decision one after the other: each is counted until it is refused, so the last ones fit.
        with _one_at_a_time(temp_file, using):
            excess = _excess(limits, using)
            if excess is not None:
                temp_file.delete(using=using)
        if excess is not None:
            _tell(*excess)
            raise TooManyUploads()
    temp_file.tell_begun()


@contextmanager
def _one_at_a_time(temp_file: AsyncTempFile, using: str) -> Iterator[None]:
    vendor = connections[using].vendor
    with transaction.atomic(using=using):
        if vendor == "postgresql":
            # In ascending order, so that two requests can't wait for each other.
            locks = sorted(_lock_number(whose) for whose in (temp_file.owner, temp_file.address) if whose)
            with connections[using].cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(one) FROM unnest(%s::bigint[]) AS one", [locks])
        elif vendor == "sqlite":
            # A write first makes its transaction a writing one, of which there is one at a time.
            AsyncTempFile.objects.using(using).filter(pk=temp_file.pk).update(received=0)
        yield


def _lock_number(whose: str) -> int:
    digest = hashlib.sha256(f"async_uploads.limits {whose}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@dataclass(frozen=True)
class _Limit:
    setting: str
    column: str
    whose: str
    who: str
    most: int


def _limits(temp_file: AsyncTempFile) -> list[_Limit]:
    # A session's value is a secret; the hash of an address is none without SECRET_KEY.
    owner = temp_file.owner if temp_file.owner.startswith(USER_PREFIX) else "a visitor"
    limits = []
    if temp_file.owner:
        most = upload_settings.MAX_PENDING_PER_OWNER
        limits.append(_Limit("MAX_PENDING_PER_OWNER", "owner", temp_file.owner, owner, most))
    if temp_file.address and (most_here := upload_settings.MAX_PENDING_PER_ADDRESS) is not None:
        who = f"the address {temp_file.address}"
        limits.append(_Limit("MAX_PENDING_PER_ADDRESS", "address", temp_file.address, who, most_here))
    return limits


def _excess(limits: list[_Limit], using: str) -> tuple[_Limit, int] | None:
    """The limit that a row is too many for, and how many others there are. One query each."""
    for limit in limits:
        count = _unfinished(limit, using)
        if count > limit.most:
            return limit, count - 1
    return None


def _unfinished(limit: _Limit, using: str) -> int:
    """``objects.filter(…).count()``, without making its SQL anew: it is asked for each upload that is begun."""
    connection = connections[using]
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(_count_sql(limit.column, connection.ops.quote_name), [limit.whose, *OPEN_STATES, now])
        return int(cursor.fetchone()[0])


def _count_sql(column: str, quote: Callable[[str], str]) -> str:
    table, whose, state, expires = map(quote, (AsyncTempFile._meta.db_table, column, "state", "expires_at"))
    return f"SELECT COUNT(*) FROM {table} WHERE {whose} = %s AND {state} IN (%s, %s) AND {expires} > %s"  # noqa: S608  # nosec B608  # names of ours


def _tell(limit: _Limit, count: int) -> None:
    who, now = limit.who, time.monotonic()
    if now - _told.get(who, -LOG_INTERVAL) < LOG_INTERVAL:
        return
    if len(_told) >= MAX_REMEMBERED:
        _told.clear()
    _told[who] = now
    logger.warning("An upload was refused: %s has %d unfinished ones (%s).", who, count, limit.setting)
