"""Accuracy against what it costs: one curve for each agent or gaze, named at its end."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from glimpse_lab.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    SKY,
    YELLOW,
    Percents,
    drawn_name,
    few_ticks,
    finish,
    large_print,
    new_figure,
    save,
)

# as many as there are baselines: Okabe and Ito's, then Tol's "muted" ones, told apart as well
_COLOURS = (ORANGE, GREEN, PINK, YELLOW, SKY, GREY, "#882255", "#999933", "#332288", "#000000")
_DASHES = ("-", "--", ":", "-.")
# where a name may stand beside the end of its curve: offset in points, and how it is aligned
_PLACES = (
    ((8, 0), "left", "center"),
    ((4, 8), "left", "bottom"),
    ((4, -8), "left", "top"),
    ((0, 9), "right", "bottom"),
    ((0, -9), "right", "top"),
)


@large_print
def plot_accuracy_curves(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    path: str | os.PathLike[str],
    *,
    xlabel: str,
    emphasised: str,
    ylabel: str = "accuracy",
) -> Path:
    """Plot accuracies against their cost, one of them strong; return the path.

    The names stand beside the ends of their curves if there is room for all, else in a legend.

    :param curves: points (x, accuracy 0 to 1) by name, in any order; a single point becomes a mark
    :param path: of the file, its suffix one that matplotlib writes (.png, .svg, .pdf); missing
        folders are made
    :param xlabel: what x is, such as "samples read per image"
    :param emphasised: the name of the strong curve
    :param ylabel: what y is, where it is another share than the accuracy
    :raises ValueError: no such name, a curve without points, or values that are not finite
    """
    points = {name: np.array(sorted(curve), float) for name, curve in curves.items()}
    wrong = [
        name for name, xy in points.items() if xy.shape != (len(xy), 2) or not np.isfinite(xy).all()
    ]
    if emphasised not in points or wrong:
        raise ValueError(
            f"got curves {list(curves)}, of which {wrong} are not finite points, and "
            f"emphasised={emphasised!r}; wanted points (x, accuracy), and one of the names"
        )
    figure = new_figure(5.2)
    axes = figure.subplots()
    lines = _lines(axes, points, emphasised)
    everything = np.concatenate(list(points.values()))
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = 0.06 * max(high[1] - low[1], 0.02)
    axes.set(
        xlabel=xlabel,
        ylabel=ylabel,
        xlim=(min(0.0, low[0]), 1.03 * high[0] or 1.0),
        ylim=(max(-0.01, low[1] - margin), min(1.01, high[1] + 2 * margin)),
    )
    axes.yaxis.set_major_locator(few_ticks(7))
    axes.yaxis.set_major_formatter(Percents())
    finish(axes)
    if not _name(figure, axes, points, lines, emphasised):
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), edgecolor="none", ncols=2)
    return save(figure, path)


def _lines(
    axes: Axes, points: Mapping[str, NDArray[np.float64]], emphasised: str
) -> dict[str, Line2D]:
    lines = {}
    number = 0
    for name, xy in points.items():
        if name == emphasised:
            style = {"color": BLUE, "linewidth": 3.0, "markersize": 8, "zorder": 4, "marker": "o"}
        else:
            colour = _COLOURS[number % len(_COLOURS)]
            dash = _DASHES[number // len(_COLOURS) % len(_DASHES)]
            style = {"color": colour, "linewidth": 1.5, "markersize": 4, "linestyle": dash}
            style |= {"marker": "o"} if len(xy) > 1 else {"marker": "D", "markersize": 8}
            number += 1
        (lines[name],) = axes.plot(*xy.T, label=drawn_name(name), **style)
    return lines


def _name(
    figure: Figure,
    axes: Axes,
    points: Mapping[str, NDArray[np.float64]],
    lines: Mapping[str, Line2D],
    emphasised: str,
) -> bool:
    """Write the names at the ends of the curves; if there is no room for one, write none.

    :return: whether they stand there
    """
    figure.draw_without_rendering()  # lays the figure out: before, nothing has its place
    inside = axes.get_window_extent().padded(2)
    inked = np.concatenate([_inked(axes, xy) for xy in points.values()])
    written: list[Annotation] = []
    taken: list[Bbox] = []
    for name in sorted(points, key=lambda name: name != emphasised):  # the strong one first
        for offset, across, along in _PLACES:
            text = axes.annotate(
                drawn_name(name), points[name][-1], offset, textcoords="offset points",
                ha=across, va=along,
                color=_darker(lines[name].get_color()), annotation_clip=False, in_layout=False,
                fontweight="bold" if name == emphasised else "normal",
            )  # fmt: skip
            box = text.get_window_extent()
            within = Bbox.union([box, inside]).extents.tolist() == inside.extents.tolist()
            free = not any(box.overlaps(other) for other in taken)
            if within and free and not box.padded(1).count_contains(inked):
                written.append(text)
                taken.append(box)
                break
            text.remove()
        else:
            for text in written:
                text.remove()
            return False
    return True


def _darker(colour: str) -> tuple[float, ...]:
    """Return the colour as letters want it: light ones are hard to read on white."""
    return tuple(0.8 * np.array(to_rgb(colour)))


def _inked(axes: Axes, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return places on a curve, so dense that no name fits between two, in pixels (n, 2)."""
    pixels = axes.transData.transform(xy)
    along = np.linspace(0, len(xy) - 1, 200 * len(xy))
    return np.stack([np.interp(along, np.arange(len(xy)), column) for column in pixels.T], axis=1)
