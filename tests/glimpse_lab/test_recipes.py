"""Recipes: reading, overriding, and the models they make."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from images import arrays
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from glimpse_envs import ImageDataset
from glimpse_envs.inverse.sb3 import InverseVecEnv
from glimpse_envs.registration import INSTRUCTED, INVERSE, REGISTERED
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_lab.models import make_model
from glimpse_lab.recipes import (
    ALGORITHMS,
    RecipeError,
    find_recipe,
    load_recipe,
    make_callbacks,
    parse_settings,
)
from policies import CoTrainingCallback, Imitation, PackedSequences

FOLDER = Path(__file__).parents[2] / "hyperparams"
RECIPES = {file: yaml.safe_load(file.read_text()) for file in sorted(FOLDER.glob("**/*.yml"))}
ENTRIES = [(file, env_id) for file, recipes in RECIPES.items() for env_id in recipes]
#: an entry that serves several ids makes a model for each of them, and learns for the first
LEARNING = list({id(RECIPES[file][name]): (file, name) for file, name in ENTRIES[::-1]}.values())


@pytest.mark.parametrize(
    ("file", "env_id"), ENTRIES, ids=["-".join((*file.parts[-2:], env)) for file, env in ENTRIES]
)
def test_every_recipe_makes_a_model_that_learns(file: Path, env_id: str) -> None:
    inverse = "inverse" in file.parts or file.stem == "enumeration"
    actual = "GlimpseInverseDigits-v0" if inverse else "GlimpseDigits-MultiCat-v0"
    assert env_id == "default" or env_id in ({**INVERSE, **INSTRUCTED} if inverse else REGISTERED)
    actual = actual if env_id == "default" else env_id
    recipe = load_recipe(file, env_id)
    if issubclass(ALGORITHMS[file.stem], OnPolicyAlgorithm):
        recipe |= {"n_steps": 4, "batch_size": 8, "n_epochs": 1}
    face = InverseVecEnv if inverse else GlimpseVecEnv
    shown = {}
    if isinstance(recipe.get("env_kwargs", {}).get("scene"), dict):  # for pictures of that size
        shown["dataset"] = ImageDataset.from_arrays(**arrays(shape=(100, 100, 3)))
    env = face(actual, 4, seed=0, **recipe.get("env_kwargs", {}), **shown)
    model = make_model(file.stem, recipe, env, seed=0, device="cpu")
    assert {"n_envs", "n_timesteps"} <= recipe.keys()
    if (file, env_id) not in LEARNING:
        return
    if "classifier" in recipe.get("env_kwargs", {}):  # whose size is no matter of the recipe's
        settings = recipe["env_kwargs"]["classifier"]
        smaller = {name: 8 for name in ("width", "hidden_size") if name in settings}
        recipe["env_kwargs"] |= {"classifier": {**settings, **smaller}}
        env = face(actual, 4, seed=0, **recipe["env_kwargs"], **shown)
        model = make_model(file.stem, recipe, env, seed=0, device="cpu")
    before = [weight.detach().clone() for weight in model.policy.parameters()]
    callbacks = make_callbacks(recipe)
    for callback in callbacks:
        if isinstance(callback, CoTrainingCallback):
            callback.batch_size = callback.pretraining.batch_size = 32
            callback.pretraining.n_episodes = 64
        if isinstance(callback, Imitation):
            callback.episodes = 64
    model.learn(32, callback=callbacks)  # two updates: of the last a linear rate is 0
    after = list(model.policy.parameters())
    assert any((a != b).any() for a, b in zip(after, before, strict=True))


def test_settings_are_keys_and_yaml() -> None:
    texts = [
        "learning_rate=3e-4",
        "policy_kwargs.b=[1, 2]",
        "env_kwargs.reward.type=PerStep",
        "c=x",
    ]
    assert parse_settings(texts) == {
        "learning_rate": 3e-4,
        "policy_kwargs.b": [1, 2],
        "env_kwargs.reward.type": "PerStep",
        "c": "x",
    }


@pytest.mark.parametrize("setting", ["a", "=1", "a.=1", "a=["])
def test_a_malformed_setting_is_refused(setting: str) -> None:
    with pytest.raises(RecipeError):
        parse_settings([setting])


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
        ({"n_steps": 8, "batch_size": 1}, "at least 2"),
        ({"policy_kwargs": {"activation_fn": "nn.ReLu6x"}}, "did you mean 'ReLU6'"),
        ({"learning_rate": "cos_1"}, "lin_START"),
        ({"learning_rate": "lin_x"}, "could not convert"),
        ({"policy": "policies.Nothing"}, "policies.Nothing"),
        ({"policy": "nowhere.Policy"}, "nowhere.Policy"),
        ({"policy_kwargs": {"nothing": 1}}, "nothing"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(recipe: dict, message: str) -> None:
    env = GlimpseVecEnv("GlimpseDigits-MultiCat-v0", 2, seed=0)
    with pytest.raises(ValueError, match=message):
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


def test_a_folder_of_one_file_for_all_ids_is_enough() -> None:
    found = find_recipe(FOLDER / "reinforce", "GlimpseMNIST-RAM-v0")
    assert found == FOLDER / "reinforce" / "ppo.yml"
    assert find_recipe(FOLDER / "nowhere", "GlimpseMNIST-RAM-v0").stem == "ppo_lstm"


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


# ---- which file ----


def test_the_recipe_is_the_first_with_an_entry_of_its_own(tmp_path: Path) -> None:
    lstm, ppo = tmp_path / "ppo_lstm.yml", tmp_path / "ppo.yml"
    assert find_recipe(tmp_path, "A") == lstm  # and reading it says that it is missing
    lstm.write_text("default: {n_envs: 1}\nA: {n_envs: 2}\nB: {n_envs: 2}")
    ppo.write_text("default: {n_envs: 1}\nB: {n_envs: 3}\nC: {n_envs: 3}")
    assert [find_recipe(tmp_path, name) for name in "ABCD"] == [lstm, ppo, ppo, lstm]
    lstm.write_text("")
    assert find_recipe(tmp_path, "A") == lstm and find_recipe(tmp_path, "B") == ppo
    assert find_recipe(tmp_path, "A", "enumeration") == tmp_path / "enumeration.yml"


def test_a_recipe_file_that_is_no_yaml_is_refused_when_it_is_searched(tmp_path: Path) -> None:
    (tmp_path / "ppo_lstm.yml").write_text("[")
    with pytest.raises(RecipeError, match="not valid YAML"):
        find_recipe(tmp_path, "A")
