"""The sites, started with a server each, their databases made and their visitors logged in."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.measuring.processes import Command, Server, run, serving

PYTHON = sys.executable


def uvicorn(port: int, application: str = "benchmarks.sites.asgi:application") -> Sequence[str]:
    """One worker, with uvloop and httptools, as ``uvicorn[standard]`` brings them."""
    options = ["--log-level", "warning", "--no-access-log", "--port", str(port), "--backlog", "4096"]
    return [PYTHON, "-m", "uvicorn", application, *options]


def bare(port: int) -> Sequence[str]:
    return uvicorn(port, "benchmarks.sites.bare:application")


def dropping(port: int) -> Sequence[str]:
    return uvicorn(port, "benchmarks.sites.bare:dropping")


def gunicorn(port: int) -> Sequence[str]:
    """One worker with eight threads."""
    options = ["--worker-class", "gthread", "--threads", "8", "--bind", f"127.0.0.1:{port}"]
    return [PYTHON, "-m", "gunicorn", *options, "--log-level", "warning", "benchmarks.sites.wsgi:application"]


@dataclass(frozen=True)
class Site:
    """A site with its server running. ``sessions``: cookies of users who are logged in; ``data``: its folder."""

    server: Server
    sessions: list[str]
    field_id: str
    data: Path
    environment: dict[str, str]

    def url(self, path: str) -> str:
        return f"{self.server.address}/{path}"


@contextmanager
def site(
    kind: str,
    command: Command,
    folder: Path,
    *,
    visitors: int = 1,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Site]:
    """``kind``: ours, peer, plain, tus or bare. ``environment``: as in ``benchmarks.sites.settings``."""
    data = folder / f"{kind}-{command.__name__}"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    given = {"BENCH_SITE": kind, "BENCH_DATA": str(data), **(environment or {})}
    with ExitStack() as stack:
        made: dict[str, Any] = {"sessions": [], "field_id": None}
        if kind != "bare":
            if database := given.get("BENCH_DATABASE"):
                given["BENCH_DATABASE_NAME"] = name = f"bench_{kind}_{command.__name__}"
                _make_database(database, name)
            made = json.loads(run([PYTHON, "-m", "benchmarks.sites.visitors", str(visitors)], given))
        server = stack.enter_context(serving(command, data, given))
        yield Site(server, made["sessions"] or [], made["field_id"] or "", data, given)


def _make_database(host: str, name: str) -> None:
    with psycopg.connect(host=host, user="postgres", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name}".encode())
