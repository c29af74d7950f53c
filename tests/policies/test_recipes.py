"""Recipes: reading, overriding, and the models they make."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from glimpse_envs import REGISTERED
from glimpse_envs.sb3 import GlimpseVecEnv
from policies import PackedSequences
from policies.recipes import RecipeError, load_recipe, make_callbacks, make_model, override

FOLDER = Path(__file__).parents[2] / "hyperparams"
ENTRIES = [
    (file, env_id)
    for file in sorted(FOLDER.glob("*.yml"))
    for env_id in yaml.safe_load(file.read_text())
]


@pytest.mark.parametrize(
    ("file", "env_id"), ENTRIES, ids=[f"{file.stem}-{env_id}" for file, env_id in ENTRIES]
)
def test_every_recipe_makes_a_model_that_learns(file: Path, env_id: str) -> None:
    assert env_id == "default" or env_id in REGISTERED
    recipe = load_recipe(file, env_id)
    override(recipe, ["n_steps=4", "batch_size=8", "n_epochs=1"])
    actual = "GlimpseDigits-MultiCat-v0" if env_id == "default" else env_id
    env = GlimpseVecEnv(actual, 4, seed=0, **recipe.get("env_kwargs", {}))
    model = make_model(file.stem, recipe, env, seed=0, device="cpu")
    model.learn(16, callback=make_callbacks(recipe))
    assert {"n_envs", "n_timesteps"} <= recipe.keys()


def test_a_dotted_override_reaches_inside_and_values_are_yaml() -> None:
    recipe = {"policy_kwargs": {"a": 1}}
    override(
        recipe,
        ["learning_rate=3e-4", "policy_kwargs.b=[1, 2]", "env_kwargs.reward.type=PerStep", "c=x"],
    )
    assert recipe == {
        "learning_rate": 3e-4,
        "policy_kwargs": {"a": 1, "b": [1, 2]},
        "env_kwargs": {"reward": {"type": "PerStep"}},
        "c": "x",
    }


@pytest.mark.parametrize("setting", ["a", "=1", "a.=1", "a=[", "n.b=1"])
def test_a_malformed_override_is_refused(setting: str) -> None:
    with pytest.raises(RecipeError):
        override({"n": 3}, [setting])


def test_a_linear_schedule_falls_from_start_to_zero() -> None:
    env = GlimpseVecEnv("GlimpseDigits-MultiCat-v0", 2, seed=0)
    recipe = {"policy": "policies.GlimpseLstmPolicy", "learning_rate": "lin_1e-3"}
    schedule = make_model("ppo_lstm", recipe, env, seed=0, device="cpu").lr_schedule
    assert [schedule(x) for x in (1.0, 0.5, 0.0)] == pytest.approx([1e-3, 5e-4, 0.0])


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"n_step": 3}, "did you mean 'n_steps'"),
        ({"n_steps": 0}, "at least 1"),
        ({"n_steps": 8, "batch_size": 5}, "one row over"),
        ({"learning_rate": "cos_1"}, "lin_START"),
        ({"learning_rate": "lin_x"}, "could not convert"),
        ({"policy": "policies.Nothing"}, "policies.Nothing"),
        ({"policy": "nowhere.Policy"}, "nowhere.Policy"),
        ({"policy_kwargs": {"nothing": 1}}, "nothing"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(recipe: dict, message: str) -> None:
    env = GlimpseVecEnv("GlimpseDigits-MultiCat-v0", 2, seed=0)
    with pytest.raises(RecipeError, match=message):
        make_model(
            "ppo_lstm",
            {"policy": "policies.GlimpseLstmPolicy", **recipe},
            env,
            seed=0,
            device="cpu",
        )


def test_callbacks_by_name_with_and_without_arguments() -> None:
    name = "stable_baselines3.common.callbacks.CheckpointCallback"
    callbacks = make_callbacks(
        {"callback": ["policies.PackedSequences", {name: {"save_freq": 5, "save_path": "x"}}]}
    )
    assert isinstance(callbacks[0], PackedSequences) and callbacks[1].save_freq == 5
    assert make_callbacks({}) == []
    with pytest.raises(RecipeError, match="CheckpointCallback"):
        make_callbacks({"callback": name})


def test_unknown_files_and_entries_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dqn.yml").write_text("")
    with pytest.raises(RecipeError, match=r"ppo\.yml"):
        load_recipe(tmp_path / "dqn.yml", "x")
    file = tmp_path / "ppo.yml"
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(file, "x")
    file.write_text("GlimpseA: {n_envs: 1}")
    with pytest.raises(RecipeError, match="did you mean 'GlimpseA'"):
        load_recipe(file, "GlimpseB")
    file.write_text("[")
    with pytest.raises(RecipeError, match="not valid YAML"):
        load_recipe(file, "x")
