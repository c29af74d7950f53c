"""Spaces: that batches divide, that draws land in the recipe, and files of one's own."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

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
from policies.classifier.callback import CoTrainingCallback
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


def split(file: Path, env_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    recipe = load_recipe(file, env_id)
    return recipe, recipe.pop("env_kwargs", {})


@pytest.mark.parametrize(("file", "env_id"), ENTRIES, ids=[f"{f.stem}-{e}" for f, e in ENTRIES])
def test_in_every_recipe_batches_divide_and_the_schedule_stays(file: Path, env_id: str) -> None:
    recipe, env_kwargs = split(file, env_id)
    before = copy.deepcopy((recipe, env_kwargs))
    space = default_space(recipe, env_kwargs)
    check_batches(space, recipe)
    for seed in range(20):
        drawn, _ = apply(suggest(Draws(seed), space), recipe, env_kwargs)
        rows = drawn["n_envs"] * drawn["n_steps"]
        assert rows % drawn["batch_size"] == 0 and drawn["batch_size"] >= 32
        assert drawn["learning_rate"].startswith("lin_")
        assert isinstance(drawn["clip_range"], float)
    assert [env_kwargs, recipe["n_steps"]] == [before[1], before[0]["n_steps"]]


def test_the_first_trial_is_the_recipe() -> None:
    recipe, env_kwargs = split(FOLDER / "ppo.yml", "GlimpseDigits-MultiCat-v0")
    space = default_space(recipe, env_kwargs)
    start = start_of(space, recipe, env_kwargs)
    assert start.keys() == space.keys()
    same, same_kwargs = apply(start, recipe, env_kwargs)
    assert same.pop("learning_rate") == "lin_0.001" and recipe.pop("learning_rate") == "lin_1e-3"
    assert same == {**recipe, "clip_range": 0.2} and same_kwargs == env_kwargs


def test_a_recipe_with_its_defaults_begins_with_those_of_the_classes() -> None:
    known = {**inspect.signature(Fitter).parameters}
    known |= inspect.signature(CoTrainingCallback).parameters
    for key, value in _CLASSIFIER_DEFAULTS.items():
        assert known[key].default == value


def test_draws_reach_reward_classifier_and_inner_settings() -> None:
    recipe, env_kwargs = split(FOLDER / "ppo.yml", "GlimpseDigits-MultiCat-v0")
    choice = {
        "learning_rate": 2e-4,
        "minibatches": 2,
        "n_steps": 8,
        "price": 0.02,
        "classifier_training.epochs": 5.0,
        "policy_kwargs.features_extractor_kwargs.encoder": "cnn",
        "env_kwargs.budget": 3,
    }
    drawn, kwargs = apply(choice, recipe, env_kwargs)
    assert drawn["learning_rate"] == "lin_0.0002" and drawn["batch_size"] == 128 * 8 // 2
    (callback,) = drawn["callback"]
    assert callback["policies.CoTrainingCallback"]["epochs"] == 5.0
    assert callback["policies.CoTrainingCallback"]["pretraining"] == 40000
    assert drawn["policy_kwargs"]["features_extractor_kwargs"] == {"encoder": "cnn"}
    assert kwargs["budget"] == 3 and kwargs["reward"]["terms"][-1]["cost"] == 0.02
    drawn, _ = apply({"learning_rate": 2e-4}, {**recipe, "learning_rate": 1e-3}, {})
    assert drawn["learning_rate"] == 2e-4  # no schedule before, none now


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
        apply({"classifier_training.epochs": 2.0}, {"n_envs": 4}, {})
