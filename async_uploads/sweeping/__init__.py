"""What is left over: the sweep that clears it away, and how much of it there is."""

from async_uploads.sweeping.backlog import AGES, Backlog, StateCount, backlog
from async_uploads.sweeping.sweep import SweepReport, arecord_with, asweep

__all__ = ["AGES", "Backlog", "StateCount", "SweepReport", "arecord_with", "asweep", "backlog"]
