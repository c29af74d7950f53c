"""The glimpses and gazes so far in the observation."""

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from classifiers import NumpyClassifier
from gymnasium.utils.env_checker import check_env

from glimpse_envs import GlimpseConfig
from glimpse_envs.config import make_config
from glimpse_envs.core import GlimpseCore
from glimpse_envs.sb3 import GlimpseVecEnv, registered_kwargs
from glimpse_envs.sensors import Retina
from glimpse_envs.strategies import scripted

LANES, BUDGET = 5, 4
IDS = [
    *("GlimpseMNIST-MultiCat-v0", "GlimpseClutteredCIFAR-GreedyMap-v0"),
    *("GlimpseCIFAR-Hybrid-v0", "GlimpseMNIST-Saccade-v0", "GlimpseDigits-RAM-v0"),
]
MULTI_CAT = IDS[0]
PARTS = ("glimpses", "gazes", "taken")


def parts_of(env_id: str, **parts: Any) -> dict[str, Any]:
    if "Saccade" in env_id or "RAM" in env_id:
        parts.setdefault("classifier", NumpyClassifier())
    return {"budget": BUDGET, "observe_history": True, **parts}


def config(env_id: str, **parts: Any) -> GlimpseConfig:
    return make_config(**{**registered_kwargs(env_id), **parts_of(env_id, **parts)})


def begin(core: GlimpseCore) -> dict[str, np.ndarray]:
    core.seed_all(0)
    return core.reset(core.lanes)


def actions_of(core: GlimpseCore, rng: np.random.Generator, pace: float = 0.3) -> Any:
    """Look anywhere; each lane answers with the given probability."""
    space = core.config.action_space
    space.seed(int(rng.integers(2**31)))
    samples = [space.sample() for _ in range(core.n_lanes)]
    stop = rng.random(core.n_lanes) < pace
    if isinstance(space, gym.spaces.Dict):
        batch = {key: np.stack([sample[key] for sample in samples]) for key in space.spaces}
        return batch | {"decision": stop.astype(np.int64)}
    actions = np.stack(samples)
    if core.config.scheme.answers and actions.ndim == 1:
        return np.where(stop, 6 + actions % 10, actions % 6)
    if core.config.scheme.answers:
        actions[:, 2] = np.where(stop, np.maximum(actions[:, 2], 1), 0)
    return actions


class Diary:
    """Writes down the glimpse and the gaze of every glimpse; forgets them where a lane is reset."""

    def __init__(self, core: GlimpseCore) -> None:
        self.core, self.looks = core, [[] for _ in range(core.n_lanes)]

    def enter(self, observation: dict[str, np.ndarray], lanes: np.ndarray) -> None:
        for row, lane in enumerate(lanes):
            self.looks[lane].append((observation["glimpse"][row], observation["gaze"][row]))

    def check(self, observation: dict[str, np.ndarray], lanes: np.ndarray) -> None:
        """See that the history is what was written down, and zeros beyond."""
        assert observation["glimpses"].dtype == np.uint8
        assert observation["gazes"].dtype == observation["taken"].dtype == np.float32
        for row, lane in enumerate(lanes):
            glimpses, gazes = (np.stack(part) for part in zip(*self.looks[lane], strict=True))
            n = len(glimpses)
            np.testing.assert_array_equal(observation["glimpses"][row, :n], glimpses)
            np.testing.assert_array_equal(observation["gazes"][row, :n], gazes)
            np.testing.assert_array_equal(observation["taken"][row], np.arange(BUDGET) < n)
            assert not observation["glimpses"][row, n:].any()
            assert not observation["gazes"][row, n:].any()
            np.testing.assert_array_equal(glimpses[-1], observation["glimpse"][row])


# ---- what it holds ----


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("env_id", IDS)
def test_the_history_is_what_was_handed_out_step_by_step(env_id, recorded):
    core = GlimpseCore(config(env_id), LANES)
    if recorded:
        core.record(lambda part: None)
    rng, diary, ends = np.random.default_rng(0), Diary(core), np.zeros(LANES, int)
    observation = begin(core)
    diary.enter(observation, core.lanes)
    diary.check(observation, core.lanes)
    for _ in range(40):
        before = core.n_glimpses.copy()
        observation, _, ended = core.step(actions_of(core, rng))
        looked = (core.n_glimpses > before).nonzero()[0]
        diary.enter({key: rows[looked] for key, rows in observation.items()}, looked)
        diary.check(observation, core.lanes)  # of lanes that ended, the whole episode
        lanes = ended.nonzero()[0]
        if len(lanes):
            first = core.reset(lanes)
            for lane in lanes:
                diary.looks[lane].clear()
            diary.enter(first, lanes)
            diary.check(first, lanes)
        ends += ended
    assert ends.min() > 3
    assert len(set(ends)) > 1 or "classifier" in parts_of(env_id)


@pytest.mark.parametrize("env_id", IDS)
def test_the_history_lies_in_its_space(env_id):
    env = gym.make(env_id, **parts_of(env_id))
    space, glimpse = env.observation_space, env.observation_space["glimpse"]
    assert space["glimpses"] == gym.spaces.Box(0, 255, (BUDGET, *glimpse.shape), np.uint8)
    assert space["gazes"] == gym.spaces.Box(0, 1, (BUDGET, 3), np.float32)
    assert space["taken"] == gym.spaces.Box(0, 1, (BUDGET,), np.float32)
    check_env(env.unwrapped, skip_render_check=True)


def test_a_padded_retina_has_a_history_too():
    sensor = Retina(4, 2)
    core = GlimpseCore(config(IDS[4], sensor=sensor), 2)
    observation = begin(core)
    assert observation["glimpses"].shape == (2, BUDGET, *sensor.glimpse_shape(1))


def test_without_it_nothing_is_observed_or_kept():
    core = GlimpseCore(config(MULTI_CAT, observe_history=False), 2)
    assert not begin(core).keys() & set(PARTS)
    assert not core.config.observation_space.spaces.keys() & set(PARTS)
    assert core._seen is None
    core.record(lambda part: None)
    assert core._seen is not None
    core.record(None)
    assert core._seen is None


def test_what_else_is_observed_is_the_same_with_and_without_it():
    settings = [config(MULTI_CAT, observe_history=asked) for asked in (True, False)]
    ours, theirs = (GlimpseCore(parts, LANES) for parts in settings)
    pairs, rng = [(begin(ours), begin(theirs))], np.random.default_rng(0)
    for _ in range(20):
        actions = actions_of(ours, rng)
        steps = ours.step(actions), theirs.step(actions)
        np.testing.assert_array_equal(steps[0].ended, steps[1].ended)
        pairs.append((steps[0].observation, steps[1].observation))
        lanes = steps[0].ended.nonzero()[0]
        pairs.append((ours.reset(lanes), theirs.reset(lanes)))
    for with_it, without in pairs:
        assert with_it.keys() - without.keys() == set(PARTS)
        for key, rows in without.items():
            np.testing.assert_array_equal(with_it[key], rows)


# ---- resets and copies ----


@pytest.mark.parametrize("env_id", IDS)
def test_a_reset_clears_the_history(env_id):
    core = GlimpseCore(config(env_id), 3)
    begin(core)
    for _ in range(BUDGET - 1):
        full = core.step(actions_of(core, np.random.default_rng(1), pace=0.0)).observation
    assert full["taken"].all() and full["glimpses"].any(axis=(2, 3, 4)).any(1).all()
    fresh = core.reset(np.array([2, 0]))
    np.testing.assert_array_equal(fresh["taken"], [[1, 0, 0, 0]] * 2)
    assert not fresh["glimpses"][:, 1:].any() and not fresh["gazes"][:, 1:].any()
    kept = core.observation()
    for key in PARTS:
        np.testing.assert_array_equal(kept[key][1], full[key][1])
        np.testing.assert_array_equal(kept[key][[2, 0]], fresh[key])


def test_what_was_handed_out_is_not_written_again():
    core, rng = GlimpseCore(config(MULTI_CAT), LANES), np.random.default_rng(0)
    given = [begin(core)]
    kept = [{key: given[0][key].copy() for key in PARTS}]
    for _ in range(20):
        observation, _, ended = core.step(actions_of(core, rng))
        for rows in (observation, core.reset(ended.nonzero()[0])):
            given.append(rows)
            kept.append({key: rows[key].copy() for key in PARTS})
    for ours, theirs in zip(given, kept, strict=True):
        for key in PARTS:
            np.testing.assert_array_equal(ours[key], theirs[key])


@pytest.mark.parametrize("env_id", [MULTI_CAT, IDS[3]])
def test_the_terminal_observation_holds_the_whole_history(env_id):
    env, rng = GlimpseVecEnv(env_id, LANES, seed=0, **parts_of(env_id)), np.random.default_rng(0)
    diary, n_ends = Diary(env.core), 0
    observation = env.reset()
    diary.enter(observation, env.core.lanes)
    for _ in range(30):
        before, actions = env.core.n_glimpses.copy(), actions_of(env.core, rng)
        observation, _, ended, infos = env.step(actions)
        for lane in range(LANES):
            last = infos[lane].get("terminal_observation")
            assert (last is not None) == ended[lane]
            rows = {key: part[lane] for key, part in observation.items()} if last is None else last
            batch = {key: part[None] for key, part in rows.items()}
            n = infos[lane]["n_glimpses"] if ended[lane] else env.core.n_glimpses[lane]
            if n > before[lane]:
                diary.enter(batch, [lane])
            diary.check(batch, [lane])
            if ended[lane]:
                n_ends += 1
                diary.looks[lane].clear()
                first = {key: part[[lane]] for key, part in observation.items()}
                diary.enter(first, [lane])
                diary.check(first, [lane])
    assert n_ends > 2 * LANES


@pytest.mark.parametrize("env_id", [MULTI_CAT, IDS[1]])
def test_a_recorder_still_gets_the_episodes_that_ended(env_id):
    parts, plain = [], []
    cores = [GlimpseCore(config(env_id, observe_history=asked), LANES) for asked in (True, False)]
    for core, recorded in zip(cores, (parts, plain), strict=True):
        rng = np.random.default_rng(0)
        begin(core)
        core.step(actions_of(core, rng))  # under way when the recording begins
        core.record(recorded.append)
        core.reset(core.lanes)
        for _ in range(30):
            ended = core.step(actions_of(core, rng)).ended
            core.reset(ended.nonzero()[0])
    assert len(parts) == len(plain) > 5
    for ours, theirs in zip(parts, plain, strict=True):
        np.testing.assert_array_equal(ours.counts, theirs.counts)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        for row, count in enumerate(ours.counts):
            np.testing.assert_array_equal(ours.glimpses[row, :count], theirs.glimpses[row, :count])
            np.testing.assert_array_equal(ours.gaze[row, :count], theirs.gaze[row, :count])
            assert not ours.glimpses[row, count:].any()


def test_a_recorder_that_comes_and_goes_leaves_the_history_alone():
    core, rng = GlimpseCore(config(MULTI_CAT), LANES), np.random.default_rng(0)
    begin(core)
    before = core.step(actions_of(core, rng, pace=0.0)).observation
    core.record(lambda part: None)
    core.record(None)
    after = core.step(actions_of(core, rng, pace=0.0)).observation
    for key in ("glimpses", "gazes"):
        np.testing.assert_array_equal(after[key][:, :2], before[key][:, :2])
    assert (after["taken"].sum(1) == 3).all()


# ---- with the rest ----


@pytest.mark.parametrize("env_id", [MULTI_CAT, *IDS[3:]])
def test_a_refresh_keeps_the_history(env_id):
    classifier = NumpyClassifier()
    settings = config(env_id, classifier=classifier, observe_classifier_features=True)
    core, rng = GlimpseCore(settings, LANES), np.random.default_rng(0)
    begin(core)
    step = core.step(actions_of(core, rng, pace=0.0))
    again = core.refresh()
    assert again.keys() == step.observation.keys()
    for key, rows in again.items():
        np.testing.assert_allclose(rows, step.observation[key], rtol=1e-6, err_msg=key)
    classifier.seed = 5
    changed = core.refresh()
    assert not np.allclose(changed["belief"], again["belief"])
    for key in PARTS:
        np.testing.assert_array_equal(changed[key], step.observation[key])


def test_a_pickled_environment_goes_on_alike():
    env, rng = GlimpseVecEnv(MULTI_CAT, 3, seed=0, **parts_of(MULTI_CAT)), np.random.default_rng(0)
    env.reset()
    env.step(actions_of(env.core, rng, pace=0.0))
    twin = pickle.loads(pickle.dumps(env))
    for _ in range(6):
        actions = actions_of(env.core, rng)
        ours, theirs = env.step(actions)[0], twin.step(actions)[0]
        assert all(np.array_equal(ours[key], theirs[key]) for key in ours)


def test_scripted_gaze_needs_no_history():
    assert not scripted(config(MULTI_CAT)).observe_history
