"""What environments return: equal copies, equal seeds, and observations in order."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from cases import Box, Case, check, either, refused, works
from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

from areas.environments import HYBRID, MAP, MULTI, make, vec
from glimpse_envs.boxview import BoxView
from glimpse_envs.sb3 import GlimpseVecEnv


def _frames(budget: int, size: int, n_stack: int) -> Callable[[Box], str]:
    """Return a check that stacked glimpses are the newest ones, in their order."""

    def do(box: Box) -> str:
        env = vec(sensor={"type": "Crop", "size": size}, budget=budget)
        stacked = VecFrameStack(env, n_stack)
        first = stacked.reset()["glimpse"].copy()
        second = stacked.step(np.tile([2, 2, 0], (2, 1)))[0]["glimpse"]
        plain = vec(sensor={"type": "Crop", "size": size}, budget=budget)
        begun = plain.reset()["glimpse"].copy()
        after = plain.step(np.tile([2, 2, 0], (2, 1)))[0]["glimpse"]
        newest, before = second[..., -1:], second[..., -2:-1]
        right = second.shape == (2, size, size, n_stack)
        same = np.array_equal(newest[..., 0], after[..., 0]) and np.array_equal(
            before[..., 0], begun[..., 0]
        )
        return check(
            right and same and first.shape == second.shape,
            f"{n_stack} glimpses, the newest last; {second.shape}",
        )

    return do


def _same_after(copied: Callable[[Any], Any], env_id: str) -> Callable[[Box], str]:
    """Return a check that a copy goes on with the same episodes as the original."""

    def do(box: Box) -> str:
        env = make(env_id).unwrapped
        env.reset(seed=3)
        twin = copied(env)
        env.action_space.seed(0)
        for _ in range(12):
            action = env.action_space.sample()
            ours, theirs = env.step(action), twin.step(action)
            same = all(np.array_equal(ours[0][k], theirs[0][k]) for k in ours[0])
            check(same and ours[1:3] == theirs[1:3] and ours[4] == theirs[4], "the same step")
            if ours[2]:
                env.reset(), twin.reset()
        return check(twin is not env, "12 equal steps of the copy")

    return do


def _round_trip(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def _vec_pickled(box: Box) -> str:
    env = vec()
    twin = _round_trip(env)
    actions = np.tile([3, 2, 0], (2, 1))
    ours, theirs = env.step(actions)[0], twin.step(actions)[0]
    return check(
        all(np.array_equal(ours[k], theirs[k]) for k in ours), "the same step of a pickled VecEnv"
    )


def _reproduced(seed: Any) -> Callable[[Box], str]:
    def do(box: Box) -> str:
        first, second = (make().reset(seed=seed)[0]["glimpse"] for _ in range(2))
        other = make().reset(seed=12345)[0]["glimpse"]
        return check(
            np.array_equal(first, second) and not np.array_equal(first, other),
            "the same first glimpse",
        )

    return do


def _vec_seed(seed: Any) -> Callable[[Box], str]:
    def do(box: Box) -> str:
        first, second = (GlimpseVecEnv(MULTI, 2, seed=seed).reset()["glimpse"] for _ in range(2))
        single = make().reset(seed=seed)[0]["glimpse"]
        return check(
            np.array_equal(first, second) and np.array_equal(first[0], single),
            "reproduced, and equal to the single one",
        )

    return do


def _spec(box: Box) -> str:
    env = make(budget=3, sensor={"type": "Crop", "size": 5})
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    return check(
        again.observation_space == env.observation_space and again.unwrapped.config.budget == 3,
        "the same spaces from JSON",
    )


def _closed_twice(box: Box) -> str:
    env = vec()
    env.close(), env.close()
    single = make()
    single.close(), single.close()
    return check(True, "closed twice")


def _normalized(box: Box) -> str:
    env = VecNormalize(vec(), norm_obs=False)
    env.reset()
    observation, reward, _, _ = env.step(np.tile([0, 1, 1], (2, 1)))
    return check(
        np.isfinite(reward).all() and observation["glimpse"].dtype == np.uint8,
        "finite rewards, bytes",
    )


def _action(dtype: Any) -> Callable[[Box], str]:
    def do(box: Box) -> str:
        envs = make().unwrapped, make().unwrapped
        for env in envs:
            env.reset(seed=0)
        ours = envs[0].step(np.array([3, 2, 0], dtype))
        return check(
            np.array_equal(ours[0]["gaze"], envs[1].step([3, 2, 0])[0]["gaze"]), "the same gaze"
        )

    return do


def _index(index: Any) -> Callable[[Box], str]:
    def do(box: Box) -> str:
        env = make(split="test")
        _, info = env.reset(seed=0, options={"index": index})
        label = env.unwrapped.config.shown_split.labels[int(np.ravel(index)[0])]
        return check(info["label"] == label, f"the label of image {index}")

    return do


def _frame(box: Box) -> str:
    env = make(render_mode="rgb_array")
    env.reset(seed=0)
    frame = env.render()
    return check(frame.dtype == np.uint8 and frame.ndim == 3 and frame.std() > 0, "a drawing")


def _foreign_box(box: Box) -> str:
    space = gym.spaces.Dict(a=gym.spaces.Discrete(3, start=-1), b=gym.spaces.Box(-np.inf, 4, (2,)))
    view = BoxView(space)
    action = {"a": np.int64(1), "b": np.array([-7.0, 3.0], np.float32)}
    back = view.decode(view.encode(action))
    return check(back["a"] == 1 and np.allclose(back["b"], action["b"]), "encoded and decoded")


CASES: list[Case] = [
    works("deepcopy goes on alike", _same_after(copy.deepcopy, MAP)),
    works("pickle goes on alike", _same_after(_round_trip, HYBRID)),
    works("a VecEnv is pickled", _vec_pickled),
    works("spec to JSON and back", _spec),
    works("closed twice", _closed_twice),
    works("rgb_array", _frame),
    works("seed 0", _reproduced(0)),
    works("seed of NumPy", _reproduced(np.int64(7))),
    works("seed 2^40", _reproduced(2**40)),
    works("VecEnv: seed of NumPy", _vec_seed(np.int64(7))),
    works("VecEnv: seed 2^31", _vec_seed(2**31)),
    refused("VecFrameStack: glimpses of 8", _frames(5, 8, 3)),
    works("VecFrameStack: glimpses of 40", _frames(5, 40, 4)),
    refused("VecFrameStack: glimpses of 1", _frames(4, 1, 2)),
    works("VecNormalize of rewards", _normalized),
    works("actions of int8", _action(np.int8)),
    works("actions of uint64", _action(np.uint64)),
    either("actions of whole floats", _action(float)),
    either("actions of objects", _action(object)),
    works("index of NumPy", _index(np.int32(5))),
    works("index as a list", _index([5])),
    works("BoxView of odd spaces", _foreign_box),
]
