"""What is left over: the sweep that clears it away, and how much of it there is."""

from async_uploads.sweeping.backlog import AGES, Backlog, StateCount, backlog
from async_uploads.sweeping.due import count_due
from async_uploads.sweeping.report import SweepReport
from async_uploads.sweeping.sweep import asweep, before, named_by_records
from async_uploads.sweeping.watching import awatch

__all__ = [
    "AGES",
    "Backlog",
    "StateCount",
    "SweepReport",
    "asweep",
    "awatch",
    "backlog",
    "before",
    "count_due",
    "named_by_records",
]
