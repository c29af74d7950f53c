"""Spaces: that batches divide, that draws land in the recipe, and files of one's own."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from made_runs import ENV_ID

from glimpse_lab.config import DatasetRecord, RunConfig
from glimpse_lab.recipes import RecipeError, load_recipe
from glimpse_lab.tuning.space import (
    _CLASSIFIER_DEFAULTS,
    apply,
    check_batches,
    default_space,
    read_space,
    start_of,
    suggest,
)
from policies.classifier.cotraining import CoTrainingCallback
from policies.classifier.trainer import Fitter

FOLDER = Path(__file__).parents[3] / "hyperparams"
ENTRIES = [
    (file, env_id)
    for file in sorted(FOLDER.rglob("*.yml"))
    for env_id in yaml.safe_load(file.read_text())
]


class Draws:
    """Draws uniformly, as a trial of Optuna does at first."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        return choices[self.rng.integers(len(choices))]

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        if log:
            return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))
        return float(self.rng.uniform(low, high))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return int(self.rng.integers(low, high + 1))


def of(file: Path, env_id: str) -> RunConfig:
    """The configuration of an entry, without the data that it needs."""
    recipe = load_recipe(file, env_id)
    env_kwargs = recipe.pop("env_kwargs", {})
    return made(recipe, env_kwargs, file.stem)


def made(recipe: dict[str, Any], env_kwargs: dict[str, Any], algorithm: str = "ppo") -> RunConfig:
    data = DatasetRecord("digits", "0")
    return RunConfig(ENV_ID, env_kwargs, algorithm, recipe, 0, data, (), None, {})


@pytest.mark.parametrize(("file", "env_id"), ENTRIES, ids=[f"{f.stem}-{e}" for f, e in ENTRIES])
def test_in_every_recipe_batches_divide_and_the_schedule_stays(file: Path, env_id: str) -> None:
    config = of(file, env_id)
    before = copy.deepcopy(config)
    space = default_space(config)
    check_batches(space, config.recipe)
    for seed in range(20):
        drawn = apply(suggest(Draws(seed), space), config).recipe
        rows = drawn["n_envs"] * drawn["n_steps"]
        assert rows % drawn["batch_size"] == 0 and drawn["batch_size"] >= 32
        assert drawn["learning_rate"].startswith("lin_")
        assert isinstance(drawn["clip_range"], float)
    assert config == before


def test_the_first_trial_is_the_recipe() -> None:
    config = of(FOLDER / "ppo.yml", ENV_ID)
    space = default_space(config)
    start = start_of(space, config)
    assert start.keys() == space.keys()
    same = apply(start, config)
    assert config.recipe["learning_rate"] == "lin_1e-3"
    wanted = {**config.recipe, "clip_range": 0.2, "learning_rate": "lin_0.001"}
    assert same.recipe == wanted and same.env_kwargs == config.env_kwargs


def test_a_recipe_with_its_defaults_begins_with_those_of_the_classes() -> None:
    known = {**inspect.signature(Fitter).parameters}
    known |= inspect.signature(CoTrainingCallback).parameters
    for key, value in _CLASSIFIER_DEFAULTS.items():
        assert known[key].default == value


def test_draws_reach_reward_classifier_and_inner_settings() -> None:
    config = of(FOLDER / "ppo.yml", ENV_ID)
    choice = {
        "learning_rate": 2e-4,
        "minibatches": 2,
        "n_steps": 8,
        "price": 0.02,
        "classifier_training.epochs": 5.0,
        "policy_kwargs.features_extractor_kwargs.encoder": "cnn",
        "env_kwargs.budget": 3,
    }
    result = apply(choice, config)
    drawn, kwargs = result.recipe, result.env_kwargs
    assert drawn["learning_rate"] == "lin_0.0002" and drawn["batch_size"] == 128 * 8 // 2
    callback, _ = drawn["callback"]
    assert callback["policies.CoTrainingCallback"]["epochs"] == 5.0
    assert callback["policies.CoTrainingCallback"]["pretraining"] == 40000
    assert drawn["policy_kwargs"]["features_extractor_kwargs"] == {"encoder": "cnn"}
    assert kwargs["budget"] == 3 and kwargs["reward"]["terms"][-1]["cost"] == 0.02
    constant = made({**config.recipe, "learning_rate": 1e-3}, {})
    assert (
        apply({"learning_rate": 2e-4}, constant).recipe["learning_rate"] == 2e-4
    )  # no schedule before, none now


def test_a_space_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "space.yml"
    file.write_text(
        "learning_rate: {low: 1e-4, high: 1e-2, log: true}\nn_epochs: {low: 1, high: 3}\n"
        "gamma: [0.9, 1.0]\npolicy_kwargs.lstm_hidden_size: [32, 64]\n"
    )
    space = read_space(file)
    assert space["learning_rate"] == {"low": 1e-4, "high": 1e-2, "log": True}
    draws = [suggest(Draws(seed), space) for seed in range(30)]
    assert {draw["n_epochs"] for draw in draws} == {1, 2, 3}
    assert {draw["gamma"] for draw in draws} == {0.9, 1.0}
    assert all(1e-4 <= draw["learning_rate"] <= 1e-2 for draw in draws)
    assert all(float(f"{draw['learning_rate']:.4g}") == draw["learning_rate"] for draw in draws)
    file.write_text(yaml.safe_dump(space))  # what a study writes is read again
    assert read_space(file) == space


@pytest.mark.parametrize(
    "text",
    [
        "gamma: 0.9",
        "gamma: []",
        "gamma: {low: 1.0, high: 0.5}",
        "gamma: {low: 0.5}",
        "gamma: {low: 0.5, high: 1.0, step: 0.1}",
        "ent_coef: {low: 0, high: 0.1, log: true}",
        "ent_coef: {low: .nan, high: 0.1}",
        "env_kwargs.sensor: [{type: Crop}]",
        "[1, 2]",
        "{",
    ],
)
def test_another_space_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "space.yml"
    file.write_text(text)
    with pytest.raises(RecipeError, match="space"):
        read_space(file)


@pytest.mark.parametrize(
    "space",
    [
        {"minibatches": [3]},
        {"minibatches": [2, 4], "n_steps": {"low": 4, "high": 7}, "n_envs": [1, 3]},
        {"minibatches": [64]},
        {"minibatches": [2], "batch_size": [8]},
        {"minibatches": [2.0]},
    ],
)
def test_batches_that_do_not_divide_are_refused(space: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="minibatches"):
        check_batches(space, {"n_envs": 4, "n_steps": 16})
    check_batches({"minibatches": {"low": 1, "high": 2}}, {"n_envs": 4, "n_steps": 16})


def test_a_classifier_that_is_not_trained_has_no_learning_rate() -> None:
    with pytest.raises(RecipeError, match="trains no classifier"):
        apply({"classifier_training.epochs": 2.0}, made({"n_envs": 4}, {}))
