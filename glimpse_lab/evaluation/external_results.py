"""What other commands have measured of an agent and left in its run directory."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FULL_IMAGE = "full image"
_WHOLE = "oracle: a classifier of the same kind that sees the whole image at once"
_SUFFIX = " (equally trained)"
_NOTE = "its own classifier, trained for this gaze as long as the agent's beside the agent"


def equally_trained(folder: Path, result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what ``benchmarks/gaze_baselines.py`` has measured, as baselines by name; none without
    its ``baselines.json``, or where that is about another split, budget or agent.

    :param folder: of the run
    :param result: of the agent's evaluation
    """
    results = _read(folder / "baselines.json", result).get("results", {})
    return {
        f"{name}{_SUFFIX}": {**metrics, "note": _NOTE}
        for name, metrics in results.items()
        if name != "learned"
    }


def is_equally_trained(name: str) -> bool:
    """Whether a baseline's name is one that ``equally_trained`` gives."""
    return name.endswith(_SUFFIX)


def robustness(folder: Path, result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what ``benchmarks/robustness.py`` has measured; None without its ``robustness.json``,
    or where that is about another split, budget or agent.

    :param folder: of the run
    :param result: of the agent's evaluation
    """
    return _read(folder / "robustness.json", result) or None


def full_image(disturbed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the classifier of the whole image as a baseline by name; none where the images as they
    are were not shown.

    :param disturbed: what ``robustness`` returns
    """
    clean = [row for row in disturbed["results"] if row["kind"] == "clean"]
    return {FULL_IMAGE: {**clean[0][FULL_IMAGE], "note": _WHOLE}} if clean else {}


def _read(file: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a file that is about the agent of a result; else nothing, and say so
    where the run was trained on since.
    """
    try:
        found = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{file} is broken ({error}); remove it") from error
    if any(found.get(key, result[key]) != result[key] for key in ("split", "budget")):
        return {}
    if (timesteps := found.get("timesteps")) != result["timesteps"]:
        then = "an unknown number of" if timesteps is None else f"{timesteps:,}"
        print(
            f"left out: {file} was measured after {then} timesteps, this agent has "
            f"{result['timesteps']:,}; measure anew",
            file=sys.stderr,
        )
        return {}
    return found
