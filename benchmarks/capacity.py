"""What one process can carry: the costs of a page, an upload URL, an upload and a save, and a simulation made of them.

Costs are CPU, user and system, of the server's process, of PostgreSQL and of Redis, with both as a deployment has them.
The simulation is held against what is measured: how many upload URLs, pages and saves a second 32 connections get, and
how long somebody waits for pages while uploads begin, arrive and end. docs/scaling.md is made of these numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.measuring.loading import Answers, Request, closed_loop, in_own_process, paced
from benchmarks.measuring.processes import cpu_of, settle
from benchmarks.measuring.results import Metrics, Result, Samples, Verdict
from benchmarks.measuring.rounds import Options, alternate, main
from benchmarks.measuring.sites import Site, site, uvicorn
from benchmarks.measuring.uploads import Load, dripping, requests_for
from benchmarks.simulation import Costs, pages, uploads, waits
from benchmarks.simulation import closed_loop as simulated_loop
from benchmarks.tickets import CONNECTIONS
from benchmarks.tickets import requests_for as tickets_for
from tests.redis_process import redis_process
from tests.servers.postgresql import running_postgresql

SIZE = 2**18
FEW, MANY = 16, 128
SECONDS = 2.0
EVERY = 0.02
PAGE, URL, SAVE = "page", "upload URL", "save"
OF_FEW, OF_MANY = (f"upload, {pieces} pieces in {SECONDS:.0f} s" for pieces in (FEW, MANY))
MEASURED, SIMULATED = "measured", "simulated"
IDLE = "page p50 ms, idle"
COMPARED = ("URLs/s", "pages/s", "saves/s", "page p50 ms", "page p99 ms", "CPU")


@dataclass(frozen=True)
class Stage:
    """``services``: the processes beside the server's own, by the metric that tells their CPU."""

    site: Site
    services: dict[str, int]
    count: int
    busy: Load


def measure(options: Options) -> Result:
    result = Result(
        "capacity",
        "What one process can carry, and how well that can be told beforehand",
        ["server CPU ms", "PostgreSQL CPU ms", "Redis CPU ms", *COMPARED],
    )
    count = 20 if options.quick else 100
    busy = Load(count, SIZE, 2, 2, FEW) if options.quick else Load(400, SIZE, 5, 5, FEW)
    with ExitStack() as stack:
        folder = options.folder / "postgresql"
        folder.mkdir()
        stack.enter_context(running_postgresql(folder))
        redis = stack.enter_context(redis_process(options.folder))
        environment = {"BENCH_DATABASE": str(folder), "BENCH_REDIS": redis.address}
        one = stack.enter_context(
            site("ours", uvicorn, options.folder, visitors=400, environment=environment)
        )
        services = {"PostgreSQL CPU ms": _postmaster(folder), "Redis CPU ms": redis.pid}
        stage = Stage(one, services, count, busy)
        steps = {
            PAGE: lambda: _asking(stage, [_page(one)] * 2 * count),
            URL: lambda: _asking(stage, tickets_for(one, "ours")[: 2 * count]),
            OF_FEW: lambda: _uploading(stage, FEW),
            OF_MANY: lambda: _uploading(stage, MANY),
            SAVE: lambda: _asking(stage, _saves(one, count)),
            MEASURED: lambda: _situations(stage),
        }
        result.samples = alternate(steps, options.rounds, what="capacity")
    costs = costs_in(result)
    result.samples[SIMULATED] = Samples()
    result.samples[SIMULATED].add(simulated(costs, busy))
    for metric in COMPARED:
        ratio = result.ratio(metric, SIMULATED, MEASURED)
        result.verdicts.append(Verdict(f"{metric}, simulated beside measured", ratio))
    result.verdicts += [
        Verdict("whole uploads a second: URL, 64 pieces in 2 s, save", 1 / whole(costs), ""),
        *(_most(result, metric) for metric in services),
    ]
    return result


def costs_in(result: Result) -> Costs:
    """Of the medians."""
    page, url, few, many, save = (
        result.samples[name].median("server CPU ms") / 1000 for name in (PAGE, URL, OF_FEW, OF_MANY, SAVE)
    )
    piece = (many - few) / (MANY - FEW)
    idle = result.samples[MEASURED].median(IDLE) / 1000
    return Costs(page, idle, url, few - FEW * piece, piece, save)


def whole(costs: Costs, pieces: int = 64) -> float:
    """Seconds of CPU for an upload from its URL to its record."""
    return costs.ticket + costs.of_upload(pieces) + costs.save


def _most(result: Result, metric: str) -> Verdict:
    """What one core of PostgreSQL or Redis is enough for."""
    used = sum(result.samples[name].median(metric) for name in (URL, OF_FEW, SAVE))
    return Verdict(f"whole uploads a second for one core of {metric.split()[0]}", 1000 / used, "")


def simulated(costs: Costs, load: Load) -> Metrics:
    waited = waits(
        [
            *pages(costs, EVERY, load.whole),
            *uploads(costs, load.uploads, load.spread, load.seconds, load.pieces),
        ]
    )
    found = Answers(latencies=[costs.idle + each for each in waited])
    used = costs.page / EVERY + load.uploads * costs.of_upload(load.pieces) / load.whole
    rates = {
        f"{name}/s": simulated_loop(cost, CONNECTIONS, 5)[0]
        for name, cost in (("URLs", costs.ticket), ("pages", costs.page), ("saves", costs.save))
    }
    return {
        **rates,
        "page p50 ms": found.percentile(0.5) * 1000,
        "page p99 ms": found.percentile(0.99) * 1000,
        "CPU": used,
    }


def _situations(stage: Stage) -> Metrics:
    one, load = stage.site, stage.busy
    asked = {
        "URLs/s": tickets_for(one, "ours"),
        "pages/s": [_page(one)] * 5 * stage.count,
        "saves/s": _saves(one, stage.count),
    }
    rates = {}
    for metric, requests in asked.items():
        settle(one.server)
        rates[metric] = in_own_process(closed_loop, requests, CONNECTIONS).check().rate
    settle(one.server)
    idle = in_own_process(paced, _page(one), EVERY, SECONDS).check()
    requests, body = requests_for(one, "ours", load)
    before = one.server.spent
    with dripping(requests, body, load) as sending:
        looked = in_own_process(paced, _page(one), EVERY, load.whole).check()
        sending.result().check()
    return {
        **rates,
        "page p50 ms": looked.percentile(0.5) * 1000,
        "page p99 ms": looked.percentile(0.99) * 1000,
        "CPU": (one.server.spent - before).cpu / load.whole,
        IDLE: idle.percentile(0.5) * 1000,
    }


def _page(one: Site) -> Request:
    return Request(one.url("page/"), headers={"Cookie": f"sessionid={one.sessions[0]}"})


def _saves(one: Site, count: int) -> list[Request]:
    """Of files that have been uploaded just now."""
    puts, body = requests_for(one, "ours", Load(count, 1000, 1, 1, 1))
    with httpx.Client() as client:
        sent = [client.put(put.url, content=body, headers=dict(put.headers)) for put in puts]
    keys = [answer.raise_for_status().json()["key"] for answer in sent]
    return [
        Request(
            one.url("save/"),
            "POST",
            {"Content-Type": "application/json", "Cookie": f"sessionid={session}"},
            json.dumps({"key": key}).encode(),
        )
        for key, session in zip(keys, one.sessions, strict=False)
    ]


def _uploading(stage: Stage, pieces: int) -> Metrics:
    load = Load(stage.count, SIZE, SECONDS, SECONDS, pieces)
    requests, body = requests_for(stage.site, "ours", load)

    def send() -> None:
        with dripping(requests, body, load) as sending:
            sending.result().check()

    return _costs(stage, send, load.uploads)


def _asking(stage: Stage, requests: list[Request]) -> Metrics:
    """One after the other over eight connections."""
    return _costs(stage, lambda: in_own_process(closed_loop, requests, 8).check(), len(requests))


def _costs(stage: Stage, act: Callable[[], object], count: int) -> Metrics:
    """Milliseconds of CPU for each of so many."""
    server = stage.site.server
    settle(server)
    before = {name: cpu_of(pid) for name, pid in stage.services.items()}
    spent = server.spent
    act()
    settle(server)
    used = {name: cpu_of(pid) - before[name] for name, pid in stage.services.items()}
    used["server CPU ms"] = (server.spent - spent).cpu
    return {name: seconds / count * 1000 for name, seconds in used.items()}


def _postmaster(folder: Path) -> int:
    return int((folder / "postmaster.pid").read_text().split()[0])


if __name__ == "__main__":
    main(measure, __doc__)
