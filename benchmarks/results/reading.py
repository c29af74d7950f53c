"""The tables read from their files: every cell for itself, then what they say of each other."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from benchmarks.results.columns import EQUALLY_TRAINED
from benchmarks.results.rows import (
    RUN_TABLES,
    TABLES,
    CurveRow,
    GazeRow,
    Row,
    RunRow,
)
from glimpse_envs.files import replacing
from glimpse_envs.metrics.episodes import wilson_interval
from glimpse_envs.registration import REGISTERED
from glimpse_lab.csv_files import write_rows

#: cells of a row by column, as in the file
Cells = dict[str, str]


class ResultsError(ValueError):
    """A table is wrong, or a run cannot be added to it; the message says what to do."""


@dataclass(frozen=True)
class Results:
    """All tables by name."""

    tables: Mapping[str, tuple[Any, ...]]

    def runs(self, *names: str) -> tuple[RunRow, ...]:
        """Return the rows of run tables; of all of them where none is named."""
        return tuple(row for name in names or RUN_TABLES for row in self.tables[name])

    @property
    def gazes(self) -> tuple[GazeRow, ...]:
        """Gazes beside the agents'."""
        return self.tables["gazes"]

    @property
    def curves(self) -> dict[tuple[str, str], list[CurveRow]]:
        """Accuracies after 1, 2, ... glimpses, by run and gaze."""
        found: dict[tuple[str, str], list[CurveRow]] = defaultdict(list)
        for row in self.tables["accuracy_by_glimpse"]:
            found[row.run, row.gaze].append(row)
        return dict(found)


def columns(name: str) -> list[str]:
    """Return the columns of a table."""
    return [field.name for field in fields(TABLES[name])]


def new_cells(table: str, **values: Any) -> Cells:
    """Return the cells of a row; those without a value are empty.

    :param table: without ".csv"
    :param values: by column
    """
    names = columns(table)
    if wrong := values.keys() - set(names):
        raise KeyError(f"{table} has no columns {sorted(wrong)}")
    return {name: "" if values.get(name) is None else str(values[name]) for name in names}


def read_cells(folder: Path) -> dict[str, list[Cells]]:
    """Return the cells of all tables.

    :param folder: of the CSV files
    :raises ResultsError: for a file that is missing, or has other columns
    """
    return {name: _read_table(folder, name) for name in TABLES}


def write_cells(folder: Path, name: str, rows: Sequence[Cells]) -> None:
    """Write a table under a temporary name and rename it."""
    names = columns(name)
    with replacing(_file(folder, name)) as temporary, temporary.open("w", newline="") as file:
        write_rows(file, [names, *([row[column] for column in names] for row in rows)])


def read(folder: Path) -> Results:
    """Read and check all tables.

    :param folder: of the CSV files
    :raises ResultsError: for the first thing that is wrong
    """
    return checked(read_cells(folder))


def checked(cells: Mapping[str, Sequence[Cells]]) -> Results:
    """Return the tables of these cells.

    :raises ResultsError: for the first thing that is wrong
    """
    results = Results(
        {
            name: tuple(_parsed(name, line, row) for line, row in enumerate(rows, 2))
            for name, rows in cells.items()
        }
    )
    for name, rows in results.tables.items():
        _check_unique(name, rows)
    _check_runs(results)
    _check_groups(results)
    _check_gazes(results)
    _check_inverse(results)
    _check_curves(results)
    _check_names(results)
    return results


# ---- cells


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.csv"


def _read_table(folder: Path, name: str) -> list[Cells]:
    path = _file(folder, name)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except OSError as error:
        raise ResultsError(f"{path} cannot be read ({error.strerror or error})") from error
    if header != columns(name):
        raise ResultsError(f"{path}: got columns {header}; wanted {columns(name)}")
    for line, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ResultsError(
                f"{path.name}, row {line}: got {len(row)} cells; wanted {len(header)}"
            )
    return [dict(zip(header, row, strict=True)) for row in rows]


@cache
def _hints(kind: type[Row]) -> dict[str, Any]:
    return {
        name: hint
        for name, hint in get_type_hints(kind, include_extras=True).items()
        if name != "KEY"
    }


def _parsed(name: str, line: int, cells: Cells) -> Row:
    members = {}
    for column, hint in _hints(TABLES[name]).items():
        text, optional = cells[column], False
        if get_origin(hint) is UnionType or type(None) in get_args(hint):
            hint, optional = get_args(hint)[0], True
        if not text:
            if not optional:
                raise ResultsError(f"{name}.csv, row {line}: {column} is empty; wanted a value")
            members[column] = None
            continue
        try:
            members[column] = hint.__metadata__[0](text)
        except ValueError as error:
            raise ResultsError(
                f"{name}.csv, row {line}: got {column} {text!r:.60}; wanted {error}"
            ) from error
    return TABLES[name](**members)


# ---- rows


def half_unit(value: Decimal) -> Decimal:
    """Return how far a rounded number may be from what it was."""
    return Decimal(5).scaleb(int(value.as_tuple().exponent) - 1)


def _check_unique(name: str, rows: Iterable[Row]) -> None:
    seen = set()
    for row in rows:
        key = tuple(getattr(row, column) for column in row.KEY)
        if key in seen:
            told = ", ".join(str(part) for part in key if part is not None)
            raise ResultsError(
                f"{name}.csv: got two rows of {told}; wanted one row for each {', '.join(row.KEY)}"
            )
        seen.add(key)


def _check_runs(results: Results) -> None:
    _check_unique("/".join(RUN_TABLES), results.runs())
    for row in results.runs():
        where = f"{row.run} ({row.split})"
        _check_interval(where, row, row.n_images if not row.seed.many else None)
        most = row.eval_budget or row.budget
        if row.mean_glimpses is not None and most is not None and row.mean_glimpses > most:
            raise ResultsError(
                f"{where}: got {row.mean_glimpses} glimpses on average; wanted at most {most}"
            )


def _check_inverse(results: Results) -> None:
    for row in results.tables["inverse"]:
        where = f"inverse.csv, {row.told_by} of {row.run}"
        shares = (row.type_accuracy, row.ci_low, row.ci_high)
        _check_wilson(where, *shares, row.n_images)


def _check_interval(where: str, row: RunRow | GazeRow, n_images: int | None) -> None:
    """Raise an error where an interval is no interval, or not the one of accuracy and images.

    :param n_images: of which it is Wilson's; None for another kind
    """
    low, high = row.ci_low, row.ci_high
    if low is None and high is None:
        return
    if low is None or high is None or not low <= row.accuracy <= high:
        raise ResultsError(
            f"{where}: got accuracy {row.accuracy} with the interval {low} to {high}; wanted both "
            "ends, and the accuracy between them"
        )
    if n_images is not None:
        _check_wilson(where, row.accuracy, low, high, n_images)


def _check_wilson(
    where: str, accuracy: Decimal, low: Decimal, high: Decimal, n_images: int
) -> None:
    for slack in (-1, 0, 1):  # of the accuracy, which is rounded
        right = round((accuracy + slack * half_unit(accuracy)) * n_images)
        bounds = wilson_interval(min(max(right, 0), n_images), n_images)
        if all(
            abs(Decimal(bound) - told) <= Decimal("1.2") * half_unit(told)
            for bound, told in zip(bounds, (low, high), strict=True)
        ):
            return
    raise ResultsError(
        f"{where}: got the interval {low} to {high}; wanted Wilson's of accuracy {accuracy} "
        f"over {n_images} images, about {bounds[0]:.4f} to {bounds[1]:.4f}"
    )


def _check_groups(results: Results) -> None:
    """Check that runs of a group differ in the seed alone, and that their mean is what is told."""
    groups: dict[tuple, list[RunRow]] = defaultdict(list)
    for row in results.runs():
        groups[row.group, row.split, row.eval_budget].append(row)
    settings: dict[str, tuple] = {}
    for (group, *_), rows in groups.items():
        for row in rows:
            found = (row.env, row.dataset, row.budget)
            if settings.setdefault(group, found) != found:
                raise ResultsError(
                    f"group {group}: got {found} and {settings[group]}; wanted runs of one "
                    "environment, data set and budget"
                )
        singles = [row for row in rows if not row.seed.many]
        totals = [row for row in rows if row.seed.many]
        seeds = [row.seed.first for row in singles]
        if len(set(seeds)) < len(seeds) or len(totals) > 1:
            raise ResultsError(
                f"group {group}: got the seeds {seeds} and {len(totals)} rows over seeds; wanted "
                "each seed once, and one row over them at most: choose another group"
            )
        for total in totals:
            _check_total(total, singles)


def _check_total(total: RunRow, singles: Sequence[RunRow]) -> None:
    covered = [row for row in singles if total.seed.first <= row.seed.first <= total.seed.last]
    if len(covered) != total.seed.last - total.seed.first + 1 or len(covered) < len(singles):
        raise ResultsError(
            f"{total.run}: sums up seeds {total.seed}; wanted a row for each of them and no others"
        )
    mean = sum(row.accuracy for row in covered) / len(covered)
    if abs(mean - total.accuracy) > half_unit(total.accuracy) + half_unit(covered[0].accuracy):
        raise ResultsError(
            f"{total.run}: got accuracy {total.accuracy}; wanted the mean of its runs, {mean:.4f}"
        )


def _check_gazes(results: Results) -> None:
    for row in results.gazes:
        where = f"gazes.csv, {row.gaze} beside {row.run}"
        _check_interval(where, row, row.n_images)
        if row.gaze == "learned":
            raise ResultsError(f"{where}: wanted a gaze that the agent's is compared with")
        bounds = (row.lead_low, row.lead_high)
        if row.lead is not None and (None in bounds or not bounds[0] <= row.lead <= bounds[1]):
            raise ResultsError(
                f"{where}: got lead {row.lead} with {bounds}; wanted it between them"
            )


def _check_curves(results: Results) -> None:
    ends: dict[tuple[str, str], Decimal] = {
        (row.run, "learned"): row.accuracy
        for row in results.runs()
        if row.split == "test" and row.eval_budget is None
    }
    ends |= {
        (row.run, row.gaze): row.accuracy
        for row in results.gazes
        if row.classifier == EQUALLY_TRAINED
    }
    for (run, gaze), rows in results.curves.items():
        where = f"accuracy_by_glimpse.csv, {gaze} of {run}"
        if (run, gaze) not in ends:
            raise ResultsError(f"{where}: no table has this run with this gaze")
        if [row.n_glimpses for row in rows] != list(range(1, len(rows) + 1)):
            raise ResultsError(f"{where}: wanted rows for 1, 2, ... glimpses in this order")
        end = ends[run, gaze]
        if abs(rows[-1].accuracy - end) > half_unit(rows[-1].accuracy) + half_unit(end):
            raise ResultsError(
                f"{where}: ends with {rows[-1].accuracy}; wanted its accuracy, {end}"
            )


def _check_names(results: Results) -> None:
    known = {row.run for row in results.runs()}
    told = {(row.run, row.told_by) for row in results.tables["inverse"]}
    for row in results.tables["inverse_errors"]:
        if (row.run, row.told_by) not in told:
            raise ResultsError(
                f"inverse_errors.csv: got {row.told_by} of the run {row.run}, which inverse.csv "
                "does not have"
            )
    for name in ("gazes", "published", "robustness"):
        for row in results.tables[name]:
            if row.run not in known:
                raise ResultsError(f"{name}.csv: got the run {row.run}, which no table of runs has")
    for row in results.tables["statistics"]:
        if row.subject not in known and row.subject not in REGISTERED:
            raise ResultsError(
                f"statistics.csv: got the subject {row.subject}; wanted a run, or a registered id"
            )
