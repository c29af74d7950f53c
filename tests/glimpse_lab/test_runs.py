"""Run directories: what is kept, and that reading it runs no stranger's code."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch as th

from glimpse_envs import load_dataset
from glimpse_lab.recipes import load_recipe, override
from glimpse_lab.runs import Run, RunError, latest, new_name

RECIPE = Path(__file__).parents[2] / "hyperparams" / "reward_alone" / "ppo_lstm.yml"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    env_id = "GlimpseDigits-MultiCat-v0"
    recipe = load_recipe(RECIPE, env_id)
    override(recipe, ["n_envs=4", "n_steps=8", "batch_size=16", "n_epochs=1"])
    config = {
        "env": env_id,
        "env_kwargs": recipe.pop("env_kwargs"),
        "algorithm": "ppo_lstm",
        "recipe": recipe,
        "seed": 3,
        "dataset": {"name": "digits", "digest": load_dataset("digits").digest},
    }
    run = Run(tmp_path / "run", config)
    run.create()
    return run


def test_a_saved_model_comes_back_with_optimiser_and_timesteps(run: Run) -> None:
    model = run.make_model(run.make_env(), "cpu").learn(64)
    run.save_model(model)
    again = Run.open(run.path)
    fresh = again.make_model(again.make_env(), "cpu")
    again.load_weights(fresh)
    assert fresh.num_timesteps == model.num_timesteps == 64
    for old, new in zip(model.policy.parameters(), fresh.policy.parameters(), strict=True):
        assert th.equal(old, new)
    assert len(fresh.policy.optimizer.state) == len(model.policy.optimizer.state) > 0


def test_a_resumed_run_sees_other_images_than_at_its_start(run: Run) -> None:
    env = run.make_env()
    model = run.make_model(env, "cpu")
    env.reset()
    first = env.core.index.copy()
    run.save_model(model.learn(64))
    env = run.make_env()
    run.load_weights(run.make_model(env, "cpu"))
    env.reset()
    assert not np.array_equal(env.core.index, first)


def test_two_processes_do_not_train_one_run(run: Run) -> None:
    with run.locked():
        with pytest.raises(RunError, match="another process"), run.locked():
            pass
    with run.locked():
        pass
    assert not (run.path / "training.lock").exists()


def test_a_run_says_which_packages_it_needs(run: Run, tmp_path: Path) -> None:
    other = Run(tmp_path / "other", {**run.config, "packages": ["mine"]})
    other.create()
    with pytest.raises(RunError, match="--packages mine"):
        Run.open(other.path)
    assert Run.open(other.path, ["mine"]).config == other.config


def test_an_extended_run_remembers_how_far(run: Run) -> None:
    run.extend(123)
    assert Run.open(run.path).recipe["n_timesteps"] == 123


def test_loading_runs_no_code_hidden_in_the_file(run: Run, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "exploded"),)

    model = run.make_model(run.make_env(), "cpu")
    run.save_model(model)
    th.save({"weights": Bomb()}, tmp_path / "policy.pth")
    with zipfile.ZipFile(run.model_file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["policy.pth"] = (tmp_path / "policy.pth").read_bytes()
    with zipfile.ZipFile(run.model_file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(RunError, match="broken"):
        run.load_weights(model)
    assert not (tmp_path / "exploded").exists()


def test_a_run_directory_is_not_overwritten(run: Run) -> None:
    with pytest.raises(RunError, match="exists already"):
        run.create()


def test_progress_goes_on_where_the_checkpoint_was(run: Run) -> None:
    logger = run.make_logger()
    for steps in (10, 20, 30):
        logger.record("time/total_timesteps", steps)
        logger.record("rollout/accuracy", steps / 100)
        logger.dump(steps)
    logger.close()
    with (run.path / "progress.csv").open("a") as file:
        file.write("40,")  # the line that was being written when the training was killed
    logger = run.make_logger(upto=20)
    logger.record("time/total_timesteps", 25)
    logger.record("rollout/new", 1.0)
    logger.dump(25)
    logger.close()
    header, *rows = (run.path / "progress.csv").read_text().splitlines()
    steps = header.split(",").index("time/total_timesteps")
    assert [row.split(",")[steps] for row in rows] == ["10", "20", "25"]


def test_names_are_free_and_the_latest_run_is_found(tmp_path: Path) -> None:
    assert new_name(tmp_path, 4) == "seed4-1"
    for name in ("seed4-1", "seed4-2"):
        (tmp_path / "env" / name).mkdir(parents=True)
        (tmp_path / "env" / name / "config.yml").write_text("")
    assert new_name(tmp_path / "env", 4) == "seed4-3"
    os.utime(tmp_path / "env" / "seed4-2" / "config.yml", (0, 0))
    assert latest(tmp_path).name == "seed4-1"
    with pytest.raises(RunError, match="no run below"):
        latest(tmp_path / "nowhere")
