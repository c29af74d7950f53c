"""The face for Stable-Baselines3."""

import gymnasium as gym
import numpy as np
import pytest
from forks import call_in_fork
from gymnasium.wrappers import RecordVideo
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv, VecMonitor, VecVideoRecorder

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
    with pytest.raises(ValueError, match="got budget beside GlimpseConfig"):
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


# ---- some lanes ----

ON_ALL_LANES = [
    ("reset", ()),
    ("seed", (3,)),
    ("step", (np.zeros((3, 3), np.int64),)),
    ("set_options", ({"index": 0},)),
    ("render", ()),
    ("get_images", ()),
    ("close", ()),
]


@pytest.mark.parametrize(
    "indices", [0, [0], [1, 2], [-1], (0, 0, 0), np.array([1]), np.int64(2), []], ids=str
)
@pytest.mark.parametrize(("method", "arguments"), ON_ALL_LANES)
def test_a_method_of_all_lanes_is_refused_for_some(method, arguments, indices):
    env = GlimpseVecEnv(MULTI_CAT, 3, seed=0)
    env.reset()
    env.step(np.array([[1, 2, 0]] * 3))
    before, episodes = env.core.gaze.copy(), env.core.episodes.copy()
    with pytest.raises(ValueError, match=r"for some lanes only.*leave indices out"):
        env.env_method(method, *arguments, indices=indices)
    with pytest.raises(ValueError, match="for some lanes only"):
        env.set_attr("render_mode", None, indices=indices)
    np.testing.assert_array_equal(env.core.gaze, before)
    np.testing.assert_array_equal(env.core.episodes, episodes)


@pytest.mark.parametrize("indices", [3, [-4], [0, 7], "all", 1.5, [None], [[0], [1, 2]], [True]])
def test_lanes_that_there_are_not_are_refused(indices):
    env = GlimpseVecEnv(MULTI_CAT, 3, seed=0)
    env.reset()
    for call in (
        lambda: env.env_method("action_masks", indices=indices),
        lambda: env.get_attr("config", indices),
        lambda: env.set_attr("note", 1, indices),
        lambda: env.env_is_wrapped(RecordVideo, indices),
    ):
        with pytest.raises(ValueError, match="got indices"):
            call()


def test_methods_of_all_lanes_and_masks_of_some():
    env = GlimpseVecEnv(MULTI_CAT, 3, seed=0)
    assert len(env.env_method("reset")) == len(env.env_method("reset", indices=[2, 1, 0])) == 3
    masks = env.action_masks()
    for indices, rows in ((-1, [2]), ([2, 0], [2, 0]), (np.int64(1), [1]), (range(2), [0, 1])):
        np.testing.assert_array_equal(env.env_method("action_masks", indices=indices), masks[rows])


# ---- ids with their package ----


def test_an_id_may_name_its_package():
    name = f"glimpse_envs:{MULTI_CAT}"
    faces = [GlimpseVecEnv(name, 2, seed=0), GlimpseVecEnv(MULTI_CAT, 2, seed=0)]
    first, second = (face.reset() for face in faces)
    assert all(np.array_equal(first[key], second[key]) for key in first)
    assert faces[0].spec.id == MULTI_CAT
    assert gym.make(name).reset(seed=0)[0].keys() == first.keys()
    assert gym.make_vec(name, 2).unwrapped.config == faces[0].config
    assert make_vec_env(name, 2).reset().keys() == first.keys()


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("no_such_package:GlimpseMNIST-MultiCat-v0", "importing 'no_such_package' fails"),
        ("bad_package:GlimpseMNIST-MultiCat-v0", "importing 'bad_package' fails.*mend"),
        (":GlimpseMNIST-MultiCat-v0", "importing '' fails"),
        ("glimpse_envs:GlimpseMNIST-MultiCatt-v0", "did you mean 'GlimpseMNIST-MultiCat-v0'"),
        ("glimpse_envs:", "unknown environment"),
        ("", "unknown environment"),
        ("a/b/c", "unknown environment"),
        ("CartPole-v1", "not a glimpse environment"),
        (None, "got environment None"),
        (5, "got environment 5"),
    ],
)
def test_a_wrong_id_is_a_message(tmp_path, monkeypatch, env_id, message):
    (tmp_path / "bad_package.py").write_text("raise KeyError('mend me')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=message):
        GlimpseVecEnv(env_id)


def play_in_subprocesses(method: str) -> None:
    """Print what a first glimpse adds up to in a process below this one."""
    env = make_vec_env(
        *("glimpse_envs:GlimpseDigits-MultiCat-v0", 1, 0),
        vec_env_cls=SubprocVecEnv,
        vec_env_kwargs={"start_method": method},
    )
    print(env.reset()["glimpse"].sum(axis=(1, 2, 3)).tolist())
    env.close()


@pytest.mark.parametrize("method", ["spawn", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_subprocesses_of_any_start_play_the_same_episodes(method):
    done = call_in_fork(play_in_subprocesses, method)
    assert done.status == 0, done.errors
    expected = make_vec_env("GlimpseDigits-MultiCat-v0", 1, seed=0).reset()["glimpse"]
    assert done.output.split("\n")[0] == str(expected.sum(axis=(1, 2, 3)).tolist())
