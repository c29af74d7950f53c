"""Run directories compared: opened and played anew, each on the same images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch as th
from made_runs import small_config

from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_lab.comparison.runs import compare_runs, training_minutes
from glimpse_lab.evaluation.rollout import evaluate
from glimpse_lab.runs import Run, RunError


def make_run(path: Path, seed: int, data: str = "digits", **overrides: float) -> Path:
    """A run directory with an agent that has not learnt anything."""
    overrides = {"n_timesteps": 64, **overrides}
    config = small_config(overrides=overrides, seed=seed, dataset=data)
    run = Run(path, replace(config, git=f"commit{seed}"))
    run.create()
    run.save_model(run.config.make_model(run.make_env(), "cpu"))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds of the same settings, and one of others."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        make_run(folder / "one" / "seed0", 0),
        make_run(folder / "one" / "seed1", 1),
        make_run(folder / "two" / "seed0", 0, gamma=0.5),
    ]


def played(path: Path, split: str, index: int | np.ndarray) -> Scanpaths:
    run = Run.open(path)
    return evaluate(run.load().model, run.env_config(split), index=index)


def test_runs_are_played_on_the_same_images(runs: list[Path]) -> None:
    result = compare_runs(runs, "validation", index=100)
    assert [row.name for row in result.rows] == ["one/seed0", "one/seed1", "two/seed0"]
    assert [row.group for row in result.rows] == ["A", "A", "B"]
    assert [group.settings for group in result.groups] == [{"gamma": 1.0}, {"gamma": 0.5}]
    row, paths = result.rows[1], played(runs[1], "validation", 100)
    assert row.accuracy == (paths.predictions == paths.labels).mean()
    assert row.mean_samples == paths.samples.mean() and row.n_images == 100
    same = next(p for p in result.pairs if (p.first, p.second) == ("one/seed0", "two/seed0"))
    assert same.p_accuracy == 1 and same.accuracy.value == 0  # gamma changes no first weight
    notes = "\n".join(result.notes)
    assert "first 100 images of digits" in notes and "validation split" in notes
    assert "one/seed0 was stopped after 0 of 64 timesteps" in notes
    assert "commit0" in notes and "commit1" in notes


def test_the_weights_of_today_are_played(runs: list[Path], tmp_path: Path) -> None:
    path = make_run(tmp_path / "changing", 0)
    (path / "metrics.json").write_text(json.dumps({"accuracy": 1.0}))  # of an earlier evaluation
    before = compare_runs([runs[0], path], index=60, budget=2)
    assert before.pairs[0].p_accuracy == 1 and before.rows[0].accuracy == before.rows[1].accuracy
    assert "budget of 2" in before.notes[0] and before.rows[0].mean_glimpses <= 2
    run = Run.open(path)
    model = run.config.make_model(run.make_env(), "cpu")
    with th.no_grad():
        model.policy.action_net.stop_bias += 20.0  # now all are a 3, at once
        model.policy.action_net.classes.bias[3] += 20.0
    run.save_model(model)
    after = compare_runs([runs[0], path], index=60, budget=2)
    assert after.rows[0] == before.rows[0] and after.rows[1].mean_glimpses == 1
    labels = run.env_config("test").shown_split.labels[:60]
    assert after.rows[1].accuracy == (labels == 3).mean()


def test_chosen_images_and_other_data(runs: list[Path], tmp_path: Path) -> None:
    paths = played(runs[0], "test", 60)
    right = paths.predictions == paths.labels
    chosen = np.append(np.flatnonzero(right)[::-1], np.flatnonzero(~right)[:2])
    other = make_run(tmp_path / "mnist", 0, data="mnist")
    result = compare_runs([*runs[:2], other], index=chosen)
    assert {row.n_images for row in result.rows} == {len(chosen)}
    assert result.rows[0].accuracy == right.sum() / len(chosen) > right.mean()
    assert [row.name for row in result.rows] == ["seed0", "seed1", "mnist"]
    assert [(p.first, p.second) for p in result.pairs] == [("seed0", "seed1")]
    assert any("other images" in note for note in result.notes)
    with pytest.raises(ValueError, match="got index=0; wanted at least 1"):
        compare_runs(runs, index=0)
    with pytest.raises(ValueError, match="2 of them different"):
        compare_runs(runs[:2], index=np.array([1, 1, 2]))


def test_directories_that_cannot_be_compared(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wanted two or more, each once"):
        compare_runs(runs[:1])
    with pytest.raises(ValueError, match="wanted two or more, each once"):
        compare_runs([runs[0], runs[0].parent / "." / runs[0].name])
    with pytest.raises(RunError, match="not a run directory"):
        compare_runs([runs[0], tmp_path])


def test_minutes_of_all_parts_of_a_training(tmp_path: Path) -> None:
    file = tmp_path / "progress.csv"
    assert training_minutes(file) is None
    file.write_text("time/total_timesteps,time/fps\n1,2\n")
    assert training_minutes(file) is None
    rows = [(1, 10), (2, 60), (3, 120), (1, 130), (2, 180)]  # the second part is the slower one
    text = "".join(f"{i},{seconds}\n" for i, seconds in rows)
    file.write_text(f"time/iterations,time/time_elapsed\n{text}")
    assert training_minutes(file) == pytest.approx((120 + 180) / 60)
    file.write_text("time/iterations,time/time_elapsed\n")
    assert training_minutes(file) is None
