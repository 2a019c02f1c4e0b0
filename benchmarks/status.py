"""How soon a thousand watchers see how far a hundred uploads are.

Each upload comes as over a slow line, 16 KiB every 0.4 seconds, one begins 30 ms after the other, and ten sockets of
its owner watch it, with no pause between two statuses (PROGRESS_INTERVAL 0). All uploads go to one process, and half of
the sockets are at a second one, which shares database, disk and Redis. Measured from the moment at which the client
hands a piece to the kernel to the arrival of a status with at least as many bytes, at each socket for each piece. A
status that was overtaken by a newer one may be missing; a piece that no status has told of after five seconds, a
watcher without the end, ``uploaded``, and a ``seq`` that goes back are counted as lost. Beside the layer of
channels_redis, its other one, over pub/sub, which asks Redis less often for each message.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from benchmarks.measuring.crowd import Drip, Seat, SlowUpload, crowd
from benchmarks.measuring.processes import Server, serving, settle
from benchmarks.measuring.results import Metrics, Result, Verdict
from benchmarks.measuring.rounds import Options, alternate, main
from benchmarks.measuring.sites import Site, site, uvicorn
from tests.redis_process import redis_process

DRIP = Drip(pieces=8, size=16 * 1024, every=0.4, apart=0.03)
FEW = Drip(pieces=4, size=16 * 1024, every=0.4, apart=0.03)
UNTHROTTLED = {"BENCH_UPLOADS": json.dumps({"PROGRESS_INTERVAL": 0})}
REDIS, PUB_SUB = "async_uploads, Redis", "async_uploads, Redis pub/sub"


@dataclass(frozen=True)
class Stage:
    """Uploads go to the site's own server, sockets to both ``servers`` in turn: ``watchers`` for each upload.

    ``memory``: bytes that the servers had when they had served nobody.
    """

    site: Site
    servers: list[Server]
    seats: list[Seat]
    watchers: int
    memory: int


def measure(options: Options) -> Result:
    uploads, watchers = (20, 5) if options.quick else (100, 10)
    result = Result(
        "status",
        f"From byte to status: {uploads * watchers} sockets watch {uploads} uploads",
        ["p50 ms", "p99 ms", "max ms", "messages/s", "server CPU", "KiB per socket"],
    )
    with ExitStack() as stack:
        redis = stack.enter_context(redis_process(options.folder))
        layers = {
            REDIS: "channels_redis.core.RedisChannelLayer",
            PUB_SUB: "channels_redis.pubsub.RedisPubSubChannelLayer",
        }
        runs = {}
        for number, (name, layer) in enumerate(layers.items()):
            environment = {**UNTHROTTLED, "BENCH_REDIS": redis.address, "BENCH_LAYER": layer}
            stage = stack.enter_context(staged(options.folder / str(number), environment, uploads, watchers))
            runs[name] = partial(_run, stage, FEW if options.quick else DRIP)
        result.samples |= alternate(runs, options.rounds, what="status")
    for name in runs:
        samples = result.samples[name]
        at_most = 100 if name == REDIS else None
        result.verdicts += [
            Verdict(f"p99 from byte to message, {name}", samples.median("p99 ms"), "ms", at_most=at_most),
            Verdict(f"lost in all rounds, {name}", sum(samples.values["lost"]), "messages", at_most=0),
        ]
    busy = result.samples[REDIS].median("client CPU")
    result.notes.append(f"The client used {busy:.0%} of a core; servers and Redis had what was left.")
    return result


@contextmanager
def staged(folder: Path, environment: Mapping[str, str], uploads: int, watchers: int) -> Iterator[Stage]:
    """Servers and places for sockets: an owner for each upload, whose sockets are shared out to both processes."""
    with ExitStack() as stack:
        first = stack.enter_context(site("ours", uvicorn, folder, visitors=uploads, environment=environment))
        servers = [first.server, stack.enter_context(serving(uvicorn, first.data, first.environment))]
        seats = [
            Seat(f"ws://127.0.0.1:{servers[number % 2].port}/ws/async-uploads/", session)
            for session in first.sessions
            for number in range(watchers)
        ]
        yield Stage(first, servers, seats, watchers, _memory(servers))


def _run(stage: Stage, drip: Drip) -> Metrics:
    uploads = asked_for(stage)
    # Anew each time: those who wait for their turn have sockets that cost, too.
    with crowd(stage.seats) as gathered:
        for server in stage.servers:
            settle(server)
        before, memory = _cpu(stage), _memory(stage.servers) - stage.memory
        watched = gathered.watch(uploads, drip)
        spent = _cpu(stage) - before
    return {
        "p50 ms": watched.percentile(0.5) * 1000,
        "p99 ms": watched.percentile(0.99) * 1000,
        "max ms": max(watched.latencies) * 1000,
        "messages/s": watched.messages / watched.seconds,
        "lost": watched.lost,
        "server CPU": spent / watched.seconds,
        "KiB per socket": memory / len(stage.seats) / 1024,
        "client CPU": watched.client_cpu / watched.seconds,
    }


def asked_for(stage: Stage) -> list[SlowUpload]:
    """An upload URL of each owner."""
    one, token = stage.site, "a" * 32
    uploads = []
    with httpx.Client(base_url=one.server.address) as client:
        for number, session in enumerate(one.sessions):
            headers = {"Cookie": f"sessionid={session}; csrftoken={token}", "X-CSRFToken": token}
            asked = {"fieldId": one.field_id, "filename": "report.bin"}
            ticket = client.post("/uploads/generate-upload-url/", json=asked, headers=headers)
            given = ticket.raise_for_status().json()
            url = client.base_url.join(given["uploadUrl"]["url"])
            watchers = range(number * stage.watchers, (number + 1) * stage.watchers)
            uploads.append(SlowUpload(str(url), given["key"], watchers))
    return uploads


def _cpu(stage: Stage) -> float:
    return sum(server.spent.cpu for server in stage.servers)


def _memory(servers: list[Server]) -> int:
    return sum(server.memory for server in servers)


if __name__ == "__main__":
    main(measure, __doc__)
