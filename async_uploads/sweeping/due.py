"""Which uploads are due for the sweep, and for what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from django.db.models import Q
from django.utils import timezone

from async_uploads.conf import upload_settings
from async_uploads.promotion import LEASE
from async_uploads.temp_files import FINISHED_STATES, NOT_TAKEN, AsyncTempFile, State

STALLED_AFTER = 60.0
"""Seconds without a sign of life after which an upload's process counts as dead, beyond the idle timeout."""


@dataclass(frozen=True)
class Due:
    """Conditions on the rows.

    ``interrupted``: the process that received them is dead. ``promotions``: begun, and not at work. ``taken``: a record
    has them, and nobody began. ``abandoned``: nobody took them. ``finished``: old rows that nothing needs.
    """

    interrupted: Q
    promotions: Q
    taken: Q
    abandoned: Q
    finished: Q

    @classmethod
    def at(cls, now: datetime, before: datetime) -> Self:
        """``before``: whatever is older was abandoned, or is old."""
        unfinished = (State.PENDING, State.UPLOADING, State.UPLOADED)
        alone = now - timedelta(seconds=LEASE)
        return cls(
            interrupted=Q(
                state=State.UPLOADING,
                updated_at__lte=now - timedelta(seconds=upload_settings.IDLE_TIMEOUT + STALLED_AFTER),
            ),
            promotions=Q(state=State.PROMOTING)
            & (Q(lease_until__lte=now) | Q(lease_until=None, updated_at__lte=alone)),
            taken=Q(state__in=(State.PENDING, State.UPLOADED), updated_at__lte=alone) & ~NOT_TAKEN,
            abandoned=Q(state__in=unfinished, created_at__lte=before) & NOT_TAKEN,
            finished=Q(state__in=FINISHED_STATES, updated_at__lte=before)
            & ~Q(state=State.FAILED, record_pk__gt=""),
        )

    def any(self) -> Q:
        return self.interrupted | self.promotions | self.taken | self.abandoned | self.finished


def count_due(before: datetime) -> int:
    """How many rows a sweep would look at now. One query."""
    return AsyncTempFile.objects.filter(Due.at(timezone.now(), before).any()).count()
