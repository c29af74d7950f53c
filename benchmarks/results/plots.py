"""Accuracy against samples, one plot for each data set: agents, and gazes that are no agent's.

A plot holds the digest of the numbers that it was drawn from, by which one that is out of date is
found, whatever version of matplotlib drew it.
"""

from __future__ import annotations

import hashlib
import json
import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter

from benchmarks.results.columns import GAZES
from benchmarks.results.reading import Results
from benchmarks.results.summaries import Summary, over_seeds, scripted, summaries
from glimpse_lab.plots.style import (
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    SKY,
    Percents,
    finish,
    large_print,
    new_figure,
    save,
)

#: of the drawing itself: raise it where plots of the same numbers are to be drawn anew
_VERSION = 1
_COLOURS = {"MultiCat": BLUE, "GreedyMap": ORANGE, "Hybrid": GREEN, "Saccade": PINK, "RAM": SKY}
_DASHES = {"learned": "-", "best-fixed": "--", "grid": "-.", "random": ":"}
#: accuracies above it are told apart only where the axis is stretched towards 1
_HIGH = 0.95
_TICKS = (0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)


@dataclass(frozen=True)
class Series:
    """A line of a plot.

    :param scheme: of the environment, such as "RAM"
    :param gaze: of the tables
    :param points: samples and accuracy, by samples
    :param interval: of the last point; None where it is not known
    :param group: of the runs, where the data set has several of one scheme; the last is drawn
        strongest
    :param earlier: whether it is not the last of them
    """

    scheme: str
    gaze: str
    points: tuple[tuple[float, float], ...]
    interval: tuple[float, float] | None
    group: str = ""
    earlier: bool = False

    @property
    def label(self) -> str:
        """What the legend calls it."""
        told = "learned gaze" if self.gaze == "learned" else f"{GAZES[self.gaze]}, equally trained"
        return f"{self.scheme}, {told}" + (f" ({self.group})" if self.group else "")


def plotted(results: Results) -> dict[str, list[Series]]:
    """Return what is drawn, by data set as the ids name it."""
    found: dict[str, list[Series]] = defaultdict(list)
    groups: dict[str, list[Summary]] = defaultdict(list)
    for summary in summaries(results.runs("agents")):
        if summary.first.split == "test":
            groups[summary.group].append(summary)
    of_env: dict[str, list[str]] = defaultdict(list)
    for name, members in groups.items():
        of_env[members[0].first.env].append(name)
    for name, members in groups.items():
        env = members[0].first.env
        data, scheme, _ = env.removeprefix("Glimpse").split("-")
        several, last = len(of_env[env]) > 1, of_env[env][-1]
        found[data] += [
            replace(series, group=name if several else "", earlier=name != last)
            for series in _series(results, scheme, members)
        ]
    return {data: series for data, series in found.items() if series}


def _series(results: Results, scheme: str, members: Sequence[Summary]) -> list[Series]:
    own = next((each for each in members if each.first.eval_budget is None), None)
    if own is None or not own.mean_samples or not own.mean_glimpses:
        return []
    size = float(own.mean_samples / own.mean_glimpses)
    # after each glimpse where the agent always takes all of them, else with several budgets
    points = _curve(results, [row.run for row in own.rows], "learned", size, own.accuracy)
    if not points:
        points = sorted(
            (float(each.mean_samples), float(each.accuracy))
            for each in members
            if each.mean_samples is not None
        )
    found = [Series(scheme, "learned", tuple(points), _interval(own.interval))]
    for gaze, rows in scripted(results, own).items():
        if rows[0].mean_samples is None:
            continue
        size = float(rows[0].mean_samples / rows[0].mean_glimpses)
        accuracy, interval = over_seeds(rows)
        points = _curve(results, [row.run for row in rows], gaze, size, accuracy)
        points = points or [(float(rows[0].mean_samples), float(accuracy))]  # one that stops itself
        found.append(Series(scheme, gaze, tuple(points), _interval(interval)))
    return found


def _curve(
    results: Results, runs: Sequence[str], gaze: str, size: float, end: Decimal
) -> list[tuple[float, float]]:
    """Return samples and mean accuracy over runs after each glimpse; nothing if one has none.

    :param size: samples of a glimpse
    :param end: the accuracy after the last one, with all its digits
    """
    curves = [results.curves.get((run, gaze)) for run in runs]
    if not all(curves):
        return []
    columns = zip(*([float(row.accuracy) for row in curve] for curve in curves), strict=True)
    means = (round(statistics.fmean(column), 6) for column in columns)
    points = [(size * n, mean) for n, mean in enumerate(means, 1)]
    return [*points[:-1], (points[-1][0], float(end))]


def _interval(interval: tuple[Decimal, Decimal] | None) -> tuple[float, float] | None:
    return None if interval is None else (float(interval[0]), float(interval[1]))


def file_name(data: str) -> str:
    """Return the name of a data set's plot, such as "results_mnist.svg"."""
    return f"results_{data.lower()}.svg"


def digest(data: str, series: Sequence[Series]) -> str:
    """Return 16 hexadecimal digits that tell the numbers of a plot from others."""
    content = json.dumps([_VERSION, data, [asdict(each) for each in series]])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def drawn_digest(path: Path) -> str | None:
    """Return the digest that a plot was drawn from; None without such a plot."""
    try:
        texts = ElementTree.parse(path).getroot().itertext()
    except (OSError, ElementTree.ParseError):
        return None
    found = (re.fullmatch(r"results ([0-9a-f]{16})", text.strip()) for text in texts)
    return next((match[1] for match in found if match), None)


@large_print
def draw(path: Path, data: str, series: Sequence[Series]) -> Path:
    """Draw one plot.

    :param path: ending in .svg
    :param data: name of the data set
    """
    figure = new_figure(5.4)
    axes = figure.subplots()
    for each in series:
        _draw_series(axes, each)
    accuracies = [accuracy for each in series for _, accuracy in each.points]
    axes.set(xlabel="samples read per test image", ylabel="accuracy", title=data)
    axes.set_xlim(left=0)
    if max(accuracies) > _HIGH:
        axes.set_yscale("logit")
        axes.set_ylabel("accuracy, logit scale")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(FixedLocator([t for t in _TICKS if low <= t <= high]))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_minor_locator(FixedLocator([]))
    axes.yaxis.set_major_formatter(Percents())
    finish(axes)
    figure.legend(loc="outside lower center", ncols=1, frameon=False)
    with rc_context({"svg.hashsalt": "results"}):
        return save(
            figure,
            path,
            metadata={"Date": None, "Description": f"results {digest(data, series)}"},
        )


def _draw_series(axes: Axes, series: Series) -> None:
    strong = series.gaze == "learned"
    (line,) = axes.plot(
        *zip(*series.points, strict=True),
        color=_COLOURS[series.scheme],
        linestyle=_DASHES.get(series.gaze, (0, (1, 3))),
        linewidth=2.5 if strong else 1.6,
        marker="o" if strong else "x" if len(series.points) == 1 else "",
        markersize=5,
        label=series.label,
        alpha=0.4 if series.earlier else 1.0,
        zorder=4 if strong else 3,
    )
    if series.interval is not None:
        x, y = series.points[-1]  # that with all glimpses
        low, high = series.interval
        axes.errorbar(
            [x], [y], [[max(y - low, 0.0)], [max(high - y, 0.0)]],
            color=line.get_color(), capsize=4, linewidth=1.4, zorder=5,
        )  # fmt: skip
