"""What other commands have measured of an agent and left in its run directory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeVar

from glimpse_lab.evaluation.result import (
    Baseline,
    BaselineKind,
    Robustness,
    Subject,
    TrainedBaselines,
)
from glimpse_lab.evaluation.storage import read_result

#: the name of the classifier of the whole image, among the baselines
FULL_IMAGE = "full image"

_Found = TypeVar("_Found", bound=Subject)


def equally_trained(folder: Path, subject: Subject) -> dict[str, Baseline]:
    """Return what ``benchmarks/gaze_baselines.py`` has measured, by name.

    None without its ``baselines.json``, or where that is about another split, budget or agent.

    :param folder: of the run
    :param subject: the agent and what it was shown
    """
    found = _read(folder / "baselines.json", TrainedBaselines, subject)
    if found is None:
        return {}
    return {f"{name} (equally trained)": baseline for name, baseline in found.baselines.items()}


def robustness(folder: Path, subject: Subject) -> Robustness | None:
    """Return what ``benchmarks/robustness.py`` has measured.

    None without its ``robustness.json``, or where that is about another split, budget or agent.

    :param folder: of the run
    :param subject: the agent and what it was shown
    """
    return _read(folder / "robustness.json", Robustness, subject)


def full_image(disturbed: Robustness) -> dict[str, Baseline]:
    """Return the classifier of the whole image as a baseline by name.

    None where the images as they are were not shown.
    """
    for result in disturbed.results:
        if result.kind == "clean":
            metrics = dict(vars(result.full_image))
            del metrics["largest_change"]
            return {FULL_IMAGE: Baseline(**metrics, kind=BaselineKind.FULL_IMAGE)}
    return {}


def _read(file: Path, kind: type[_Found], subject: Subject) -> _Found | None:
    """Return the content of a file that is about a subject.

    Else None, and say so where the agent was trained on since.
    """
    try:
        found = read_result(file, kind)
    except FileNotFoundError:
        return None
    if (found.split, found.budget) != (subject.split, subject.budget):
        return None
    if found.timesteps != subject.timesteps:
        print(
            f"left out: {file} was measured after {found.timesteps:,} timesteps, this agent has "
            f"{subject.timesteps:,}; measure anew",
            file=sys.stderr,
        )
        return None
    return found
