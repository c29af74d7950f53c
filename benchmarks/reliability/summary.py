"""What the kills cost, in tables, and whether that is as promised."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from scipy.stats import t as student
from watching import PHASES, Progress

from glimpse_envs.files import replacing
from glimpse_lab.evaluation.significance import student_mean

#: seconds that a kill may cost
LIMIT = 20.0
_UNITS = {
    "start": "s of starting",
    "pretraining": "episodes",
    "training": "timesteps",
    "evaluation": "images",
}


def lost(at: Progress, resumed_at: Progress) -> float:
    """Return how much of the phase of a kill has to be done again, in that phase's unit.

    :param at: of the killed process
    :param resumed_at: of the one that goes on
    """
    if resumed_at.phase > at.phase:
        return 0.0
    begin = resumed_at.done if resumed_at.phase == at.phase else 0.0
    return max(0.0, at.done - begin)


def write_csv(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write a table, whole or not at all; progress is spelled out in columns of its own."""
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    with replacing(file) as temporary, temporary.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, names, restval="")
        writer.writeheader()
        writer.writerows(flat)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Progress):
            flat[f"{name}_phase"], flat[name] = value.name, f"{value.done:g}"
        else:
            flat[name] = value
    if isinstance(row.get("resumed_at"), Progress):
        flat["lost"] = f"{lost(row['at'], row['resumed_at']):g}"
        flat["unit"] = _UNITS[row["phase"]]
    return flat


def phase_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return what the kills of each phase cost, as a markdown table."""
    lines = [
        "| phase | kills | median loss | largest loss | largest loss, work | restart, median |",
        "|---|---|---|---|---|---|",
    ]
    for phase in PHASES:
        if not (of_phase := [row for row in rows if row["phase"] == phase]):
            continue
        seconds = [row["lost_seconds"] for row in of_phase]
        seen = [row for row in of_phase if row["resumed_at"] is not None]
        work = max((lost(row["at"], row["resumed_at"]) for row in seen), default=0.0)
        if phase == "start":
            work = max(row["starting_seconds"] for row in of_phase)
        amount = f"{work:,.0f} {_UNITS[phase]}"
        restart = f"{median(row['restart_seconds'] for row in seen):.1f} s" if seen else ""
        lines.append(
            f"| {phase} | {len(of_phase)} | {median(seconds):.1f} s | {max(seconds):.1f} s "
            f"| {amount} | {restart} |"
        )
    return "\n".join(lines)


def run_table(runs: Sequence[dict[str, Any]]) -> str:
    """Return the accuracies of resumed beside unbroken runs, as a markdown table and a line."""
    lines = ["", "| seed | unbroken | killed and resumed |", "|---|---|---|"]
    for seed in dict.fromkeys(run["seed"] for run in runs):
        cells = [
            next((_percent(r) for r in runs if (r["kind"], r["seed"]) == (kind, seed)), "")
            for kind in ("unbroken", "killed")
        ]
        lines.append(f"| {seed} | {' | '.join(cells)} |")
    values = _accuracies(runs, "unbroken")
    if len(values) > 1:
        low, high = next_seed(values)
        of_mean = student_mean(values)
        lines += [
            "",
            f"unbroken: mean {100 * of_mean.value:.1f} % ({100 * of_mean.low:.1f} to "
            f"{100 * of_mean.high:.1f}, 95 %, Student's t over {len(values)} seeds); a further "
            f"seed: {100 * low:.1f} to {100 * high:.1f} %",
        ]
    if resumed := _accuracies(runs, "killed"):
        lines.append(f"killed and resumed: mean {100 * mean(resumed):.1f} %")
    return "\n".join(lines)


def _percent(run: dict[str, Any]) -> str:
    return "failed" if run["accuracy"] is None else f"{100 * run['accuracy']:.1f} %"


def _accuracies(runs: Sequence[dict[str, Any]], kind: str) -> list[float]:
    return [r["accuracy"] for r in runs if r["kind"] == kind and r["accuracy"] is not None]


def next_seed(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval in which one more value lies, Student's t.

    :param values: at least two, independent and from one normal distribution
    :param confidence: between 0 and 1, both excluded
    """
    n = len(values)
    half = student.ppf(0.5 + confidence / 2, n - 1) * stdev(values) * (1.0 + 1.0 / n) ** 0.5
    return mean(values) - half, mean(values) + half


def verdict(rows: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return in words where losses, resumes and accuracies are not as promised."""
    wrong = []
    for row in rows:
        what = f"seed {row['seed']}, kill {row['kill']} ({row['signal']} in the {row['phase']})"
        if row["lost_seconds"] > LIMIT:
            wrong.append(f"{what} lost {row['lost_seconds']:.1f} s; wanted at most {LIMIT:.0f}")
        resumed, saved = row["resumed_at"], row["saved"]
        if resumed is None:
            wrong.append(f"{what}: nothing went on after it")
        elif resumed.phase != saved.phase or not _shown(saved.done, resumed.done):
            wrong.append(f"{what}: saved was {saved}, what went on began at {resumed}")
    values = _accuracies(runs, "unbroken")
    if len(values) < 2:
        return [*wrong, "fewer than two unbroken runs came to their end: nothing to compare with"]
    low, high = next_seed(values)
    for run in runs:
        if run["kind"] == "killed" and run["accuracy"] is None:
            wrong.append(f"seed {run['seed']}: no accuracy after the kills")
        elif run["kind"] == "killed" and not low <= run["accuracy"] <= high:
            wrong.append(
                f"seed {run['seed']}: accuracy {run['accuracy']:.3f} after its kills; wanted "
                f"{low:.3f} to {high:.3f}"
            )
    return wrong


def _shown(exact: float, bar: float) -> bool:
    """Return whether a bar that shows three digits shows this number."""
    return abs(exact - bar) <= 0.005 * max(exact, 1.0)
