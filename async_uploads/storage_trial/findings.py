"""What a trial finds: one line for each step."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    OK = "ok"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """``step`` is what was tried; ``reason`` what is wrong, or why it was not tried; ``advice`` what to do about it."""

    step: str
    outcome: Outcome
    reason: str = ""
    advice: str = ""

    def __str__(self) -> str:
        told = " ".join(_as_sentence(each) for each in (self.reason, self.advice) if each)
        return f"{self.step}: {told}" if told else self.step


class Wrong(Exception):
    """A step did not go as it should."""

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice


class NotTried(Exception):
    """A step makes no sense where it was come to; the message says why."""


def without_secrets(text: str) -> str:
    """``text`` in one line, URLs in it without their query, where signatures stand."""
    return re.sub(r"\?[^\s'\"<>]+", "?…", " ".join(text.split()))


def _as_sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
