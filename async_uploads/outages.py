"""What is away for a while, and told when it goes and when it is back: one line each, however often it was asked."""

from __future__ import annotations

import logging

logger: logging.Logger = logging.getLogger("async_uploads")


class Outage:
    """``what`` is the subject of both lines: "The channel layer"."""

    def __init__(self, what: str, consequence: str) -> None:
        self._what = what
        self._consequence = consequence
        self.is_told: bool = False

    def goes_on(self, error: BaseException) -> None:
        if not self.is_told:
            self.is_told = True
            logger.error("%s does not answer (%r): %s", self._what, error, self._consequence)

    def is_over(self) -> None:
        if self.is_told:
            self.is_told = False
            logger.warning("%s answers again.", self._what)


database: Outage = Outage("The database", "uploads and their status are refused, and can be tried again.")
"""Shared by all who ask it while they serve."""
