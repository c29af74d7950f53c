"""The three faces of inverse action modelling, in the hands of Gymnasium and SB3."""

import copy
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import RecordEpisodeStatistics
from PIL import Image
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as sb3_check

from glimpse_envs import BoxActions
from glimpse_envs.inverse import InverseVectorEnv, make_config
from glimpse_envs.inverse.frames import draw_frame
from glimpse_envs.inverse.sb3 import InverseVecEnv
from glimpse_envs.registration import INSTRUCTED, INVERSE
from glimpse_envs.render.drawing import DARK
from glimpse_envs.sb3 import GlimpseVecEnv

TABLE = INVERSE | INSTRUCTED
IDS = list(TABLE)
DIGITS = "GlimpseInverseDigits-v0"
LANES, STEPS, SEED = 4, 12, 100
PLANNING = {"max_steps": 5, "changes": 2, "success": 0.3}
ROOT = Path(__file__).parents[3]


class Row(NamedTuple):
    """What a step gave one lane; after an end, ``observation`` is already that of the reset."""

    observation: dict[str, np.ndarray]
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]
    final: dict[str, np.ndarray] | None


def random_actions(n_types: int) -> list[dict[str, np.ndarray]]:
    """A batch of actions for every step; reals are multiples of 1/64, so that a view is exact."""
    rng = np.random.default_rng(0)
    return [
        {
            "type": rng.integers(n_types, size=LANES),
            "parameters": (rng.integers(-64, 65, (LANES, n_types)) / 64).astype(np.float32),
        }
        for _ in range(STEPS)
    ]


def lane_of(batch: dict[str, np.ndarray], lane: int) -> dict[str, np.ndarray]:
    return {key: rows[lane] for key, rows in batch.items()}


def single_rows(env_id: str, batches: list, parts: dict[str, Any]) -> Iterator[list[Any]]:
    envs = [gym.make(env_id, **parts) for _ in range(LANES)]
    begun = [env.reset(seed=SEED + lane) for lane, env in enumerate(envs)]
    yield [Row(observation, 0.0, False, False, info, None) for observation, info in begun]
    for batch in batches:
        rows = []
        for lane, env in enumerate(envs):
            observation, reward, terminated, truncated, info = env.step(lane_of(batch, lane))
            final = observation if terminated else None
            if terminated:
                observation, _ = env.reset()
            rows.append(Row(observation, reward, terminated, truncated, info, final))
        yield rows


def vector_info(infos: dict[str, Any], lane: int) -> dict[str, Any]:
    names = [key for key in infos if f"_{key}" in infos and not key.startswith("final_")]
    values = {key: infos[key][lane] for key in names if infos[f"_{key}"][lane]}
    return {key: v if isinstance(v, np.ndarray) else v.item() for key, v in values.items()}


def vector_rows(env_id: str, batches: list, parts: dict[str, Any]) -> Iterator[list[Any]]:
    env = gym.make_vec(env_id, num_envs=LANES, **parts)
    observation, infos = env.reset(seed=SEED)
    yield [
        Row(lane_of(observation, i), 0.0, False, False, vector_info(infos, i), None)
        for i in range(LANES)
    ]
    for batch in batches:
        observation, reward, terminated, truncated, infos = env.step(batch)
        finals = infos.get("final_obs", np.full(LANES, None))
        rows = []
        for i in range(LANES):
            info = vector_info(infos["final_info"] if terminated[i] else infos, i)
            flags = bool(terminated[i]), bool(truncated[i])
            rows.append(Row(lane_of(observation, i), reward[i], *flags, info, finals[i]))
        yield rows


def sb3_rows(env_id: str, batches: list, parts: dict[str, Any]) -> Iterator[list[Any]]:
    env = InverseVecEnv(env_id, LANES, seed=SEED, **parts)
    observation = env.reset()
    infos = env.reset_infos
    yield [Row(lane_of(observation, i), 0.0, False, False, infos[i], None) for i in range(LANES)]
    for batch in batches:
        observation, reward, ended, infos = env.step(env.view.encode(batch))
        rows = []
        for i, info in enumerate(infos):
            final = info.pop("terminal_observation", None)
            flags = bool(ended[i]), info.get("TimeLimit.truncated", False)
            rows.append(Row(lane_of(observation, i), reward[i], *flags, info, final))
        yield rows


def assert_same_observation(ours: dict | None, theirs: dict | None) -> None:
    assert (ours is None) == (theirs is None)
    for key in ours or {}:
        assert ours[key].dtype == theirs[key].dtype == np.uint8
        np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)


def assert_same_row(ours: Row, theirs: Row) -> None:
    assert_same_observation(ours.observation, theirs.observation)
    assert_same_observation(ours.final, theirs.final)
    assert ours.reward == pytest.approx(theirs.reward, abs=1e-5)
    assert (ours.terminated, ours.truncated) == (theirs.terminated, theirs.truncated)
    assert ours.info.keys() == theirs.info.keys()
    for key, value in ours.info.items():
        assert type(value) is type(theirs.info[key]), key
        np.testing.assert_allclose(value, theirs.info[key], atol=1e-5, err_msg=key)


@pytest.mark.parametrize(
    ("env_id", "parts"),
    [(env_id, {}) for env_id in IDS]
    + [(env_id, PLANNING) for env_id in INVERSE]
    + [(env_id, {"split": "validation"}) for env_id in INSTRUCTED],
)
def test_the_three_faces_agree(env_id, parts):
    """Images and ends exactly; rewards up to the order of sums, which follows the batch."""
    batches = random_actions(len(make_config(**TABLE[env_id]).actions))
    faces = [rows(env_id, batches, parts) for rows in (single_rows, vector_rows, sb3_rows)]
    ends = []
    for single, vector, sb3 in zip(*faces, strict=True):
        for lane in range(LANES):
            assert_same_row(single[lane], vector[lane])
            assert_same_row(single[lane], sb3[lane])
        ends.append([row.terminated for row in single])
    ends = np.array(ends[1:])
    assert ends.any(0).all() and (ends.all() or "max_steps" in parts)


# ---- the registry ----


def test_the_ids_are_those_of_the_table():
    kinds, data = ("Inverse", "Instructed"), ("Digits", "MNIST", "CIFAR", "GUI")
    expected = [f"Glimpse{kind}{name}-v0" for kind in kinds for name in data]
    assert expected == IDS and set(IDS) <= set(gym.registry)


@pytest.mark.parametrize("env_id", IDS)
def test_the_checkers_have_nothing_to_say_that_could_be_avoided(env_id):
    said = []
    for check in (gymnasium_check, sb3_check):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check(gym.make(env_id, render_mode="rgb_array").unwrapped)
        said += [str(warning.message) for warning in caught]
    # a Dict of actions, which SB3 sees through a BoxView
    assert all("The action space is not based off a numpy array" in text for text in said)


@pytest.mark.parametrize("env_id", IDS)
def test_a_specification_survives_json_and_pickle(env_id):
    env = gym.make(env_id, success=0.5)
    for again in (
        gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json())),
        pickle.loads(pickle.dumps(env)),
        copy.deepcopy(env),
    ):
        assert again.unwrapped.config.success == 0.5
        ours, theirs = env.reset(seed=3), again.reset(seed=3)
        assert_same_observation(ours[0], theirs[0])


def test_an_episode_under_way_is_pickled():
    env = gym.make(DIGITS, max_steps=3)
    env.reset(seed=0)
    again = pickle.loads(pickle.dumps(env))
    action = {"type": 1, "parameters": np.full(5, 0.5, np.float32)}
    ours, theirs = env.step(action), again.step(action)
    assert_same_observation(ours[0], theirs[0])
    assert ours[1] == theirs[1] != 0.0


@pytest.mark.parametrize("env_id", IDS)
def test_a_seed_repeats_episodes(env_id):
    runs = []
    for seed in (5, 5, 6):
        env = gym.make(env_id)
        env.action_space.seed(0)
        run = [env.reset(seed=seed)[0]]
        for _ in range(3):
            env.step(env.action_space.sample())
            run.append(env.reset()[0])
        runs.append(np.stack([observation["before"] for observation in run]))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any((1, 2, 3)).all()


def test_an_image_of_the_split_can_be_chosen():
    env = gym.make(DIGITS, split="test")
    first = env.reset(seed=0, options={"index": 7})[0]
    assert_same_observation(first, env.reset(options={"index": 7})[0])
    n = env.unwrapped.core.n_images
    with pytest.raises(ValueError, match=f"the split has images 0 to {n - 1}"):
        env.reset(options={"index": n})


def test_own_pictures_of_a_folder_are_shown(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        for i in range(12):
            pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    data = {"type": "folder", "path": str(tmp_path), "size": 40}
    env = gym.make("GlimpseInverseCIFAR-v0", dataset=data)
    observation, info = env.reset(seed=0)
    assert observation["before"].shape == (80, 80, 3)
    reward = env.step({"type": info["true_type"], "parameters": info["true_parameters"]})[1]
    assert reward == pytest.approx(1.0, abs=1e-5)


# ---- the faces by themselves ----


def test_a_step_before_the_reset_is_refused():
    action = {"type": np.zeros(2, int), "parameters": np.zeros((2, 5), np.float32)}
    single, vector, sb3 = (
        gym.make(DIGITS).unwrapped,
        gym.make_vec(DIGITS, num_envs=2),
        InverseVecEnv(DIGITS, 2),
    )
    calls: list[Callable[[], Any]] = [
        lambda: single.step(lane_of(action, 0)),
        lambda: vector.step(action),
        lambda: sb3.step(sb3.view.encode(action)),
    ]
    for call in calls:
        with pytest.raises(gym.error.ResetNeeded, match="reset"):
            call()


def test_a_step_after_the_end_is_refused():
    env = gym.make(DIGITS).unwrapped
    env.reset(seed=0)
    action = {"type": 0, "parameters": np.zeros(5, np.float32)}
    assert env.step(action)[2]
    with pytest.raises(gym.error.ResetNeeded):
        env.step(action)


def test_the_vector_says_how_it_resets():
    env = gym.make_vec(DIGITS, num_envs=3)
    assert isinstance(env, InverseVectorEnv)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    env.reset(seed=[1, None, 3])
    assert env.observation_space["before"].shape == (3, 48, 48, 1)
    assert env.action_space["parameters"].shape == (3, 5)


def test_stock_ppo_trains_on_it():
    env = InverseVecEnv(DIGITS, 4, seed=0)
    model = PPO("MultiInputPolicy", env, n_steps=8, batch_size=16, n_epochs=1, seed=0)
    before = [p.clone() for p in model.policy.parameters()]
    model.learn(64)
    assert any((a != b).any() for a, b in zip(before, model.policy.parameters(), strict=True))


def test_stock_ppo_takes_instructions():
    env = InverseVecEnv("GlimpseInstructedDigits-v0", 4, seed=0)
    PPO("MultiInputPolicy", env, n_steps=8, batch_size=16, n_epochs=1, seed=0).learn(32)


def test_a_wrapper_counts_returns_through_a_view_of_boxes():
    env = RecordEpisodeStatistics(BoxActions(gym.make(DIGITS)))
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step(env.action_space.sample())
    assert terminated and info["episode"]["r"] == pytest.approx(reward)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InverseVecEnv("GlimpseInverseMnist-v0"), "did you mean 'GlimpseInverseMNIST-v0'"),
        (lambda: InverseVecEnv("GlimpseDigits-RAM-v0"), "use glimpse_envs.sb3.GlimpseVecEnv"),
        (lambda: GlimpseVecEnv(DIGITS), "use glimpse_envs.inverse.sb3.InverseVecEnv"),
        (lambda: InverseVecEnv(make_config(), split="test"), "got split beside InverseConfig"),
        (lambda: InverseVecEnv(DIGITS, 0), "got 0 lanes"),
        (lambda: InverseVecEnv(DIGITS, render_mode="human"), "wanted None or .rgb_array"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- pictures ----


def test_a_frame_shows_before_after_and_what_was_made():
    env = gym.make(DIGITS, render_mode="rgb_array")
    _, info = env.reset(seed=0)
    begun = env.render()
    env.step({"type": info["true_type"], "parameters": info["true_parameters"]})
    done = env.render()
    assert begun.shape == done.shape and begun.dtype == np.uint8 and begun.shape[2] == 3
    assert not any(n % 2 for n in begun.shape[:2])
    left = begun.shape[1] // 3
    np.testing.assert_array_equal(begun[:-40, :left], done[:-40, :left])
    assert (begun[:, 2 * left :] != done[:, 2 * left :]).any()


def test_a_frame_shows_the_instruction():
    frames = []
    for env_id in (DIGITS, "GlimpseInstructedDigits-v0"):
        env = gym.make(env_id, render_mode="rgb_array")
        env.reset(seed=0)
        frames.append(env.render())
    without, told = frames
    assert told.shape[0] > without.shape[0] and told.shape[1] == without.shape[1]
    amber = (told == DARK.current).all(2)
    assert amber.sum() > 100 and amber[: without.shape[0] * 3 // 4].sum() == 0


def test_frames_too_small_to_read_are_refused():
    image = np.zeros((8, 8, 1), np.uint8)
    with pytest.raises(ValueError, match="wanted at least 64 pixels"):
        draw_frame(image, image, None, "", 0.0, side=63)


def test_torch_is_imported_when_an_id_is_made():
    code = (
        "import sys, gymnasium, glimpse_envs; a = 'torch' in sys.modules; "
        f"gymnasium.make({DIGITS!r}); print(a, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "True"]
