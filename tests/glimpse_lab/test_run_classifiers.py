"""Runs with a classifier: model and classifier are kept together, or neither is read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from episodes import SMALL, same, shake, weights
from stable_baselines3.common.base_class import BaseAlgorithm

from glimpse_envs import load_dataset
from glimpse_envs.classifier import register_classifier
from glimpse_lab.recipes import load_recipe, make_callbacks, override
from glimpse_lab.runs import Run, RunError
from policies.classifier.callback import CoTrainingCallback
from policies.classifier.model import TorchClassifier, read_file

RECIPE = Path(__file__).parents[2] / "hyperparams" / "ppo_lstm.yml"
ENV_ID = "GlimpseDigits-MultiCat-v0"
GRU = {"type": "gru", "seed": 5, **SMALL["gru"]}
TRAINING = {"pretraining": 64, "batch_size": 16, "epochs": 1.0, "bfloat16": False}


def make_run(path: Path, classifier: Any = GRU) -> Run:
    """A run on the digits, written, with a classifier that is trained beside the agent."""
    recipe = load_recipe(RECIPE, "default")
    override(recipe, ["n_envs=4", "n_steps=8", "batch_size=16", "n_epochs=1"])
    recipe["callback"] = {"policies.CoTrainingCallback": TRAINING}
    config = {
        "env": ENV_ID,
        "env_kwargs": {"budget": 3, "classifier": classifier, "observe_classifier_features": True},
        "algorithm": "ppo_lstm",
        "recipe": recipe,
        "seed": 3,
        "dataset": {"name": "digits", "digest": load_dataset("digits").digest},
    }
    run = Run(path, config)
    run.create()
    return run


def train(run: Run, timesteps: int = 64) -> tuple[BaseAlgorithm, CoTrainingCallback]:
    """Train a new model of the run, and its classifier."""
    model = run.make_model(run.make_env(), "cpu")
    (callback,) = make_callbacks(run.recipe)
    model.learn(timesteps, callback=callback)
    return model, callback


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "run")


@pytest.fixture
def killed(run: Run) -> tuple[Run, str]:
    """A run whose second checkpoint was killed between its renames; the first one's digest."""
    model, callback = train(run)
    run.save_model(model, callback.state())
    first = run.classifier.digest()
    shutil.copy(run.model_file, run.path / "model.first")
    shutil.copy(run.classifier_file, run.path / "classifier.first")
    shake(run.classifier)
    run.save_model(model, {"pretrained": -1})
    (run.path / "model.first").replace(run.model_file)
    (run.path / "classifier.first").replace(run.path / "classifier.previous.pt")
    return Run.open(run.path), first


# ---- round trip ----


def test_model_and_classifier_come_back_together(run: Run) -> None:
    untrained = run.classifier.digest()
    model, callback = train(run)
    run.save_model(model, callback.state())
    assert {"model.zip", "classifier.pt"} <= {file.name for file in run.path.iterdir()}
    assert not (run.path / "classifier.previous.pt").exists()
    again = Run.open(run.path)
    assert again.classifier.digest() == run.classifier.digest() != untrained
    env = again.make_env()
    assert env.config.classifier is again.classifier is again.env_config().classifier
    fresh = again.make_model(env, "cpu")
    again.load_weights(fresh)
    assert fresh.num_timesteps == model.num_timesteps
    assert all(map(th.equal, model.policy.parameters(), fresh.policy.parameters()))
    configs = [these.env_config(split="test") for these in (run, again)]
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
    resumed = again.make_model(again.make_env(), "cpu")
    again.load_weights(resumed)
    (second,) = make_callbacks(again.recipe)
    second.restore(extras)
    second.epochs = 0.0  # so that nothing is trained before we look
    resumed.learn(32, callback=second, reset_num_timesteps=False)
    ours, theirs = (c.fitter.optimizer.state_dict()["state"] for c in (callback, second))
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
    assert names == {"config.yml", "model.zip", "classifier.pt"}


def test_a_run_without_a_classifier_has_no_file_of_one(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", None)
    run.config["env_kwargs"]["observe_classifier_features"] = False
    run.save_model(run.make_model(run.make_env(), "cpu"))
    again = Run(run.path, run.config)
    assert again.classifier is None and again.classifier_extras() == {}
    assert not run.classifier_file.exists()


def test_the_file_that_a_run_began_with_is_needed_no_more(tmp_path: Path) -> None:
    described = make_run(tmp_path / "described")
    shake(described.classifier)
    digest = described.classifier.save(tmp_path / "given.pt")
    run = make_run(tmp_path / "run", {"type": "file", "path": str(tmp_path / "given.pt")})
    assert run.classifier.digest() == digest
    run.save_model(run.make_model(run.make_env(), "cpu"))
    (tmp_path / "given.pt").unlink()
    again = Run.open(run.path)
    assert again.classifier.digest() == digest
    again.load_weights(again.make_model(again.make_env(), "cpu"))


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
    register_classifier("guess", lambda config: Guess())
    run = make_run(tmp_path / "run", {"type": "guess"})
    model = run.make_model(run.make_env(), "cpu")
    run.save_model(model)
    again = Run.open(run.path)
    assert isinstance(again.classifier, Guess) and not run.classifier_file.exists()
    again.load_weights(again.make_model(again.make_env(), "cpu"))
    assert again.classifier_extras() == {}


# ---- what does not belong together ----


def test_another_classifier_beside_the_model_is_refused(run: Run) -> None:
    run.save_model(run.make_model(run.make_env(), "cpu"))
    first = run.classifier.digest()
    shake(run.classifier)
    second = run.classifier.save(run.classifier_file)
    message = rf"beside a classifier with digest {first}; .*classifier\.pt has {second}: bring back"
    with pytest.raises(RunError, match=message):
        _ = Run.open(run.path).classifier


def test_a_missing_classifier_is_named(run: Run) -> None:
    run.save_model(run.make_model(run.make_env(), "cpu"))
    run.classifier_file.unlink()
    again = Run.open(run.path)
    for use in (again.make_env, again.env_config, lambda: again.classifier):
        with pytest.raises(RunError, match=r"there is no .*classifier\.pt: bring back"):
            use()


def test_a_broken_classifier_is_named(run: Run) -> None:
    run.save_model(run.make_model(run.make_env(), "cpu"))
    run.classifier_file.write_bytes(run.classifier_file.read_bytes()[:500])
    with pytest.raises(RunError, match=r"classifier\.pt cannot be read"):
        _ = Run.open(run.path).classifier


def test_a_model_that_knows_of_no_classifier_is_refused(tmp_path: Path, run: Run) -> None:
    other = make_run(tmp_path / "other", None)
    other.config["env_kwargs"]["observe_classifier_features"] = False
    other.save_model(other.make_model(other.make_env(), "cpu"))
    shutil.copy(other.model_file, run.model_file)
    with pytest.raises(RunError, match="broken"):
        _ = Run.open(run.path).classifier


# ---- kills ----


def test_a_kill_between_the_renames_leaves_the_checkpoint_before(killed: tuple[Run, str]) -> None:
    run, first = killed
    assert read_file(run.classifier_file)["digest"] != first
    assert run.classifier.digest() == first
    assert run.classifier_extras()["pretrained"] == 64
    model = run.make_model(run.make_env(), "cpu")
    run.load_weights(model)
    assert model.num_timesteps == 64


def test_a_kill_before_the_new_classifier_has_its_name_does_too(killed: tuple[Run, str]) -> None:
    run, first = killed
    run.classifier_file.unlink()
    assert run.classifier.digest() == first and run.classifier_extras()["pretrained"] == 64


def test_the_checkpoint_after_a_kill_is_whole_again(killed: tuple[Run, str]) -> None:
    run, first = killed
    run.save_model(run.make_model(run.make_env(), "cpu"), {"pretrained": 64})
    assert not (run.path / "classifier.previous.pt").exists()
    again = Run.open(run.path)
    assert again.classifier.digest() == first and again.classifier_extras() == {"pretrained": 64}


def test_a_second_kill_in_a_row_still_leaves_the_checkpoint_before(
    killed: tuple[Run, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, first = killed
    shake(run.classifier)  # training goes on from the first checkpoint
    model = run.make_model(run.make_env(), "cpu")

    rename = os.replace

    def die(source: Any, target: Any) -> None:
        if Path(target) == run.model_file:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        run.save_model(model)
    monkeypatch.undo()
    assert Run.open(run.path).classifier.digest() == first
