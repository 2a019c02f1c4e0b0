"""What one upload asks of PostgreSQL and Redis, step by step: URL, bytes (ten pieces over two seconds), save.

Statements are those in PostgreSQL's own log, with BEGIN and COMMIT told apart; commands those that Redis counts. With
nobody watching, and with ten sockets that do. There is nothing to repeat: the numbers are counts.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis
from websockets.sync.client import connect

from benchmarks.measuring.dripping import drip
from benchmarks.measuring.loading import Request, in_own_process, one
from benchmarks.measuring.results import Metrics, Result, Samples
from benchmarks.measuring.rounds import Options, main
from benchmarks.measuring.sites import Site, site, uvicorn
from benchmarks.tickets import requests_for
from tests.redis_process import redis_process
from tests.servers.postgresql import running_postgresql

PIECES, PIECE, EVERY = 10, 16 * 1024, 0.2
IN_TRANSACTIONS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*)")
STEPS = ("URL", "bytes", "save")
WATCHERS = (0, 10)


def measure(options: Options) -> Result:
    result = Result(
        "operations",
        "What one upload asks of PostgreSQL and Redis",
        ["SQL statements", "BEGIN and COMMIT", "Redis commands"],
    )
    with ExitStack() as stack:
        folder = options.folder / "postgresql"
        folder.mkdir()
        postgresql = stack.enter_context(running_postgresql(folder))
        cache = stack.enter_context(redis_process(options.folder))
        environment = {"BENCH_DATABASE": str(folder), "BENCH_REDIS": cache.address}
        ours = stack.enter_context(site("ours", uvicorn, options.folder, environment=environment))
        counts = _Counts(postgresql.log, ours, cache.address)
        _journey(ours, counts, 1)  # what a process asks once
        for watchers in WATCHERS:
            for step, metrics in zip(STEPS, _journey(ours, counts, watchers), strict=True):
                name = f"async_uploads, {step}, {watchers or 'no'} watchers"
                result.samples[name] = Samples()
                result.samples[name].add(metrics)
    result.notes.append(
        f"{PIECES} pieces arrive over {PIECES * EVERY:.0f} seconds: about as often progress is published."
    )
    return result


class _Counts:
    """How many statements and commands there have been."""

    def __init__(self, log: Path, at: Site, address: str) -> None:
        self._log = log
        self._redis = redis.Redis.from_url(address)
        host, name = at.environment["BENCH_DATABASE"], at.environment["BENCH_DATABASE_NAME"]
        with psycopg.connect(host=host, user="postgres", dbname=name, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET log_statement = 'all'")
            connection.execute("SELECT pg_reload_conf()")
        time.sleep(0.5)

    def now(self) -> Metrics:
        said = [found.group(1) for found in STATEMENT.finditer(self._log.read_text(errors="replace"))]
        around = [line for line in said if line.upper().startswith(IN_TRANSACTIONS)]
        commands: Any = self._redis.info("commandstats")
        asked = sum(each["calls"] for name, each in commands.items() if name != "cmdstat_info")
        return {
            "SQL statements": len(said) - len(around),
            "BEGIN and COMMIT": len(around),
            "Redis commands": asked,
        }


def _journey(at: Site, counts: _Counts, watchers: int) -> list[Metrics]:
    """What each step has added."""
    found: list[Metrics] = []

    @contextmanager
    def counted() -> Iterator[None]:
        before = counts.now()
        yield
        time.sleep(1.5)  # what is recorded once a second
        found.append({name: count - before[name] for name, count in counts.now().items()})

    with counted():
        asked = requests_for(at, "ours")[0]
        ticket = _answer_to(asked)
    with ExitStack() as stack:
        sockets = [stack.enter_context(_watching(at, ticket["key"])) for _ in range(watchers)]
        with counted():
            put = Request(
                at.url(ticket["uploadUrl"]["url"].lstrip("/")), "PUT", ticket["uploadUrl"]["headers"]
            )
            whole = PIECES * EVERY
            in_own_process(drip, [put], bytes(PIECES * PIECE), pieces=PIECES, seconds=whole, spread=0).check()
        with counted():
            body = json.dumps({"key": ticket["key"]}).encode()
            headers = {"Content-Type": "application/json", "Cookie": f"sessionid={at.sessions[0]}"}
            save = Request(at.url("save/"), "POST", headers, body)
            in_own_process(one, save).check()
        for watcher in sockets:
            while json.loads(watcher.recv(10))["state"] != "promoted":
                pass
    return found


def _answer_to(request: Request) -> Any:
    assert isinstance(request.body, bytes)
    answer = httpx.request(request.method, request.url, headers=dict(request.headers), content=request.body)
    return answer.raise_for_status().json()


@contextmanager
def _watching(at: Site, key: str) -> Iterator[Any]:
    url = at.url("ws/async-uploads/").replace("http:", "ws:")
    with connect(url, additional_headers={"Cookie": f"sessionid={at.sessions[0]}"}) as socket:
        socket.send(json.dumps({"action": "subscribe", "keys": [key]}))
        socket.recv(10)
        yield socket


if __name__ == "__main__":
    main(measure, __doc__)
