"""Means and intervals over seeds, and the files of a sweep."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from made_results import made_evaluation
from PIL import Image

from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.plots.search import plot_frontier, plot_history
from glimpse_lab.sweeps.changes import Change
from glimpse_lab.sweeps.summary import (
    frontier_row,
    frontier_table,
    over_seeds,
    seeds_table,
    write_frontier,
)


def result(accuracy: float, samples: float = 128.0, **members: Any) -> Evaluation:
    return made_evaluation(
        accuracy=accuracy,
        accuracy_ci95=(accuracy - 0.02, accuracy + 0.03),
        mean_glimpses=samples / 64,
        mean_samples=samples,
        sample_fraction=samples / 2304,
        coverage=0.5,
        **members,
    )


def test_seeds_are_averaged() -> None:
    summary = over_seeds({3: result(0.84, 100.0), 0: result(0.80, 140.0), 1: result(0.82, 120.0)})
    assert summary["seeds"] == [0, 1, 3] and summary["n_seeds"] == 3
    assert summary["accuracy"]["mean"] == pytest.approx(0.82)
    assert summary["accuracy"]["std"] == pytest.approx(0.02)
    assert summary["mean_samples"]["mean"] == pytest.approx(120.0)
    low, high = summary["mean_samples"]["ci95"]
    assert (low + high) / 2 == pytest.approx(120.0) and low < 100.0
    assert summary["runs"]["seed3"]["accuracy"] == 0.84
    table = seeds_table(summary)
    assert "82.00 %" in table and "3 seeds" in table and "Student" in table


def test_no_bound_of_a_share_lies_beyond_all() -> None:
    summary = over_seeds({0: result(0.99), 1: result(0.89)})
    assert summary["accuracy"]["ci95"][1] == 1.0


def test_one_seed_has_the_interval_of_its_images() -> None:
    summary = over_seeds({0: result(0.8)})
    assert summary["accuracy"]["ci95"] == [0.78, 0.8300000000000001]
    assert "Wilson" in summary["interval"]
    assert summary["mean_samples"]["ci95"] is None
    assert "1 seed;" in seeds_table(summary)


def test_results_of_different_kinds_are_not_averaged() -> None:
    with pytest.raises(ValueError, match="same environment"):
        over_seeds({0: result(0.8), 1: result(0.8, split="validation")})
    with pytest.raises(ValueError, match="at least one"):
        over_seeds({})


def test_a_frontier_as_table_files_and_picture(tmp_path: Path) -> None:
    rows = [
        frontier_row(Change("cost", 0.0), over_seeds({0: result(0.9, 200), 1: result(0.8, 220)})),
        frontier_row(Change("cost", 0.05), over_seeds({0: result(0.7, 100)})),
    ]
    write_frontier(tmp_path, rows)
    with (tmp_path / "frontier.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["value"] for row in table] == ["0.0", "0.05"]
    assert float(table[0]["mean_samples"]) == 210 and table[1]["mean_samples_low"] == ""
    assert json.loads((tmp_path / "frontier.json").read_text())["rows"] == rows
    text = frontier_table(rows)
    assert "Student" in text and "Wilson" in text and "85.00 %" in text
    width, height = Image.open(plot_frontier(rows, tmp_path / "frontier.png")).size
    assert width > 600 and height > 400


def test_a_history_without_a_finished_trial_is_drawn(tmp_path: Path) -> None:
    trials = [
        {"number": 0, "score": None, "state": "diverged"},
        {"number": 1, "score": 0.2, "state": "pruned"},
    ]
    assert plot_history(trials, tmp_path / "history.png").exists()
