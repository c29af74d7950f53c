"""Seeds, reset options and parts that the faces of the simulation refuse, each in its words."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecFrameStack

from glimpse_envs.boxview import BoxView
from glimpse_envs.config import make_config
from glimpse_envs.sb3 import GlimpseVecEnv

MULTI = "GlimpseDigits-MultiCat-v0"


def vec(**arguments: Any) -> GlimpseVecEnv:
    return GlimpseVecEnv(MULTI, 2, **arguments)


RESETS: dict[str, Callable[[Any], Any]] = {
    "one": lambda seed: gym.make(MULTI).unwrapped.reset(seed=seed),
    "vector": lambda seed: gym.make_vec(MULTI, num_envs=2).reset(seed=seed),
    "each of a vector": lambda seed: gym.make_vec(MULTI, num_envs=2).reset(seed=[0, seed]),
    "sb3": lambda seed: vec(seed=seed),
    "sb3, later": lambda seed: vec().seed(seed),
}


@pytest.mark.parametrize("seed", [-1, 1.5, "a", b"1", True, float("nan"), object()])
@pytest.mark.parametrize("reset", RESETS.values(), ids=RESETS)
def test_a_seed_that_is_none_is_refused(reset: Callable[[Any], Any], seed: Any) -> None:
    with pytest.raises(ValueError, match=r"got seed=.*wanted an integer of at least 0"):
        reset(seed)


def test_a_seed_of_numpy_is_the_same_as_python_s() -> None:
    one, two = (gym.make(MULTI).reset(seed=s)[0]["glimpse"] for s in (7, np.int64(7)))
    three = vec(seed=np.uint8(7)).reset()["glimpse"][0]
    assert np.array_equal(one, two) and np.array_equal(one, three)


def test_a_vec_env_refuses_other_options() -> None:
    env = vec(seed=0)
    env.set_options({"image": 3})
    with pytest.raises(ValueError, match="'image'; the only one is 'index'"):
        env.reset()


@pytest.mark.parametrize("weights", ["1", [float("nan")], [float("inf")], ["1"], 1.0, [None]])
def test_weights_of_a_sum_are_finite_numbers(weights: Any) -> None:
    with pytest.raises(ValueError, match="wanted a list of finite numbers"):
        make_config(reward={"type": "Sum", "terms": ["Terminal"], "weights": weights})


def test_a_shift_leaves_something_of_the_image() -> None:
    with pytest.raises(ValueError, match="wanted a shift smaller than their sides"):
        make_config(augment={"type": "ShiftFlip", "shift": 16})


def test_a_retina_has_an_end() -> None:
    with pytest.raises(ValueError, match="at most 16"):
        make_config(sensor={"type": "Retina", "size": 4, "scales": 17})


SPACE = gym.spaces.Dict(
    a=gym.spaces.Discrete(3),
    b=gym.spaces.MultiDiscrete([2, 3]),
    c=gym.spaces.MultiBinary(2),
    d=gym.spaces.Box(0, 1, (2,)),
)
RIGHT = {"a": 1, "b": [1, 2], "c": [0, 1], "d": [0.0, 1.0]}


def test_right_parts_are_encoded() -> None:
    view = BoxView(SPACE)
    back = view.decode(view.encode(RIGHT))
    assert {key: np.asarray(value).tolist() for key, value in back.items()} == RIGHT


@pytest.mark.parametrize(
    ("part", "value"),
    [("a", 3), ("a", -1), ("a", "x"), ("a", 0.5), ("b", [2, 0]), ("b", [0, 0, 0]), ("b", [-1, 0])]
    + [("c", [2, 0]), ("c", [0]), ("d", [float("nan"), 0]), ("d", [1.5, 0]), ("d", None)],
)
def test_parts_outside_of_their_space_are_not_encoded(part: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"got {part}=.*wanted values of"):
        BoxView(SPACE).encode({**RIGHT, part: value})


def test_a_box_view_is_of_a_dict() -> None:
    with pytest.raises(ValueError, match="wanted a Dict action space"):
        BoxView(gym.spaces.Discrete(3))


def test_frames_of_small_glimpses_are_not_stacked_and_those_of_large_ones_are() -> None:
    with pytest.raises(ValueError, match="observe_history=True"):
        VecFrameStack(vec(seed=0), 3)
    stacked = VecFrameStack(vec(seed=0, sensor={"type": "Crop", "size": 40}), 3)
    assert stacked.reset()["glimpse"].shape == (2, 40, 40, 3)
