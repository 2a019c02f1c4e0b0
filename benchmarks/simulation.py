"""One process as a queue: what waits, waits for its turn on the one core that Python uses."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SEGMENTS = 4
"""Parts in which an upload begins, and in which it ends: between two of them others have their turn."""


@dataclass(frozen=True)
class Costs:
    """Seconds of CPU that a process of the server spends for one of each."""

    page: float
    ticket: float
    upload: float
    """Its beginning and its end, without its pieces."""
    piece: float
    save: float

    def of_upload(self, pieces: int) -> float:
        return self.upload + pieces * self.piece


@dataclass(frozen=True)
class Job:
    """Something that comes ``at`` a time and takes ``cost`` seconds. What ``follows`` comes when it is done."""

    at: float
    cost: float
    is_watched: bool = False
    follows: tuple[float, ...] = ()


def latencies(jobs: Iterable[Job]) -> list[float]:
    """Seconds from the coming of each watched job to its end, first come, first served."""
    waiting = [(job.at, number, job) for number, job in enumerate(jobs)]
    heapq.heapify(waiting)
    free, count, found = 0.0, len(waiting), []
    while waiting:
        at, _number, job = heapq.heappop(waiting)
        free = max(free, at) + job.cost
        if job.is_watched:
            found.append(free - job.at)
        if job.follows:
            count += 1
            cost, *rest = job.follows
            heapq.heappush(waiting, (free, count, Job(free, cost, follows=tuple(rest))))
    return found


def pages(cost: float, every: float, seconds: float) -> Iterator[Job]:
    """Somebody who asks for a page at an even pace."""
    for number in range(int(seconds / every)):
        yield Job(number * every, cost, is_watched=True)


def uploads(costs: Costs, count: int, spread: float, seconds: float, pieces: int) -> Iterator[Job]:
    """So many that begin evenly over ``spread`` seconds, and take ``seconds`` each for their pieces."""
    part = costs.upload / 2 / SEGMENTS
    parts = (part,) * (SEGMENTS - 1)
    for number in range(count):
        begins = number * spread / count
        yield Job(begins, part, follows=parts)
        for piece in range(pieces):
            yield Job(begins + piece * seconds / pieces, costs.piece)
        yield Job(begins + seconds, part, follows=parts)


def closed_loop(cost: float, connections: int, seconds: float) -> tuple[float, list[float]]:
    """Requests a second, and seconds that each takes, where each connection asks again when it has its answer."""
    free, came, found = 0.0, [0.0] * connections, []
    while free < seconds:
        at = heapq.heappop(came)
        free = max(free, at) + cost
        found.append(free - at)
        heapq.heappush(came, free)
    return len(found) / free, found
