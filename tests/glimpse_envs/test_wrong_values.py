"""Whatever is given in the place of a value, the answer is a ValueError with a message."""

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from glimpse_envs.actions import ActionScheme, MultiCategorical
from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.rewards import Reward, Terminal
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_envs.sensors import Crop, Sensor

DIGITS = "GlimpseDigits-{}-v0"

WRONG: dict[str, Any] = {
    "negative": -1,
    "zero": 0,
    "huge": 10**9,
    "beyond int64": 2**80,
    "half": 0.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "complex": 1j,
    "empty text": "",
    "text": "nonsense",
    "control text": "a\0b\n\x1b[31m",
    "long text": "x" * 5000,
    "maths": "$5_bill^$",
    "path": Path("nowhere"),
    "bytes": b"digits",
    "list": [1, 2],
    "empty list": [],
    "nested": [[[[]]]],
    "tuple": ("Crop", 8),
    "set": {1, 2},
    "empty dict": {},
    "dict": {"a": 1},
    "int key": {5: 5},
    "type of int": {"type": 5},
    "type of list": {"type": ["Crop"]},
    "known type, int key": {"type": "Crop", 5: 5},
    "unknown type": {"type": "Cropp", "size": 8},
    "array": np.arange(3),
    "0-d array": np.array("Crop"),
    "object array": np.array([None, {}], dtype=object),
    "function": len,
    "class": Crop,
    "module": np,
    "object": object(),
    "space": gym.spaces.Discrete(3),
    "generator": (i for i in range(3)),
    "exception": ValueError("a"),
    "base scheme": ActionScheme(),
    "base sensor": Sensor(),
    "base reward": Reward(),
}
#: what is no mistake in these fields
RIGHT = {("scene_seed", "zero"), ("scene_seed", "huge")}
FIELDS = [field.name for field in dataclasses.fields(GlimpseConfig)]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_part_is_a_value_error(field, kind):
    if (field, kind) in RIGHT:
        make_config(**{field: WRONG[kind]})
        return
    with pytest.raises(ValueError, match=r"\w"):
        make_config(**{field: WRONG[kind]})


@pytest.mark.parametrize(
    ("field", "component"),
    [
        ("scene", {"type": "ClutteredCanvas", "side": 40}),
        ("sensor", {"type": "Crop", "size": 8}),
        ("sensor", {"type": "Retina", "size": 8, "scales": 2}),
        ("scheme", {"type": "GreedyMap", "stride": 0.5, "grid": 8}),
        ("augment", {"type": "ShiftFlip", "shift": 2, "flip": True}),
    ],
)
@pytest.mark.parametrize("kind", ["text", "nan", "list", "dict", "array", "object", "beyond int64"])
def test_a_wrong_argument_of_a_part_is_a_value_error(field, component, kind):
    for name in sorted(component.keys() - {"type"}):
        with pytest.raises(ValueError, match=r"\w"):
            make_config(**{field: component | {name: WRONG[kind]}})


@pytest.mark.parametrize("face", [gym.make, gym.make_vec, GlimpseVecEnv])
def test_an_int_key_among_the_arguments_of_a_part_is_named(face):
    with pytest.raises(ValueError, match="Crop has no argument 5"):
        face(DIGITS.format("MultiCat"), sensor={"type": "Crop", 5: 5})


ACTIONS: dict[str, Any] = {
    "none": None,
    "0-d number": np.int64(1),
    "0-d number in an array": np.array(1),
    "0-d object": np.array(None),
    "empty": [],
    "ragged": [[1, 2], [1]],
    "deeper ragged": [[1, 2, 0], [1, [2], 0]],
    "text": "left",
    "dict": {"move": 1},
    "empty dict": {},
    "dict of ragged": {"decision": [[1], [1, 2]], "class": None, "move": None, "zoom": None},
    "set": {1, 2},
    "object": object(),
    "nan": np.full((2, 3), np.nan),
    "too many axes": np.zeros((2, 3, 1), np.int64),
    "too few lanes": np.zeros((1, 3), np.int64),
    "huge": [[10**30, 0, 0]] * 2,
    "bool": np.zeros((2, 3), bool),
    "complex": np.zeros((2, 3), complex),
    "structured": np.zeros(2, [("a", int)]),
    "dates": np.zeros((2, 3), "M8[s]"),
    "function": len,
}


@pytest.mark.parametrize("kind", ACTIONS)
@pytest.mark.parametrize("scheme", ["GreedyMap", "MultiCat", "Hybrid"])
def test_a_wrong_action_is_a_value_error_and_changes_nothing(scheme, kind):
    action = ACTIONS[kind]
    single = gym.make(DIGITS.format(scheme), disable_env_checker=True).unwrapped
    vector, sb3 = gym.make_vec(DIGITS.format(scheme), 2), GlimpseVecEnv(DIGITS.format(scheme), 2)
    for env in (single, vector, sb3):
        env.reset()
        before = env.core.n_glimpses.copy()
        if scheme == "GreedyMap" and env is single and kind.startswith("0-d number"):
            continue  # of a Discrete space one lane's action is a number
        with pytest.raises(ValueError, match="got"):
            env.step(action)
        np.testing.assert_array_equal(env.core.n_glimpses, before)


@pytest.mark.parametrize("options", [5, [1], "index", {"index": None}, {"index": [[1], [1, 2]]}])
def test_wrong_reset_options_are_a_value_error(options):
    for env in (gym.make(DIGITS.format("MultiCat")), gym.make_vec(DIGITS.format("MultiCat"), 2)):
        with pytest.raises(ValueError, match="got"):
            env.unwrapped.reset(options=options)


def test_right_values_of_every_field_are_taken():
    config = make_config(
        sensor=Crop(4), scheme=MultiCategorical(), reward=Terminal(), observe_history=np.True_
    )
    assert config.observe_history and config.budget == 8
