"""Slow clients: what another visitor feels meanwhile, and what each of them costs in memory.

First 500 uploads at once, of 1 MiB over 10 seconds each: begun within five seconds, so all are under way for five.
Meanwhile somebody asks for another page fifty times a second (a session, a user). Ours publishes the progress of all of
them to Redis, as a deployment does. Then 2,000 at once, of 256 KiB each: the memory that the server has beyond what it
had before, for each of them, beside the same of an application that does nothing but write to a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import sleep

from benchmarks.measuring.dripping import allow_open_files
from benchmarks.measuring.loading import Answers, Request, in_own_process, paced
from benchmarks.measuring.processes import Command, settle
from benchmarks.measuring.results import Metrics, Result, Samples, Verdict
from benchmarks.measuring.rounds import Options, alternate, main
from benchmarks.measuring.sites import Site, bare, gunicorn, site, uvicorn
from benchmarks.measuring.uploads import (
    PATIENCE,
    Load,
    check_all_uploaded,
    dripping,
    ended_well,
    requests_for,
)
from tests.redis_process import redis_process

EVERY = 0.02
"""Seconds between two requests for the page."""

BEGINNINGS = 5.0
MEMORY_ROUNDS = 1
PEER = "peer on uvicorn"


@dataclass(frozen=True)
class Contender:
    name: str
    kind: str
    command: Command


OURS = Contender("async_uploads", "ours", uvicorn)
BARE = Contender("bare ASGI application", "bare", bare)
AT_THE_PAGE = (OURS, Contender(PEER, "peer", uvicorn))
ONCE = (Contender("peer on gunicorn", "peer", gunicorn), Contender("Django's FileField", "plain", uvicorn))
"""What there is no doubt about, in one round: the uploads take gunicorn's threads, and the page waits for them."""
IN_MEMORY = (OURS, BARE)


def measure(options: Options) -> Result:
    allow_open_files()
    result = Result(
        "slow",
        "Slow uploads: the p99 of another page meanwhile, and memory for each",
        ["page p99 ms", "page p99 ms, all under way", "page p99 ms, idle", "KiB per upload"],
    )
    waiting = Load(100, 2**20, 3, 1.5) if options.quick else Load(500, 2**20, 10, BEGINNINGS)
    held = Load(200, 2**18, 4, 2) if options.quick else Load(2000, 2**18, 20, 12)
    with ExitStack() as stack:
        told = {"BENCH_REDIS": stack.enter_context(redis_process(options.folder)).address}
        for contenders, rounds in ((AT_THE_PAGE, options.rounds), (ONCE, 1)):
            runs = {}
            for one in contenders:
                at = stack.enter_context(site(one.kind, one.command, options.folder, environment=told))
                _some(at, one.kind)
                runs[one.name] = partial(_beside_a_page, at, one.kind, waiting)
            result.samples |= alternate(runs, rounds, what="slow, page", warm_up=False)
        runs = {one.name: partial(_in_memory, one, options.folder, told, held) for one in IN_MEMORY}
        in_memory = alternate(runs, MEMORY_ROUNDS, what="slow, memory", warm_up=False)
    for name, found in in_memory.items():
        values = result.samples.setdefault(name, Samples()).values
        values |= {metric: samples for metric, samples in found.values.items() if metric not in values}
        values["ended well"] = values["ended well"] + found.values["ended well"]
    _judge(result, waiting, held)
    return result


def _judge(result: Result, waiting: Load, held: Load) -> None:
    ours, peer = result.samples[OURS.name], result.samples[PEER]
    idle = ours.median("page p99 ms, idle")
    while_ = f"p99 of a page while {waiting.uploads} uploads"
    for what, metric in (
        (f"{while_} begin, arrive and end, beside its own when idle", "page p99 ms"),
        (f"{while_} are all under way, beside its own when idle", "page p99 ms, all under way"),
    ):
        result.verdicts.append(Verdict(what, ours.median(metric) / idle, at_most=2))
        beside = ours.median(metric) / peer.median(metric)
        result.verdicts.append(Verdict(f"{what.rpartition(',')[0]}, beside the {PEER}", beside, at_most=0.5))
    beyond = ours.median("KiB per upload") - result.samples[BARE.name].median("KiB per upload")
    what = f"memory of each of {held.uploads:,} uploads beyond a connection's"
    result.verdicts.append(Verdict(what, beyond, "KiB", at_most=64))
    result.verdicts.append(
        Verdict("uploads that ended well", min(ours.values["ended well"]) * 100, "%", at_least=100)
    )
    client = max(max(samples.values["client CPU"]) for samples in result.samples.values())
    result.notes.append(f"The process that drips used {client:.0%} of a core at most.")
    answered = median(result.samples["peer on gunicorn"].values["page answered"])
    result.notes.append(
        f"Of gunicorn's pages {answered:.0%} were answered at all within {PATIENCE:.0f} seconds after the last; "
        f"of the uploads {median(result.samples['peer on gunicorn'].values['ended well']):.0%}."
    )


def _some(at: Site, kind: str) -> None:
    """What a server sets up for its first uploads is not of those that are measured."""
    warm = Load(20, 2**16, 0.5, 0.5, pieces=4)
    with dripping(*requests_for(at, kind, warm), warm) as sending:
        sending.result().check()


def _beside_a_page(at: Site, kind: str, load: Load) -> Metrics:
    settle(at.server)
    page = Request(at.url("page/"), headers={"Cookie": f"sessionid={at.sessions[0]}"})
    idle: Answers = in_own_process(paced, page, EVERY, load.whole / 5).check()
    requests, body = requests_for(at, kind, load)
    before = at.server.spent.cpu
    with dripping(requests, body, load) as sending:
        pages = in_own_process(paced, page, EVERY, load.whole, PATIENCE)
        ended: Answers = sending.result()
    all_there = pages.latencies[int((load.spread + 0.5) / EVERY) : int(load.seconds / EVERY)]
    return {
        "page p99 ms": pages.percentile(0.99) * 1000,
        "page p50 ms": pages.percentile(0.5) * 1000,
        "page p99 ms, all under way": Answers(latencies=all_there).percentile(0.99) * 1000,
        "page p99 ms, idle": idle.percentile(0.99) * 1000,
        "page p50 ms, idle": idle.percentile(0.5) * 1000,
        "page answered": pages.statuses.get(200, 0) / len(pages.latencies),
        "server CPU": (at.server.spent.cpu - before) / load.whole,
        **_about(ended, load),
    }


def _in_memory(one: Contender, folder: Path, told: Mapping[str, str], load: Load) -> Metrics:
    """Of a server that has not had so many before: what they took, it would still have."""
    with site(one.kind, one.command, folder, environment=told) as at:
        _some(at, one.kind)
        return _held_in(at, one.kind, load)


def _held_in(at: Site, kind: str, load: Load) -> Metrics:
    settle(at.server)
    requests, body = requests_for(at, kind, load)
    connections, memory = at.server.connections, at.server.memory
    with dripping(requests, body, load) as sending:
        found = []
        while not sending.done():
            if at.server.connections - connections >= load.uploads:
                found.append(at.server.memory - memory)
            sleep(0.25)
        ended: Answers = sending.result()
    if not found:
        raise RuntimeError(f"Never were {load.uploads} uploads under way at once: {ended.statuses}")
    if kind == "ours":
        check_all_uploaded(at)
    return {"KiB per upload": median(found) / load.uploads / 1024, **_about(ended, load)}


def _about(ended: Answers, load: Load) -> Metrics:
    return {
        "ended well": ended_well(ended) / load.uploads,
        "client CPU": ended.client_cpu / ended.seconds,
    }


if __name__ == "__main__":
    main(measure, __doc__)
