"""A picture of a result: a bar for each contender, with the least and the most of its rounds."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

from benchmarks.measuring.results import Result, number

FAR_APART = 50
"""Times: the shorter bars could not be told from nothing."""

OURS, THEIRS = "#0b6e4f", "#8a8f98"


def plot(result: Result, path: Path) -> None:
    bars_of = {
        metric: [name for name, samples in result.samples.items() if metric in samples.values]
        for metric in result.shown
    }
    bars_of = {metric: names for metric, names in bars_of.items() if names}
    heights = [0.7 + 0.34 * len(names) for names in bars_of.values()]
    figure, axes = plt.subplots(
        len(bars_of),
        1,
        figsize=(8, 0.5 + sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for axis, (metric, there) in zip(axes[:, 0], bars_of.items(), strict=True):
        medians = [result.samples[name].median(metric) for name in there]
        spreads = [result.samples[name].spread(metric) for name in there]
        errors = [
            [middle - low for middle, (low, _high) in zip(medians, spreads, strict=True)],
            [high - middle for middle, (_low, high) in zip(medians, spreads, strict=True)],
        ]
        colors = [OURS if name.startswith("async_uploads") else THEIRS for name in there]
        bars = axis.barh(there, medians, xerr=errors, color=colors, height=0.7, ecolor="#333333", capsize=3)
        axis.bar_label(bars, [number(value) for value in medians], padding=6, fontsize=8)
        if min(medians) > 0 and max(medians) > FAR_APART * min(medians):
            axis.set_xscale("log")
        axis.set_xlabel(metric)
        axis.margins(x=0.15)
        axis.invert_yaxis()
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(result.title, fontsize=11)
    figure.savefig(path, dpi=110)
    plt.close(figure)
