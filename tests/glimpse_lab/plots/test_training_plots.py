"""Plots: files that open, progress files with gaps, and errors that say what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stable_baselines3.common.logger import CSVOutputFormat

from glimpse_lab.plots import training as plots

STEPS = "time/total_timesteps"
BLUE = (0x00, 0x72, 0xB2)
GREEN = (0x00, 0x9E, 0x73)
GREY = (0x66, 0x66, 0x66)
ORANGE = (0xD5, 0x5E, 0x00)


def count(path: Path, colour: tuple[int, int, int], rows: slice = slice(None)) -> int:
    """Count the picture's pixels of exactly this colour."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))[rows]
    return int((pixels == colour).all(-1).sum())


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_progress_of_sb3_reads_back_with_gaps(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    writer = CSVOutputFormat(str(path))
    writer.write({STEPS: 128, "time/fps": 90}, {})
    writer.write({STEPS: 256, "rollout/accuracy": 0.25}, {})  # a new column in the second row
    writer.write({STEPS: 384, "rollout/accuracy": 0.5, "note": "half, done"}, {})
    writer.close()
    progress = plots.read_progress(path)
    nan = np.nan
    np.testing.assert_array_equal(progress[STEPS], [128, 256, 384])
    np.testing.assert_array_equal(progress["rollout/accuracy"], [nan, 0.25, 0.5])
    np.testing.assert_array_equal(progress["time/fps"], [90, nan, nan])
    np.testing.assert_array_equal(progress["note"], [nan, nan, nan])
    assert all(column.dtype == np.float64 for column in progress.values())


def test_progress_cut_short_or_empty(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    path.write_text("a,b,c\n1,2,3\n4,5")
    np.testing.assert_array_equal(plots.read_progress(path)["c"], [3, np.nan])
    path.write_text("a,b\n")
    assert [len(column) for column in plots.read_progress(path).values()] == [0, 0]
    path.write_text("")
    assert plots.read_progress(path) == {}
    with pytest.raises(FileNotFoundError):
        plots.read_progress(tmp_path / "none.csv")


def test_learning_curve_draws_what_is_there(tmp_path: Path) -> None:
    steps = np.arange(1, 30) * 1000
    progress = {STEPS: steps, "rollout/accuracy": steps / 3e4, "rollout/n_glimpses": steps / 1e4}
    path = plots.plot_learning_curve(progress, tmp_path / "new" / "learning.png")
    assert list(path.parent.iterdir()) == [path]  # no temporary file is left
    _, height = size(path)
    upper, lower = slice(0, height // 2), slice(2 * height // 3, height)
    assert count(path, BLUE, upper) > 300 and count(path, BLUE, lower) > 300
    grey = count(path, GREY)  # a few, from smoothed letters
    assert not count(path, GREEN) and not count(path, ORANGE)

    progress["validation/accuracy"] = np.where(steps % 5000 == 0, 0.4, np.nan)
    plots.plot_learning_curve(progress, path, levels={"chance": 0.1, "random gaze": 0.6})
    assert count(path, GREEN) > 100 and count(path, GREY) > grey + 100 and count(path, ORANGE) > 100


def test_the_learning_curve_shows_a_pretraining_before_the_first_step(tmp_path: Path) -> None:
    steps = np.arange(1, 30) * 1000
    progress = {STEPS: steps, "rollout/accuracy": steps / 3e4}
    without = count(plots.plot_learning_curve(progress, tmp_path / "a.png"), (238, 238, 238))
    path = plots.plot_learning_curve(progress, tmp_path / "b.png", pretraining=40_000)
    assert count(path, (238, 238, 238)) > without + 5000


@pytest.mark.parametrize(
    "progress",
    [
        {STEPS: []},
        {STEPS: [1, 2], "rollout/accuracy": [np.nan, np.nan]},
        {STEPS: [1, 2], "rollout/accuracy": ["", "0.5"], "rollout/n_glimpses": [None, ""]},
        {STEPS: ["", "2"], "rollout/accuracy": [0.5, ""]},
    ],
)
def test_learning_curve_tolerates_missing_values(tmp_path: Path, progress: dict) -> None:
    path = plots.plot_learning_curve(progress, tmp_path / "learning.png", levels={"chance": 0.1})
    assert min(size(path)) > 300


def test_learning_curve_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got columns \['a'\]"):
        plots.plot_learning_curve({"a": [1.0]}, tmp_path / "a.png")
    with pytest.raises(ValueError, match="got 1 values of 'rollout/accuracy' and 2"):
        plots.plot_learning_curve({STEPS: [1, 2], "rollout/accuracy": [1]}, tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.xyz.*wanted a suffix"):
        plots.plot_learning_curve({STEPS: [1, 2]}, tmp_path / "a.xyz")
    assert not list(tmp_path.iterdir())


def test_confusion_shows_no_answer_only_if_there_is_any(tmp_path: Path) -> None:
    matrix = np.array([[5, 1, 0], [0, 0, 0]])  # a class without images must not divide by zero
    args = (["cat", "dog"], tmp_path / "confusion.png", "digits, test")
    with np.errstate(all="raise"):
        width, height = size(plots.plot_confusion(matrix, *args))
    assert size(plots.plot_confusion(matrix[:, :2], *args)) == (width, height)
    matrix[1, 2] = 4
    wide, high = size(plots.plot_confusion(matrix, *args))
    assert wide / high > width / height
    assert list(tmp_path.iterdir()) == [tmp_path / "confusion.png"]


def test_confusion_shades_by_share_of_the_row(tmp_path: Path) -> None:
    darkest = (8, 48, 107)  # the end of matplotlib's "Blues", 100 %
    full = plots.plot_confusion(np.diag([7, 2000]), ["a", "b"], tmp_path / "full.png")
    half = plots.plot_confusion(np.array([[4, 4], [4, 4]]), ["a", "b"], tmp_path / "half.png")
    cell = count(full, darkest)
    assert cell > 20_000 and count(half, darkest) < cell / 20  # there only in the colour bar


def test_confusion_of_many_classes_in_svg(tmp_path: Path) -> None:
    names = [f"class {i}" for i in range(30)]
    path = plots.plot_confusion(np.eye(30, dtype=int), names, tmp_path / "many.svg")
    assert b"<svg" in path.read_bytes()[:1000]


@pytest.mark.parametrize(
    "matrix", [np.zeros((2, 4), int), np.zeros((3, 3), int), -np.eye(2, dtype=int), np.eye(2)]
)
def test_confusion_errors(tmp_path: Path, matrix: np.ndarray) -> None:
    with pytest.raises(ValueError, match="for 2 classes; wanted counts"):
        plots.plot_confusion(matrix, ["a", "b"], tmp_path / "a.png")


def test_pyplot_is_not_touched() -> None:
    pyplot = sys.modules.get("matplotlib.pyplot")  # others may have imported it
    assert pyplot is None or not pyplot.get_fignums()
