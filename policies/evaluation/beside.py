"""What other commands have measured of an agent and left in its run directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SUFFIX = " (equally trained)"
_NOTE = "its own classifier, trained for this gaze as long as the agent's beside the agent"


def equally_trained(folder: Path, result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """
    Return what `benchmarks/gaze_baselines.py` has measured, as baselines by name.

    Nothing without its `baselines.json`, or where that is about another agent (the run was trained
    on since), other images or another budget.

    :param folder: of the run
    :param result: of the agent's evaluation
    """
    results = _read(folder / "baselines.json").get("results", {})
    learned = results.get("learned", {})
    same = ("n_images", "accuracy", "mean_glimpses", "coverage")
    if any(learned.get(key) != result[key] for key in same):
        return {}
    return {
        f"{name}{_SUFFIX}": {**metrics, "note": _NOTE}
        for name, metrics in results.items()
        if name != "learned"
    }


def is_equally_trained(name: str) -> bool:
    """Whether a baseline's name is one that `equally_trained` gives."""
    return name.endswith(_SUFFIX)


def robustness(folder: Path, result: Mapping[str, Any]) -> dict[str, Any] | None:
    """
    Return what `benchmarks/robustness.py` has measured.

    None without its `robustness.json`, or where that is about another agent (the run was trained on
    since), another split or another budget.

    :param folder: of the run
    :param result: of the agent's evaluation
    """
    found = _read(folder / "robustness.json")
    same = ("split", "timesteps", "budget")
    return found if found and all(found.get(key) == result[key] for key in same) else None


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{file} is broken ({error}); remove it") from error
