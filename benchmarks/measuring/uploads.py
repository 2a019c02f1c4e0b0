"""Many uploads at once: of which size, how slow, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from benchmarks.measuring.bodies import FORM_HEADERS, RAW_HEADERS, form
from benchmarks.measuring.dripping import drip
from benchmarks.measuring.loading import Answers, Request
from benchmarks.measuring.meanwhile import meanwhile
from benchmarks.measuring.processes import run
from benchmarks.measuring.sites import PYTHON, Site

PATIENCE = 5.0
"""Seconds for which answers are waited for when all has been sent."""


@dataclass(frozen=True)
class Load:
    """``uploads`` of ``size`` bytes over ``seconds`` each, beginning evenly over ``spread`` seconds.

    All of them at once, or ``at_once``, and the next when one has ended.
    """

    uploads: int
    size: int
    seconds: float
    spread: float
    pieces: int = 64
    at_once: int | None = None

    @property
    def whole(self) -> float:
        """Seconds that it takes where the server keeps up."""
        return self.spread + self.seconds * self.uploads / (self.at_once or self.uploads)


def requests_for(at: Site, kind: str, load: Load) -> tuple[list[Request], bytes]:
    """Requests that have not been sent yet, and the body for each."""
    content = bytes(load.size)
    if kind == "bare":
        return [Request(at.url("x"), "PUT", RAW_HEADERS)] * load.uploads, content
    if kind == "plain":
        return [Request(at.url("upload/"), "POST", FORM_HEADERS)] * load.uploads, form(content)
    urls = [at.server.address + path for path in _prepared(at, str(load.uploads))]
    if kind == "peer":
        return [Request(url, "POST", FORM_HEADERS) for url in urls], form(content)
    return [Request(url, "PUT", RAW_HEADERS) for url in urls], content


def dripping(
    requests: Sequence[Request], body: bytes, load: Load, patience: float = PATIENCE
) -> AbstractContextManager[Future[Answers]]:
    """The load, from a process of its own, while the block does something else."""
    return meanwhile(
        drip,
        requests,
        body,
        pieces=load.pieces,
        seconds=load.seconds,
        spread=load.spread,
        at_once=load.at_once,
        within=load.whole + patience,
    )


def ended_well(ended: Answers) -> int:
    return sum(count for status, count in ended.statuses.items() if 200 <= status < 300)


def check_all_uploaded(at: Site) -> None:
    """Of ours: raises RuntimeError where a row is not ``uploaded``, whatever its client was told."""
    states = _prepared(at)
    if set(states) != {"uploaded"}:
        raise RuntimeError(f"not all ended well: {states}")


def _prepared(at: Site, *count: str) -> Any:
    made: Any = json.loads(run([PYTHON, "-m", "benchmarks.sites.prepared", *count], at.environment))
    return made
