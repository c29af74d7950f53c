"""Whether a finished run directory looks as if nobody had ever stopped its training."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from glimpse_envs.files import is_temporary
from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.evaluation.storage import StorageError, read_result
from glimpse_lab.runs import Run, RunError

#: files that ``train.py`` leaves at its end
FILES = ("config.yml", "model.zip", "progress.csv", "metrics.json", "confusion.png")
FILES += ("learning_curve.png", "video.mp4", "video.gif")

_STEPS = "time/total_timesteps"


def flaws(path: Path, data: Path) -> list[str]:
    """Return in words what is wrong with a finished run; nothing if all is as it should be.

    Looked for: files that are missing; temporary files and the lock of the training, there and
    where pretrainings are kept; rows of ``progress.csv`` that are cut off, repeated or disordered;
    points in TensorBoard that are not of a row, or rows without their point; a model and an
    evaluation that are not of the end of the training.

    :param path: of the run directory
    :param data: the data directory of its training
    """
    found = [f"{name} is missing" for name in FILES if not (path / name).exists()]
    found += [f"{file} is left over" for file in _leftovers(path, data)]
    if (path / "progress.csv").exists():
        steps, wrong = _rows(path / "progress.csv")
        found += wrong
        found += _events(path, steps)
    found += _end(path)
    return found


def _leftovers(path: Path, data: Path) -> Iterator[Path]:
    for folder in (path, data):
        for file in sorted(folder.rglob("*")):
            if is_temporary(file) or file.name == "training.lock":
                yield file


def _rows(file: Path) -> tuple[list[int], list[str]]:
    """Return the timesteps of all rows of a table, and what is wrong with it."""
    with file.open(newline="") as lines:
        header, *rows = list(csv.reader(lines)) or [[]]
    if _STEPS not in header:
        return [], [f"{file.name} has no column {_STEPS}"]
    if cut := [k for k, row in enumerate(rows, 2) if len(row) != len(header)]:
        return [], [f"{file.name}: line {cut[0]} has not {len(header)} cells"]
    steps = [int(float(row[header.index(_STEPS)])) for row in rows]
    if not steps:
        return [], [f"{file.name} has no rows"]
    disorder = [f"{file.name}: {b:,} timesteps after {a:,}" for a, b in pairwise(steps) if a >= b]
    return steps, disorder


def _events(path: Path, steps: list[int]) -> list[str]:
    """Return what is wrong with the points of TensorBoard.

    :param steps: timesteps of the rows of ``progress.csv``
    """
    points: dict[str, list[int]] = defaultdict(list)
    for file in sorted(path.glob("events.out.tfevents.*"), key=_made):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                points[value.tag].append(event.step)
    found = []
    if points.get("rollout/accuracy", []) != steps:
        found.append("TensorBoard: the points of rollout/accuracy are not those of progress.csv")
    for tag, at in points.items():
        if strange := sorted(set(at) - set(steps)):
            found.append(f"TensorBoard: {tag} at {strange[0]:,} timesteps, of no row")
        if any(a >= b for a, b in pairwise(at)):
            found.append(f"TensorBoard: the points of {tag} are repeated or not in order")
    return found


def _made(file: Path) -> tuple[int, int]:
    """Return when a file of events was begun, seconds, and its number in its process."""
    parts = file.name.split(".")
    return int(parts[3]), int(parts[-1])


def _end(path: Path) -> list[str]:
    """Return what is wrong with model and evaluation of a run."""
    try:
        run = Run.open(path)
        done, wanted = run.saved_timesteps(), run.config.n_timesteps
        result = read_result(path / "metrics.json", Evaluation)
    except (RunError, StorageError, OSError) as error:
        return [str(error)]
    found = [] if done >= wanted else [f"model.zip is of {done:,} of {wanted:,} timesteps"]
    if result.timesteps != done:
        found.append(f"metrics.json is of {result.timesteps:,}, model.zip of {done:,} timesteps")
    return found
