"""Every registered environment in the hands of Gymnasium and Stable-Baselines3."""

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from classifiers import NumpyClassifier
from gymnasium.utils.env_checker import check_env as gymnasium_check
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import RecordEpisodeStatistics, RecordVideo
from gymnasium.wrappers import vector as vector_wrappers
from stable_baselines3.common.env_checker import check_env as sb3_check

from glimpse_envs import GlimpseVectorEnv, ImageDataset
from glimpse_envs.registration import DATA, REGISTERED, SCHEMES
from glimpse_envs.render.drawing import DARK
from glimpse_envs.rewards import GlimpseCost, Sum
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_envs.sensors import Crop

MULTI_CAT = "GlimpseMNIST-MultiCat-v0"
NEEDY = [env_id for env_id in REGISTERED if "Saccade" in env_id or "RAM" in env_id]

#: what cannot be avoided: small glimpses, which are kept from a CNN by their bound, and Hybrid's
#: Dict, which SB3 sees through a BoxView
ALLOWED = {
    "bound": "It seems that your observation space glimpse is an image but the upper and lower",
    "small": "The minimal resolution for an image is 36x36",
    "dict": "The action space is not based off a numpy array",
}


def parts_of(env_id: str) -> dict[str, Any]:
    return {"classifier": NumpyClassifier()} if env_id in NEEDY else {}


def make(env_id: str, **parts: Any) -> gym.Env:
    return gym.make(env_id, **(parts_of(env_id) | parts))


def run(env: gym.Env, n_steps: int, seed: int | None = None) -> list[tuple]:
    """What an environment gives to its space's own seeded actions, from where it stands."""
    env.action_space.seed(0)
    steps = [] if seed is None else [env.reset(seed=seed)]
    for _ in range(n_steps):
        steps.append(env.step(env.action_space.sample()))
        if steps[-1][2]:
            steps.append(env.reset())
    return steps


def assert_same_steps(ours: list[tuple], theirs: list[tuple]) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a[1:] == b[1:] and a[0].keys() == b[0].keys()
        assert all(np.array_equal(a[0][key], b[0][key]) for key in a[0])


def own_data(k: int = 3) -> ImageDataset:
    images = np.random.default_rng(0).integers(0, 256, (60, 20, 26, 3), dtype=np.uint8)
    labels = np.arange(60) % k
    return ImageDataset.from_arrays(images, labels, images[:6], labels[:6], name="own")


# ---- the registry ----


def test_every_data_set_is_registered_with_every_scheme():
    names = {f"Glimpse{data}-{scheme}-v0" for data in DATA for scheme in SCHEMES}
    names |= {f"Glimpse{data}-Pursuit-v0" for data in ("MovingMNIST", "MovingCIFAR")}
    assert set(REGISTERED) == names
    assert {name for name in gym.registry if name.startswith("Glimpse")} >= names
    expected = "CIFAR MNIST FashionMNIST Digits TranslatedMNIST ClutteredMNIST ClutteredMNIST100"
    assert set(DATA) == {*expected.split(), "ClutteredCIFAR", "MovingMNIST", "MovingCIFAR"}


@pytest.mark.parametrize("env_id", REGISTERED)
def test_no_time_limit_is_put_on_top_of_the_budget(env_id):
    assert gym.spec(env_id).max_episode_steps is None
    env = make(env_id)
    while isinstance(env, gym.Wrapper):
        assert "TimeLimit" not in type(env).__name__
        env = env.env


def warnings_of(check: Callable[[gym.Env], None], env: gym.Env) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check(env.unwrapped)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("env_id", REGISTERED)
def test_gymnasiums_checker_has_nothing_to_say(env_id):
    assert warnings_of(gymnasium_check, make(env_id, render_mode="rgb_array")) == []


@pytest.mark.parametrize("env_id", REGISTERED)
def test_sb3s_checker_says_only_what_cannot_be_avoided(env_id):
    said = warnings_of(sb3_check, make(env_id, render_mode="rgb_array"))
    allowed = [ALLOWED["bound"], ALLOWED["small"]]
    if "Hybrid" in env_id:
        allowed.append(ALLOWED["dict"])
    assert len(said) <= len(allowed)
    assert all(any(text.startswith(a) for a in allowed) for text in said)


@pytest.mark.parametrize("env_id", NEEDY)
def test_an_environment_that_needs_a_classifier_says_how_to_attach_one(env_id):
    for face in (gym.make, gym.make_vec, GlimpseVecEnv):
        with pytest.raises(ValueError, match=r"needs a classifier.*make\(id, classifier=\.\.\.\)"):
            face(env_id)


@pytest.mark.parametrize("env_id", REGISTERED)
def test_what_is_observed_lies_in_the_space(env_id):
    env = make(env_id)
    for observation, *_ in run(env, 20, seed=0):
        assert env.observation_space.contains(observation)


# ---- composing ----


def test_parts_compose_through_make():
    env = gym.make(
        "GlimpseCIFAR-MultiCat-v0",
        dataset=own_data(),
        scene={"type": "TranslatedCanvas", "side": 30},
        sensor=Crop(5),
        scheme="GreedyMap",
        reward=Sum(("Terminal", GlimpseCost(0.25))),
        budget=3,
    )
    observation, info = env.reset(seed=0)
    assert observation["glimpse"].shape == (5, 5, 3)
    assert env.action_space.n == 6 + 3
    assert env.unwrapped.core.image(0).shape == (30, 30, 3)
    _, reward, terminated, *_ = env.step(4)
    assert reward == -0.25 and not terminated
    _, reward, terminated, _, info = env.step(6 + info["label"])
    assert reward == 1.0 and terminated and info["samples"] == 2 * 25


@pytest.mark.parametrize("face", [gym.make_vec, GlimpseVecEnv])
def test_parts_compose_through_the_vector_faces(face):
    env = face(MULTI_CAT, 3, dataset=own_data(), sensor={"type": "Crop", "size": 4}, budget=3)
    assert env.config.dataset.name == "own" and env.config.budget == 3
    env.reset()
    env.step(np.array([[0, 2, 0]] * 3))


def test_an_unknown_id_gives_the_nearest_one():
    with pytest.raises(ValueError, match=r"GlimpseCIFR-Multi.*did you mean 'GlimpseCIFAR-Multi"):
        GlimpseVecEnv("GlimpseCIFR-MultiCat-v0")


def test_an_id_of_another_package_is_refused():
    with pytest.raises(ValueError, match=r"'CartPole-v1' is not a glimpse env.*make_vec_env"):
        GlimpseVecEnv("CartPole-v1")


@pytest.mark.parametrize("face", [gym.make, gym.make_vec, GlimpseVecEnv])
def test_an_unknown_argument_gives_the_nearest_one(face):
    with pytest.raises(ValueError, match=r"no argument 'sensr'; did you mean 'sensor'"):
        face(MULTI_CAT, sensr="Crop")


# ---- copies and pickles ----


@pytest.mark.parametrize("env_id", REGISTERED)
def test_an_environment_made_by_name_pickles_without_images_and_goes_on_alike(env_id):
    env = make(env_id)
    run(env, 10, seed=0)
    data = pickle.dumps(env)
    assert len(data) < env.unwrapped.config.shown_split.images.nbytes / 2  # one canvas at most
    assert_same_steps(run(pickle.loads(data), 30), run(env, 30))


def test_a_pickled_vector_of_environments_goes_on_alike():
    env = GlimpseVecEnv(MULTI_CAT, 3, seed=0)
    env.reset()
    env.step(np.array([[5, 2, 0], [8, 2, 0], [0, 1, 4]]))
    data = pickle.dumps(env)
    again = pickle.loads(data)
    assert len(data) < 20_000
    for actions in ([[1, 1, 0]] * 3, [[0, 1, 1]] * 3):
        ours, theirs = env.step(np.array(actions)), again.step(np.array(actions))
        assert all(np.array_equal(ours[0][key], theirs[0][key]) for key in ours[0])


def test_a_deep_copy_goes_on_alike_and_shares_the_data():
    env = make(MULTI_CAT, dataset=own_data())
    run(env, 10, seed=0)
    twin = copy.deepcopy(env)
    assert twin.unwrapped.config.dataset is env.unwrapped.config.dataset
    assert twin.unwrapped.core.source.prepared is env.unwrapped.core.source.prepared
    assert_same_steps(run(twin, 30), run(env, 30))


def test_environments_of_one_data_set_share_what_their_sensors_read():
    ours, theirs = make(MULTI_CAT), make("GlimpseMNIST-GreedyMap-v0", budget=3)
    assert ours.unwrapped.core.source.prepared is theirs.unwrapped.core.source.prepared


@pytest.mark.parametrize("env_id", REGISTERED)
def test_a_spec_can_be_copied(env_id):
    env = make(env_id)
    spec = copy.deepcopy(env.spec)
    assert spec.kwargs.keys() == env.spec.kwargs.keys()
    gym.make(spec).reset(seed=0)


# ---- wrappers of Gymnasium ----


@pytest.mark.parametrize("env_id", [MULTI_CAT, "GlimpseClutteredCIFAR-RAM-v0"])
def test_record_video_writes_an_episode(env_id, tmp_path):
    env = RecordVideo(
        make(env_id, render_mode="rgb_array", budget=3),
        str(tmp_path / "videos"),
        episode_trigger=lambda episode: episode == 0,
        disable_logger=True,
    )
    run(env, 6, seed=0)
    env.close()
    (video,) = (tmp_path / "videos").glob("*.mp4")
    assert video.stat().st_size > 1000


def test_record_episode_statistics_sees_return_and_length():
    env = RecordEpisodeStatistics(make(MULTI_CAT, reward="PerStep"))
    _, info = env.reset(seed=0)
    env.step(np.array([5, 2, 0]))
    *_, info = env.step(np.array([0, 1, info["label"] + 1]))
    assert info["episode"]["r"] == 1.0 and info["episode"]["l"] == 2


def test_vector_record_episode_statistics_sees_staggered_ends():
    env = vector_wrappers.RecordEpisodeStatistics(gym.make_vec(MULTI_CAT, num_envs=3))
    _, infos = env.reset(seed=0)
    label = infos["label"].copy()
    env.step(np.array([[0, 2, 0]] * 3))
    *_, infos = env.step(np.array([[0, 1, label[0] + 1], [0, 1, 0], [0, 1, label[2] + 1]]))
    ended = infos["_episode"]
    np.testing.assert_array_equal(ended, [True, False, True])
    np.testing.assert_array_equal(infos["episode"]["r"][ended], [1, 1])
    np.testing.assert_array_equal(infos["episode"]["l"][ended], [2, 2])


def test_dict_info_to_list_reads_the_infos():
    env = vector_wrappers.DictInfoToList(gym.make_vec(MULTI_CAT, num_envs=2))
    _, infos = env.reset(seed=0)
    label = infos[0]["label"]
    *_, infos = env.step(np.array([[0, 1, label + 1], [0, 2, 0]]))
    assert infos[0]["final_info"]["is_success"] and infos[0]["final_info"]["label"] == label
    assert "final_info" not in infos[1]


def test_rendering_draws_every_lane():
    assert make(MULTI_CAT, render_mode=None).unwrapped.render_mode is None
    env = gym.make_vec(MULTI_CAT, num_envs=2, render_mode="rgb_array")
    env.reset(seed=0)
    frames = env.render()
    assert len(frames) == 2 and frames[0].dtype == np.uint8 and frames[0].shape[2] == 3
    assert not np.array_equal(*frames)
    with pytest.raises(ValueError, match="render_mode='human'"):
        GlimpseVectorEnv(render_mode="human")


# ---- vectors ----


def test_the_vector_environment_declares_and_does_same_step_autoreset():
    env = gym.make_vec(MULTI_CAT, num_envs=2)
    assert isinstance(env.unwrapped, GlimpseVectorEnv)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    env.reset(seed=0)
    observation, _, terminated, truncated, infos = env.step(np.array([[0, 1, 1], [5, 2, 0]]))
    np.testing.assert_array_equal(terminated, [True, False])
    assert not truncated.any()
    assert observation["remaining"][0] == observation["remaining"][1] + 1 / 8
    assert infos["final_obs"][0]["remaining"] == 7 / 8 and infos["final_obs"][1] is None
    np.testing.assert_array_equal(infos["_final_info"], [True, False])
    np.testing.assert_array_equal(infos["prediction"], [-1, -1])  # of the new episode
    assert infos["final_info"]["prediction"][0] == 0
    for key in ("_label", "_prediction", "_samples", "_is_success"):
        np.testing.assert_array_equal(infos["final_info"][key], [True, False])


def test_what_a_vector_gave_is_not_written_again():
    env = gym.make_vec("GlimpseMNIST-GreedyMap-v0", num_envs=2, classifier=NumpyClassifier())
    first, infos = env.reset(seed=0)
    kept = copy.deepcopy((first, infos))
    for action in (4, 0, 7, 4):
        env.step(np.array([action, 4]))
    assert all(np.array_equal(first[key], kept[0][key]) for key in first)
    assert all(np.array_equal(infos[key], kept[1][key]) for key in infos)


@pytest.mark.parametrize("seed", [[3, 4], (3, 4), 3])
def test_a_vector_takes_one_seed_or_one_for_each_lane(seed):
    env = gym.make_vec(MULTI_CAT, num_envs=2)
    observation, _ = env.reset(seed=seed)
    for lane in range(2):
        single, _ = make(MULTI_CAT).reset(seed=3 + lane)
        np.testing.assert_array_equal(observation["glimpse"][lane], single["glimpse"])


def test_too_few_seeds_are_refused():
    with pytest.raises(ValueError, match="got 1 seeds; wanted one for each of 2"):
        gym.make_vec(MULTI_CAT, num_envs=2).reset(seed=[1])


@pytest.mark.parametrize("env_id", [MULTI_CAT, "GlimpseCIFAR-Hybrid-v0"])
def test_environments_run_in_processes_of_their_own(env_id):
    env = gym.make_vec(env_id, num_envs=2, vectorization_mode="async")
    try:
        observation, _ = env.reset(seed=3)
        for lane in range(2):
            single, _ = make(env_id).reset(seed=3 + lane)
            np.testing.assert_array_equal(observation["glimpse"][lane], single["glimpse"])
        for _ in range(5):
            observation, *_ = env.step(env.action_space.sample())
        assert env.observation_space.contains(observation)
    finally:
        env.close()


# ---- wrong actions ----


@pytest.mark.parametrize(
    ("env_id", "wrong", "message"),
    [
        ("GlimpseMNIST-GreedyMap-v0", np.array(99), "wanted integers from 0"),
        ("GlimpseMNIST-GreedyMap-v0", np.array(1.0), "wanted integers"),
        (MULTI_CAT, np.array([9, 0, 0]), "wanted integers from 0"),
        (MULTI_CAT, np.array([0, 0]), "wanted integers"),
        ("GlimpseMNIST-Saccade-v0", np.float32([0, np.nan]), "wanted numbers in"),
        ("GlimpseMNIST-Saccade-v0", np.float32([0, 2]), "wanted numbers in"),
    ],
)
def test_a_wrong_action_is_refused_by_every_face(env_id, wrong, message):
    parts = parts_of(env_id)
    single = gym.make(env_id, disable_env_checker=True, **parts)
    vector, vec_env = gym.make_vec(env_id, num_envs=2, **parts), GlimpseVecEnv(env_id, 2, **parts)
    batch = np.stack([wrong, wrong])
    for env, action in [(single, wrong), (vector, batch), (vec_env, batch)]:
        env.reset()
        with pytest.raises(ValueError, match=message):
            env.step(action)


def test_a_wrong_hybrid_action_is_refused_by_every_face():
    env_id = "GlimpseMNIST-Hybrid-v0"
    env = gym.make(env_id, disable_env_checker=True)
    env.reset()
    with pytest.raises(ValueError, match="got move"):
        env.step(env.action_space.sample() | {"move": np.float32([0.5, np.nan])})
    vector = gym.make_vec(env_id, num_envs=2)
    vector.reset()
    with pytest.raises(ValueError, match="wanted a dict with"):
        vector.step(np.zeros((2, 15), np.float32))
    vec_env = GlimpseVecEnv(env_id, 2)
    vec_env.reset()
    with pytest.raises(ValueError, match=r"wanted numbers in \[-1, 1\]"):
        vec_env.step(np.full((2, 15), 1.01, np.float32))


def test_a_frame_says_that_an_episode_ended_without_an_answer():
    env = gym.make("GlimpseDigits-MultiCat-v0", budget=2, render_mode="rgb_array").unwrapped
    env.reset(seed=0)

    def wrong() -> bool:
        return bool((env.render() == DARK.wrong).all(-1).any())

    go_on = np.zeros(3, int)
    assert not env.step(go_on)[2] and not wrong()
    assert env.step(go_on)[2] and env.core.ended.all() and wrong()
    env.reset()
    assert not env.core.ended.any() and not wrong()
