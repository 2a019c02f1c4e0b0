"""What a benchmark finds: samples of each contender, and how they stand to what must be reached."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring.machine import machine

Metrics = Mapping[str, float]
"""What one run of one contender measured, by name; the name tells the unit, as in ``MB/s`` or ``p99 ms``."""


@dataclass
class Samples:
    """The metrics of a contender, a value for each round."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, metrics: Metrics) -> None:
        for name, value in metrics.items():
            self.values.setdefault(name, []).append(value)

    def median(self, metric: str) -> float:
        return median(self.values[metric])

    def spread(self, metric: str) -> tuple[float, float]:
        return min(self.values[metric]), max(self.values[metric])


@dataclass(frozen=True)
class Verdict:
    """``measured`` must be ``at_least`` or ``at_most`` so much; neither: a number for its own sake."""

    what: str
    measured: float
    unit: str = "×"
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_reached(self) -> bool | None:
        if self.at_least is not None:
            return self.measured >= self.at_least
        return None if self.at_most is None else self.measured <= self.at_most

    @property
    def must(self) -> str:
        if self.at_least is not None:
            return f"≥ {number(self.at_least)} {self.unit}"
        return "" if self.at_most is None else f"≤ {number(self.at_most)} {self.unit}"

    @property
    def row(self) -> str:
        mark = {True: "yes", False: "**no**", None: ""}[self.is_reached]
        return f"| {self.what} | {number(self.measured)} {self.unit} | {self.must} | {mark} |"


@dataclass
class Result:
    """``title``: what was measured, in a line. ``shown``: the metrics that the plot and the table show."""

    name: str
    title: str
    shown: list[str]
    samples: dict[str, Samples] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def ratio(self, metric: str, ours: str, theirs: str) -> float:
        """How many times theirs ours is, of medians."""
        return self.samples[ours].median(metric) / self.samples[theirs].median(metric)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        content = {**asdict(self), "machine": machine()}
        (folder / f"{self.name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> tuple[Result, dict[str, Any]]:
        """The result, and the machine it is from."""
        content = json.loads(path.read_text())
        on = content.pop("machine")
        content["samples"] = {name: Samples(**values) for name, values in content["samples"].items()}
        content["verdicts"] = [Verdict(**verdict) for verdict in content["verdicts"]]
        return cls(**content), on

    @property
    def markdown(self) -> str:
        lines = [f"## {self.title}", "", "| measure | measured | must reach | reached |", "|---|---|---|---|"]
        lines += [verdict.row for verdict in self.verdicts]
        lines += ["", f"| median (min–max) | {' | '.join(self.shown)} |", f"|---|{'---|' * len(self.shown)}"]
        for name, samples in self.samples.items():
            lines.append(f"| {name} | {' | '.join(_cell(samples, metric) for metric in self.shown)} |")
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes)]).rstrip() + "\n"


def _cell(samples: Samples, metric: str) -> str:
    if metric not in samples.values:
        return ""
    low, high = samples.spread(metric)
    return f"{number(samples.median(metric))} ({number(low)}–{number(high)})"


def number(value: float) -> str:
    """Three digits, as far as they mean something."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
