"""A training by RLlib leaves a run: it plays as RLlib's module does, and goes on."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from made_runs import make_run
from scripts import finish, start

pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')

import ray
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns

from glimpse_lab.checkpoint import classifier_of
from glimpse_lab.evaluation.rollout import evaluate
from glimpse_lab.rllib import training
from glimpse_lab.rllib.recipe import rllib_config
from glimpse_lab.rllib.training import take_over, train
from glimpse_lab.runs import Run, RunError
from glimpse_lab.training import TrainingStoppedError

TRUNK = {"type": "gru", "hidden_size": 16, "code_size": 8, "encoder": "mlp"}
SMALL = {
    "n_envs": 16,
    "n_steps": 8,
    "batch_size": 64,
    "n_epochs": 1,
    "n_timesteps": 200,
    "env_kwargs.budget": 3,
    "callback.CoTrainingCallback.pretraining": 512,
}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        # else of 15, and other work on this machine would starve runners
        patch.setenv("RAY_worker_niceness", "0")
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "data_directory", lambda: tmp_path / "data")


class OfModule:
    """Acts by RLlib's module alone."""

    def __init__(self, module: Any, model: Any) -> None:
        self.module = module
        self.observation_space, self.action_space = model.observation_space, model.action_space

    def predict(self, observation: Any, state: Any, starts: Any, deterministic: bool) -> Any:
        rows = {name: th.as_tensor(row) for name, row in observation.items()}
        out = self.module.forward_inference({Columns.OBS: rows})[Columns.ACTION_DIST_INPUTS]
        chosen = self.module.action_dist_cls.from_logits(out).to_deterministic().sample()
        return chosen.numpy(), state


def test_a_run_plays_as_the_module_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = []

    def spied(algorithm: Any, *others: Any) -> None:
        take_over(algorithm, *others)
        modules.append(algorithm.get_module(DEFAULT_MODULE_ID))

    monkeypatch.setattr(training, "take_over", spied)
    run = Run(
        tmp_path / "run", rllib_config("GlimpseDigits-MultiCat-v0", trunk=TRUNK, overrides=SMALL)
    )
    model = train(run)
    assert model.num_timesteps >= 200

    status, output, errors = finish(start("eval.py", run.path, "--quick", "--json"))
    assert status == 0, output + errors
    told = json.loads(output)
    saved = Run.open(run.path)
    config = saved.evaluation_config("test")
    ours = evaluate(saved.load().model, config)
    config.classifier.load_state_dict(modules[-1].classifier.state_dict())
    theirs = evaluate(OfModule(modules[-1], model), config)
    for column in ("predictions", "gaze", "beliefs", "n_glimpses"):
        np.testing.assert_array_equal(getattr(ours, column), getattr(theirs, column))
    assert told["accuracy"] == (theirs.predictions == theirs.labels).mean()

    rows = list(csv.DictReader((run.path / "progress.csv").open()))
    assert int(rows[-1]["time/total_timesteps"]) == model.num_timesteps
    assert all(0.0 <= float(row["rollout/accuracy"]) <= 1.0 for row in rows)
    seconds = json.loads((run.path / "core_seconds.json").read_text())
    assert seconds["pretraining"] > 0.0 and seconds["training"] > 0.0
    assert saved.config.versions["ray"] == ray.__version__


def test_a_frozen_classifier_stays_as_it_was_pretrained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe is RecurrentPPO's: its LSTM gives way to the trunk, and policy and value learn."""
    pretrain = training._Training._pretrain
    before, after = [], []

    def policy_of(algorithm: Any) -> float:
        weights = algorithm.learner_group.get_weights()[DEFAULT_MODULE_ID]
        return sum(float(abs(w).sum()) for key, w in weights.items() if key.startswith("agent."))

    def pretrain_spied(self: Any) -> None:
        pretrain(self)
        before.append((self.classifier.digest(), policy_of(self.algorithm)))

    def take_over_spied(algorithm: Any, *others: Any) -> None:
        take_over(algorithm, *others)
        after.append(policy_of(algorithm))

    monkeypatch.setattr(training._Training, "_pretrain", pretrain_spied)
    monkeypatch.setattr(training, "take_over", take_over_spied)
    config = rllib_config(
        "GlimpseCIFAR-MultiCat-v0", trunk=TRUNK, dataset="digits", overrides=SMALL
    )
    model = train(Run(tmp_path / "run", config))
    ((classifier, policy),) = before
    assert classifier_of(model).digest() == classifier
    assert after[-1] != policy


def test_a_training_goes_on(tmp_path: Path) -> None:
    config = rllib_config("GlimpseDigits-Saccade-v0", trunk=TRUNK, overrides=SMALL)
    run = Run(tmp_path / "run", config)
    first = train(run).num_timesteps
    longer = Run.open(run.path).extended(first + 100)
    model = train(longer)
    assert model.num_timesteps >= first + 100
    states = run.path / "rllib"
    assert [state.name for state in states.iterdir()] == [str(model.num_timesteps)]
    rows = list(csv.DictReader((run.path / "progress.csv").open()))
    steps = [int(row["time/total_timesteps"]) for row in rows]
    assert first in steps and steps == sorted(set(steps))


def test_runners_begin_with_the_pretrained_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first update runner, learner and model have the same one, which is no new one."""
    digests = []

    class BeforeTheFirstUpdateError(Exception):
        pass

    def first(algorithm: Any) -> None:
        digests.extend(
            algorithm.env_runner_group.foreach_env_runner(
                lambda runner: runner.module.classifier.digest(), local_env_runner=False
            )
        )
        digests.append(
            algorithm.learner_group._learner.module[DEFAULT_MODULE_ID].classifier.digest()
        )
        raise BeforeTheFirstUpdateError

    monkeypatch.setattr(training.Algorithm, "train", first)
    config = rllib_config("GlimpseDigits-MultiCat-v0", trunk=TRUNK, overrides=SMALL)
    run = Run(tmp_path / "run", config)
    untrained = Run(tmp_path / "other", config).classifier.digest()
    with pytest.raises(BeforeTheFirstUpdateError):
        train(run, n_runners=1)
    assert len(digests) == 2 and digests[0] == digests[1] != untrained


def test_more_runners_than_cores_are_refused(tmp_path: Path) -> None:
    config = rllib_config("GlimpseDigits-MultiCat-v0", trunk=TRUNK, overrides=SMALL)
    with pytest.raises(RunError, match=r"got 3 runners, and the cluster has 2 core\(s\)"):
        train(Run(tmp_path / "run", config), n_runners=3)
    assert not (tmp_path / "run").exists()


def test_a_training_whose_runners_are_all_dead_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = training.Algorithm.train

    def killed(algorithm: Any) -> Any:
        result = plain(algorithm)
        for actor in algorithm.env_runner_group._worker_manager.actors().values():
            ray.kill(actor)  # for good: none begins anew
        return result

    monkeypatch.setattr(training.Algorithm, "train", killed)
    monkeypatch.setattr(training, "_PATIENCE", 0.0)
    config = rllib_config("GlimpseDigits-MultiCat-v0", trunk=TRUNK, overrides=SMALL)
    with pytest.raises(RunError, match=r"no timesteps for 0 s: 0 of 1 runners live"):
        train(Run(tmp_path / "run", config), n_runners=1)


def test_ctrl_c_saves_after_the_update_and_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = training.Algorithm.train
    updates = []

    def interrupted(algorithm: Any) -> Any:
        if len(updates) == 1:
            signal.raise_signal(signal.SIGINT)
        updates.append(plain(algorithm))
        return updates[-1]

    monkeypatch.setattr(training.Algorithm, "train", interrupted)
    overrides = {**SMALL, "n_timesteps": 600}
    config = rllib_config("GlimpseDigits-MultiCat-v0", trunk=TRUNK, overrides=overrides)
    run = Run(tmp_path / "run", config)
    with pytest.raises(TrainingStoppedError, match=r"saved at \d+ of 600 timesteps"):
        train(run)
    assert len(updates) == 2
    done = updates[1]["env_runners"]["num_env_steps_sampled_lifetime"]
    assert Run.open(run.path).saved_timesteps() == done < 600
    (run.path / "rllib" / "writing").mkdir()  # as of a process killed while it saved
    assert train(Run.open(run.path)).num_timesteps >= 600
    (state,) = (run.path / "rllib").iterdir()
    shutil.rmtree(state)
    with pytest.raises(RunError, match="which it goes on from, is gone"):
        train(Run.open(run.path).extended(2000))


def test_a_run_of_another_algorithm_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(RunError, match="was trained by ppo_lstm"):
        train(run)
