"""The three faces of the simulation agree bit for bit, lane by lane."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
from classifiers import NumpyClassifier
from gymnasium import spaces

from glimpse_envs.registration import REGISTERED
from glimpse_envs.sb3 import GlimpseVecEnv

LANES, STEPS, SEED = 5, 60, 100
NEEDS_CLASSIFIER = ("Saccade", "RAM")
WITH_HISTORY = [name for name in REGISTERED if "Digits" in name or "ClutteredCIFAR" in name]


class Row(NamedTuple):
    """What a step gave one lane; after an end, ``observation`` is already that of the reset."""

    observation: dict[str, np.ndarray]
    reward: np.float32
    terminated: bool
    truncated: bool
    info: dict[str, Any]
    final: dict[str, np.ndarray] | None


def parts_of(env_id: str) -> dict[str, Any]:
    needs = any(scheme in env_id for scheme in NEEDS_CLASSIFIER)
    return {"classifier": NumpyClassifier(), "observe_classifier_features": True} if needs else {}


def random_actions(space: spaces.Space) -> list[Any]:
    """A batch of actions for every step; reals are multiples of 1/64, so that a view is exact.

    Lane i answers rarely at a pace of its own, so that ends are staggered and budgets run out.
    """
    rng, batches = np.random.default_rng(0), []
    for _ in range(STEPS):
        stop = rng.random(LANES) < np.linspace(0.02, 0.5, LANES)
        if isinstance(space, spaces.Discrete):
            look, answer = rng.integers(6, size=LANES), rng.integers(6, space.n, size=LANES)
            batches.append(np.where(stop, answer, look))
        elif isinstance(space, spaces.MultiDiscrete):
            actions = rng.integers(space.nvec, size=(LANES, 3))
            actions[:, 2] = np.where(stop, np.maximum(actions[:, 2], 1), 0)
            batches.append(actions)
        elif isinstance(space, spaces.Box):
            batches.append((rng.integers(-64, 65, (LANES, 2)) / 64).astype(np.float32))
        else:
            batches.append(
                {
                    "decision": stop.astype(np.int64),
                    "class": rng.integers(space["class"].n, size=LANES),
                    "move": (rng.integers(65, size=(LANES, 2)) / 64).astype(np.float32),
                    "zoom": (rng.integers(65, size=(LANES, 1)) / 64).astype(np.float32),
                }
            )
    return batches


def lane_of(batch: Any, lane: int) -> Any:
    if isinstance(batch, dict):
        return {key: lane_of(value, lane) for key, value in batch.items()}
    return batch[lane]


def single_rows(env_id: str, batches: list[Any], parts: dict[str, Any]) -> Iterator[list[Any]]:
    envs = [gym.make(env_id, **parts) for _ in range(LANES)]
    yield [env.reset(seed=SEED + lane)[0] for lane, env in enumerate(envs)]
    for batch in batches:
        rows = []
        for lane, env in enumerate(envs):
            observation, reward, terminated, truncated, info = env.step(lane_of(batch, lane))
            final = observation if terminated else None
            if terminated:
                observation, _ = env.reset()
            rows.append(Row(observation, np.float32(reward), terminated, truncated, info, final))
        yield rows


def vector_rows(env_id: str, batches: list[Any], parts: dict[str, Any]) -> Iterator[list[Any]]:
    env = gym.make_vec(env_id, num_envs=LANES, **parts)
    observation, _ = env.reset(seed=SEED)
    yield [lane_of(observation, lane) for lane in range(LANES)]
    for batch in batches:
        observation, reward, terminated, truncated, infos = env.step(batch)
        assert reward.dtype == np.float64 and (reward == reward.astype(np.float32)).all()
        finals = infos.get("final_obs", np.full(LANES, None))
        rows = []
        for lane in range(LANES):
            source = infos["final_info"] if terminated[lane] else infos
            keys = [key for key in source if f"_{key}" in source and not key.startswith("final_")]
            info = {key: source[key][lane].item() for key in keys if source[f"_{key}"][lane]}
            rows.append(
                Row(
                    lane_of(observation, lane),
                    np.float32(reward[lane]),
                    bool(terminated[lane]),
                    bool(truncated[lane]),
                    info,
                    finals[lane],
                )
            )
        yield rows


def sb3_rows(env_id: str, batches: list[Any], parts: dict[str, Any]) -> Iterator[list[Any]]:
    env = GlimpseVecEnv(env_id, LANES, seed=SEED, **parts)
    observation = env.reset()
    yield [lane_of(observation, lane) for lane in range(LANES)]
    for batch in batches:
        actions = batch if env.view is None else env.view.encode(batch)
        observation, reward, ended, infos = env.step(actions)
        assert reward.dtype == np.float32
        rows = []
        for lane, info in enumerate(infos):
            final = info.pop("terminal_observation", None)
            done, truncated = bool(ended[lane]), info.get("TimeLimit.truncated", False)
            rows.append(Row(lane_of(observation, lane), reward[lane], done, truncated, info, final))
        yield rows


def assert_same_observation(ours: dict | None, theirs: dict | None) -> None:
    assert (ours is None) == (theirs is None)
    if ours is not None:
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert ours[key].dtype == theirs[key].dtype
            np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)


def assert_same_row(ours: Row, theirs: Row) -> None:
    assert_same_observation(ours.observation, theirs.observation)
    assert_same_observation(ours.final, theirs.final)
    assert ours.reward == theirs.reward
    assert (ours.terminated, ours.truncated) == (theirs.terminated, theirs.truncated)
    assert ours.info == theirs.info
    kinds = [{key: type(value) for key, value in row.info.items()} for row in (ours, theirs)]
    assert kinds[0] == kinds[1]


def assert_same_faces(env_id: str, parts: dict[str, Any]) -> None:
    env = gym.make(env_id, **parts)
    batches = random_actions(env.action_space)
    faces = [rows(env_id, batches, parts) for rows in (single_rows, vector_rows, sb3_rows)]
    for first in zip(*(next(face) for face in faces), strict=True):
        assert_same_observation(first[0], first[1])
        assert_same_observation(first[0], first[2])
    ends = np.zeros((STEPS, LANES), bool)
    for t, (single, vector, sb3) in enumerate(zip(*faces, strict=True)):
        for lane in range(LANES):
            assert_same_row(single[lane], vector[lane])
            assert_same_row(single[lane], sb3[lane])
            ends[t, lane] = single[lane].terminated
    assert ends.any(0).all()
    if env.unwrapped.config.scheme.answers:  # else all episodes are as long as the budget
        assert (ends.any(1) & ~ends.all(1)).any()


@pytest.mark.parametrize("env_id", REGISTERED)
def test_the_three_faces_agree_bit_for_bit(env_id):
    assert_same_faces(env_id, parts_of(env_id))


@pytest.mark.parametrize("env_id", WITH_HISTORY)
def test_the_three_faces_agree_on_the_history(env_id):
    assert_same_faces(env_id, parts_of(env_id) | {"observe_history": True})
