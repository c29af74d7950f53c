"""Plots of several trainings, as files: accuracy against its price, and the course of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from glimpse_lab.dotted import last_name
from glimpse_lab.plots.style import BLUE, GREY, ORANGE, finish, save

_X = "mean_samples"


def plot_frontier(rows: Sequence[Mapping[str, Any]], path: Path, *, title: str = "") -> Path:
    """Plot accuracy against mean samples, a point with its intervals for each value of a sweep.

    :param rows: as ``sweeps.frontier_row`` gives, in the order of the line through them
    :param path: of the file; missing folders are made
    :param title: of the plot
    :return: the path
    """
    figure = Figure(figsize=(7, 4.8), dpi=150, layout="constrained")
    axes = figure.subplots()
    points = {name: np.array([row[name] for row in rows], float) for name in ("accuracy", _X)}
    axes.plot(points[_X], points["accuracy"], color=BLUE, linewidth=1.0, alpha=0.5)
    axes.errorbar(
        points[_X],
        points["accuracy"],
        xerr=_errors(rows, _X),
        yerr=_errors(rows, "accuracy"),
        fmt="o",
        color=BLUE,
        markersize=5,
        capsize=2.5,
        linewidth=1.2,
    )
    for row in rows:
        text, place = str(row["value"]).removesuffix(".0"), (row[_X], row["accuracy"])
        axes.annotate(text, place, xytext=(6, -11), textcoords="offset points", fontsize=9)
    setting = last_name(str(rows[0]["setting"]))
    named = "price of a glimpse" if setting == "cost" else setting
    axes.set(
        xlabel=f"samples per image (sensor pixels read); beside each point its {named}",
        ylabel="accuracy",
        title=title,
    )
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    axes.margins(0.08)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0), min(high, 1.0))
    pixels = {round(row["mean_samples"] / row["sample_fraction"]) for row in rows}
    if len(pixels) == 1:  # one size of images: the samples are shares of the same whole
        (whole,) = pixels
        share = axes.secondary_xaxis("top", functions=(lambda x: x / whole, lambda x: x * whole))
        share.set_xlabel("share of the image's pixels")
        share.xaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
        share.spines["top"].set_visible(False)
    kinds = dict.fromkeys(row["interval"] for row in rows)
    figure.supxlabel("intervals: " + "\n".join(kinds), fontsize=8, color=GREY)
    finish(axes)
    return save(figure, path)


def plot_history(trials: Sequence[Mapping[str, Any]], path: Path, *, title: str = "") -> Path:
    """Plot the score of each trial of a search and the best so far.

    :param trials: each with ``number``, ``score`` (None if it has none) and ``state``: "complete",
        "pruned" or "diverged"
    :param path: of the file; missing folders are made
    :param title: of the plot
    :return: the path
    """
    figure = Figure(figsize=(7, 4), dpi=150, layout="constrained")
    axes = figure.subplots()
    scored = [trial for trial in trials if trial["score"] is not None]
    styles = {
        "complete": ("o", {"color": BLUE}),
        "pruned": ("o", {"markerfacecolor": "none", "markeredgecolor": GREY}),
    }
    for state, (marker, style) in styles.items():
        some = [trial for trial in scored if trial["state"] == state]
        label = {"complete": "trials", "pruned": "stopped early, score then"}[state]
        numbers, scores = [t["number"] for t in some], [t["score"] for t in some]
        if some:
            axes.plot(numbers, scores, marker, linestyle="none", markersize=5, label=label, **style)
    complete = [trial for trial in scored if trial["state"] == "complete"]
    if complete:
        best = np.maximum.accumulate([trial["score"] for trial in complete])
        numbers = [trial["number"] for trial in complete]
        axes.step(numbers, best, where="post", color=ORANGE, linewidth=1.5, label="best so far")
        axes.legend(loc="best", edgecolor="none", framealpha=0.9)
    axes.set(xlabel="trial", ylabel="accuracy, validation split", title=title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    finish(axes)
    return save(figure, path)


def _errors(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """Return how far the bounds lie below and above, float64 (2, rows); 0 where none is known."""
    middle = [row[name] for row in rows]
    low = [row[f"{name}_low"] for row in rows]
    high = [row[f"{name}_high"] for row in rows]
    below = [0.0 if b is None else m - b for m, b in zip(middle, low, strict=True)]
    above = [0.0 if b is None else b - m for m, b in zip(middle, high, strict=True)]
    return np.maximum([below, above], 0.0)  # rounding may put a bound beside its mean
