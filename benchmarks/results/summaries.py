"""Runs of one group as one line: a run as it is, or the mean over seeds with its interval."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from scipy.stats import t

from benchmarks.results.columns import EQUALLY_TRAINED
from benchmarks.results.reading import Results
from benchmarks.results.rows import GazeRow, RunRow

_NUMBERS = ("mean_glimpses", "mean_samples", "pixel_share", "random_gaze", "core_minutes")

#: in the group's name of runs that differ in the sensor alone, before the sensor's name
SENSOR = "-sensor-"

#: that a mean gets an interval for
_FEWEST_SEEDS = 3


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A group at one split and budget.

    :param rows: its runs, one for each seed
    :param accuracy: of the run, or the mean
    :param interval: low and high, 95 %: Wilson's of the one run, or Student's t over seeds
    :param mean_glimpses: of the run, or the mean where all runs have it; so the next ones
    """

    group: str
    rows: tuple[RunRow, ...]
    accuracy: Decimal
    interval: tuple[Decimal, Decimal] | None
    mean_glimpses: Decimal | None
    mean_samples: Decimal | None
    pixel_share: Decimal | None
    random_gaze: Decimal | None
    core_minutes: Decimal | None

    @property
    def first(self) -> RunRow:
        """A row for what all of them have in common."""
        return self.rows[0]


def summaries(rows: Iterable[RunRow]) -> list[Summary]:
    """Return the lines of a table of runs, in the order of its rows."""
    groups: dict[tuple, list[RunRow]] = defaultdict(list)
    for row in rows:
        groups[row.group, row.split, row.eval_budget].append(row)
    return [_summary(group, members) for (group, *_), members in groups.items()]


def _summary(group: str, rows: Sequence[RunRow]) -> Summary:
    singles = tuple(row for row in rows if not row.seed.many)
    total = next((row for row in rows if row.seed.many), None)
    numbers = {name: _mean([getattr(row, name) for row in singles]) for name in _NUMBERS}
    if total is not None:
        told = {name: getattr(total, name) for name in _NUMBERS}
        numbers |= {name: value for name, value in told.items() if value is not None}
    accuracy, interval = over_seeds(singles) if total is None else _of(total)
    return Summary(group=group, rows=singles, accuracy=accuracy, interval=interval, **numbers)


def over_seeds(
    rows: Sequence[RunRow] | Sequence[GazeRow],
) -> tuple[Decimal, tuple[Decimal, Decimal] | None]:
    """Return the accuracy of a single row with its own interval, or the mean of many.

    :param rows: one for each seed
    :return: accuracy; low and high, of Student's t over seeds, three or more
    """
    if len(rows) == 1:
        return _of(rows[0])
    values = [row.accuracy for row in rows]
    mean = sum(values, Decimal(0)) / len(values)
    unit = min(values, key=lambda value: value.as_tuple().exponent)
    if len(values) < _FEWEST_SEEDS:
        return mean.quantize(unit), None
    error = float(statistics.stdev(values)) / len(values) ** 0.5
    half = Decimal(float(t.ppf(0.975, len(values) - 1)) * error)
    low, high = max(mean - half, Decimal(0)), min(mean + half, Decimal(1))
    return mean.quantize(unit), (low.quantize(unit), high.quantize(unit))


def mean_curve(results: Results, summary: Summary) -> list[float]:
    """Return the agent's accuracy after each glimpse, the mean over the runs of a group."""
    curves = [results.curves.get((row.run, "learned"), []) for row in summary.rows]
    columns = zip(*([float(row.accuracy) for row in curve] for curve in curves), strict=True)
    return [statistics.fmean(column) for column in columns]


def scripted(results: Results, summary: Summary) -> dict[str, list[GazeRow]]:
    """Return the equally trained gazes beside the runs of a group, by name."""
    runs = {row.run for row in summary.rows}
    found: dict[str, list[GazeRow]] = defaultdict(list)
    for row in results.gazes:
        if row.run in runs and row.classifier == EQUALLY_TRAINED:
            found[row.gaze].append(row)
    return dict(found)


def _of(row: RunRow | GazeRow) -> tuple[Decimal, tuple[Decimal, Decimal] | None]:
    return row.accuracy, None if row.ci_low is None else (row.ci_low, row.ci_high)


def _mean(values: Sequence[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    mean = sum(known, Decimal(0)) / len(known)
    return mean.quantize(min(known, key=lambda value: value.as_tuple().exponent))
