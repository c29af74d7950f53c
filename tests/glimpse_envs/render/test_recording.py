"""What the simulation hands to a recorder, and what its classifier reads anew or ahead."""

from typing import Any

import numpy as np
import pytest
from classifiers import NumpyClassifier

from glimpse_envs import GlimpseConfig
from glimpse_envs.config import make_config
from glimpse_envs.core import GlimpseCore, Sequences
from glimpse_envs.sb3 import GlimpseVecEnv, registered_kwargs

LANES, BUDGET = 5, 4
ANSWERING = ["GlimpseMNIST-MultiCat-v0", "GlimpseMNIST-GreedyMap-v0", "GlimpseDigits-MultiCat-v0"]
WATCHED = ["GlimpseMNIST-Saccade-v0", "GlimpseDigits-RAM-v0"]


def config(env_id: str, **parts: Any) -> GlimpseConfig:
    if env_id in WATCHED:
        parts.setdefault("classifier", NumpyClassifier())
    return make_config(**{**registered_kwargs(env_id), "budget": BUDGET, **parts})


def random_actions(core: GlimpseCore, rng: np.random.Generator, pace: np.ndarray) -> Any:
    """Look anywhere; each lane answers with a probability of its own."""
    space = core.config.action_space
    space.seed(int(rng.integers(2**31)))
    actions = np.stack([space.sample() for _ in range(core.n_lanes)])
    stop = rng.random(core.n_lanes) < pace
    if core.config.scheme.answers and actions.ndim == 1:
        return np.where(stop, 6 + actions % 10, actions % 6)
    if core.config.scheme.answers:
        actions[:, 2] = np.where(stop, np.maximum(actions[:, 2], 1), 0)
    return actions


class Diary:
    """Writes down what stepping shows of every lane, and keeps the episodes that ended."""

    def __init__(self, core: GlimpseCore) -> None:
        self.core = core
        self.running: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(core.n_lanes)]
        self.ended: list[tuple[list[tuple[np.ndarray, np.ndarray]], int]] = []

    def enter(self, observation: dict[str, np.ndarray], lanes: np.ndarray) -> None:
        for row, lane in enumerate(lanes):
            self.running[lane].append((observation["glimpse"][row], observation["gaze"][row]))

    def close(self, lanes: np.ndarray) -> None:
        for lane in lanes:
            self.ended.append((self.running[lane], int(self.core.labels[lane])))
            self.running[lane] = []


def play(core: GlimpseCore, steps: int, seed: int = 0) -> tuple[Diary, np.ndarray]:
    """Step and reset what ended; return what was seen, and how many episodes each lane ended."""
    rng, diary, ends = np.random.default_rng(seed), Diary(core), np.zeros(core.n_lanes, int)
    pace = np.linspace(0.05, 0.6, core.n_lanes)
    diary.enter(core.reset(core.lanes), core.lanes)
    for _ in range(steps):
        taken = core.n_glimpses.copy()
        observation, _, ended = core.step(random_actions(core, rng, pace))
        looked = (core.n_glimpses > taken).nonzero()[0]
        diary.enter({key: rows[looked] for key, rows in observation.items()}, looked)
        lanes = ended.nonzero()[0]
        if len(lanes):
            diary.close(lanes)
            ends[lanes] += 1
            diary.enter(core.reset(lanes), lanes)
    return diary, ends


def flatten(parts: list[Sequences]) -> list[tuple[list[tuple[np.ndarray, np.ndarray]], int]]:
    episodes = []
    for part in parts:
        for glimpses, gaze, count, label in zip(*part, strict=True):
            pairs = list(zip(glimpses[:count], gaze[:count], strict=True))
            episodes.append((pairs, int(label)))
    return episodes


def assert_same_episodes(ours: list, theirs: list) -> None:
    assert len(ours) == len(theirs)
    for (our_pairs, our_label), (their_pairs, their_label) in zip(ours, theirs, strict=True):
        assert our_label == their_label and len(our_pairs) == len(their_pairs)
        for our_pair, their_pair in zip(our_pairs, their_pairs, strict=True):
            for our_array, their_array in zip(our_pair, their_pair, strict=True):
                np.testing.assert_array_equal(our_array, their_array)


# ---- record ----


@pytest.mark.parametrize("env_id", ANSWERING + WATCHED)
def test_a_recorder_gets_every_finished_episode_as_stepping_saw_it(env_id):
    core, parts = GlimpseCore(config(env_id), LANES), []
    core.seed_all(0)
    core.record(parts.append)
    diary, ends = play(core, 60)
    assert_same_episodes(flatten(parts), diary.ended)
    assert ends.min() > 3
    if env_id in ANSWERING:
        assert len(set(ends)) > 1  # the ends are staggered
        lengths = {len(pairs) for pairs, _ in diary.ended}
        assert lengths == set(range(1, BUDGET + 1))
    else:
        assert all(len(pairs) == BUDGET for pairs, _ in diary.ended)


def test_recorded_arrays_are_of_the_promised_kind_and_are_copies():
    core, parts = GlimpseCore(config(ANSWERING[0]), LANES), []
    core.seed_all(0)
    core.record(parts.append)
    play(core, 30)
    kept = [Sequences(*(array.copy() for array in part)) for part in parts]
    play(core, 30, seed=1)
    assert 0 < len(kept) < len(parts)
    for part, copy in zip(parts, kept, strict=False):
        n = len(part.labels)
        assert part.glimpses.dtype == np.uint8 and part.glimpses.shape == (n, BUDGET, 8, 8, 1)
        assert part.gaze.dtype == np.float32 and part.gaze.shape == (n, BUDGET, 3)
        assert part.counts.dtype == part.labels.dtype == np.int64
        for ours, theirs in zip(part, copy, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("env_id", [ANSWERING[0], WATCHED[0]])
def test_episodes_under_way_when_recording_begins_are_left_out(env_id):
    core, parts = GlimpseCore(config(env_id), LANES), []
    core.seed_all(0)
    play(core, 7)
    core.record(parts.append)
    running = core.episodes.copy()
    rng, diary, whole = np.random.default_rng(2), Diary(core), np.zeros(LANES, bool)
    for _ in range(40):
        taken = core.n_glimpses.copy()
        observation, _, ended = core.step(random_actions(core, rng, np.full(LANES, 0.2)))
        looked = ((core.n_glimpses > taken) & whole).nonzero()[0]
        diary.enter({key: rows[looked] for key, rows in observation.items()}, looked)
        lanes = ended.nonzero()[0]
        if len(lanes):
            diary.close(lanes[whole[lanes]])
            diary.enter(core.reset(lanes), lanes)
            whole[lanes] = True
    assert whole.all()
    assert_same_episodes(flatten(parts), diary.ended)
    assert len(flatten(parts)) == (core.episodes - running).sum() - LANES


def test_recording_through_an_sb3_environment():
    env, parts = GlimpseVecEnv(ANSWERING[0], LANES, seed=0, budget=BUDGET), []
    env.core.record(parts.append)
    env.reset()
    rng, wanted = np.random.default_rng(0), []
    for _ in range(40):
        actions = random_actions(env.core, rng, np.full(LANES, 0.3))
        _, _, ended, infos = env.step(actions)
        wanted += [(infos[lane]["label"], infos[lane]["n_glimpses"]) for lane in ended.nonzero()[0]]
    got = [(label, len(pairs)) for pairs, label in flatten(parts)]
    assert got == wanted and len(got) > 20


def test_a_second_recorder_takes_the_place_of_the_first():
    core, first, second = GlimpseCore(config(WATCHED[0]), LANES), [], []
    core.seed_all(0)
    core.record(first.append)
    play(core, 10)
    before = len(first)
    core.record(second.append)
    play(core, 10)
    assert len(first) == before > 0 and second


def test_recording_changes_nothing_that_is_observed():
    cores = [GlimpseCore(config(ANSWERING[0]), LANES) for _ in range(2)]
    cores[1].record(lambda part: None)
    diaries = []
    for core in cores:
        core.seed_all(0)
        diaries.append(play(core, 40)[0])
    assert_same_episodes(diaries[0].ended, diaries[1].ended)


# ---- refresh ----


@pytest.mark.parametrize("env_id", [*ANSWERING, *WATCHED])
def test_refreshing_without_a_change_alters_nothing(env_id):
    settings = config(env_id, classifier=NumpyClassifier(), observe_classifier_features=True)
    core = GlimpseCore(settings, LANES)
    core.seed_all(0)
    play(core, 13)
    last = core.refresh()  # the observation of a step just taken
    before = {name: getattr(core, name).copy() for name in ("belief", "hidden", "predictions")}
    memory = core._state.copy()
    again = core.refresh()
    for key in last:
        np.testing.assert_array_equal(last[key], again[key], err_msg=key)
    for name, rows in before.items():
        np.testing.assert_array_equal(getattr(core, name), rows, err_msg=name)
    np.testing.assert_array_equal(core._state, memory)


@pytest.mark.parametrize("env_id", [*ANSWERING, *WATCHED])
def test_a_refresh_repeats_what_the_last_step_observed(env_id):
    settings = config(
        env_id, classifier=NumpyClassifier(), observe_classifier_features=True, budget=9
    )
    core = GlimpseCore(settings, LANES)
    core.seed_all(0)
    core.reset(core.lanes)
    for _ in range(5):
        step = core.step(random_actions(core, np.random.default_rng(1), np.zeros(LANES)))
    fresh = core.refresh()
    assert fresh.keys() == step.observation.keys()
    for key, rows in fresh.items():
        np.testing.assert_allclose(rows, step.observation[key], rtol=1e-6, err_msg=key)


@pytest.mark.parametrize("env_id", [*ANSWERING, *WATCHED])
def test_after_a_change_belief_and_state_are_those_of_a_fresh_replay(env_id):
    classifier = NumpyClassifier()
    core = GlimpseCore(
        config(env_id, classifier=classifier, observe_classifier_features=True), LANES
    )
    core.seed_all(0)
    diary, _ = play(core, 13)
    old = core.belief.copy()
    classifier.seed = 77  # another random projection
    observation = core.refresh()
    assert not np.allclose(observation["belief"], old)
    assert len({len(pairs) for pairs in diary.running}) > 1 or env_id in WATCHED
    for lane, pairs in enumerate(diary.running):
        state = classifier.start(1)
        for glimpse, gaze in pairs:
            state, belief, hidden = classifier.update(state, glimpse[None], gaze[None])
        np.testing.assert_allclose(observation["belief"][lane], belief[0], rtol=1e-6)
        np.testing.assert_allclose(observation["classifier_features"][lane], hidden[0], rtol=1e-6)
        if env_id in WATCHED:
            assert core.predictions[lane] == belief.argmax()


def test_a_refreshed_lane_goes_on_from_the_new_reading():
    classifier = NumpyClassifier()
    core, twin = (GlimpseCore(config(WATCHED[0], classifier=classifier), 3) for _ in range(2))
    actions = np.random.default_rng(0).uniform(-1, 1, (2, 3, 2)).astype(np.float32)
    core.seed_all(0)
    core.reset(core.lanes)
    core.step(actions[0])
    classifier.seed = 5
    core.refresh()
    ours = core.step(actions[1]).observation
    twin.seed_all(0)
    twin.reset(twin.lanes)
    twin.step(actions[0])
    theirs = twin.step(actions[1]).observation
    np.testing.assert_allclose(ours["belief"], theirs["belief"], rtol=1e-6)


def test_there_is_nothing_to_refresh_without_a_classifier():
    core = GlimpseCore(config(ANSWERING[0]), 2)
    core.seed_all(0)
    core.reset(core.lanes)
    with pytest.raises(ValueError, match="environments with a classifier"):
        core.refresh()


# ---- lookahead ----


@pytest.mark.parametrize("env_id", WATCHED)
def test_a_lookahead_is_reading_it_without_taking_it(env_id):
    core = GlimpseCore(config(env_id, budget=6), LANES)
    core.seed_all(0)
    core.reset(core.lanes)
    for _ in range(3):
        actions = np.random.default_rng(4).uniform(-1, 1, (LANES, 2)).astype(np.float32)
        move = core.config.scheme.decode(actions, core.gaze, core.geometry, 10)
        before = {name: getattr(core, name).copy() for name in ("belief", "gaze", "history")}
        looked_ahead = core.lookahead(move.gaze)
        for name, rows in before.items():
            np.testing.assert_array_equal(getattr(core, name), rows, err_msg=name)
        np.testing.assert_allclose(
            looked_ahead, core.step(actions).observation["belief"], rtol=1e-6
        )


def test_no_lookahead_without_a_classifier():
    core = GlimpseCore(config(ANSWERING[0]), 2)
    core.seed_all(0)
    core.reset(core.lanes)
    with pytest.raises(ValueError, match="environments with a classifier"):
        core.lookahead(np.full((2, 3), 0.5, np.float32))
