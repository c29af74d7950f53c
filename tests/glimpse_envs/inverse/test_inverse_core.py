"""The batched simulation of inverse action modelling: episodes, rewards, scores, planning."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from glimpse_envs import ImageDataset
from glimpse_envs.inverse import InverseCore, make_config
from glimpse_envs.inverse.actions import ANGLE, ATTRIBUTES
from glimpse_envs.registration import INVERSE

IDS = list(INVERSE)
DIGITS = INVERSE["GlimpseInverseDigits-v0"]


def core_of(parts: dict[str, Any], n_lanes: int = 16, seed: int | None = 0, **more: Any):
    core = InverseCore(make_config(**{**parts, **more}), n_lanes)
    core.seed_all(seed)
    return core


def begun(parts: dict[str, Any], n_lanes: int = 16, **more: Any) -> InverseCore:
    core = core_of(parts, n_lanes, **more)
    core.reset(core.lanes)
    return core


def truth(core: InverseCore, factor: float = 1.0) -> dict[str, np.ndarray]:
    return {"type": core.true_types, "parameters": factor * core.true_parameters}


def random_candidates(core: InverseCore, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    types = rng.integers(len(core.config.actions), size=(core.n_lanes, n))
    return types, rng.uniform(-1, 1, types.shape).astype(np.float32)


def as_actions(core: InverseCore, types: np.ndarray, parameters: np.ndarray) -> dict[str, Any]:
    """Actions of one candidate a lane; what belongs to other types is noise."""
    shape = (core.n_lanes, len(core.config.actions))
    entries = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
    entries[core.lanes, types] = parameters
    return {"type": types, "parameters": entries}


@pytest.mark.parametrize("env_id", IDS)
def test_the_exact_action_earns_1_and_gives_the_target(env_id):
    core = begun(INVERSE[env_id])
    first = core.before.copy()
    assert (first != core.after).any((1, 2, 3)).all()
    observation, reward, ended = core.step(truth(core))
    np.testing.assert_allclose(reward, 1.0, atol=1e-5)
    assert ended.all() and (core.similarity >= 1.0 - 1e-5).all()
    np.testing.assert_array_equal(observation["before"], observation["after"])
    np.testing.assert_array_equal(core.first, first)


@pytest.mark.parametrize("env_id", IDS)
def test_doing_nothing_earns_0_and_the_opposite_less(env_id):
    core = begun(INVERSE[env_id])
    before = core.before.copy()
    np.testing.assert_allclose(core.step(truth(core, 0.0)).reward, 0.0, atol=1e-5)
    np.testing.assert_array_equal(core.before, before)
    core.reset(core.lanes)
    opposite = core.step(truth(core, -1.0)).reward
    assert np.median(opposite) < -0.2 and opposite.min() >= -1.0 and opposite.max() < 0.3


@pytest.mark.parametrize("env_id", IDS)
def test_a_score_is_what_a_step_earns(env_id):
    core = begun(INVERSE[env_id])
    types, parameters = random_candidates(core, 5)
    scores = core.score(types, parameters)
    assert scores.shape == (16, 5) and scores.dtype == np.float32
    assert (scores.min() < -0.1) and (np.abs(scores) <= 1.0).all()
    for i in range(5):
        again = begun(INVERSE[env_id])
        reward = again.step(as_actions(again, types[:, i], parameters[:, i])).reward
        np.testing.assert_allclose(scores[:, i], reward, atol=1e-5)


@pytest.mark.parametrize("env_id", IDS)
def test_scoring_changes_nothing(env_id):
    scored, untouched = begun(INVERSE[env_id]), begun(INVERSE[env_id])
    scored.score(*random_candidates(scored, 3))
    scored.score(*random_candidates(scored, 3), reverse=True)
    np.testing.assert_array_equal(scored.before, untouched.before)
    for ours, theirs in zip(scored.step(truth(scored)), untouched.step(truth(scored)), strict=True):
        np.testing.assert_equal(ours, theirs)


@pytest.mark.parametrize("env_id", IDS)
def test_the_way_back_is_the_inverse_action(env_id):
    core = begun(INVERSE[env_id])
    true = core.true_parameters[core.lanes, core.true_types]
    types, parameters = core.config.actions.inverse(core.true_types, true)
    back = core.score(types[:, None], parameters[:, None], reverse=True)[:, 0]
    np.testing.assert_allclose(back, 1.0, atol=1e-5)
    there = core.score(types[:, None], parameters[:, None])[:, 0]
    assert np.median(there) < -0.2 and there.max() < 0.3


def test_candidates_are_scored_in_parts_as_at_once(monkeypatch):
    core = begun(DIGITS)
    candidates = random_candidates(core, 7)
    whole = core.score(*candidates)
    monkeypatch.setattr("glimpse_envs.inverse.core._PIXELS_AT_ONCE", 48 * 48 * 5)
    np.testing.assert_allclose(core.score(*candidates), whole, atol=1e-5)


@pytest.mark.parametrize("env_id", IDS)
def test_the_best_reward_names_the_type(env_id):
    core = begun(INVERSE[env_id], 12)
    n_types, grid = len(core.config.actions), np.linspace(-1, 1, 41, dtype=np.float32)
    types = np.tile(np.arange(n_types).repeat(41), (12, 1))
    scores = core.score(types, np.tile(np.tile(grid, n_types), (12, 1)))
    best = types[core.lanes, scores.argmax(1)]
    assert (best == core.true_types).mean() > 0.9


# ---- what is shown ----


@pytest.mark.parametrize("env_id", IDS)
def test_states_before_and_after_lie_in_the_ranges(env_id):
    core = begun(INVERSE[env_id], 500)
    low, high = core.config.ranges
    for states in (core.state, core.target):
        inside = (states >= low - 1e-9) & (states <= high + 1e-9)
        inside[:, ANGLE] |= high[ANGLE] - low[ANGLE] >= 360.0
        assert inside.all(0).all(), dict(zip(ATTRIBUTES, inside.all(0), strict=True))
    changed = (core.state != core.target).sum(1)
    assert (changed == 1).all()


@pytest.mark.parametrize("env_id", IDS)
def test_every_type_is_shown_from_its_smallest_to_its_largest(env_id):
    core = begun(INVERSE[env_id], 500)
    table = core.config.actions
    for kind in range(len(table)):
        values = core.true_parameters[core.true_types == kind, kind]
        assert 0.6 < len(values) * len(table) / 500 < 1.4
        sizes = np.abs(table.in_units(np.full(len(values), kind), values))
        assert sizes.min() >= table.smallest[kind] * (1 - 1e-6)
        assert sizes.min() < table.smallest[kind] + 0.1 * table.largest[kind]
        assert 0.9 * table.largest[kind] < sizes.max() <= table.largest[kind]
        assert (values > 0).any() and (values < 0).any()


def test_a_move_in_the_observation_is_the_one_that_is_told():
    core = begun(DIGITS, 100, actions=["MoveX", "MoveY"], scene={"type": "Objects", "side": 64})
    images = [rows[..., 0].astype(float) for rows in (core.before, core.after)]
    moved = []
    for axis in (1, 2):  # sums over the other axis, and their centres of mass
        sums = [image.sum(axis) for image in images]
        centres = [(rows * np.arange(64)).sum(1) / rows.sum(1) for rows in sums]
        moved.append(centres[1] - centres[0])
    # what a move takes beyond the edge is not seen, so turned corners may spoil a few
    error = np.abs(np.stack(moved, 1) - 16.0 * core.true_parameters).max(1)
    assert np.median(error) < 0.1 and np.quantile(error, 0.9) < 0.5


@pytest.mark.parametrize(("size", "side"), [(10, 48), (16, 48), (28, 56), (40, 80)])
def test_a_canvas_has_room_for_the_moves(size, side):
    images, labels = np.full((20, size, size, 3), 200, np.uint8), np.arange(20) % 2
    config = make_config(dataset=ImageDataset.from_arrays(images, labels, images, labels))
    assert config.shape == (side, side, 3)


@pytest.mark.parametrize("env_id", IDS)
def test_validation_shows_the_same_whatever_the_seed(env_id):
    index = np.arange(6)
    cores = [core_of(INVERSE[env_id], 6, seed=seed, split="validation") for seed in (0, 1)]
    first, second = (core.reset(core.lanes, index) for core in cores)
    other = core_of(INVERSE[env_id], 6, split="validation", scene_seed=1)
    third = other.reset(other.lanes, index)
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])
        assert (first[key] != third[key]).any((1, 2, 3)).all()
    np.testing.assert_array_equal(cores[0].true_parameters, cores[1].true_parameters)


def test_train_shows_an_image_in_new_ways():
    core = core_of(DIGITS, 2)
    index = np.array([3, 3])
    first = core.reset(core.lanes, index)["before"]
    second = core.reset(core.lanes, index)["before"]
    assert (first[0] != first[1]).any() and (first != second).any()


def test_pieces_of_others_lie_behind_and_stay():
    scene = {"type": "Objects", "side": 48, "pieces": 6, "piece": 6}
    core = begun(DIGITS, 8, scene=scene)
    plain = begun(DIGITS, 8)
    np.testing.assert_array_equal(core.state, plain.state)
    more = core.before.astype(int) - plain.before
    assert (more >= 0).all() and (more > 0).any((1, 2, 3)).all()
    pasted = begun(DIGITS, 8, scene=scene | {"blend": "paste"})
    assert (pasted.before != core.before).any()
    np.testing.assert_allclose(pasted.step(truth(pasted)).reward, 1.0, atol=1e-5)


def test_an_image_in_which_nothing_is_seen_earns_0():
    black = np.zeros((20, 16, 16, 1), np.uint8)
    labels = np.arange(20) % 2
    data = ImageDataset.from_arrays(black, labels, black, labels)
    core = begun(DIGITS, 4, dataset=data)
    assert (core.step(truth(core)).reward == 0.0).all()


# ---- planning ----


def test_several_steps_bring_the_canvas_to_the_target():
    core = begun(DIGITS, max_steps=4, changes=2)
    assert ((core.true_parameters != 0.0).sum(1) == 2).all()
    total, open_lanes = np.zeros(16), np.ones(16, bool)
    for _ in range(4):
        remaining = core.remaining()
        types = np.abs(remaining).argmax(1)
        parameters = np.clip(remaining, -1, 1).astype(np.float32)
        _, reward, ended = core.step({"type": types, "parameters": parameters})
        total[open_lanes] += reward[open_lanes]
        open_lanes &= ~ended
    assert not open_lanes.any() and (core.similarity > 0.95).all()
    np.testing.assert_allclose(total, 1.0, atol=0.05)
    assert np.abs(core.remaining()).max() < 1e-5


def test_rewards_of_several_steps_add_up_to_the_similarity():
    core = begun(DIGITS, max_steps=3, success=1.0)
    total = np.zeros(16)
    for i in range(3):
        types, parameters = random_candidates(core, 1, seed=i)
        scores = core.score(types, parameters)[:, 0]
        _, reward, ended = core.step(as_actions(core, types[:, 0], parameters[:, 0]))
        np.testing.assert_allclose(scores, reward, atol=1e-5)
        assert ended.all() == (i == 2)
        total += reward
    np.testing.assert_allclose(total, core.similarity, atol=1e-5)
    assert core.summary(core.lanes) == {"n_steps": [3] * 16, "is_success": [False] * 16}


def test_walls_hold_what_would_leave():
    core = begun(DIGITS, max_steps=100, success=1.0)
    right = {"type": np.zeros(16, int), "parameters": np.ones((16, 5), np.float32)}
    for _ in range(20):
        core.step(right)
    assert (core.state[:, 0] == core.config.walls[1][0]).all()


def test_the_cursor_stops_at_the_edge_of_the_screen():
    core = begun(INVERSE["GlimpseInverseGUI-v0"], 4, max_steps=9, success=1.0)
    for _ in range(3):
        core.step({"type": np.full(4, 5), "parameters": np.ones((4, 6), np.float32)})
    rows = (core.before == 255).all(3).any(2)
    assert rows[:, -3].all()  # white above its dark rim


# ---- wrong values ----


@pytest.mark.parametrize(
    ("kind", "parameter", "message"),
    [
        (5, 0.0, "wanted integers from 0 to below 5"),
        (-1, 0.0, "wanted integers from 0 to below 5"),
        (0.5, 0.0, "wanted integers"),
        (0, np.nan, r"wanted numbers in \[-1, 1\]"),
        (0, 1.01, r"wanted numbers in \[-1, 1\]"),
        (0, "a", "wanted numbers"),
    ],
)
def test_wrong_actions_are_refused(kind, parameter, message):
    core = begun(DIGITS, 1)
    with pytest.raises(ValueError, match=message):
        core.step({"type": np.array([kind]), "parameters": np.array([[parameter] * 5])})
    with pytest.raises(ValueError, match=message):
        core.score(np.array([[kind]]), np.array([[parameter]]))


@pytest.mark.parametrize("action", [None, 3, {"type": [0]}, {"type": [0], "parameter": [0.0]}])
def test_actions_without_their_parts_are_refused(action):
    with pytest.raises(ValueError, match="wanted a dict of 'type' and 'parameters'"):
        begun(DIGITS, 1).step(action)


def test_scores_before_the_reset_are_refused():
    with pytest.raises(gym.error.ResetNeeded, match="call reset"):
        core_of(DIGITS, 2).score(np.zeros((2, 1), int), np.zeros((2, 1)))


@pytest.mark.parametrize("types", [[0, 1], [[0, 1]] * 3, 0])
def test_scores_of_another_number_of_lanes_are_refused(types):
    with pytest.raises(ValueError, match=r"wanted \(B, N\) with B = 2 lanes"):
        begun(DIGITS, 2).score(np.array(types), np.zeros(np.shape(types)))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"scene": {"type": "Objects", "side": 15}}, "images of 16 x 16.*do not fit a canvas"),
        ({"scene": {"type": "Objects", "side": 20}}, "wanted a side of at least 21"),
        ({"scene": {"type": "Objects", "side": 24}}, "MoveX by up to 12 px.*has room for 3.46"),
        ({"scene": {"type": "Objects", "blend": "add"}}, "wanted 'max' or 'paste'"),
        ({"scene": {"type": "Objects", "pieces": 2, "piece": 17}}, "take a smaller piece"),
        ({"scene": {"type": "Object"}}, "did you mean 'Objects'"),
        ({"scene": "Gui"}, "draws its own images"),
        ({"dataset": None}, "shows images of a data set"),
        ({"scene": {"type": "Gui", "side": 40}, "dataset": None}, "wanted an integer of at least"),
        ({"scene": {"type": "Gui", "scale": 1.0}, "dataset": None}, "wanted a scale of at most"),
        ({"actions": ["MoveX", "CursorX"]}, "CursorX by up to 50 px.*has room for 0"),
        ({"max_steps": 0}, "got max_steps=0; wanted an integer from 1"),
        ({"changes": 6}, "got changes=6; wanted an integer from 1 to 5"),
        ({"success": 0.0}, "got success=0.0; wanted a number above 0"),
        ({"success": float("nan")}, "got success=nan"),
        ({"split": "tets"}, "did you mean 'test'"),
        ({"scene_seed": -1}, "got scene_seed=-1"),
        ({"similarity": "Multiscale"}, "did you mean 'MultiScale'"),
        ({"step": 3}, "inverse environments have no argument 'step'"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        make_config(**{**DIGITS, **parts})
