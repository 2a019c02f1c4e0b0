"""User delegation keys: what signs URLs where there is no account key.

https://learn.microsoft.com/rest/api/storageservices/get-user-delegation-key
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock

from azure.storage.blob import UserDelegationKey

CLOCK_SKEW = timedelta(minutes=15)
"""How far Azure's clocks may be behind ours."""

KEY_LIFETIME = timedelta(days=7)
"""The longest that Azure gives."""

LONGEST_WITH_KEY = timedelta(days=6)
"""For signatures that live longer, a key is good that lives so long: else each of them would need a new one."""

EARLY = timedelta(minutes=5)
"""A key is replaced so long before it is too short."""


@dataclass(frozen=True)
class DelegationKey:
    key: UserDelegationKey
    expires_at: datetime


class DelegationKeys:
    """The user delegation key of a storage, fetched once for all loops and threads that ask meanwhile."""

    def __init__(self, fetch: Callable[[datetime, datetime], Awaitable[UserDelegationKey]]) -> None:
        self._fetch = fetch
        self._lock = Lock()
        self._known: DelegationKey | None = None
        self._fetching: Future[DelegationKey] | None = None

    async def get(self, expiry: datetime) -> DelegationKey:
        """A key for a signature that lives until ``expiry``, or for as long as a key can."""
        while True:
            with self._lock:
                if self._known is not None and self._known.expires_at >= _needed_until(expiry):
                    return self._known
                fetching, mine = self._fetching, Future[DelegationKey]()
                if fetching is None:
                    self._fetching = mine
            if fetching is None:
                return await self._fetch_for_all(mine)
            try:
                return await asyncio.wrap_future(fetching)
            except _GaveUp:
                continue

    async def _fetch_for_all(self, mine: Future[DelegationKey]) -> DelegationKey:
        # From now on, somebody who no longer waits for it cannot cancel it for the others.
        mine.set_running_or_notify_cancel()
        start = datetime.now(UTC) - CLOCK_SKEW
        expires_at = start + KEY_LIFETIME
        try:
            fetched = DelegationKey(await self._fetch(start, expires_at), expires_at)
        except BaseException as error:
            self._end(None)
            # A task that is cancelled, or whose loop ends, must not take the others with it: one of them tries next.
            mine.set_exception(error if isinstance(error, Exception) else _GaveUp())
            raise
        self._end(fetched)
        mine.set_result(fetched)
        return fetched

    def _end(self, fetched: DelegationKey | None) -> None:
        with self._lock:
            self._fetching = None
            self._known = fetched or self._known


class _GaveUp(Exception):
    """Who was fetching is gone."""


def _needed_until(expiry: datetime) -> datetime:
    return min(expiry + EARLY, datetime.now(UTC) + LONGEST_WITH_KEY)
