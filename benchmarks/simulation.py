"""One process as a queue: what waits, waits for its turn on the one core that Python uses."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SEGMENTS = 4
"""Parts in which an upload begins, and in which it ends: between two of them others have their turn."""
PAGE_SEGMENTS = 3
"""Of a page: on the event loop, in the request's thread, and on the loop again."""


@dataclass(frozen=True)
class Costs:
    """Seconds of CPU that a process of the server spends for one of each."""

    page: float
    idle: float
    """Seconds until a page is there while nothing else happens: with what it takes beside the server's CPU."""
    ticket: float
    upload: float
    """Its beginning and its end, without its pieces."""
    piece: float
    save: float

    def of_upload(self, pieces: int) -> float:
        return self.upload + pieces * self.piece


@dataclass(frozen=True)
class Job:
    """Something that comes ``at`` a time and takes these ``parts``, seconds each: others have turns in between."""

    at: float
    parts: tuple[float, ...]
    is_watched: bool = False


def waits(jobs: Iterable[Job]) -> list[float]:
    """Seconds that each watched job has waited for its turns, first come, first served."""
    waiting = [(job.at, number, job, job.parts) for number, job in enumerate(jobs)]
    heapq.heapify(waiting)
    free, count, found = 0.0, len(waiting), []
    while waiting:
        at, _number, job, (part, *rest) = heapq.heappop(waiting)
        free = max(free, at) + part
        if rest:
            count += 1
            heapq.heappush(waiting, (free, count, job, tuple(rest)))
        elif job.is_watched:
            found.append(free - job.at - sum(job.parts))
    return found


def pages(costs: Costs, every: float, seconds: float) -> Iterator[Job]:
    """Somebody who asks for a page at an even pace."""
    for number in range(int(seconds / every)):
        yield Job(number * every, (costs.page / PAGE_SEGMENTS,) * PAGE_SEGMENTS, is_watched=True)


def uploads(costs: Costs, count: int, spread: float, seconds: float, pieces: int) -> Iterator[Job]:
    """So many that begin evenly over ``spread`` seconds, and take ``seconds`` each for their pieces."""
    parts = (costs.upload / 2 / SEGMENTS,) * SEGMENTS
    for number in range(count):
        begins = number * spread / count
        yield Job(begins, parts)
        for piece in range(pieces):
            yield Job(begins + piece * seconds / pieces, (costs.piece,))
        yield Job(begins + seconds, parts)


def closed_loop(cost: float, connections: int, seconds: float) -> tuple[float, list[float]]:
    """Requests a second, and seconds that each takes, where each connection asks again when it has its answer."""
    free, came, found = 0.0, [0.0] * connections, []
    while free < seconds:
        at = heapq.heappop(came)
        free = max(free, at) + cost
        found.append(free - at)
        heapq.heappush(came, free)
    return len(found) / free, found
