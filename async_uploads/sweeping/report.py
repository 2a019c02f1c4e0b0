"""What a sweep tells of itself."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class SweepReport:
    """What a sweep did, or with ``dry_run`` would do. ``errors`` holds one line for each upload that failed.

    ``kept``: old uploads that a record still names. ``seconds``: how long it took.
    """

    restarted: int = 0
    promoted: int = 0
    expired: int = 0
    pruned: int = 0
    kept: int = 0
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)

    @property
    def has_done_something(self) -> bool:
        return any((self.restarted, self.promoted, self.expired, self.pruned, self.errors))

    def __str__(self) -> str:
        counts = (
            f"{self.restarted} interrupted uploads made ready again, {self.promoted} promotions finished, "
            f"{self.expired} abandoned uploads expired, {self.pruned} finished rows pruned"
        )
        if self.kept:
            counts += f", {self.kept} old uploads kept because a record names them"
        return f"{counts}, {len(self.errors)} failed" if self.errors else counts
