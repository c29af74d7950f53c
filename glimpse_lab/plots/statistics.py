"""Figures of the statistics of an evaluation: accuracy, belief, calibration, stopping, classes.

They draw what ``glimpse_envs.metrics.belief`` returns. ``path`` is that of the file, its suffix one
that matplotlib writes (.png, .svg, .pdf); missing folders are made, and the path is returned.
Another suffix is a ValueError.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from glimpse_envs.metrics.belief import (
    AfterGlimpses,
    ClassAccuracy,
    Reliability,
    RiskCoverage,
    Stop,
)
from glimpse_lab.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    Percents,
    few_ticks,
    finish,
    large_print,
    new_figure,
    save,
)

_PATH = str | os.PathLike[str]
_MOST_CLASSES = 40  # with more, only the best and the worst are shown
_BAND = {"alpha": 0.2, "linewidth": 0}


@large_print
def plot_by_glimpse(entries: Sequence[AfterGlimpses], path: _PATH) -> Path:
    """Plot accuracy and, with a classifier, entropy and calibration error after each glimpse.

    :param entries: of ``belief.by_glimpse``
    :raises ValueError: no entries
    """
    if not entries:
        raise ValueError("got no entries; wanted those of belief.by_glimpse")
    believes = entries[0].belief_accuracy is not None
    glimpses = [entry.n_glimpses for entry in entries]
    figure = new_figure(8.6 if believes else 4.0)
    panels = figure.subplots(
        3 if believes else 1,
        1,
        sharex=True,
        squeeze=False,
        height_ratios=(5, 3, 3)[: 1 + 2 * believes],
    )[:, 0]

    upper = panels[0]
    if believes:
        low, high = np.transpose([entry.belief_ci95 for entry in entries])
        upper.fill_between(glimpses, low, high, color=BLUE, **_BAND)
        _line(upper, entries, "belief_accuracy", BLUE, "o-", "most probable class (95 % interval)")
    _line(upper, entries, "accuracy", ORANGE, "s-", "answers given so far")
    _line(upper, entries, "share_taken", GREY, ":", "images still shown")
    upper.set(ylabel="accuracy, share", ylim=(0, 1.02))
    upper.yaxis.set_major_formatter(Percents())
    upper.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), edgecolor="none", ncols=1)
    finish(upper)
    if believes:
        for axes, key, name in (
            (panels[1], "entropy", "entropy of\nthe belief (nats)"),
            (panels[2], "calibration_error", "calibration\nerror"),
        ):
            _line(axes, entries, key, BLUE, "o-")
            axes.set_ylim(0, 1.15 * max(getattr(entry, key) for entry in entries) or 1.0)
            axes.set_ylabel(name)
            axes.yaxis.set_major_locator(few_ticks(5))
            finish(axes)
        panels[2].yaxis.set_major_formatter(Percents())
    samples = [
        f"{t}\n({entry.mean_samples:.0f})" for t, entry in zip(glimpses, entries, strict=True)
    ]
    panels[-1].set_xticks(glimpses, samples)
    panels[-1].set_xlabel("glimpses at most (samples read per image)")
    figure.align_ylabels()
    return save(figure, path)


@large_print
def plot_reliability(result: Reliability, path: _PATH) -> Path:
    """Plot how often the final beliefs are right against how sure they are.

    :param result: of ``belief.reliability``
    """
    rows = [row for row in result.bins if row.count]
    figure = new_figure(6.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1.3))
    sure = np.array([row.confidence for row in rows])
    right = np.array([row.accuracy for row in rows])
    beyond = np.abs(np.transpose([row.accuracy_ci95 for row in rows]) - right)
    upper.plot(
        [0, 1], [0, 1], color=GREY, linewidth=1.5, linestyle="--", label="perfect calibration"
    )
    upper.errorbar(
        sure, right, beyond, fmt="o", color=BLUE, linewidth=1.5, markersize=7, capsize=3,
        label="likeliest class is right (95 % interval)",
    )  # fmt: skip
    upper.set(ylabel="likeliest class is right", ylim=(0, 1.02), xlim=(0, 1.01))
    upper.yaxis.set_major_formatter(Percents())
    upper.legend(loc="best", edgecolor="none", framealpha=0.9)
    upper.set_title(
        f"calibration error {result.calibration_error:.1%}: sure {result.confidence:.1%}, "
        f"right {result.accuracy:.1%}"
    )
    finish(upper)
    middles = [(row.low + row.high) / 2 for row in rows]
    wide = 0.92 / len(result.bins)
    lower.bar(middles, [row.count / result.n_images for row in rows], wide, color=GREY)
    lower.set(xlabel="largest probability of the final belief", ylabel="images")
    for axis in (lower.xaxis, lower.yaxis):
        axis.set_major_formatter(Percents())
    lower.yaxis.set_major_locator(few_ticks(3))
    finish(lower)
    figure.align_ylabels()
    return save(figure, path)


@large_print
def plot_risk_coverage(result: RiskCoverage, path: _PATH) -> Path:
    """Plot the share of wrong answers among the images of which the agent is surest.

    Beside it what an oracle would reach, that puts all right answers first, and a random order.

    :param result: of ``belief.risk_coverage``
    """
    coverage, risk = np.transpose(result.points)
    wrong = result.random_area
    figure = new_figure(4.8)
    axes = figure.subplots()
    axes.axhline(
        wrong, color=GREY, linestyle="--", linewidth=1.5, label=f"random order (area {wrong:.3f})"
    )
    axes.plot(
        coverage, risk, color=BLUE, linewidth=2.5, label=f"surest first (area {result.area:.3f})"
    )
    axes.plot(
        coverage, np.maximum(0.0, 1 - (1 - wrong) / coverage), color=GREEN, linewidth=1.5,
        linestyle=":", label=f"oracle (area {result.oracle_area:.3f})",
    )  # fmt: skip
    axes.set(
        xlabel=f"share of images answered,\nsurest first: {result.confidence}",
        ylabel="wrong answers among them",
        xlim=(0, 1),
        ylim=(0, 1.15 * max(risk.max(), wrong) or 1.0),
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(few_ticks(6))
        axis.set_major_formatter(Percents())
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), edgecolor="none", ncols=2)
    finish(axes)
    return save(figure, path)


@large_print
def plot_stopping(entries: Sequence[Stop], path: _PATH) -> Path:
    """Plot how many images stopped after each number of glimpses, and how many were right.

    :param entries: of ``belief.stopping``
    :raises ValueError: no entries
    """
    if not entries:
        raise ValueError("got no entries; wanted those of belief.stopping")
    glimpses = np.array([entry.n_glimpses for entry in entries])
    figure = new_figure(6.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    some = [entry for entry in entries if entry.n_images]
    where = np.array([entry.n_glimpses for entry in some])
    right = np.array([entry.accuracy for entry in some])
    beyond = np.abs(np.transpose([entry.accuracy_ci95 for entry in some]) - right)
    upper.errorbar(
        where, right, beyond, fmt="o-", color=BLUE, linewidth=2, markersize=7, capsize=4,
        label="right answers (95 % interval)",
    )  # fmt: skip
    if some[0].confidence is not None:
        sure = [entry.confidence for entry in some]
        upper.plot(where, sure, "D--", color=ORANGE, linewidth=1.5, label="mean confidence")
    upper.set(ylabel="of those that stopped", ylim=(0, 1.02))
    upper.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), edgecolor="none", ncols=2)
    finish(upper)
    shares = [entry.share for entry in entries]
    bars = lower.bar(glimpses, shares, 0.7, color=SKY)
    lower.bar_label(bars, [f"{x:.1%}" if 0 < x < 0.01 else f"{x:.0%}" for x in shares], padding=2)
    lower.set(xlabel="glimpses when the episode ended", ylabel="images")
    lower.set_ylim(0, 1.2 * max(shares))
    lower.set_xticks(glimpses)
    lower.yaxis.set_major_locator(few_ticks(4))
    finish(lower)
    for axes in (upper, lower):
        axes.yaxis.set_major_formatter(Percents())
    figure.align_ylabels()
    return save(figure, path)


@large_print
def plot_per_class(classes: Mapping[str, ClassAccuracy], path: _PATH) -> Path:
    """Plot accuracy and glimpses of each class, the best at the top.

    Classes without images are left out; of more than 40 the best and the worst 20 are shown.

    :param classes: of ``belief.per_class``
    :raises ValueError: no class with images
    """
    ordered = sorted(
        (item for item in classes.items() if item[1].n_images), key=lambda x: x[1].accuracy
    )
    if not ordered:
        raise ValueError(f"got {len(classes)} classes without images; wanted one with images")
    left_out = len(ordered) - _MOST_CLASSES
    if left_out > 0:
        ordered = ordered[: _MOST_CLASSES // 2] + ordered[-_MOST_CLASSES // 2 :]
    rows = np.arange(len(ordered))
    right = np.array([entry.accuracy for _, entry in ordered])
    beyond = np.abs(np.transpose([entry.accuracy_ci95 for _, entry in ordered]) - right)
    glimpses = [entry.mean_glimpses for _, entry in ordered]
    figure = new_figure(1.3 + 0.36 * len(ordered))
    left, other = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    left.errorbar(
        right, rows, xerr=beyond, fmt="o", color=BLUE, markersize=7, capsize=3, linewidth=1.5
    )
    left.set_yticks(rows, [name for name, _ in ordered])
    left.set(xlabel="accuracy (95 % interval)", ylim=(-0.7, len(ordered) - 0.3))
    left.xaxis.set_major_locator(few_ticks(5))
    left.xaxis.set_major_formatter(Percents())
    bars = other.barh(rows, glimpses, 0.7, color=SKY)
    other.bar_label(bars, [f"{value:.1f}" for value in glimpses], padding=3)
    other.set(xlabel="glimpses per image", xlim=(0, 1.25 * max(glimpses)))
    other.tick_params(left=False)
    for axes in (left, other):
        finish(axes)
        axes.grid(axis="both", color="#DDDDDD", linewidth=0.8)
        if left_out > 0:
            axes.axhline(_MOST_CLASSES / 2 - 0.5, color=GREY, linewidth=1, linestyle="--")
    if left_out > 0:
        figure.suptitle(f"the best and the worst; {left_out} classes between them left out")
    return save(figure, path)


def _line(
    axes: Axes,
    entries: Sequence[AfterGlimpses],
    key: str,
    colour: str,
    style: str,
    label: str | None = None,
) -> None:
    glimpses = [entry.n_glimpses for entry in entries]
    values = [getattr(entry, key) for entry in entries]
    axes.plot(glimpses, values, style, color=colour, linewidth=2, markersize=6, label=label)
