"""What it costs to save a record with one uploaded file, beside Django's own FileField, on one disk.

In both the bytes are on the server already: for Django as its upload handlers leave them, in memory up to 2.5 MiB,
from where the save writes them, and above in a temporary file on the same disk, which it renames; for ours in an
upload, which the save promotes before it returns. The saves come one after another in a process of its own
(``benchmarks.sites.saving``): sync as under WSGI, in a transaction as with ATOMIC_REQUESTS, and ``asave`` on uvloop as
in an async view; on SQLite, where nothing waits and all the time is Python's, and on PostgreSQL, which waits for the
disk at each commit.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import psycopg

from benchmarks.measuring.processes import run
from benchmarks.measuring.results import Metrics, Result, Verdict
from benchmarks.measuring.rounds import Options, alternate, main
from benchmarks.measuring.sites import PYTHON
from tests.servers.postgresql import running_postgresql

KIB, MIB = 1024, 1024 * 1024
SIZES = {"1 MiB": (MIB, 100), "10 MiB": (10 * MIB, 20)}
"""Bytes, and how many files of them are saved in a run."""

WAYS = ("asave", "save", "atomic")
DATABASES = ("SQLite", "PostgreSQL")
SITES = (("async_uploads", "ours"), ("FileField", "plain"))


def measure(options: Options) -> Result:
    result = Result(
        "saves",
        "Saving a record with one uploaded file, beside a FileField",
        ["ms", "p90 ms", "statements", "KiB written"],
    )
    postgresql = options.folder / "postgresql"
    postgresql.mkdir()
    with running_postgresql(postgresql):
        runs = {
            f"{name}, {way}, {size}, {database}": partial(
                _save,
                Project(kind, options.folder, postgresql if database == "PostgreSQL" else None),
                way,
                length,
                count // (4 if options.quick else 1),
            )
            for database in DATABASES
            for size, (length, count) in SIZES.items()
            for way in WAYS
            for name, kind in SITES
        }
        result.samples = alternate(runs, options.rounds, what="saves", warm_up=False)
    for database in DATABASES:
        for size in SIZES:
            for way in WAYS:
                ours, plain = (f"{name}, {way}, {size}, {database}" for name, _kind in SITES)
                ratio = result.ratio("ms", ours, plain)
                result.verdicts.append(
                    Verdict(f"time beside a FileField, {way}, {size}, {database}", ratio, at_most=2)
                )
    our_samples, plain_samples = (result.samples[f"{name}, save, 10 MiB, SQLite"] for name, _kind in SITES)
    beyond = our_samples.median("statements") - plain_samples.median("statements")
    written = our_samples.median("KiB written") - plain_samples.median("KiB written")
    result.verdicts += [
        Verdict("queries beyond the save's own", beyond, "", at_most=4),
        Verdict("files that keep their inode", our_samples.median("kept"), at_least=1),
        Verdict("written beyond the FileField's, 10 MiB", written, "KiB"),
    ]
    commits = [each.median("transactions") for each in (our_samples, plain_samples)]
    result.notes.append(
        f"COMMITs that are statements of their own: {commits[0]:.0f} beside {commits[1]:.0f}."
    )
    return result


@dataclass(frozen=True)
class Project:
    """``postgresql``: the server's folder."""

    kind: str
    folder: Path
    postgresql: Path | None

    def fresh(self) -> dict[str, str]:
        """The environment of a new, empty one."""
        data = self.folder / "site"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
        environment = {"BENCH_SITE": self.kind, "BENCH_DATA": str(data)}
        if self.postgresql is None:
            return environment
        host = str(self.postgresql)
        with psycopg.connect(host=host, user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS saves WITH (FORCE)")
            connection.execute("CREATE DATABASE saves")
        return {**environment, "BENCH_DATABASE": host, "BENCH_DATABASE_NAME": "saves"}


def _save(project: Project, way: str, size: int, count: int) -> Metrics:
    command = [PYTHON, "-m", "benchmarks.sites.saving", str(size), str(count), way]
    found = json.loads(run(command, project.fresh()))
    ordered = sorted(found["seconds"])
    return {
        "ms": median(ordered) * 1000,
        "p90 ms": ordered[int(len(ordered) * 0.9)] * 1000,
        "statements": found["statements"],
        "transactions": found["transactions"],
        "KiB written": found["written"] / KIB,
        "kept": found["kept"],
    }


if __name__ == "__main__":
    main(measure, __doc__)
