"""How fast ``cleanup_async_temp_files`` goes through 100,000 rows, and whether its memory grows with them.

The rows are those of a site that sweeps once a day: 5 % abandoned, with their files on the disk, thousands in each
day's folder; 30 % finished and old; the rest are left alone (``benchmarks.sites.leftovers``). ``rows/s`` counts the
whole table, ``treated/s`` what was expired or pruned, both without the start of Python. The peer's command of the same
name goes over as many rows; it asks no record whether it names a file, and drops failed rows from its sight.
"""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psycopg

from benchmarks.measuring.processes import run
from benchmarks.measuring.results import Metrics, Result, Verdict
from benchmarks.measuring.rounds import Options, alternate, main
from benchmarks.measuring.sites import PYTHON
from tests.servers.postgresql import running_postgresql

ROWS = 100_000
FEWER = 10
"""The smaller table, by which memory is compared, is so many times smaller."""

TREATED = 0.35
MIB = 1024 * 1024


def measure(options: Options) -> Result:
    rows = ROWS // 10 if options.quick else ROWS
    few = rows // FEWER
    result = Result(
        "sweep",
        f"A sweep of {rows:,} rows, 5 % of them abandoned",
        ["rows/s", "treated/s", "CPU ms per treated row", "peak MiB"],
    )
    with ExitStack() as stack:
        postgresql = options.folder / "postgresql"
        postgresql.mkdir()
        stack.enter_context(running_postgresql(postgresql))
        tables = {
            "async_uploads, SQLite": Table("ours", options.folder, rows),
            f"async_uploads, SQLite, {few:,} rows": Table("ours", options.folder, few),
            "peer, SQLite": Table("peer", options.folder, rows),
            "async_uploads, PostgreSQL": Table("ours", options.folder, rows, postgresql),
        }
        runs = {name: partial(_sweep, table) for name, table in tables.items()}
        result.samples = alternate(runs, options.rounds, what="sweep", warm_up=False)
    ours = result.samples["async_uploads, SQLite"]
    fewer = result.samples[f"async_uploads, SQLite, {few:,} rows"]
    grown = ours.median("peak MiB") - fewer.median("peak MiB")
    result.verdicts = [
        Verdict("rows/s, SQLite", ours.median("rows/s"), "", at_least=2000),
        Verdict(
            "rows/s, PostgreSQL",
            result.samples["async_uploads, PostgreSQL"].median("rows/s"),
            "",
            at_least=2000,
        ),
        Verdict(f"memory beyond that for {few:,} rows", grown, "MiB", at_most=16),
        Verdict("rows/s beside the peer", result.ratio("rows/s", "async_uploads, SQLite", "peer, SQLite")),
    ]
    return result


class Table:
    """A site's database and files, made once and copied for each run. ``postgresql``: the server's folder."""

    def __init__(self, kind: str, folder: Path, rows: int, postgresql: Path | None = None) -> None:
        self.rows = rows
        self._kind = kind
        self._postgresql = postgresql
        self._template = folder / f"{kind}-{rows}{'-postgresql' if postgresql else ''}"
        self._template.mkdir()
        if postgresql is not None:
            self._execute("CREATE DATABASE leftovers")
        run(
            [PYTHON, "-m", "benchmarks.sites.leftovers", str(rows)],
            self._environment(self._template, "leftovers"),
        )

    def copied(self) -> dict[str, str]:
        """The environment of a fresh copy."""
        data = self._template.with_name(f"{self._template.name}-copy")
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(self._template, data)
        if self._postgresql is not None:
            self._execute("DROP DATABASE IF EXISTS swept WITH (FORCE)")
            self._execute("CREATE DATABASE swept TEMPLATE leftovers")
            self._execute("VACUUM ANALYZE", database="swept")
        return self._environment(data, "swept")

    def _environment(self, data: Path, database: str) -> dict[str, str]:
        environment = {"BENCH_SITE": self._kind, "BENCH_DATA": str(data)}
        if self._postgresql is not None:
            environment |= {"BENCH_DATABASE": str(self._postgresql), "BENCH_DATABASE_NAME": database}
        return environment

    def _execute(self, statement: str, database: str = "postgres") -> None:
        host = str(self._postgresql)
        with psycopg.connect(host=host, user="postgres", dbname=database, autocommit=True) as connection:
            connection.execute(statement.encode())


def _sweep(table: Table) -> Metrics:
    command = [PYTHON, "-m", "benchmarks.sites.command", "cleanup_async_temp_files", "--quiet"]
    spent = json.loads(run(command, table.copied()))
    treated = table.rows * TREATED
    return {
        "rows/s": table.rows / spent["seconds"],
        "treated/s": treated / spent["seconds"],
        "CPU ms per treated row": spent["cpu"] / treated * 1000,
        "peak MiB": spent["peak"] / MIB,
    }


if __name__ == "__main__":
    main(measure, __doc__)
