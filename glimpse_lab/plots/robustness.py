"""Accuracy on changed images, as a figure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from glimpse_lab.evaluation.result import Disturbance
from glimpse_lab.plots.style import (
    BLUE,
    ORANGE,
    Percents,
    few_ticks,
    finish,
    large_print,
    new_figure,
    save,
)

#: who is plotted: name, member of ``Disturbance``, colour and style
_LINES = (("agent", "agent", BLUE, "o-"), ("full image", "full_image", ORANGE, "s--"))


@large_print
def plot_robustness(rows: Sequence[Disturbance], path: str | os.PathLike[str]) -> Path:
    """Plot the accuracies of agent and full-image classifier against the strength of each change.

    :param rows: the results of ``benchmarks/robustness.py``
    :param path: of the file; missing folders are made
    :raises ValueError: nothing to plot
    """
    kinds = _by_kind(rows)
    if not kinds:
        raise ValueError("got no disturbed images; wanted those of benchmarks/robustness.py")
    columns = 2
    lines = -(-len(kinds) // columns)
    figure = new_figure(0.6 + 2.6 * lines)
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False).flat
    for axes, (kind, measured) in zip(panels, kinds.items(), strict=False):
        strengths = [row.strength for row in measured]
        for name, member, colour, style in _LINES:
            found = [getattr(row, member) for row in measured]
            right = np.array([metrics.accuracy for metrics in found])
            bounds = np.transpose([metrics.accuracy_ci95 for metrics in found])
            axes.plot(strengths, right, style, color=colour, linewidth=2, markersize=6, label=name)
            axes.fill_between(strengths, *bounds, color=colour, alpha=0.15, linewidth=0)
        unit = measured[-1].unit.partition(",")[0]
        label = f"epsilon{unit}" if unit.startswith("/") else unit
        axes.set(title=kind, xlabel=label, ylim=(0, 1))
        axes.yaxis.set_major_formatter(Percents())
        axes.xaxis.set_major_locator(few_ticks(4))
        finish(axes)
    for axes in panels:
        axes.set_visible(False)
    figure.supylabel("right answers")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    return save(figure, path)


def _by_kind(rows: Sequence[Disturbance]) -> dict[str, list[Disturbance]]:
    """Return the rows by kind of change, the unchanged images first in each."""
    clean = [row for row in rows if row.kind == "clean"]
    kinds = dict.fromkeys(row.kind for row in rows if row.kind != "clean")
    return {kind: clean + [row for row in rows if row.kind == kind] for kind in kinds}
