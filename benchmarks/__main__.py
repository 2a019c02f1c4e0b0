"""Run the benchmarks, one after the other, and put what they found into one table.

Each also runs alone: ``python -m benchmarks.tickets --help``.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks.measuring.results import Result
from benchmarks.measuring.rounds import RESULTS, measured

ALL = (
    "tickets",
    "large",
    "slow",
    "cost",
    "saves",
    "promotions",
    "status",
    "sweep",
    "hops",
    "operations",
    "capacity",
)
QUICK_RESULTS = RESULTS.parent / "quick-results"


def run() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"all, unless some are named: {', '.join(ALL)}"
    )
    parser.add_argument("--quick", action="store_true", help="smaller and fewer, to see that all works")
    parser.add_argument("--rounds", type=int, help="measured runs of each contender")
    parser.add_argument("--results", type=Path, help="folder for JSON, Markdown and plots")
    given = parser.parse_args()
    if unknown := set(given.names) - set(ALL):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    results = given.results or (QUICK_RESULTS if given.quick else RESULTS)
    failed = []
    for name in given.names or ALL:
        began = time.monotonic()
        try:
            measured(
                import_module(f"benchmarks.{name}").measure,
                quick=given.quick,
                rounds=given.rounds,
                results=results,
            )
        except Exception as error:  # noqa: BLE001  # the others are of use without it
            failed.append(name)
            print(f"{name}: {error!r}", file=sys.stderr)
        print(f"{name} took {time.monotonic() - began:.0f} s.\n", file=sys.stderr)
    (results / "README.md").write_text(summary(results))
    print(f"Written: {results}/README.md, and for each a JSON file and a plot.", file=sys.stderr)
    return 1 if failed else 0


def summary(results: Path) -> str:
    """All that lies in the folder, as Markdown."""
    found = [Result.load(path) for name in ALL if (path := results / f"{name}.json").exists()]
    machines = {
        f"{on['cpu']}, {on['cores']} cores, Linux {on['kernel']}, Python {on['python']}"
        for _result, on in found
    }
    versions = {
        f"{package} {version}"
        for _result, on in found
        for package, version in on["versions"].items()
        if version
    }
    dates = sorted(str(on["date"])[:10] for _result, on in found)
    when = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    lines = [
        "# Results",
        "",
        f"Measured on {' and '.join(sorted(machines))}, {when}, by `make bench`.",
        f"{', '.join(sorted(versions, key=str.lower))}.",
        "",
        "Contenders take turns; each number is the median of the rounds, with the least and the most of them.",
        "What is measured, and how, says the docstring of each benchmark.",
        "",
    ]
    for result, _on in found:
        lines += [result.markdown, f"![{result.title}]({result.name}.png)", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run())
