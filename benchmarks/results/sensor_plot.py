"""Accuracy after each glimpse, of sensors of equal samples beside each other, a panel a task."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from matplotlib import rc_context

from benchmarks.results.reading import Results
from benchmarks.results.summaries import SENSOR, mean_curve, summaries
from glimpse_lab.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    SKY,
    YELLOW,
    Percents,
    finish,
    large_print,
    new_figure,
    save,
)

FILE = "sensors.svg"

_COLOURS = (BLUE, ORANGE, GREEN, PINK, GREY, SKY, YELLOW)


def curves(results: Results) -> dict[str, dict[str, list[float]]]:
    """Return the accuracies after 1, 2, ... glimpses by task and sensor, the mean over seeds."""
    found: dict[str, dict[str, list[float]]] = {}
    for summary in summaries(results.runs("variants")):
        task, told, sensor = summary.group.partition(SENSOR)
        if told:
            curve = [round(v, 6) for v in mean_curve(results, summary)]
            found.setdefault(task, {})[sensor] = curve
    return found


def digest(results: Results) -> str:
    """Return 16 hexadecimal digits that tell the numbers of the plot from others."""
    return hashlib.sha256(json.dumps(curves(results)).encode()).hexdigest()[:16]


@large_print
def draw(path: Path, results: Results) -> Path:
    """Draw the plot.

    :param path: ending in .svg
    """
    found = curves(results)
    names = dict.fromkeys(name for theirs in found.values() for name in theirs)
    colours = dict(zip(names, _COLOURS, strict=False))
    figure = new_figure(4.6 * len(found))
    panels = figure.subplots(len(found), squeeze=False)[:, 0]
    for axes, (task, theirs) in zip(panels, found.items(), strict=True):
        for name, curve in theirs.items():
            glimpses = range(1, len(curve) + 1)
            axes.plot(glimpses, curve, color=colours[name], marker="o", linewidth=2.0, label=name)
        axes.set(xlabel="glimpses", ylabel="accuracy", title=task)
        axes.yaxis.set_major_formatter(Percents())
        finish(axes)
        axes.legend(frameon=False)
    with rc_context({"svg.hashsalt": "results"}):
        metadata = {"Date": None, "Description": f"results {digest(results)}"}
        return save(figure, path, metadata=metadata)
