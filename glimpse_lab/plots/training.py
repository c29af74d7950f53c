"""Plots of a run, as files: how learning went, and which classes are mistaken for which."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from glimpse_lab.plots.style import BLUE, GREEN, GREY, ORANGE, PINK, Percents, finish, save

_LEVELS = (GREY, GREEN, ORANGE, PINK)
_MAX_COUNTS = 20  # with more classes the numbers in the cells would not be readable


def read_progress(csv_path: str | os.PathLike[str]) -> dict[str, NDArray[np.float64]]:
    """Read a ``progress.csv`` of Stable-Baselines3: float64 (rows,) for each column.

    What is missing (a value not logged in that row, a row cut short, a text) is NaN. A file
    without rows gives empty columns, an empty file no columns.

    :raises FileNotFoundError: no such file
    """
    with open(csv_path, newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.reader(file))
    if not rows:
        return {}
    return {
        name: np.array([_number(row[i]) if i < len(row) else np.nan for row in rows[1:]], float)
        for i, name in enumerate(rows[0])
    }


def plot_learning_curve(
    progress: Mapping[str, Sequence[float] | NDArray[np.float64]],
    path: str | os.PathLike[str],
    *,
    levels: Mapping[str, float] | None = None,
    pretraining: int | None = None,
    column: str = "accuracy",
    label: str = "accuracy",
) -> Path:
    """Plot accuracy and glimpses per image over the time steps; return the path.

    It reads ``time/total_timesteps`` and, where they are there, ``rollout/accuracy`` (training,
    rolling), ``validation/accuracy`` and ``rollout/n_glimpses``. Missing values (NaN, '' or None)
    are left out; a panel without any value says so.

    :param progress: columns of equal length, as ``read_progress`` gives
    :param path: of the file, its suffix one that matplotlib writes (.png, .svg, .pdf); missing
        folders are made
    :param levels: accuracies to compare with, 0 to 1 by name: a dotted line each, at most four
    :param pretraining: episodes that the classifier was trained on before step 0; shown as a band
        there
    :param column: what is plotted in the place of "accuracy"
    :param label: what that is called
    :raises ValueError: no ``time/total_timesteps``, or columns of unequal lengths
    """
    if "time/total_timesteps" not in progress:
        raise ValueError(
            f"got columns {sorted(progress)}; wanted 'time/total_timesteps' among them, as "
            "Stable-Baselines3 logs it"
        )
    figure = Figure(figsize=(7, 5.5), dpi=150, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))

    drawn = _draw(upper, progress, f"rollout/{column}", "training images, actions drawn", BLUE, "-")
    drawn |= _draw(
        upper,
        progress,
        f"validation/{column}",
        "validation images, likeliest actions",
        ORANGE,
        "o-",
    )
    for (name, value), colour in zip((levels or {}).items(), _LEVELS, strict=False):
        label = f"{name} ({value:.1%})"
        upper.axhline(value, color=colour, linestyle=":", linewidth=1.8, label=label)
    upper.set(ylabel=label, ylim=(0, 1))
    upper.yaxis.set_major_formatter(Percents())
    finish(upper, drawn)
    if upper.get_legend_handles_labels()[0]:
        upper.legend(loc="best", edgecolor="none", framealpha=0.9)

    drawn = _draw(lower, progress, "rollout/n_glimpses", "glimpses", BLUE, "-")
    lower.set(xlabel="time steps", ylabel="glimpses per image")
    lower.set_ylim(0, max(1.0, 1.1 * lower.dataLim.y1) if drawn else 1.0)
    lower.xaxis.set_major_formatter(lambda value, _: _short(value))
    finish(lower, drawn)
    if pretraining:
        _shade_pretraining((upper, lower), pretraining)
    return save(figure, path)


def plot_confusion(
    matrix: ArrayLike, classes: Sequence[str], path: str | os.PathLike[str], title: str = ""
) -> Path:
    """Plot a confusion matrix: shade by share of the row, counts in the cells; return the path.

    :param matrix: int (K, K + 1), rows true classes, last column images without an answer (shown
        only if there are any), or int (K, K)
    :param classes: K names
    :param path: of the file, its suffix one that matplotlib writes (.png, .svg, .pdf); missing
        folders are made
    :param title: of the plot
    :raises ValueError: a shape that does not fit the classes, or negative counts
    """
    matrix, k = np.asarray(matrix), len(classes)
    counts = matrix.dtype.kind in "iu" and (matrix >= 0).all()
    if k == 0 or matrix.shape not in ((k, k), (k, k + 1)) or not counts:
        raise ValueError(
            f"got a matrix {matrix.dtype} {matrix.shape} for {k} classes; wanted counts of shape "
            f"({k}, {k + 1}), the last column without an answer, or ({k}, {k})"
        )
    columns = [str(name) for name in classes]
    if matrix.shape[1] > k and matrix[:, k].any():
        columns.append("no answer")
    matrix = matrix[:, : len(columns)]
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)  # a class may have no image

    size = 1.8 + 0.52 * min(max(k, 4), 24)
    figure = Figure(figsize=(size + 1.2, size + 0.4), dpi=150, layout="constrained")
    axes = figure.subplots()
    mesh = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    small = 9 if k <= _MAX_COUNTS else 6
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", fontsize=small)
    axes.set_yticks(range(k), columns[:k], fontsize=small)
    axes.set(xlabel="answer", ylabel="true class", title=title)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(columns) > k:  # what is no class stands apart
        axes.axvline(k - 0.5, color=GREY, linewidth=1)
    if k <= _MAX_COUNTS:
        for (i, j), count in np.ndenumerate(matrix):
            colour = "white" if shares[i, j] > 0.55 else ("#222222" if count else "#BBBBBB")
            text = axes.text(j, i, f"{count:d}", ha="center", va="center", fontsize=8, color=colour)
            text.set_in_layout(False)  # its cell is
    bar = figure.colorbar(mesh, ax=axes, shrink=0.8, label="share of the true class")
    bar.ax.yaxis.set_major_formatter(Percents())
    bar.outline.set_visible(False)
    return save(figure, path)


def _shade_pretraining(panels: tuple[Axes, Axes], n_episodes: int) -> None:
    """Shade a band before step 0, a tenth as wide as what follows: the agent made no step there."""
    end = max(axes.dataLim.x1 for axes in panels)
    width = 0.1 * end if np.isfinite(end) and end > 0 else 0.1
    for axes in panels:
        axes.axvspan(-width, 0.0, color="#EEEEEE", zorder=0)
        axes.set_xlim(left=-width)
    panels[0].text(
        -0.5 * width, 0.5, f"classifier's pretraining:\n{n_episodes:,} episodes", rotation=90,
        ha="center", va="center", color=GREY, fontsize=8,
    )  # fmt: skip


def _draw(
    axes: Axes,
    progress: Mapping[str, Sequence[float] | NDArray[np.float64]],
    key: str,
    label: str,
    colour: str,
    style: str,
) -> bool:
    """Draw a column over the time steps; return whether it had any value."""
    steps = _column(progress["time/total_timesteps"])
    values = _column(progress.get(key, np.full(len(steps), np.nan)))
    if len(steps) != len(values):
        raise ValueError(
            f"got {len(values)} values of {key!r} and {len(steps)} of 'time/total_timesteps'; "
            "wanted as many, with NaN where there is none"
        )
    known = np.isfinite(steps) & np.isfinite(values)
    if known.any():
        style = "o" if known.sum() == 1 else style  # a single value would be an invisible line
        axes.plot(
            *(steps[known], values[known], style),
            label=label,
            color=colour,
            linewidth=1.8,
            markersize=4,
        )
    return bool(known.any())


def _column(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([_number(value) for value in values], float)


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")


def _short(value: float) -> str:
    """Write a number of time steps briefly: 250k, 1.5M."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"
