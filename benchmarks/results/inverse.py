"""The tables of inverse action modelling, in Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from statistics import mean
from typing import Any

from benchmarks.results.columns import TOLD_BY
from benchmarks.results.formats import code, percent, table
from benchmarks.results.reading import Results
from benchmarks.results.rows import InverseErrorRow, InverseRow


def summary(results: Results) -> str:
    """One row for a group and whom its figures are of; means over seeds, types of each."""
    header = (
        "run", "told by", "task", "pairs", "type right", "similarity", "above 0.95", "carried out",
        "actions", "core minutes",
    )  # fmt: skip
    return table(header, map(_summary_cells, _groups(results.tables["inverse"])))


def _groups(rows: Iterable[InverseRow]) -> list[list[InverseRow]]:
    found: dict[tuple[str, str], list[InverseRow]] = defaultdict(list)
    for row in rows:
        found[row.group, row.told_by].append(row)
    return list(found.values())


def _summary_cells(rows: Sequence[InverseRow]) -> tuple[Any, ...]:
    first = rows[0]
    steps = _mean([row.mean_steps for row in rows])
    return (
        code(first.group),
        TOLD_BY[first.told_by],
        code(first.env),
        f"{first.pairs:,}",
        _each([row.type_accuracy.scaleb(2) for row in rows], " %"),
        _each([row.similarity for row in rows]),
        percent(_mean([row.near for row in rows])),
        percent(_mean([row.carried_out for row in rows])),
        None if steps is None else f"{steps} of {first.max_steps}",
        _mean([row.core_minutes for row in rows]) if first.told_by == "agent" else None,
    )


def errors(results: Results) -> str:
    """Median errors of the parameters of all types; means over seeds, and those of each."""
    rows = results.tables["inverse_errors"]
    group = {row.run: row.group for row in results.tables["inverse"]}
    kinds = list(dict.fromkeys(row.kind for row in rows))
    found: dict[tuple[str, str], dict[str, list[InverseErrorRow]]] = {}
    for row in rows:
        found.setdefault((group[row.run], row.told_by), {}).setdefault(row.kind, []).append(row)
    return table(
        ("run", "told by", *kinds),
        (
            (
                code(name),
                TOLD_BY[who],
                *(_median(of_kind[kind]) if kind in of_kind else None for kind in kinds),
            )
            for (name, who), of_kind in found.items()
        ),
    )


def _median(rows: Sequence[InverseErrorRow]) -> str:
    medians, unit = [row.median for row in rows], rows[0].unit
    if unit == "log factor":  # small ones are per cent
        medians, unit = [value.scaleb(2) for value in medians], "%"
    return _each(medians, f" {unit}")


def _each(values: Sequence[Decimal], unit: str = "") -> str:
    """Return the mean, with the values in brackets where there are several."""
    middle = _mean(values)
    if len(values) == 1:
        return f"{middle:f}{unit}"
    return f"{middle:f}{unit} ({', '.join(f'{value:f}' for value in values)})"


def _mean(values: Sequence[Decimal | None]) -> Decimal | None:
    """Return the mean, with the digits of the most exact; None where one is not known."""
    if None in values:
        return None
    return mean(values).quantize(min(values, key=lambda value: value.as_tuple().exponent))


def commands(results: Results) -> str:
    """How the runs were made."""
    header = ("run", "command", "commit", "seed", "core minutes", "note")
    return table(
        header,
        (
            (code(r.run), code(r.command), r.commit, r.seed, r.core_minutes, r.note)
            for r in results.tables["inverse"]
            if r.told_by == "agent"
        ),
    )
