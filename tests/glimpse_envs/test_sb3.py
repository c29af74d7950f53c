"""The face for Stable-Baselines3."""

import numpy as np
import pytest
from gymnasium.wrappers import RecordVideo
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecMonitor, VecVideoRecorder

from glimpse_envs.config import make_config
from glimpse_envs.sb3 import GlimpseVecEnv, registered_kwargs

MULTI_CAT = "GlimpseMNIST-MultiCat-v0"

# ---- the vector ----


def test_a_made_configuration_is_taken_as_it_is():
    config = make_config(**registered_kwargs(MULTI_CAT))
    made, by_id = GlimpseVecEnv(config, 2, seed=3), GlimpseVecEnv(MULTI_CAT, 2, seed=3)
    assert made.config is made.core.config is config
    assert made.spec is None and by_id.spec.id == MULTI_CAT
    first, second = made.reset(), by_id.reset()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])
    with pytest.raises(ValueError, match="got budget beside a GlimpseConfig"):
        GlimpseVecEnv(config, 2, budget=3)


def test_vec_monitor_sees_return_and_length():
    env = VecMonitor(GlimpseVecEnv(MULTI_CAT, 2, seed=0), info_keywords=("is_success",))
    env.reset()
    label = env.venv.reset_infos[0]["label"]
    env.step(np.array([[0, 2, 0]] * 2))
    _, reward, ended, infos = env.step(np.array([[0, 1, label + 1], [0, 1, 0]]))
    np.testing.assert_array_equal(ended, [True, False])
    assert reward[0] == 1 and infos[0]["episode"]["r"] == 1 and infos[0]["episode"]["l"] == 2
    assert infos[0]["episode"]["is_success"] is True and "episode" not in infos[1]


def test_vec_video_recorder_writes_a_video(tmp_path):
    env = VecVideoRecorder(
        GlimpseVecEnv(MULTI_CAT, 2, seed=0),
        str(tmp_path),
        record_video_trigger=lambda step: step == 0,
        video_length=4,
    )
    env.reset()
    for _ in range(6):
        env.step(np.array([[5, 2, 0]] * 2))
    env.close()
    (video,) = tmp_path.glob("*.mp4")
    assert video.stat().st_size > 1000


def test_a_single_environment_works_in_sb3s_own_vector():
    ours = GlimpseVecEnv(MULTI_CAT, 2, seed=7)
    theirs = make_vec_env(MULTI_CAT, 2, seed=7)
    first, second = ours.reset(), theirs.reset()
    for _ in range(12):
        assert all(np.array_equal(first[key], second[key]) for key in first)
        actions = np.stack([ours.action_space.sample() for _ in range(2)])
        first, _, ended, _ = ours.step(actions)
        second, _, theirs_ended, _ = theirs.step(actions)
        np.testing.assert_array_equal(ended, theirs_ended)


def test_seeding_a_vec_env_again_repeats_its_episodes():
    env = GlimpseVecEnv(MULTI_CAT, 2)
    env.seed(5)
    first = env.reset()
    env.seed(5)
    again = env.reset()
    assert all(np.array_equal(first[key], again[key]) for key in first)
    other = env.reset()
    assert not np.array_equal(first["glimpse"], other["glimpse"])


def test_the_reset_infos_are_those_of_the_running_episode():
    env = GlimpseVecEnv(MULTI_CAT, 2, seed=0)
    env.reset()
    for _ in range(10):  # lane 0 answers at every step, lane 1 never
        _, _, _, infos = env.step(np.array([[0, 1, 3], [0, 2, 0]]))
        assert infos[0]["prediction"] == 2
        labels = [info["label"] for info in env.reset_infos]
        assert labels == env.core.labels.tolist()
        assert env.reset_infos[0]["prediction"] == -1


def test_attributes_of_a_vec_env_are_those_of_all_lanes():
    env = GlimpseVecEnv(MULTI_CAT, 3)
    assert env.get_attr("config", [0, 2]) == [env.config] * 2
    env.set_attr("note", "all")
    assert env.get_attr("note") == ["all"] * 3
    assert env.env_is_wrapped(RecordVideo) == [False] * 3
    with pytest.raises(ValueError, match="lanes share their attributes"):
        env.set_attr("note", "one", indices=[0])
