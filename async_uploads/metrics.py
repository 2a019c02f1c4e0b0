"""Metrics on the default registry of ``prometheus_client``, where that is installed.

django-prometheus exports them, too. Their labels are fields, states
and steps: as many as the project has fields, however many uploads there are.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from async_uploads.signals import Move

try:
    import prometheus_client
    from prometheus_client import Counter, Gauge, Histogram
except ImportError:
    prometheus_client = None  # type: ignore[assignment]  # off, then

P = ParamSpec("P")
R = TypeVar("R")

SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """All there are; made once in each process."""

    def __init__(self) -> None:
        by_field = ["field"]
        self.uploads: Counter = Counter(
            "async_uploads_uploads", "Uploads that have come to a state", ["field", "state"]
        )
        self.received: Counter = Counter(
            "async_uploads_received_bytes", "Bytes of uploads that have passed the checks", by_field
        )
        self.attempts: Counter = Counter(
            "async_uploads_promotion_attempts", "Attempts at a promotion", by_field
        )
        self.failures: Counter = Counter(
            "async_uploads_promotion_failures", "Attempts at a promotion that failed", by_field
        )
        self.duration: Histogram = Histogram(
            "async_uploads_duration_seconds",
            "From the ticket to the checked file (upload), from the save to the final file (promotion)",
            ["field", "step"],
            buckets=SECONDS,
        )
        self.in_flight: Gauge = Gauge(
            "async_uploads_in_flight",
            "Uploads whose bytes this process is receiving now",
            multiprocess_mode="livesum",
        )

    def count(self, move: Move) -> None:
        if move.from_state != move.to_state:
            self.uploads.labels(move.field, move.to_state).inc()
        if move.attempted:
            self.attempts.labels(move.field).inc()
        if move.from_state == "promoting" and move.error_code and not move.attempted:
            self.failures.labels(move.field).inc()
        if move.to_state == "uploaded":
            self.received.labels(move.field).inc(move.size or 0)
            self.duration.labels(move.field, "upload").observe(move.age)
        if move.to_state == "promoted":
            self.duration.labels(move.field, "promotion").observe(move.duration)


metrics: Final[Metrics | None] = Metrics() if bool(prometheus_client) else None


def count_move(move: Move, **kwargs: Any) -> None:
    """Receiver of ``upload_moved``."""
    if metrics is not None:
        metrics.count(move)


def counted_in_flight(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Count the calls of an async function that are running."""
    if metrics is None:
        return function
    gauge = metrics.in_flight

    @wraps(function)
    async def counted(*args: P.args, **kwargs: P.kwargs) -> R:
        with gauge.track_inprogress():
            return await function(*args, **kwargs)

    return counted
