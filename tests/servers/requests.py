"""What a server was asked, as its own log tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """One that was answered; ``path`` is without its query and not decoded further than the log has it."""

    method: str
    path: str
    status: int
    query: str = ""
    agent: str = ""
