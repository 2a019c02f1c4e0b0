"""What an upload costs the server as more are under way: 10, 100, 1,000 at once, each as slow as the others.

256 KiB in 16 pieces over eight seconds, one of them, twelve or 125 beginning each second. CPU is that of the server's
process, user and system.
"""

from __future__ import annotations

from functools import partial
from time import sleep

from benchmarks.measuring.dripping import allow_open_files
from benchmarks.measuring.processes import settle
from benchmarks.measuring.results import Metrics, Result, Verdict
from benchmarks.measuring.rounds import Options, alternate, main
from benchmarks.measuring.sites import Site, bare, site, uvicorn
from benchmarks.measuring.uploads import Load, check_all_uploaded, dripping, requests_for

SIZE = 2**18
PIECES = 16
PATIENCE = 60.0
METRIC = "CPU ms per upload"


def measure(options: Options) -> Result:
    allow_open_files()
    result = Result(
        "cost",
        "What an upload costs the server as more are under way",
        [METRIC, "CPU s per GiB", "under way at most", "uploads/s"],
    )
    at_once = (10, 30, 100) if options.quick else (10, 100, 1000)
    seconds = 2.0 if options.quick else 8.0
    loads = [Load(each, SIZE, seconds, seconds, PIECES) for each in at_once]
    with site("ours", uvicorn, options.folder) as ours, site("bare", bare, options.folder) as nothing:
        _run(ours, "ours", Load(50, SIZE, 0.5, 0.5, PIECES))
        runs = {
            f"async_uploads, {most:,} under way": partial(_run, ours, "ours", load)
            for most, load in zip(at_once, loads, strict=True)
        }
        result.samples = alternate(runs, options.rounds, what="cost", warm_up=False)
        beside = {
            f"bare ASGI application, {most:,}": partial(_run, nothing, "bare", load)
            for most, load in zip(at_once, loads, strict=True)
        }
        result.samples |= alternate(beside, 1, what="cost, bare", warm_up=False)
        check_all_uploaded(ours)
    costs = [result.samples[name].median(METRIC) for name in runs if name.startswith("async_uploads")]
    for most, cost in zip(at_once[:-1], costs[:-1], strict=True):
        growth = f"growth of the CPU per upload from {most:,} under way to {at_once[-1]:,}"
        result.verdicts.append(Verdict(growth, costs[-1] / cost, at_most=1.2))
    result.verdicts.append(
        Verdict("CPU per upload, the dearest beside the cheapest", max(costs) / min(costs), at_most=1.2)
    )
    if costs[-1] < costs[0]:
        result.notes.append(
            "It falls: what a process does once a second for all uploads is shared by more of them, and a process that "
            "is woken from idleness for each piece pays for that, as the bare application does."
        )
    client = max(max(samples.values["client CPU"]) for samples in result.samples.values())
    result.notes.append(f"The process that drips used {client:.0%} of a core at most.")
    return result


def _run(at: Site, kind: str, load: Load) -> Metrics:
    settle(at.server)
    requests, body = requests_for(at, kind, load)
    before, connections, most = at.server.spent, at.server.connections, 0
    with dripping(requests, body, load, PATIENCE) as sending:
        while not sending.done():
            most = max(most, at.server.connections - connections)
            sleep(0.2)
        ended = sending.result().check()
    settle(at.server)
    cpu = (at.server.spent - before).cpu
    return {
        METRIC: cpu / load.uploads * 1000,
        "CPU s per GiB": cpu / (load.uploads * load.size) * 2**30,
        "under way at most": most,
        "uploads/s": load.uploads / ended.seconds,
        "client CPU": ended.client_cpu / ended.seconds,
    }


if __name__ == "__main__":
    main(measure, __doc__)
