"""The configuration of a run: resolved once, in order, and a value."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from made_runs import ENV_ID, small_config

from glimpse_envs.sensors import Crop
from glimpse_lab.config import RunConfig, resolve_config
from glimpse_lab.recipes import RecipeError
from glimpse_lab.runs import Run
from policies.classifier.model import TorchClassifier

RECIPE = {
    "n_envs": 4,
    "n_timesteps": 64,
    "policy": "policies.GlimpsePolicy",
    "gamma": 0.5,
    "env_kwargs": {"budget": 3, "reward": "PerStep"},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "ppo.yml").write_text(yaml.safe_dump({"default": RECIPE}))
    return tmp_path / "ppo.yml"


def test_recipe_overrides_and_arguments_in_this_order(file: Path) -> None:
    overrides = {"gamma": 0.9, "env_kwargs.budget": 5}
    config = resolve_config(
        ENV_ID, file, seed=7, dataset="digits", overrides=overrides, price=0.1, packages=["mine"]
    )
    assert (config.algorithm, config.n_envs, config.n_timesteps) == ("ppo", 4, 64)
    assert config.recipe["gamma"] == 0.9 and "env_kwargs" not in config.recipe
    assert config.env_kwargs["budget"] == 5 and config.env_kwargs["dataset"] == "digits"
    cost = {"type": "GlimpseCost", "cost": 0.1}
    assert config.env_kwargs["reward"] == {"type": "Sum", "terms": ["PerStep", cost]}
    assert config.env_kwargs["scheme"] == "MultiCategorical"  # as it is registered
    assert config.changed_kwargs().keys() == {"budget", "reward"}
    assert (config.seed, config.packages, config.dataset.name) == (7, ("mine",), "digits")
    assert config.versions["gymnasium"] and yaml.safe_load(file.read_text())["default"] == RECIPE


def test_it_is_read_as_it_was_written(file: Path) -> None:
    config = resolve_config(ENV_ID, file, overrides={"policy_kwargs.net_arch": (8, 8)})
    text = yaml.safe_dump(config.to_dict(), sort_keys=False)
    assert RunConfig.from_dict(yaml.safe_load(text)) == config
    assert config.recipe["policy_kwargs"]["net_arch"] == [8, 8]
    content = config.to_dict()
    content["recipe"]["gamma"] = 0.1
    assert config.recipe["gamma"] == 0.5


def test_without_a_classifier_the_recipes_of_reward_alone_are_taken() -> None:
    assert resolve_config(ENV_ID).env_kwargs["classifier"]["seed"] == 0
    alone = resolve_config(ENV_ID, classifier="none")
    assert alone.env_kwargs["classifier"] is None and alone.algorithm == "ppo_lstm"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"n_envs": 0}, "n_envs=0"),
        ({"gamma.x": 1}, "'gamma', which is 0.5 and has no keys"),
        ({"env_kwargs.sensor": Crop(8)}, "config.yml can hold"),
        ({"env_kwargs.dataset": "digit"}, "did you mean 'digits'"),
    ],
)
def test_what_does_not_fit_is_refused(file: Path, overrides: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_config(ENV_ID, file, overrides=overrides)


def test_nothing_changes_a_configuration(tmp_path: Path) -> None:
    config = small_config("ppo.yml", {"env_kwargs.classifier": {"type": "canvas", "width": 4}})
    before = copy.deepcopy(config)
    run = Run(tmp_path / "run", config)
    run.create()
    env = run.make_env()
    config.make_model(env, "cpu")
    config.make_callbacks()
    run.extended(99)
    assert isinstance(env.config.classifier, TorchClassifier)
    assert config == before and Run.open(run.path).config == before


def test_an_unknown_id_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'GlimpseDigits-MultiCat-v0'"):
        resolve_config("GlimpseDigit-MultiCat-v0")
    with pytest.raises(RecipeError, match="there is no such file"):
        resolve_config(ENV_ID, classifier="frzen")
