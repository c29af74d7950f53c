"""Rows of the tables of inverse action modelling from run directories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.results.reading import Cells, ResultsError, new_cells
from glimpse_lab.evaluation.storage import read_result
from glimpse_lab.inverse.result import InverseEvaluation, Predictor, Told
from glimpse_lab.runs import Run

_KINDS_OF_INSTRUCTIONS = {
    "known wording and value": "known",
    "new value": "new-value",
    "new wording": "new-wording",
    "new wording and value": "new-both",
    "word never heard": "new-word",
}


def run_cells(run: Run, group: str, command: str, note: str) -> tuple[list[Cells], list[Cells]]:
    """Return the rows of a run in the tables ``inverse`` and ``inverse_errors``.

    :param group: of runs that differ in the seed alone
    :param command: that trained it
    :param note: for each row
    :raises ResultsError: for a run that has not been evaluated, or was trained on since
    """
    file = run.path / "metrics.json"
    if not file.exists():
        raise ResultsError(f"{run.path} has no metrics.json; python eval.py {run.path} makes it")
    result = read_result(file, InverseEvaluation)
    if result.timesteps != (done := run.saved_timesteps()):
        raise ResultsError(
            f"{file} was measured after {result.timesteps:,} pairs, the agent has {done:,}; "
            "measure anew"
        )
    cost, plan, name = result.core_seconds, result.planning, f"{group}-s{run.config.seed}"
    known = cost is not None and cost.training is not None
    shared = {
        "run": name,
        "group": group,
        "env": run.config.env_id,
        "command": command,
        "commit": run.config.git,
        "seed": run.config.seed,
        "split": result.split,
        "pairs": result.timesteps,
        "core_minutes": f"{cost.training / 60:.1f}" if known else None,
        "note": note,
    }
    told = [
        new_cells(
            "inverse",
            **shared,
            told_by=who,
            **_told_cells(each),
            max_steps=1 if plan is None or who != "agent" else plan.max_steps,
            mean_steps=None if plan is None or who != "agent" else f"{plan.mean_steps:.2f}",
        )
        for who, each in _told(result)
    ]
    errors = [
        new_cells(
            "inverse_errors",
            run=name,
            told_by=who,
            kind=kind,
            n_images=of_type.n_images,
            type_accuracy=f"{of_type.type_accuracy:.3f}",
            median=f"{of_type.error.median:.3g}",
            percentile90=f"{of_type.error.percentile90:.3g}",
            unit=of_type.unit,
        )
        for who, predictor in _predictors(result)
        for kind, of_type in predictor.by_type.items()
    ]
    return told, errors


def _predictors(result: InverseEvaluation) -> Iterator[tuple[str, Predictor]]:
    yield "agent", result.agent
    if result.reference is not None:
        yield "registration", result.reference.registration


def _told(result: InverseEvaluation) -> Iterator[tuple[str, Told]]:
    for who, predictor in _predictors(result):
        yield who, predictor.total
    if result.reference is not None:
        yield "agent-there", result.reference.agent
    for kind, told in (result.instructions or {}).items():
        yield _KINDS_OF_INSTRUCTIONS[kind], told


def _told_cells(told: Told) -> dict[str, Any]:
    digits = 4 if told.n_images >= 1000 else 3
    low, high = told.type_accuracy_ci95
    shares = {
        "type_accuracy": told.type_accuracy,
        "ci_low": low,
        "ci_high": high,
        "similarity": told.mean_similarity,
        "near": told.near,
        "carried_out": told.carried_out,
    }
    rounded = {name: f"{share:.{digits}f}" for name, share in shares.items()}
    return {"n_images": told.n_images, **rounded}
