"""What other commands measured of a run and left in its directory, for its report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FULL_IMAGE = "full image"


def measured_beside(folder: Path) -> dict[str, Any]:
    """Return further baselines, and the accuracies on changed images, of a run directory.

    `baselines`: those of `benchmarks/gaze_baselines.py` (baselines.json) and the classifier of the
    whole image of `benchmarks/robustness.py` (robustness.json), by name. `robustness`: what the
    latter measured, as a list. Empty where the commands have not been run.
    """
    baselines = {}
    for name, metrics in _read(folder / "baselines.json").get("results", {}).items():
        if name != "learned":  # the agent itself
            note = "its classifier was trained for this gaze, as long as the agent's beside it"
            baselines[f"{name}, equally trained"] = {**metrics, "note": note}
    robustness = _read(folder / "robustness.json").get("results", [])
    for row in robustness:
        if row["kind"] == "clean":
            note = "peeks: a classifier of the same kind that sees the whole image at once"
            baselines[FULL_IMAGE] = {**row[FULL_IMAGE], "note": note}
    return {"baselines": baselines, "robustness": list(robustness)}


def by_kind(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of robustness.json by kind of change, the unchanged images first in each."""
    clean = [row for row in rows if row["kind"] == "clean"]
    kinds = dict.fromkeys(row["kind"] for row in rows if row["kind"] != "clean")
    return {kind: clean + [row for row in rows if row["kind"] == kind] for kind in kinds}


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text()) if file.exists() else {}
