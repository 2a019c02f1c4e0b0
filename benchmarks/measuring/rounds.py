"""Rounds: the contenders take turns, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.measuring.machine import ROOT
from benchmarks.measuring.plotting import plot
from benchmarks.measuring.results import Metrics, Result, Samples

RESULTS = ROOT / "benchmarks" / "results"
ROUNDS = 5
QUICK_ROUNDS = 1


@dataclass(frozen=True)
class Options:
    """``folder``: where servers may write. ``quick``: smaller and fewer, to see that all works."""

    folder: Path
    quick: bool = False
    rounds: int = ROUNDS


def alternate(
    contenders: Mapping[str, Callable[[], Metrics]], rounds: int, *, what: str, warm_up: bool = True
) -> dict[str, Samples]:
    """Run each in turn, so many times; a first turn that warms up is not counted, and not taken for a single round."""
    warm_up = warm_up and rounds > 1
    samples = {name: Samples() for name in contenders}
    bar = tqdm(total=len(contenders) * (rounds + warm_up), desc=what, unit="run", file=sys.stderr)
    with bar:
        for number in range(rounds + warm_up):
            for name, run in contenders.items():
                bar.set_postfix_str(name)
                metrics = run()
                if number >= warm_up:
                    samples[name].add(metrics)
                bar.update()
    return samples


def main(measure: Callable[[Options], Result], about: str | None) -> None:
    """The command of one benchmark."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer, to see that all works")
    parser.add_argument("--rounds", type=int, help=f"measured runs of each contender (default: {ROUNDS})")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for JSON, Markdown and plots")
    given = parser.parse_args()
    measured(measure, quick=given.quick, rounds=given.rounds, results=given.results)


def measured(
    measure: Callable[[Options], Result], *, quick: bool, rounds: int | None, results: Path
) -> Result:
    """Run one benchmark in a folder of its own, keep what it finds in ``results``, and print it."""
    folder = Path(tempfile.mkdtemp(prefix="async-uploads-bench-"))
    try:
        result = measure(Options(folder, quick, rounds or (QUICK_ROUNDS if quick else ROUNDS)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result.save(results)
    plot(result, results / f"{result.name}.png")
    print(result.markdown)
    return result
