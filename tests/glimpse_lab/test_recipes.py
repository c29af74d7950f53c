"""Recipes: reading, overriding, and the models they make."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from glimpse_envs import REGISTERED
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_lab.recipes import (
    COTRAINING,
    RecipeError,
    choose_classifier,
    find_recipe,
    load_recipe,
    make_callbacks,
    make_model,
    override,
)
from policies import CoTrainingCallback, PackedSequences

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
    callbacks = make_callbacks(recipe)
    for callback in callbacks:
        if isinstance(callback, CoTrainingCallback):
            callback.batch_size = callback.pretraining.batch_size = 32
            callback.pretraining.n_episodes = 64
    model.learn(16, callback=callbacks)
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


# ---- which file ----


def test_the_recipe_is_the_first_with_an_entry_of_its_own(tmp_path: Path) -> None:
    lstm, ppo = tmp_path / "ppo_lstm.yml", tmp_path / "ppo.yml"
    assert find_recipe(tmp_path, "A") == lstm  # and reading it says that it is missing
    lstm.write_text("default: {n_envs: 1}\nA: {n_envs: 2}\nB: {n_envs: 2}")
    ppo.write_text("default: {n_envs: 1}\nB: {n_envs: 3}\nC: {n_envs: 3}")
    assert [find_recipe(tmp_path, name) for name in "ABCD"] == [lstm, ppo, ppo, lstm]
    lstm.write_text("")
    assert find_recipe(tmp_path, "A") == lstm and find_recipe(tmp_path, "B") == ppo


def test_a_recipe_file_that_is_no_yaml_is_refused_when_it_is_searched(tmp_path: Path) -> None:
    (tmp_path / "ppo_lstm.yml").write_text("[")
    with pytest.raises(RecipeError, match="not valid YAML"):
        find_recipe(tmp_path, "A")


# ---- which classifier ----

PACKED = "policies.PackedSequences"
CANVAS = {"type": "canvas", "width": 9}


def chosen(choice: str, callback: Any = None, seed: int = 7, **env_kwargs: Any) -> tuple:
    """Callbacks and arguments of the environment after a choice."""
    recipe = {"callback": copy.deepcopy(callback)} if callback is not None else {}
    choose_classifier(recipe, env_kwargs, choice, seed)
    return recipe.get("callback"), env_kwargs


@pytest.mark.parametrize("callback", [None, PACKED, [PACKED], [{PACKED: None}]])
def test_the_recipes_own_choice_changes_nothing_without_training(callback: Any) -> None:
    assert chosen("recipe", callback, budget=3) == (callback, {"budget": 3})
    given = {"classifier": dict(CANVAS), "observe_classifier_features": True}
    assert chosen("recipe", callback, **given) == (callback, given)


def test_a_classifier_that_is_trained_gets_the_seed_of_the_run() -> None:
    for entry in (COTRAINING, {COTRAINING: {"pretraining": 5}}):
        callback, kwargs = chosen("recipe", [PACKED, entry], classifier=dict(CANVAS))
        assert callback == [PACKED, entry] and kwargs["classifier"] == {**CANVAS, "seed": 7}
    _, kwargs = chosen("recipe", COTRAINING, classifier="gru")
    assert kwargs["classifier"] == {"type": "gru", "seed": 7}
    _, kwargs = chosen("recipe", COTRAINING, classifier={"type": "gru", "seed": 1})
    assert kwargs["classifier"] == {"type": "gru", "seed": 1}
    _, kwargs = chosen("recipe", PACKED, classifier="gru")
    assert kwargs["classifier"] == {"type": "gru"}


@pytest.mark.parametrize(("choice", "frozen"), [("cotrained", False), ("frozen", True)])
@pytest.mark.parametrize(
    ("callback", "before", "training"),
    [
        (None, [], {}),
        (PACKED, [PACKED], {}),
        ([PACKED, COTRAINING], [PACKED], {}),
        ({COTRAINING: {"pretraining": 5}}, [], {"pretraining": 5}),
        ([{COTRAINING: {"pretraining": 5, "frozen": True}}, PACKED], [PACKED], {"pretraining": 5}),
        ([{COTRAINING: None}], [], {}),
    ],
)
def test_a_classifier_is_trained_as_chosen_with_the_recipes_settings(
    choice: str, frozen: bool, callback: Any, before: list, training: dict
) -> None:
    entries, kwargs = chosen(choice, callback)
    assert entries == [*before, {COTRAINING: {**training, "frozen": frozen}}]
    assert kwargs == {"classifier": {"type": "canvas", "seed": 7}}
    made = make_callbacks({"callback": entries})
    assert isinstance(made[-1], CoTrainingCallback) and made[-1].frozen is frozen
    _, kwargs = chosen(choice, callback, classifier=dict(CANVAS))
    assert kwargs == {"classifier": {**CANVAS, "seed": 7}}


@pytest.mark.parametrize(
    ("callback", "left"),
    [(None, []), ([PACKED, {COTRAINING: {"pretraining": 5}}], [PACKED]), (COTRAINING, [])],
)
def test_none_takes_classifier_and_training_away(callback: Any, left: list) -> None:
    given = {"classifier": dict(CANVAS), "observe_classifier_features": True, "budget": 3}
    wanted = {"classifier": None, "observe_classifier_features": False, "budget": 3}
    assert chosen("none", callback, **given) == (left, wanted)


def test_a_file_is_used_as_it_is_wherever_the_run_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.pt").touch()
    callback, kwargs = chosen("c.pt", [COTRAINING, PACKED], classifier=dict(CANVAS))
    assert callback == [PACKED]
    assert kwargs == {"classifier": {"type": "file", "path": str(tmp_path / "c.pt")}}


def test_an_unknown_choice_of_classifier_names_the_known_ones():
    with pytest.raises(RecipeError, match=r"got --classifier frzen.*cotrained, frozen, none"):
        chosen("frzen")


@pytest.mark.parametrize("choice", ["recipe", "cotrained"])
def test_a_classifier_of_a_file_may_be_trained_on(choice: str) -> None:
    given = {"type": "file", "path": "c.pt"}
    _, kwargs = chosen(choice, COTRAINING, classifier=dict(given))
    assert kwargs["classifier"] == given
