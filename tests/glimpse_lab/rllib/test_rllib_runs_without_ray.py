"""Runs of RLlib where there is no Ray: what they are made of, loaded and evaluated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from forks import ForkedScript
from scripts import fail, finish, succeed

from glimpse_envs.core import GlimpseCore
from glimpse_lab.checkpoint import classifier_of
from glimpse_lab.cli import eval as evaluation
from glimpse_lab.cli import train
from glimpse_lab.recipes import RecipeError
from glimpse_lab.rllib.recipe import learner_arguments, rllib_config
from glimpse_lab.runs import Run, RunError
from policies import GlimpsePolicy

ENV_ID = "GlimpseDigits-MultiCat-v0"
TRUNK = {"type": "gru", "hidden_size": 16, "code_size": 8, "encoder": "mlp"}
SMALL = {"n_envs": 4, "n_steps": 8, "batch_size": 16, "n_timesteps": 64, "env_kwargs.budget": 3}


def made(path: Path, trunk: dict[str, Any] = TRUNK, **env_kwargs: Any) -> tuple[Run, Any]:
    """A run with random weights, and its model."""
    overrides = SMALL | {f"env_kwargs.{name}": value for name, value in env_kwargs.items()}
    run = Run(path, rllib_config(ENV_ID, trunk=trunk, overrides=overrides, seed=5))
    run.create()
    model = run.config.make_model(run.make_env(), "cpu")
    generator = th.Generator().manual_seed(1)
    for module in (model.policy, classifier_of(model)):
        weights = module.state_dict()
        for name, _ in module.named_parameters():
            weights[name] = weights[name] + 0.2 * th.randn(weights[name].shape, generator=generator)
        module.load_state_dict(weights)
    model.num_timesteps = 64
    run.save_model(model)
    return run, model


def played(model: Any, run: Run) -> np.ndarray:
    """What a model predicts of every test image, step by step, without the evaluation's code."""
    config = replace(run.evaluation_config("test"), classifier=classifier_of(model))
    core = GlimpseCore(config, len(config.shown_split))
    core.seed_all(0)
    observation = core.reset(core.lanes, core.lanes)
    ended, found = np.zeros(core.n_lanes, bool), np.full(core.n_lanes, -1)
    while not ended.all():
        step = core.step(model.predict(observation, deterministic=True)[0])
        just = step.ended & ~ended
        found[just] = core.predictions[just]
        ended, observation = ended | step.ended, step.observation
    return found == core.labels


def assert_told_exactly(told: dict[str, Any], run: Run, model: Any) -> None:
    assert told["accuracy"] == pytest.approx(played(model, run).mean(), abs=1e-12)
    assert told["timesteps"] == 64 and told["n_images"] == 359


def test_eval_tells_exactly_what_the_network_reaches(tmp_path: Path) -> None:
    # a plain image has few gazes for the oracles to try, each of which reads the whole canvas
    run, model = made(tmp_path / "run", {"type": "canvas", "width": 4}, scene="Plain")
    succeed(evaluation.main, run.path, "--video", 2, name="eval.py")
    assert_told_exactly(json.loads((run.path / "metrics.json").read_text()), run, model)
    names = {file.name for file in run.path.iterdir()}
    assert {"report.html", "figures", "video.mp4", "video.gif", "confusion.png"} <= names


def test_a_process_that_has_not_made_the_network_evaluates_it(tmp_path: Path) -> None:
    run, model = made(tmp_path / "run")
    arguments = (run.path, "--quick", "--json")
    status, output, errors = finish(ForkedScript(evaluation.main, *arguments, name="eval.py"))
    assert status == 0, output + errors
    assert_told_exactly(json.loads(output), run, model)


def test_a_loaded_network_is_the_saved_one(tmp_path: Path) -> None:
    run, model = made(tmp_path / "run")
    loaded = Run.open(run.path).load().model
    for ours, theirs in (
        (model.policy, loaded.policy),
        (classifier_of(model), classifier_of(loaded)),
    ):
        assert ours.state_dict().keys() == theirs.state_dict().keys()
        for name, weight in ours.state_dict().items():
            assert th.equal(weight, theirs.state_dict()[name])
    observation = run.make_env("test").reset()
    assert np.array_equal(
        *(each.predict(observation, deterministic=True)[0] for each in (model, loaded))
    )


def test_a_trunk_that_does_not_fit_is_said(tmp_path: Path) -> None:
    run, _ = made(tmp_path / "run")
    file = run.path / "config.yml"
    file.write_text(file.read_text().replace("encoder: cnn", "encoder: mlp"))
    assert "does not fit the model that" in fail(evaluation.main, run.path, name="eval.py")


def test_a_folder_of_rllib_alone_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "algorithm_state.pkl").write_bytes(b"")
    assert "is not a run directory" in fail(evaluation.main, tmp_path, name="eval.py")


def test_train_refuses_to_go_on_with_it(tmp_path: Path) -> None:
    run, _ = made(tmp_path / "run")
    before = (run.path / "model.zip").read_bytes()
    told = fail(train.main, "--resume", run.path, "--total-timesteps", 999)
    assert f"examples/rllib_ppo.py --resume {run.path}" in told
    assert (run.path / "model.zip").read_bytes() == before


def test_the_recipe_is_taken_over() -> None:
    config = rllib_config("GlimpseDigits-Saccade-v0", cut_trunk=False, seed=2)
    arguments = learner_arguments(config)
    assert arguments["trunk"] == {"type": "canvas", "width": 24, "seed": 2}
    assert arguments["learning_rate"] == [[0, 5e-4], [3_000_000, 0.0]]
    assert (arguments["steps"], arguments["epochs"], arguments["gamma"]) == (256 * 14, 4, 0.7)
    assert arguments["minibatch_episodes"] == round(896 / config.env_kwargs["budget"])
    assert arguments["policy_kwargs"]["learn_std"] is False and not arguments["cut_trunk"]
    assert arguments["clip_range"] == 0.2  # of PPO, where the recipe has none
    (entry,) = config.recipe["callback"]
    pretraining = entry["policies.CoTrainingCallback"]
    assert pretraining["pretraining"] == 200_000 and pretraining["epochs"] == 0.0


def test_a_recipe_of_recurrent_ppo_is_taken_over_but_for_its_lstm() -> None:
    config = rllib_config("GlimpseCIFAR-MultiCat-v0", dataset="digits")
    arguments = learner_arguments(config)
    assert config.recipe["policy"] == "policies.GlimpsePolicy"
    assert arguments["policy_kwargs"] == {
        "correct_belief": False,
        "features_extractor_kwargs": {"encoder": "none"},
    }
    assert arguments["trunk"] == {"type": "canvas", "width": 64, "seed": 0}
    assert arguments["freeze_classifier"] and arguments["cut_trunk"]
    (entry,) = config.recipe["callback"]
    assert entry["policies.CoTrainingCallback"]["frozen"]


@pytest.mark.parametrize(
    ("env_id", "overrides", "message"),
    [
        ("GlimpseInverseDigits-v0", {}, "wanted one with glimpses"),
        (ENV_ID, {"target_kl": 0.1}, "has no 'target_kl'"),
        (ENV_ID, {"policy": "policies.GlimpseLstmPolicy"}, "wanted policies.GlimpsePolicy"),
        (ENV_ID, {"policy_kwargs.shared_lstm": True}, "no memory beside the trunk"),
        (ENV_ID, {"policy_kwargs.lstm_kwargs.dropout": 0.1}, "no memory beside the trunk"),
        (ENV_ID, {"policy_kwargs": {"memory_tokens": 2}}, "no memory beside the trunk"),
        (ENV_ID, {"env_kwargs.classifier": {"type": "canvas", "mirror": True}}, "mirror=True"),
        (ENV_ID, {"env_kwargs.classifier.mirror": True}, "mirror=True"),
    ],
)
def test_what_rllib_has_no_use_for(env_id: str, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        rllib_config(env_id, overrides=overrides)


def test_a_frozen_classifier_leaves_the_trunk_alone() -> None:
    with pytest.raises(RecipeError, match=r"frozen classifier.*cut_trunk=False.*frozen=false"):
        rllib_config("GlimpseCIFAR-MultiCat-v0", dataset="digits", cut_trunk=False)
    thawed = {"callback.CoTrainingCallback.frozen": False}
    rllib_config("GlimpseCIFAR-MultiCat-v0", dataset="digits", cut_trunk=False, overrides=thawed)


@pytest.mark.parametrize("scheme", ["MultiCat", "GreedyMap", "Hybrid"])
@pytest.mark.parametrize("overrides", [{}, {"policy": "policies.GlimpsePolicy"}])
def test_recipes_of_recurrent_ppo_can_be_made(scheme: str, overrides: dict[str, Any]) -> None:
    env_id, overrides = f"GlimpseCIFAR-{scheme}-v0", {"n_envs": 16, **overrides}
    config = rllib_config(env_id, dataset="digits", overrides=overrides)
    model = config.make_model(Run(Path("unused"), config).make_env(), "cpu", saved=False)
    assert type(model.policy) is GlimpsePolicy


def test_a_broken_file_is_said(tmp_path: Path) -> None:
    run, _ = made(tmp_path / "run")
    run.model_file.write_bytes(run.model_file.read_bytes()[:-100])
    with pytest.raises(RunError, match="is broken"):
        Run.open(run.path).load()
