"""The rules of an episode, and what it depends on."""

import gymnasium as gym
import numpy as np
import pytest
from classifiers import NumpyClassifier
from gymnasium.error import ResetNeeded

from glimpse_envs import GlimpseConfig, ImageDataset
from glimpse_envs.config import make_config
from glimpse_envs.core import GlimpseCore
from glimpse_envs.rewards import InformationGain, NegativeCrossEntropy
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_envs.sensors import Retina

MULTI_CAT = "GlimpseMNIST-MultiCat-v0"
SACCADE = "GlimpseMNIST-Saccade-v0"
CLOSER = np.array([5, 2, 0])  # zooms in, to the upper left
STEP_KEYS = {"label", "prediction"}
END_KEYS = STEP_KEYS | {"samples", "n_glimpses", "coverage", "is_success"}


def make(env_id: str = MULTI_CAT, **parts) -> gym.Env:
    return gym.make(env_id, **parts).unwrapped


def answer(k: int) -> np.ndarray:
    return np.array([0, 1, k + 1])


def same(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> bool:
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[k], theirs[k]) for k in ours)


# ---- an agent that answers ----


def test_the_glimpse_of_the_reset_counts():
    env = make(budget=4)
    observation, _ = env.reset(seed=0)
    assert env.core.n_glimpses[0] == 1
    assert observation["remaining"] == 0.75


@pytest.mark.parametrize("right", [True, False])
def test_an_answer_ends_the_episode_and_takes_no_glimpse(right):
    env = make(budget=4)
    _, info = env.reset(seed=0)
    before, *_ = env.step(CLOSER)
    k = info["label"] if right else (info["label"] + 1) % 10
    after, reward, terminated, truncated, info = env.step(answer(k))
    assert same(before, after)
    assert (reward, terminated, truncated) == (float(right), True, False)
    assert info["prediction"] == k and info["is_success"] is right
    assert info["n_glimpses"] == 2 and info["samples"] == 2 * 64


def test_the_move_of_an_answering_step_does_not_count():
    env = make()
    env.reset(seed=0)
    before, *_ = env.step(CLOSER)
    after, *_ = env.step(np.array([1, 0, 1]))  # left, out, and answer class 0
    assert same(before, after)


def test_after_the_last_glimpse_one_step_is_left_to_answer():
    env = make(budget=3)
    _, info = env.reset(seed=0)
    for remaining in (1 / 3, 0):
        observation, _, terminated, _, _ = env.step(CLOSER)
        assert not terminated and observation["remaining"] == np.float32(remaining)
    _, reward, terminated, truncated, info = env.step(answer(info["label"]))
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert info["n_glimpses"] == 3 and info["samples"] == 3 * 64


def test_going_on_after_the_last_glimpse_ends_as_wrong():
    env = make(budget=3)
    env.reset(seed=0)
    env.step(CLOSER)
    before, *_ = env.step(CLOSER)
    after, reward, terminated, truncated, info = env.step(np.array([2, 0, 0]))
    assert same(before, after)
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert info["prediction"] == -1 and info["is_success"] is False
    assert info["n_glimpses"] == 3


def test_a_budget_of_one_is_a_glance_and_an_answer():
    env = make(budget=1)
    observation, info = env.reset(seed=0)
    assert observation["remaining"] == 0
    _, reward, terminated, _, info = env.step(answer(info["label"]))
    assert reward == 1 and terminated and info["n_glimpses"] == 1


def test_an_agents_prediction_is_none_until_it_answers():
    env = make(classifier=NumpyClassifier())
    _, info = env.reset(seed=0)
    assert info["prediction"] == -1
    for _ in range(3):
        *_, info = env.step(CLOSER)
        assert info["prediction"] == -1


# ---- a classifier that answers ----


def test_a_classifier_answers_at_the_step_of_the_last_glimpse():
    env = make(SACCADE, classifier=NumpyClassifier(), budget=4)
    env.reset(seed=0)
    for left in (2, 1, 0):
        observation, reward, terminated, truncated, info = env.step(np.zeros(2, np.float32))
        assert observation["remaining"] == left / 4
        assert (terminated, truncated) == (left == 0, False)
        assert info["prediction"] == observation["belief"].argmax()
    assert info["n_glimpses"] == 4 and info["samples"] == 4 * 81
    assert reward == (info["prediction"] == info["label"]) == info["is_success"]


def test_a_classifier_predicts_from_the_reset_on():
    observation, info = make(SACCADE, classifier=NumpyClassifier()).reset(seed=0)
    assert info["prediction"] == observation["belief"].argmax()


def test_a_classifier_sees_each_glimpse_once():
    classifier = NumpyClassifier()
    vec_env = GlimpseVecEnv(MULTI_CAT, 4, seed=0, classifier=classifier)
    classifier.calls.clear()  # one glimpse was read to see that the classifier fits
    vec_env.reset()
    actions = np.stack([CLOSER, CLOSER, answer(0), answer(1)])
    vec_env.step(actions)
    assert classifier.calls == [4, 2, 2]  # the resets, those who looked, the next episodes


def test_an_answer_leaves_the_belief_alone():
    env = make(classifier=NumpyClassifier(), observe_classifier_features=True)
    env.reset(seed=0)
    before, *_ = env.step(CLOSER)
    after, *_ = env.step(answer(0))
    assert same(before, after)


@pytest.mark.parametrize("size", [1, 5])
def test_the_hidden_state_is_observed_where_asked(size):
    classifier = NumpyClassifier(hidden_size=size)
    assert "classifier_features" not in make(classifier=classifier).observation_space.spaces
    env = make(classifier=classifier, observe_classifier_features=True)
    observation, _ = env.reset(seed=0)
    assert (
        observation["classifier_features"].shape == (size,)
        and observation["classifier_features"].any()
    )
    assert env.observation_space["belief"].shape == (10,)
    assert env.observation_space.contains(observation)


def test_the_belief_starts_anew_with_every_episode():
    env = make(classifier=NumpyClassifier())
    fresh, _ = env.reset(options={"index": 3})
    for _ in range(3):
        env.step(CLOSER)
    again, _ = env.reset(options={"index": 3})
    assert same(fresh, again)


def test_the_map_starts_anew_with_every_episode():
    env = make("GlimpseMNIST-GreedyMap-v0")
    fresh, _ = env.reset(options={"index": 3})
    for _ in range(3):
        closer, *_ = env.step(4)
    assert closer["map"].max() > fresh["map"].max()
    again, _ = env.reset(options={"index": 3})
    assert same(fresh, again)


def test_rewards_see_the_beliefs_before_and_after():
    env = make(SACCADE, classifier=NumpyClassifier(), reward=InformationGain(clip=100.0))
    first, info = env.reset(seed=0)
    second, reward, *_ = env.step(np.float32([0.5, 0.5]))
    k = info["label"]
    gain = np.log(second["belief"][k]) - np.log(first["belief"][k])
    assert reward == pytest.approx(gain, abs=1e-6) and reward != 0


# ---- observations and infos ----


@pytest.mark.parametrize("env_id", [MULTI_CAT, SACCADE])
def test_infos_hold_these_keys_and_no_others(env_id):
    parts = {"classifier": NumpyClassifier()} if env_id == SACCADE else {}
    env = make(env_id, budget=3, **parts)
    _, info = env.reset(seed=0)
    env.action_space.seed(0)
    assert info.keys() == STEP_KEYS
    terminated = False
    while not terminated:
        *_, terminated, _, info = env.step(env.action_space.sample())
        assert info.keys() == (END_KEYS if terminated else STEP_KEYS)
    kinds = {key: type(value) for key, value in info.items()}
    assert kinds == dict.fromkeys(END_KEYS, int) | {"coverage": float, "is_success": bool}


def test_the_label_is_never_in_the_observation():
    keys = make("GlimpseMNIST-GreedyMap-v0").observation_space.spaces.keys()
    assert keys == {"glimpse", "gaze", "remaining", "map"}
    both = make(
        classifier=NumpyClassifier(), observe_classifier_features=True
    ).observation_space.spaces.keys()
    assert both == {"glimpse", "gaze", "remaining", "belief", "classifier_features"}


def test_two_images_that_look_the_same_are_observed_the_same():
    images, labels = np.full((40, 28, 28, 1), 7, np.uint8), np.arange(40) % 2
    data = ImageDataset.from_arrays(images, labels, images, labels)
    env = make("GlimpseMNIST-GreedyMap-v0", dataset=data, split="test")
    (zero, info_0), (one, info_1) = (env.reset(options={"index": i}) for i in (0, 1))
    assert info_0["label"] != info_1["label"]
    assert same(zero, one)


def test_coverage_is_of_the_union_of_the_windows():
    env = make("GlimpseCIFAR-MultiCat-v0", start="centre")
    env.reset(seed=0)
    env.step(np.array([2, 1, 0]))  # right by half a window of 8
    *_, info = env.step(answer(0))
    stride = env.config.scheme.stride
    assert info["coverage"] == pytest.approx((64 + 64 * min(stride, 1)) / 1024)


def test_a_retina_counts_all_its_scales():
    env = make(sensor=Retina(4, 2), start="centre")
    env.reset(seed=0)
    *_, info = env.step(answer(0))
    assert info["samples"] == 2 * 16
    assert info["coverage"] == pytest.approx(64 / 28**2)


# ---- starts ----


def test_an_overview_starts_with_the_whole_image():
    observation, _ = make(start="overview").reset(seed=0)
    np.testing.assert_array_equal(observation["gaze"], np.float32([0.5, 0.5, 0.0]))


def test_the_centre_starts_in_the_middle_at_the_finest():
    observation, _ = make(start="centre").reset(seed=0)
    np.testing.assert_array_equal(observation["gaze"], np.float32([0.5, 0.5, 1.0]))


def test_a_random_start_is_anywhere_at_the_finest():
    env = make("GlimpseCIFAR-MultiCat-v0", start="random")
    gazes = np.array([env.reset(seed=seed)[0]["gaze"] for seed in range(300)])
    assert (gazes[:, 2] == 1).all()
    x, y = gazes[:, 0], gazes[:, 1]
    assert (x.min(), y.min()) == (0.125, 0.125) and (x.max(), y.max()) == (0.875, 0.875)
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.2 and len(np.unique(x)) > 150


@pytest.mark.parametrize("scheme", ["GreedyMap", "MultiCat", "Hybrid", "Saccade", "RAM"])
def test_registered_schemes_start_as_promised(scheme):
    parts = {"classifier": NumpyClassifier()} if scheme in ("Saccade", "RAM") else {}
    config = make(f"GlimpseCIFAR-{scheme}-v0", **parts).config
    assert config.start == {"Saccade": "centre", "RAM": "random"}.get(scheme, "overview")


# ---- what an episode depends on ----


def episodes(vec_env: GlimpseVecEnv, lane: int, n_steps: int = 30) -> list[dict[str, np.ndarray]]:
    """The observations of one lane, all lanes acting alike."""
    observations = [vec_env.reset()]
    for t in range(n_steps):
        action = answer(0) if t % 7 == 6 else np.array([t % 9, (5 * t) % 3, 0])
        observations.append(vec_env.step(np.tile(action, (vec_env.num_envs, 1)))[0])
    return [{key: rows[lane] for key, rows in o.items()} for o in observations]


@pytest.mark.parametrize("data", ["MNIST", "ClutteredMNIST"])
def test_a_lanes_episodes_depend_on_its_seed_alone(data):
    env_id = f"Glimpse{data}-MultiCat-v0"
    alone = episodes(GlimpseVecEnv(env_id, 1, seed=12), 0)
    beside = episodes(GlimpseVecEnv(env_id, 5, seed=10), 2)
    assert all(same(a, b) for a, b in zip(alone, beside, strict=True))


def test_the_episodes_of_a_seed_repeat_and_another_seed_differs():
    first, again, other = (episodes(GlimpseVecEnv(MULTI_CAT, 2, seed=s), 0) for s in (3, 3, 4))
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not same(first[0], other[0])


def test_seeding_again_starts_the_stream_anew_and_no_seed_goes_on():
    env = make()
    first = [env.reset(seed=5)[0], env.reset()[0]]
    again = [env.reset(seed=5)[0], env.reset()[0]]
    assert same(first[0], again[0]) and same(first[1], again[1])
    assert not same(first[0], first[1])


def test_without_a_seed_environments_differ():
    ours, theirs = make(), make()
    labels = [[env.reset()[1]["label"] for _ in range(20)] for env in (ours, theirs)]
    assert labels[0] != labels[1]


def test_every_image_is_shown_about_equally_often():
    core = GlimpseCore(make_config(dataset="mnist"), 900)
    core.seed_all(0)
    counts = np.zeros(270)
    for _ in range(30):
        core.reset(core.lanes)
        counts += np.bincount(core.index, minlength=270)
    expected = 900 * 30 / 270
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert 180 < chi_square < 350  # 269 degrees of freedom: beyond 3 standard deviations


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_index_chooses_the_image(split):
    env = make(split=split)
    for index in (0, 5, len(env.config.shown_split) - 1):
        _, info = env.reset(options={"index": index})
        assert env.core.index[0] == index
        assert info["label"] == env.config.shown_split.labels[index]


def test_indices_choose_the_image_of_every_lane():
    env = gym.make_vec(MULTI_CAT, num_envs=3, split="test")
    _, infos = env.reset(options={"index": [4, 2, 11]})
    np.testing.assert_array_equal(infos["label"], env.config.shown_split.labels[[4, 2, 11]])


@pytest.mark.parametrize("index", [-1, 60, 1.5, [1, 2], "0", True])
def test_an_index_that_is_none_is_refused(index):
    with pytest.raises(ValueError, match="got option index"):
        make(split="test").reset(options={"index": index})


# ---- errors ----


def test_a_step_before_the_first_reset_is_refused():
    faces = [make(), gym.make_vec(MULTI_CAT, num_envs=1), GlimpseVecEnv(MULTI_CAT, 1)]
    for env, action in zip(faces, [answer(0), answer(0)[None], answer(0)[None]], strict=True):
        with pytest.raises(ResetNeeded, match=r"call reset\(\)"):
            env.step(action)


def test_a_step_after_the_end_is_refused_until_the_reset():
    env = make()
    env.reset(seed=0)
    env.step(answer(0))
    with pytest.raises(ResetNeeded, match=r"call reset\(\)"):
        env.step(answer(0))
    env.reset()
    env.step(answer(0))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"budget": 0}, r"budget=0; wanted at least 1 glimpses for MultiCategorical"),
        ({"budget": 2.5}, r"budget=2.5; wanted an integer"),
        ({"budget": True}, r"budget=True; wanted an integer"),
        ({"start": "center"}, r"start='center'; did you mean 'centre'"),
        ({"split": "tets"}, r"got split 'tets'; did you mean 'test'"),
        ({"sensr": "Crop"}, r"no argument 'sensr'; did you mean 'sensor'"),
        ({"sensor": {"type": "Crop", "size": 40}}, r"40 x 40 pixels does not fit .* 28 x 28"),
        (
            {"observe_classifier_features": True},
            r"observe_classifier_features=True needs a classifier.*attach one",
        ),
        ({"reward": NegativeCrossEntropy()}, r"reward NegativeCrossEntropy needs a classifier"),
        ({"scheme": "Saccade"}, r'scheme Saccade needs a classifier.*"gru"'),
        ({"classifier": 3}, r"got classifier 3; attach one"),
        ({"classifier": NumpyClassifier(7)}, r"knows 7 classes, data set 'mnist' has 10"),
        (
            {"classifier": NumpyClassifier(hidden_size=0), "observe_classifier_features": True},
            r"the classifier's hidden_size is 0",
        ),
        ({"classifier": NumpyClassifier(), "scheme": "Saccade", "budget": 1}, r"at least 2"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        make_config(**({"dataset": "mnist"} | parts))


@pytest.mark.parametrize("n", [0, -1, 1.5, True, 10**9])
def test_a_number_of_lanes_below_one_is_refused(n):
    with pytest.raises(ValueError, match=r"lanes; wanted an integer from 1"):
        GlimpseCore(GlimpseConfig(), n)
