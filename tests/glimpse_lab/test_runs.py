"""Run directories: what is kept, and that reading it runs no stranger's code."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
import yaml
from made_runs import make_run
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO

from glimpse_lab.runs import Run, RunError, latest, new_name


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "run")


def test_a_saved_model_comes_back_with_optimiser_and_timesteps(run: Run) -> None:
    model = run.config.make_model(run.make_env(), "cpu").learn(64)
    run.save_model(model)
    again = Run.open(run.path)
    fresh = again.config.make_model(again.make_env(), "cpu")
    again.load_weights(fresh)
    assert fresh.num_timesteps == model.num_timesteps == 64
    for old, new in zip(model.policy.parameters(), fresh.policy.parameters(), strict=True):
        assert th.equal(old, new)
    assert len(fresh.policy.optimizer.state) == len(model.policy.optimizer.state) > 0


def test_ctrl_c_while_pytorch_writes_is_no_full_disk(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = run.config.make_model(run.make_env(), "cpu")
    run.save_model(model)
    before = run.model_file.read_bytes()

    write, place = zipfile._ZipWriteFile.write, [0]

    def interrupted(self: Any, data: bytes) -> int:
        place[0] -= 1
        if place[0] == 0:
            raise KeyboardInterrupt
        return write(self, data)

    monkeypatch.setattr("zipfile._ZipWriteFile.write", interrupted)
    for place[0] in range(1, 20):  # one of them PyTorch tells as a failure of its own
        with pytest.raises(KeyboardInterrupt, match=r"^$"):
            try:
                raise KeyboardInterrupt("the first")
            finally:
                run.save_model(model)
    assert run.model_file.read_bytes() == before
    monkeypatch.undo()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(model), "save", full)
    with pytest.raises(RunError, match="No space left"):
        try:
            raise KeyboardInterrupt("the first")
        finally:
            run.save_model(model)


def test_a_resumed_run_sees_other_images_than_at_its_start(run: Run) -> None:
    env = run.make_env()
    model = run.config.make_model(env, "cpu")
    env.reset()
    first = env.core.index.copy()
    run.save_model(model.learn(64))
    env = run.make_env()
    run.load_weights(run.config.make_model(env, "cpu"))
    env.reset()
    assert not np.array_equal(env.core.index, first)


def test_an_agent_is_shown_scenes_of_another_size_and_nothing_else(tmp_path: Path) -> None:
    small = {"env_kwargs.scene": {"type": "TranslatedCanvas", "side": 20}}
    small |= {"env_kwargs.classifier": {"type": "gru", "hidden_size": 8}}
    run = make_run(tmp_path / "run", overrides=small)
    run.save_model(run.config.make_model(run.make_env(), "cpu"))
    again = Run.open(run.path).altered({"env_kwargs.scene.side": 30})
    model, env = again.load()
    assert env.core.config.shape == (30, 30, 1) and again.config.env_kwargs["scene"]["side"] == 30
    for old, new in zip(
        run.classifier.parameters(), env.core.config.classifier.parameters(), strict=True
    ):
        assert th.equal(old, new)
    model.predict(env.reset())
    assert Run.open(run.path).config == run.config  # nothing is written
    for settings, message in [
        ({"gamma": 0.5}, r"got --set gamma=0.5; wanted env_kwargs.NAME=VALUE"),
        ({"env_kwargs.classifier": None}, "wanted env_kwargs.NAME=VALUE"),
        ({"env_kwargs.split": "train"}, "wanted --split train"),
        ({"env_kwargs.sensor.size": 5}, "glimpse_shape"),
        ({"env_kwargs.scheme": "Saccade"}, "observation space|action space"),
    ]:
        with pytest.raises(ValueError, match=message):
            run.altered(settings)


def test_two_processes_do_not_train_one_run(run: Run) -> None:
    with run.locked():
        with pytest.raises(RunError, match="another process"), run.locked():
            pass
    with run.locked():
        pass
    assert not (run.path / "training.lock").exists()


def test_a_run_says_which_packages_it_needs(run: Run, tmp_path: Path) -> None:
    other = Run(tmp_path / "other", replace(run.config, packages=("mine",)))
    other.create()
    with pytest.raises(RunError, match="--packages mine"):
        Run.open(other.path)
    assert Run.open(other.path, ["mine"]).config == other.config


def test_an_extended_run_remembers_how_far(run: Run) -> None:
    before = run.config.n_timesteps
    extended = run.extended(123)
    assert Run.open(run.path).config.n_timesteps == run.config.n_timesteps == before != 123
    extended.write_config()
    assert Run.open(run.path).config.n_timesteps == 123


def test_loading_runs_no_code_hidden_in_the_file(run: Run, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "exploded"),)

    model = run.config.make_model(run.make_env(), "cpu")
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


@pytest.mark.parametrize("recipe", ["ppo.yml", "reward_alone/ppo_lstm.yml"])
def test_stock_sb3_loads_a_checkpoint(recipe: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", recipe)
    env = run.make_env()
    run.save_model(run.config.make_model(env, "cpu"))
    algorithm = {"ppo": PPO, "ppo_lstm": RecurrentPPO}[run.config.algorithm]
    model = algorithm.load(run.model_file, device="cpu")
    loaded = run.load("train")
    assert all(map(th.equal, model.policy.parameters(), loaded.model.policy.parameters()))
    observation = env.reset()
    action, _ = model.predict(observation, deterministic=True)
    np.testing.assert_array_equal(action, loaded.model.predict(observation, deterministic=True)[0])


def test_environments_are_made_once(run: Run) -> None:
    assert run.env_config() is run.env_config("train") is run.make_env().config
    test = run.evaluation_config("test")
    assert test is run.env_config("test") is run.make_env("test").config


def test_a_run_directory_is_not_overwritten(run: Run) -> None:
    with pytest.raises(RunError, match="exists already"):
        run.create()


def test_a_run_whose_first_file_was_cut_off_by_a_kill_is_made(run: Run, tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    other = Run(tmp_path / "other", run.config)
    other.path.mkdir()
    (other.path / f".config.glimpse-tmp-{killed.pid}.yml").write_text("env_id: Glim")
    other.create()
    assert [file.name for file in other.path.iterdir()] == ["config.yml"]
    assert Run.open(other.path).config == run.config


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


# ---- config.yml ----


def changed(run: Run, **changes: object) -> Path:
    """The run's folder with other content of its ``config.yml``; None takes a key away."""
    content = {**run.config.to_dict(), **changes}
    content = {key: value for key, value in content.items() if value is not None}
    (run.path / "config.yml").write_text(yaml.safe_dump(content))
    return run.path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": None}, r"config\.yml lacks recipe, or has it wrong"),
        ({"seed": "one", "env_id": 3}, "lacks env_id, seed"),
        ({"algorithm": "pppo"}, "did you mean 'ppo'"),
        ({"recipe": {"n_envs": 0, "n_timesteps": 1}}, "got n_envs=0"),
        ({"format": 3}, "has format 3; this version reads 2"),
        ({"format": None}, "has format None; wanted format: 2"),
        (
            {"format": None, "env": "x", "versions": {"glimpse-envs": "0.1.0"}, "git": "abc+"},
            r"older version \(glimpse-envs 0\.1\.0, commit abc\).*train anew",
        ),
    ],
)
def test_a_wrong_configuration_is_refused(run: Run, changes: dict, message: str) -> None:
    with pytest.raises(RunError, match=message):
        Run.open(changed(run, **changes))


def test_a_configuration_is_read_as_it_was_written(run: Run) -> None:
    assert Run.open(run.path).config == run.config
