"""Runs with a classifier: model and classifier are one file."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_runs
import numpy as np
import pytest
import torch as th
from episodes import SMALL, same, shake, weights
from made_runs import ENV_ID
from stable_baselines3.common.base_class import BaseAlgorithm

from glimpse_envs.classifier import register_classifier
from glimpse_lab.runs import Run, RunError
from glimpse_lab.training import make, restore
from policies.classifier.cotraining import CoTrainingCallback
from policies.classifier.model import MEMBER, TorchClassifier

GRU = {"type": "gru", "seed": 5, **SMALL["gru"]}
TRAINING = {"pretraining": 64, "batch_size": 16, "epochs": 1.0, "bfloat16": False}


def make_run(path: Path, classifier: Any = GRU) -> Run:
    """A run on the digits, written, with a classifier that is trained beside the agent."""
    overrides = {
        "callback": {"policies.CoTrainingCallback": TRAINING},
        "env_kwargs": {
            "budget": 3,
            "classifier": classifier,
            "observe_classifier_features": classifier is not None,
        },
        "policy_kwargs": {},
    }
    return made_runs.make_run(path, "ppo_lstm.yml", overrides, env_id=ENV_ID)


def train(run: Run, timesteps: int = 64) -> tuple[BaseAlgorithm, CoTrainingCallback]:
    """Train a new model of the run, and its classifier."""
    model = run.config.make_model(run.make_env(), "cpu")
    (callback,) = run.config.make_callbacks()
    model.learn(timesteps, callback=callback)
    return model, callback


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "run")


# ---- round trip ----


def test_model_and_classifier_come_back_together(run: Run) -> None:
    untrained = run.classifier.digest()
    model, callback = train(run)
    run.save_model(model, callback.state())
    assert {file.name for file in run.path.iterdir()} == {"config.yml", "model.zip"}
    again = Run.open(run.path)
    assert again.classifier.digest() == run.classifier.digest() != untrained
    env = again.make_env()
    assert env.config.classifier is again.classifier is again.env_config().classifier
    fresh = again.config.make_model(env, "cpu")
    again.load_weights(fresh)
    assert fresh.num_timesteps == model.num_timesteps
    assert all(map(th.equal, model.policy.parameters(), fresh.policy.parameters()))
    configs = [these.env_config("test") for these in (run, again)]
    assert same(*(weights(config.classifier) for config in configs))


def test_a_new_run_makes_the_classifier_that_it_describes(run: Run) -> None:
    assert isinstance(run.classifier, TorchClassifier) and run.classifier.seed == 5
    assert Run.open(run.path).classifier.digest() == run.classifier.digest()
    assert run.make_env().config.classifier is run.classifier


def test_what_a_resumed_training_needs_is_kept_beside_the_weights(run: Run) -> None:
    model, callback = train(run)
    run.save_model(model, callback.state())
    again = Run.open(run.path)
    extras = again.classifier_extras()
    assert extras["pretrained"] == 64
    resumed = again.config.make_model(again.make_env(), "cpu")
    again.load_weights(resumed)
    (second,) = again.config.make_callbacks()
    second.restore(extras)
    second.epochs = 0.0  # so that nothing is trained before we look
    resumed.learn(32, callback=second, reset_num_timesteps=False)
    states = [c.fitter.optimizer.state_dict() for c in (callback, second)]
    ours, theirs = (state["muon"]["state"] for state in states)
    assert ours.keys() == theirs.keys() and len(ours) > 4
    for key in ours:
        assert th.equal(ours[key]["momentum_buffer"], theirs[key]["momentum_buffer"])
    ours, theirs = (state["adamw"]["state"] for state in states)
    assert ours.keys() == theirs.keys() and len(ours) > 4
    for key in ours:
        assert ours[key]["step"] == theirs[key]["step"] > 4
        assert th.equal(ours[key]["exp_avg"], theirs[key]["exp_avg"])


def test_a_later_checkpoint_takes_the_place_of_the_first(run: Run) -> None:
    model, callback = train(run)
    run.save_model(model, callback.state())
    shake(run.classifier)
    run.save_model(model, {"pretrained": 9})
    again = Run.open(run.path)
    assert again.classifier.digest() == run.classifier.digest()
    assert again.classifier_extras() == {"pretrained": 9}
    names = {file.name for file in run.path.iterdir()}
    assert names == {"config.yml", "model.zip"}


def test_a_run_without_a_classifier_saves_none(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", None)
    run.save_model(run.config.make_model(run.make_env(), "cpu"))
    again = Run(run.path, run.config)
    assert again.classifier is None and again.classifier_extras() == {}


def test_the_file_that_a_run_began_with_is_needed_no_more(tmp_path: Path) -> None:
    described = make_run(tmp_path / "described")
    shake(described.classifier)
    digest = described.classifier.save(tmp_path / "given.pt")
    run = make_run(tmp_path / "run", {"type": "file", "path": str(tmp_path / "given.pt")})
    assert run.classifier.digest() == digest
    run.save_model(run.config.make_model(run.make_env(), "cpu"))
    (tmp_path / "given.pt").unlink()
    again = Run.open(run.path)
    assert again.classifier.digest() == digest
    again.load_weights(again.config.make_model(again.make_env(), "cpu"))


class Guess:
    """A classifier of the user's own."""

    n_classes, hidden_size = 10, 2

    def start(self, n: int) -> np.ndarray:
        return np.zeros((n, 2), np.float32)

    def update(self, state: np.ndarray, glimpse: np.ndarray, gaze: np.ndarray) -> tuple:
        return state, np.full((len(state), 10), 0.1, np.float32), state


def test_a_classifier_of_ones_own_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glimpse_envs.classifier._MAKERS", {})
    register_classifier("guess", lambda config, seed: Guess())
    run = make_run(tmp_path / "run", {"type": "guess"})
    model = run.config.make_model(run.make_env(), "cpu")
    run.save_model(model)
    again = Run.open(run.path)
    assert isinstance(again.classifier, Guess)
    again.load_weights(again.config.make_model(again.make_env(), "cpu"))
    assert again.classifier_extras() == {}


def test_the_model_of_a_run_is_a_classifiers_file(run: Run, tmp_path: Path) -> None:
    model, callback = train(run)
    run.save_model(model, callback.state())
    alone = TorchClassifier.load(run.model_file)
    assert alone.digest() == run.classifier.digest()
    begun = make_run(tmp_path / "begun", {"type": "file", "path": str(run.model_file)})
    assert begun.classifier.digest() == alone.digest()


def test_a_checkpoint_is_read_as_a_whole_while_the_next_one_is_written(run: Run) -> None:
    model, _ = train(run)
    run.save_model(model)
    reader = Run.open(run.path)
    fresh = reader.config.make_model(reader.make_env(), "cpu")  # with the classifier of then
    shake(run.classifier)
    run.save_model(model)
    reader.load_weights(fresh)
    assert reader.classifier.digest() == run.classifier.digest()


# ---- what does not belong together ----


def test_a_model_without_its_classifier_is_refused(run: Run, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", None)
    other.save_model(other.config.make_model(other.make_env(), "cpu"))
    shutil.copy(other.model_file, run.model_file)
    again = Run.open(run.path)
    for use in (again.make_env, again.env_config, lambda: again.classifier):
        with pytest.raises(RunError, match="saved without the classifier"):
            use()


@pytest.mark.parametrize("tamper", [lambda data: data[:500], lambda data: b""])
def test_a_broken_classifier_is_named(run: Run, tamper: Callable[[bytes], bytes]) -> None:
    run.save_model(run.config.make_model(run.make_env(), "cpu"))
    with zipfile.ZipFile(run.model_file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[MEMBER] = tamper(members[MEMBER])
    with zipfile.ZipFile(run.model_file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(RunError, match=r"model\.zip is broken"):
        _ = Run.open(run.path).classifier


# ---- kills ----


def test_a_kill_before_the_rename_leaves_the_checkpoint_before(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, callback = train(run)
    run.save_model(model, callback.state())
    first = run.classifier.digest()
    shake(run.classifier)  # training goes on

    def die(source: Any, target: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        run.save_model(model, {"pretrained": -1})
    monkeypatch.undo()
    again = Run.open(run.path)
    assert again.classifier.digest() == first != run.classifier.digest()
    assert again.classifier_extras()["pretrained"] == 64
    assert again.load().model.num_timesteps == 64


def test_a_run_that_has_trained_does_not_begin_anew(run: Run) -> None:
    model, callbacks = make(run, "cpu")
    restore(run, model, callbacks)  # nothing was trained: it begins
    (run.path / "progress.csv").write_text("")
    restore(run, model, callbacks)
    (run.path / "progress.csv").write_text("time/iterations\n1\n2\n")
    with pytest.raises(RunError, match=r"has trained \(2 rows in .*bring it back"):
        restore(run, model, callbacks)
