"""Rows of the tables from run directories: what was measured is added by command, not by hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.results import adding_inverse
from benchmarks.results.columns import EQUALLY_TRAINED
from benchmarks.results.reading import (
    Cells,
    ResultsError,
    checked,
    new_cells,
    read_cells,
    write_cells,
)
from benchmarks.results.rows import SUPERSEDED
from glimpse_envs.metrics.episodes import Metrics
from glimpse_lab.config import RunConfig
from glimpse_lab.evaluation.result import Baseline, Evaluation, TrainedBaselines
from glimpse_lab.evaluation.storage import read_result
from glimpse_lab.kinds import INVERSE
from glimpse_lab.retraining import training_command
from glimpse_lab.runs import Run


def add(
    folder: Path,
    runs: Sequence[Path],
    *,
    group: str,
    table: str = "agents",
    command: str | None = None,
    note: str = "",
    baselines: bool = False,
    replaces: str | None = None,
    packages: Sequence[str] = (),
) -> list[str]:
    """Append the evaluations of runs to a table; either all are added or none.

    Every ``metrics*.json`` of a run directory is a row: other budgets and splits too. What is there
    already is left out, so that baselines may be added later. Those of inverse action modelling
    have tables of their own, whatever ``table`` says.

    :param folder: of the CSV files
    :param runs: directories of runs that differ in the seed alone
    :param group: their common name
    :param table: of runs, without ".csv"
    :param command: that trained them; None to find it from their settings
    :param note: for each row
    :param baselines: add the equally trained gazes of ``benchmarks/gaze_baselines.py``, too
    :param replaces: a group whose rows move from the table to that of superseded runs
    :param packages: of the user's own that the runs name, imported already
    :return: what changed, in words
    :raises ResultsError: for a run that has not been evaluated, whose command is not known, or that
        does not fit the tables
    """
    cells = read_cells(folder)
    before = {name: list(rows) for name, rows in cells.items()}
    moved = 0 if replaces is None else _supersede(cells, table, replaces)
    new: dict[str, list[Cells]] = defaultdict(list)
    for path in runs:
        run = Run.open(path, packages)
        name = f"{group}-s{run.config.seed}"
        how = command or command_of(run.config)
        if run.config.kind is INVERSE:
            told, errors = adding_inverse.run_cells(run, group, how, note)
            new["inverse"] += told
            new["inverse_errors"] += errors
            continue
        for file, result in _evaluations(run):
            new[table].append(_run_cells(run, name, group, file, result, how, note))
            if file == "metrics.json":
                new["accuracy_by_glimpse"] += _curve(name, "learned", result)
        if baselines:
            for gaze, baseline in _baselines(run).items():
                new["gazes"].append(_gaze_cells(name, gaze, *baseline))
                new["accuracy_by_glimpse"] += _curve(name, gaze, baseline[0])
    told = [f"{moved} rows moved from {table}.csv to {SUPERSEDED}.csv"] if moved else []
    for name, rows in new.items():
        fresh = [row for row in rows if not _is_there(row, cells[name])]
        cells[name] += fresh
        told.append(f"{name}.csv: {len(fresh)} of {len(rows)} rows are new")
    checked(cells)
    for name, rows in cells.items():
        if rows != before[name]:
            write_cells(folder, name, rows)
    return told


def _supersede(cells: dict[str, list[Cells]], table: str, group: str) -> int:
    """Move the rows of a group to the table of superseded runs; return how many."""
    old = [row for row in cells[table] if row["group"] == group]
    if not old or table == SUPERSEDED:
        raise ResultsError(
            f"{table}.csv has no group {group!r} to be replaced; wanted one of "
            f"{', '.join(sorted({row['group'] for row in cells[table]}))}"
        )
    cells[table] = [row for row in cells[table] if row["group"] != group]
    cells[SUPERSEDED] += old
    return len(old)


def _is_there(row: Cells, rows: Iterable[Cells]) -> bool:
    """Return whether a table has a row, whatever its words are."""
    words = {"command", "note"}
    return any(all(row[name] == old[name] for name in row.keys() - words) for old in rows)


def command_of(config: RunConfig) -> str:
    """Return the command that trains a run with these settings, as the recipes are now.

    :raises ResultsError: where its settings are no recipe's
    """
    if (command := training_command(config)) is None:
        raise ResultsError(
            f"a run of {config.env_id} has other settings than its recipe has now; give the "
            "command that trained it by --command"
        )
    return command


def _evaluations(run: Run) -> list[tuple[str, Evaluation]]:
    own = run.path / "metrics.json"
    files = [own, *sorted(run.path.glob("metrics-*.json"))]
    if not own.exists():
        raise ResultsError(f"{run.path} has no metrics.json; python eval.py {run.path} makes it")
    found = [(file.name, read_result(file, Evaluation)) for file in files]
    done = run.saved_timesteps()
    for name, result in found:
        if result.timesteps != done:
            raise ResultsError(
                f"{run.path / name} was measured after {result.timesteps:,} timesteps, the agent "
                f"has {done:,}; measure anew"
            )
    return found


def _baselines(run: Run) -> dict[str, tuple[Baseline, TrainedBaselines]]:
    file = run.path / "baselines.json"
    try:
        found = read_result(file, TrainedBaselines)
    except FileNotFoundError:
        raise ResultsError(
            f"{run.path} has no baselines.json; python benchmarks/gaze_baselines.py {run.path} "
            "makes it"
        ) from None
    if found.timesteps != (done := run.saved_timesteps()) or found.split != "test":
        raise ResultsError(
            f"{file} is about the {found.split} split after {found.timesteps:,} timesteps; wanted "
            f"test images, and {done:,} timesteps as the agent has: measure anew"
        )
    return {name: (baseline, found) for name, baseline in found.baselines.items()}


# ---- cells


def _run_cells(
    run: Run, name: str, group: str, file: str, result: Evaluation, command: str, note: str
) -> Cells:
    cost, budget = result.core_seconds, run.env_config(result.split).budget
    known = cost is not None and None not in (cost.pretraining, cost.training)
    evaluated = ["python eval.py RUN_DIR"]
    if result.budget != budget:
        evaluated.append(f"--budget {result.budget}")
    if result.split != "test":
        evaluated.append(f"--split {result.split}")
    return new_cells(
        "agents",  # all tables of runs have the same columns
        run=name,
        group=group,
        env=run.config.env_id,
        command=command if file == "metrics.json" else " ".join(evaluated),
        commit=run.config.git,
        seed=run.config.seed,
        dataset=result.dataset,
        split=result.split,
        budget=budget,
        eval_budget=None if result.budget == budget else result.budget,
        timesteps=result.timesteps,
        random_gaze=_share(result.random_gaze.accuracy, result),
        core_minutes=f"{(cost.pretraining + cost.training) / 60:.1f}" if known else None,
        note=note,
        **_measured(result),
    )


def _gaze_cells(name: str, gaze: str, baseline: Baseline, about: TrainedBaselines) -> Cells:
    matched, lead = baseline.matched_budget, {}
    if matched is not None and matched.lead_ci95 is not None:
        shares = (matched.lead, *matched.lead_ci95)
        keys = ("lead", "lead_low", "lead_high")
        lead = dict(zip(keys, (_share(share, baseline) for share in shares), strict=True))
    measured = _measured(baseline)
    del measured["coverage"]
    kind = EQUALLY_TRAINED
    return new_cells(
        "gazes", run=name, gaze=gaze, classifier=kind, commit=about.git, **lead, **measured
    )


def _curve(name: str, gaze: str, result: Metrics) -> Iterable[Cells]:
    """Return accuracies after 1, 2, ... glimpses; none where episodes end when the agent says."""
    if result.mean_glimpses < len(result.accuracy_by_glimpse):
        return []
    return [
        new_cells(
            "accuracy_by_glimpse",
            run=name,
            gaze=gaze,
            n_glimpses=n,
            accuracy=_share(accuracy, result),
        )
        for n, accuracy in enumerate(result.accuracy_by_glimpse, 1)
    ]


def _measured(result: Metrics) -> dict[str, Any]:
    low, high = result.accuracy_ci95
    return {
        "n_images": result.n_images,
        "accuracy": _share(result.accuracy, result),
        "ci_low": _share(low, result),
        "ci_high": _share(high, result),
        "mean_glimpses": f"{result.mean_glimpses:.2f}",
        "mean_samples": f"{result.mean_samples:.0f}",
        "pixel_share": f"{result.sample_fraction:.3f}",
        "coverage": f"{result.coverage:.2f}",
    }


def _share(share: float, result: Metrics) -> str:
    """Return a share with the digits that so many images can tell."""
    digits = 4 if result.n_images >= 1000 else 3
    return f"{round(Decimal(share), digits):.{digits}f}"
