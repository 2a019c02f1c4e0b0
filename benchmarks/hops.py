"""What single requests wait for: how many trips to threads, and how many SQL statements.

Of ours by its own ASGI handler and by Django's, which makes a trip for each hook of each middleware, and of the peer by
Django's. On SQLite, in one process (``benchmarks.sites.hops``); there is nothing to repeat: the numbers are counts.
"""

from __future__ import annotations

import json

from benchmarks.measuring.processes import run
from benchmarks.measuring.results import Result, Samples
from benchmarks.measuring.rounds import Options, main
from benchmarks.measuring.sites import PYTHON

CONTENDERS = (
    ("async_uploads", "ours", "ours"),
    ("async_uploads by Django's handler", "ours", "djangos"),
    ("peer", "peer", "djangos"),
)


def measure(options: Options) -> Result:
    result = Result("hops", "What single requests wait for", ["trips to a thread", "SQL statements"])
    for name, kind, handler in CONTENDERS:
        data = options.folder / f"{kind}-{handler}"
        data.mkdir()
        environment = {"BENCH_SITE": kind, "BENCH_DATA": str(data)}
        made = json.loads(run([PYTHON, "-m", "benchmarks.sites.visitors", "1"], environment))
        command = [PYTHON, "-m", "benchmarks.sites.hops", made["sessions"][0], made["field_id"], handler]
        for step, counts in json.loads(run(command, environment)).items():
            result.samples[f"{name}: {step}"] = Samples()
            result.samples[f"{name}: {step}"].add(counts)
    return result


if __name__ == "__main__":
    main(measure, __doc__)
