"""Callbacks and wrappers of Stable-Baselines3 and Gymnasium with our environments and policies."""

from __future__ import annotations

import csv
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.wrappers import vector as vector_wrappers
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import (
    CheckpointCallback,
    EvalCallback,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
    VecVideoRecorder,
)

from glimpse_envs.sb3 import GlimpseVecEnv
from policies import GlimpseLstmPolicy, GlimpsePolicy

MULTI_CAT = "GlimpseDigits-MultiCat-v0"
MLP = {"features_extractor_kwargs": {"encoder": "mlp"}}


def ppo(env, **kwargs) -> PPO:
    small = {"n_steps": 8, "batch_size": 16, "n_epochs": 1, "seed": 0, "device": "cpu"}
    return PPO(GlimpsePolicy, env, policy_kwargs=MLP, **{**small, **kwargs})


def recurrent(env, **kwargs) -> RecurrentPPO:
    policy = {**MLP, "lstm_hidden_size": 16}
    small = {"n_steps": 8, "batch_size": 16, "n_epochs": 1, "seed": 0, "device": "cpu"}
    return RecurrentPPO(GlimpseLstmPolicy, env, policy_kwargs=policy, **{**small, **kwargs})


# ---- callbacks and tools of Stable-Baselines3 ----


@pytest.mark.parametrize("make", [ppo, recurrent])
def test_evaluation_on_other_images_saves_the_best_model(make, tmp_path: Path) -> None:
    env = VecMonitor(GlimpseVecEnv(MULTI_CAT, 4, seed=0, budget=3))
    others = VecMonitor(GlimpseVecEnv(MULTI_CAT, 4, seed=1, budget=3, split="validation"))
    others = VecTransposeImage(others)  # as the model does with its own; else SB3 warns
    evaluation = EvalCallback(
        others,
        n_eval_episodes=8,
        eval_freq=8,
        log_path=str(tmp_path),
        best_model_save_path=str(tmp_path),
        verbose=0,
    )
    model = make(env).learn(64, callback=evaluation)
    logged = np.load(tmp_path / "evaluations.npz")
    assert logged["timesteps"].tolist() == [32, 64] and logged["results"].shape == (2, 8)
    assert set(np.unique(logged["successes"])) <= {False, True}
    np.testing.assert_array_equal(logged["results"], logged["successes"])  # Terminal: 0 or 1
    best = type(model).load(tmp_path / "best_model", env=others, device="cpu")
    reward, _ = evaluate_policy(best, others, n_eval_episodes=8)
    assert 0.0 <= reward <= 1.0


def test_training_stops_at_a_threshold_of_the_reward() -> None:
    env = VecMonitor(GlimpseVecEnv(MULTI_CAT, 4, seed=0, budget=3))
    stop = StopTrainingOnRewardThreshold(reward_threshold=0.0, verbose=0)
    others = VecTransposeImage(VecMonitor(GlimpseVecEnv(MULTI_CAT, 2, seed=1, budget=3)))
    evaluation = EvalCallback(
        others, n_eval_episodes=2, eval_freq=8, callback_on_new_best=stop, verbose=0
    )
    assert ppo(env).learn(320, callback=evaluation).num_timesteps == 32


@pytest.mark.parametrize("make", [ppo, recurrent])
def test_a_checkpoint_loads_and_acts_alike(make, tmp_path: Path) -> None:
    env = GlimpseVecEnv(MULTI_CAT, 4, seed=0)
    model = make(env).learn(64, callback=CheckpointCallback(16, str(tmp_path), verbose=0))
    assert (tmp_path / "rl_model_64_steps.zip").exists()
    # saved before the update that followed: compare with the weights of that file
    loaded = type(model).load(tmp_path / "rl_model_64_steps", device="cpu")
    model.set_parameters(tmp_path / "rl_model_64_steps.zip", device="cpu")
    observation = env.reset()
    ours, _ = model.predict(observation, deterministic=True)
    theirs, _ = loaded.predict(observation, deterministic=True)
    np.testing.assert_array_equal(ours, theirs)


def test_evaluate_policy_counts_each_lanes_episodes() -> None:
    env = VecMonitor(GlimpseVecEnv(MULTI_CAT, 3, seed=0, budget=4))
    rewards, lengths = evaluate_policy(
        ppo(env), env, n_eval_episodes=7, return_episode_rewards=True
    )
    assert len(rewards) == len(lengths) == 7
    assert set(rewards) <= {0.0, 1.0} and 1 <= min(lengths) and max(lengths) <= 4


def test_monitor_files_keep_what_ended_each_episode(tmp_path: Path) -> None:
    keys = ("is_success", "n_glimpses", "coverage")
    make_kwargs = {"monitor_kwargs": {"info_keywords": keys}, "env_kwargs": {"budget": 3}}
    ppo(make_vec_env(MULTI_CAT, 2, seed=0, monitor_dir=str(tmp_path), **make_kwargs)).learn(64)
    rows = []
    for file in tmp_path.glob("*.monitor.csv"):
        with file.open() as lines:
            next(lines)  # a comment
            rows += list(csv.DictReader(lines))
    assert len(rows) > 5
    for row in rows:
        assert float(row["r"]) == (row["is_success"] == "True")
        assert 1 <= int(row["n_glimpses"]) <= 3 and int(row["n_glimpses"]) <= int(row["l"])
        assert 0.0 < float(row["coverage"]) <= 1.0


def test_one_monitored_environment_is_wrapped_by_the_algorithm() -> None:
    model = ppo(Monitor(gym.make(MULTI_CAT, budget=3))).learn(32)
    assert 1 <= model.ep_info_buffer[0]["l"] <= 3


def test_a_video_of_a_recurrent_agent(tmp_path: Path) -> None:
    env = VecVideoRecorder(
        GlimpseVecEnv(MULTI_CAT, 2, seed=0),
        str(tmp_path),
        record_video_trigger=lambda step: step == 0,
        video_length=6,
    )
    model, state, starts = recurrent(env), None, np.ones(2, bool)
    observation = env.reset()
    for _ in range(7):
        actions, state = model.predict(observation, state, starts)
        observation, _, starts, _ = env.step(actions)
    env.close()
    assert [video.stat().st_size > 1000 for video in tmp_path.glob("*.mp4")] == [True]


def test_rewards_are_normalised_and_observations_left_alone() -> None:
    plain = GlimpseVecEnv(MULTI_CAT, 4, seed=0, budget=3)
    env = VecNormalize(VecMonitor(plain), norm_obs=False, gamma=1.0)
    model = ppo(env).learn(64)
    assert env.ret_rms.count > 60
    raw = {info["r"] for info in model.ep_info_buffer}
    assert raw <= {0.0, 1.0}  # the monitor below it sees the rewards as they are


# ---- wrappers of Gymnasium ----


def play(env: gym.Env, action, steps: int) -> list[tuple]:
    env.reset(seed=0)
    return [env.step(action) for _ in range(steps)]


def test_flattened_observations_hold_the_same_numbers() -> None:
    plain, flat = gym.make(MULTI_CAT), wrappers.FlattenObservation(gym.make(MULTI_CAT))
    (observation, *_), (row, *_) = play(plain, [5, 2, 0], 1)[0], play(flat, [5, 2, 0], 1)[0]
    assert row.shape == flat.observation_space.shape == (8 * 8 + 3 + 1,)
    joined = [np.ravel(observation[key]) for key in plain.observation_space]
    np.testing.assert_array_equal(row, np.concatenate(joined))


def test_a_time_limit_truncates_what_has_not_ended() -> None:
    env = wrappers.TimeLimit(gym.make(MULTI_CAT), max_episode_steps=2)
    (*_, early, cut, _), (*_, late, limit, _) = play(env, [0, 1, 0], 2)
    assert (early, cut, late, limit) == (False, False, False, True)


def test_normalised_rewards_keep_the_episodes() -> None:
    env = wrappers.NormalizeReward(gym.make(MULTI_CAT), gamma=1.0)
    _, info = env.reset(seed=0)
    _, reward, terminated, _, _ = env.step([0, 1, info["label"] + 1])
    assert terminated and reward > 0.5 and np.isfinite(reward)


def test_record_video_and_statistics_together(tmp_path: Path) -> None:
    env = gym.make(MULTI_CAT, render_mode="rgb_array")
    env = wrappers.RecordVideo(
        wrappers.RecordEpisodeStatistics(env), str(tmp_path), episode_trigger=lambda k: k == 0,
        disable_logger=True,
    )  # fmt: skip
    _, info = env.reset(seed=0)
    env.step([5, 2, 0])
    *_, info = env.step([0, 1, info["label"] + 1])
    assert info["episode"]["r"] == 1 and info["episode"]["l"] == 2
    env.close()
    assert next(tmp_path.glob("*.mp4")).stat().st_size > 1000


def test_vector_wrappers_normalise_and_count() -> None:
    envs = gym.make_vec(MULTI_CAT, num_envs=3, budget=3)
    envs = vector_wrappers.NormalizeReward(vector_wrappers.RecordEpisodeStatistics(envs))
    envs.reset(seed=0)
    ended = 0
    for _ in range(8):
        _, rewards, terminated, _, _ = envs.step(envs.action_space.sample())
        assert np.isfinite(rewards).all()
        ended += terminated.sum()
    assert ended > 3 and envs.env.episode_count == ended


def test_wrappers_of_observations_go_round_each_environment() -> None:
    """Gymnasium's wrappers of a vector's observations refuse resets in the same step."""
    with pytest.raises(ValueError, match="SAME_STEP"):
        vector_wrappers.FlattenObservation(gym.make_vec(MULTI_CAT, num_envs=3))
    envs = gym.make_vec(
        MULTI_CAT, num_envs=3, vectorization_mode="sync", wrappers=[wrappers.FlattenObservation]
    )
    rows, _ = envs.reset(seed=0)
    assert rows.shape == (3, 8 * 8 + 3 + 1)


def test_the_vector_says_its_autoreset_mode_as_gymnasiums_own() -> None:
    sync = gym.make_vec(
        MULTI_CAT,
        num_envs=2,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": gym.vector.AutoresetMode.SAME_STEP},
    )
    ours = gym.make_vec(MULTI_CAT, num_envs=2)
    assert ours.unwrapped.autoreset_mode is sync.unwrapped.autoreset_mode
    assert ours.metadata["autoreset_mode"] is ours.unwrapped.autoreset_mode
