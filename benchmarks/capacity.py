"""What one process can carry: the costs of a page, an upload URL, an upload and a save, and a simulation made of them.

The simulation is held against two situations that are measured: 32 connections that ask for upload URLs, and somebody
who looks at pages while uploads begin, arrive and end. docs/scaling.md is made of these costs. On PostgreSQL; CPU is
that of the server's process, user and system.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial

import httpx

from benchmarks.measuring.loading import Answers, Request, closed_loop, in_own_process, paced
from benchmarks.measuring.processes import settle
from benchmarks.measuring.results import Metrics, Result, Samples, Verdict
from benchmarks.measuring.rounds import Options, alternate, main
from benchmarks.measuring.sites import Site, site, uvicorn
from benchmarks.measuring.uploads import Load, dripping, requests_for
from benchmarks.simulation import Costs, latencies, pages, uploads
from benchmarks.simulation import closed_loop as simulated_loop
from benchmarks.tickets import CONNECTIONS
from benchmarks.tickets import requests_for as tickets_for
from tests.servers.postgresql import running_postgresql

SIZE = 2**18
FEW, MANY = 16, 128
EVERY = 0.02
OURS = "async_uploads"
MEASURED, SIMULATED = "async_uploads, measured", "simulated"


def measure(options: Options) -> Result:
    result = Result(
        "capacity",
        "What one process can carry, and how well that can be told beforehand",
        [
            "page ms",
            "URL ms",
            "upload ms",
            "piece ms",
            "save ms",
            "URLs/s",
            "URL p50 ms",
            "page p50 ms",
            "page p99 ms",
        ],
    )
    count = 50 if options.quick else 200
    busy = Load(count, SIZE, 4, 4, FEW) if options.quick else Load(400, SIZE, 5, 5, FEW)
    with ExitStack() as stack:
        folder = options.folder / "postgresql"
        folder.mkdir()
        stack.enter_context(running_postgresql(folder))
        one = stack.enter_context(
            site("ours", uvicorn, options.folder, visitors=400, environment={"BENCH_DATABASE": str(folder)})
        )
        runs = {OURS: partial(_costs, one, count), MEASURED: partial(_situations, one, busy)}
        result.samples = alternate(runs, options.rounds, what="capacity")
    costs = costs_in(result)
    result.samples[SIMULATED] = Samples()
    result.samples[SIMULATED].add(simulated(costs, busy))
    for metric in ("URLs/s", "URL p50 ms", "page p50 ms", "page p99 ms"):
        ratio = result.ratio(metric, SIMULATED, MEASURED)
        result.verdicts.append(Verdict(f"{metric}, simulated beside measured", ratio))
    result.verdicts += [
        Verdict("whole uploads a second: URL, 64 pieces, save", 1 / whole(costs), ""),
        Verdict("pages a second", 1 / costs.page, ""),
    ]
    return result


def costs_in(result: Result) -> Costs:
    """Of the medians."""
    names = ("page ms", "URL ms", "upload ms", "piece ms", "save ms")
    return Costs(*(result.samples[OURS].median(name) / 1000 for name in names))


def whole(costs: Costs, pieces: int = 64) -> float:
    """Seconds of CPU for an upload from its URL to its record."""
    return costs.ticket + costs.of_upload(pieces) + costs.save


def simulated(costs: Costs, load: Load) -> Metrics:
    rate, asked = simulated_loop(costs.ticket, CONNECTIONS, 5)
    looked = latencies(
        [
            *pages(costs.page, EVERY, load.whole),
            *uploads(costs, load.uploads, load.spread, load.seconds, load.pieces),
        ]
    )
    found = Answers(latencies=looked)
    return {
        "URLs/s": rate,
        "URL p50 ms": Answers(latencies=asked).percentile(0.5) * 1000,
        "page p50 ms": found.percentile(0.5) * 1000,
        "page p99 ms": found.percentile(0.99) * 1000,
    }


def _costs(one: Site, count: int) -> Metrics:
    page, ticket = _page(one), tickets_for(one, "ours")
    few, many = (_uploading(one, Load(count, SIZE, 2, 2, pieces)) for pieces in (FEW, MANY))
    piece = (many - few) / (MANY - FEW)
    return {
        "page ms": _asking(one, [page] * 400),
        "URL ms": _asking(one, ticket),
        "upload ms": few - FEW * piece,
        "piece ms": piece,
        "save ms": _asking(one, _saves(one, count)),
    }


def _situations(one: Site, load: Load) -> Metrics:
    settle(one.server)
    asked = in_own_process(closed_loop, tickets_for(one, "ours"), CONNECTIONS, 3).check()
    settle(one.server)
    requests, body = requests_for(one, "ours", load)
    with dripping(requests, body, load) as sending:
        looked = in_own_process(paced, _page(one), EVERY, load.whole).check()
        sending.result().check()
    return {
        "URLs/s": asked.rate,
        "URL p50 ms": asked.percentile(0.5) * 1000,
        "page p50 ms": looked.percentile(0.5) * 1000,
        "page p99 ms": looked.percentile(0.99) * 1000,
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


def _uploading(one: Site, load: Load) -> float:
    """Milliseconds of CPU for each."""
    settle(one.server)
    requests, body = requests_for(one, "ours", load)
    before = one.server.spent
    with dripping(requests, body, load) as sending:
        sending.result().check()
    settle(one.server)
    return (one.server.spent - before).cpu / load.uploads * 1000


def _asking(one: Site, requests: list[Request]) -> float:
    """Milliseconds of CPU for each, asked one after the other over eight connections."""
    settle(one.server)
    before = one.server.spent
    in_own_process(closed_loop, requests, 8).check()
    return (one.server.spent - before).cpu / len(requests) * 1000


if __name__ == "__main__":
    main(measure, __doc__)
