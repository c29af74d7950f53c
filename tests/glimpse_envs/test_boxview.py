"""Dict action spaces seen as one Box."""

import copy
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from glimpse_envs import BoxActions
from glimpse_envs.boxview import BoxView
from glimpse_envs.sb3 import GlimpseVecEnv

ARM = spaces.Dict({"grip": spaces.Discrete(3, start=-1), "angle": spaces.Box(-2, 5, (2, 2))})
SPACES = {
    "hybrid": gym.make("GlimpseDigits-Hybrid-v0").action_space,
    "nested": spaces.Dict({"arm": ARM, "lights": spaces.MultiBinary(3), "arms": ARM}),
    "multi": spaces.Dict(
        {
            "keys": spaces.MultiDiscrete([[3, 2], [4, 1]], start=[[0, 5], [-2, 0]]),
            "board": spaces.MultiBinary((2, 3)),
        }
    ),
    "whole numbers": spaces.Dict(
        {"level": spaces.Box(0, 255, (3,), np.uint8), "n": spaces.Box(-7, 9, (2,), np.int64)}
    ),
    "unbounded": spaces.Dict(
        {"force": spaces.Box(np.float32([-np.inf, 0, -1]), np.float32([np.inf, np.inf, 1]))}
    ),
}


def leaves(action: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(action, dict):
        return {prefix: action}
    return {
        name: leaf
        for key, part in action.items()
        for name, leaf in leaves(part, f"{prefix}.{key}").items()
    }


def assert_same(ours: Any, theirs: Any) -> None:
    ours, theirs = leaves(ours), leaves(theirs)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
        assert np.asarray(ours[name]).dtype == np.asarray(theirs[name]).dtype, name


@pytest.fixture(params=SPACES)
def space(request) -> spaces.Dict:
    space = SPACES[request.param]
    space.seed(0)
    return space


def test_every_action_comes_back_exactly(space):
    view = BoxView(space)
    for _ in range(200):
        action = space.sample()
        assert_same(view.decode(view.encode(action)), action)


def test_every_point_of_the_box_is_an_action_and_rounding_to_the_box_changes_none(space):
    view = BoxView(space)
    view.seed(1)
    for _ in range(200):
        point = view.sample()
        action = view.decode(point)
        assert point in view and action in space
        again = view.encode(action).astype(np.float32)
        assert again in view
        assert_same(view.decode(again), action)


def test_a_batch_is_as_its_rows(space):
    view = BoxView(space)
    view.seed(2)
    batch = np.stack([view.sample() for _ in range(6)])
    rows = [view.decode(point) for point in batch]
    decoded = leaves(view.decode(batch))
    for name, column in decoded.items():
        np.testing.assert_array_equal(column, np.stack([leaves(row)[name] for row in rows]))
    assert leaves(view.decode(batch.reshape(3, 2, -1)))[name].shape[:2] == (3, 2)
    np.testing.assert_array_equal(view.encode(view.decode(batch)).shape, batch.shape)


def test_the_parts_lie_side_by_side_in_the_order_of_the_dict():
    view = BoxView(SPACES["nested"])
    assert [(part.name, part.columns.start, part.columns.stop) for part in view.parts] == [
        ("arm.angle", 0, 4),
        ("arm.grip", 4, 7),
        ("arms.angle", 7, 11),
        ("arms.grip", 11, 14),
        ("lights", 14, 17),
    ]
    high = [1] * 4 + [5] * 3 + [1] * 4 + [5] * 6
    np.testing.assert_array_equal(view.high, high)
    np.testing.assert_array_equal(view.low, -view.high)


def test_what_the_columns_mean():
    space = spaces.Dict(
        {
            "a": spaces.Discrete(3, start=5),
            "b": spaces.Box(0, 4, (1,), np.float32),
            "c": spaces.MultiBinary(2),
            "d": spaces.MultiDiscrete([2, 2]),
        }
    )
    action = BoxView(space).decode([-0.5, 0.25, 0.2, -1.0, 0.1, -0.1, 1, 2, 2, 1])
    assert action["a"] == 6 and action["b"] == [0.0]
    assert action["c"].tolist() == [1, 0] and action["d"].tolist() == [1, 0]


def test_an_entry_without_both_bounds_is_taken_as_it_is():
    view = BoxView(SPACES["unbounded"])
    assert view.decode([-300.0, 7.5, 0.5])["force"].tolist() == [-300.0, 7.5, 0.5]


def test_a_bound_that_is_missing_is_shown_as_the_largest_number():
    view, largest = BoxView(SPACES["unbounded"]), np.finfo(np.float32).max
    np.testing.assert_array_equal(view.low, np.float32([-largest, 0, -1]))
    np.testing.assert_array_equal(view.high, np.float32([largest, largest, 1]))
    assert view.bounded_below.tolist() == [False, True, True]
    assert view.bounded_above.tolist() == [False, False, True]
    again = pickle.loads(pickle.dumps(view))
    assert again == view and again.bounded_below.tolist() == [False, True, True]
    ends = np.stack([view.low, view.high])
    assert np.array_equal(view.decode(ends)["force"], ends)
    for wrong in (-np.inf, np.inf, np.nan):
        with pytest.raises(ValueError, match="wanted numbers in"):
            view.decode([wrong, 0.0, 0.0])


def test_entries_without_a_bound_are_sampled_as_gymnasium_does():
    view = BoxView(SPACES["unbounded"])
    view.seed(0)
    force = np.stack([view.sample() for _ in range(2000)])
    assert abs(force[:, 0].mean()) < 0.1 and force[:, 0].std() == pytest.approx(1.0, abs=0.1)
    assert force[:, 1].min() >= 0.0 and force[:, 1].mean() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros((2, 14)), r"got actions \(2, 14\); wanted \(..., 15\)"),
        (np.zeros(()), r"got actions \(\); wanted \(..., 15\)"),
        (np.full((1, 15), 1.5), r"1.5 in entry 12 of lane 0.*wanted numbers in \[-1, 1\]"),
        (np.full(15, 1.5), r"1.5 in entry 12 of the action; wanted"),
        (np.full((1, 15), np.nan), r"nan.*wanted numbers in \[-5, 5\]"),
    ],
)
def test_what_lies_outside_is_refused(actions, message):
    with pytest.raises(ValueError, match=message):
        BoxView(SPACES["hybrid"]).decode(actions)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Dict({"say": spaces.Text(3)}), "part 'say' is Text.*wanted Discrete, MultiD"),
        (spaces.Dict({"pair": spaces.Tuple([spaces.Discrete(2)])}), "part 'pair' is Tuple"),
        (spaces.Dict({"a.b": spaces.Discrete(2)}), "got part 'a.b'; wanted names without dots"),
        (spaces.Dict({}), "at least one part"),
    ],
)
def test_a_space_that_has_no_view_is_refused(space, message):
    with pytest.raises(ValueError, match=message):
        BoxView(space)


def test_an_action_without_a_part_is_refused():
    view = BoxView(SPACES["nested"])
    action = view.shown.sample()
    del action["arm"]["grip"]
    with pytest.raises(ValueError, match=r"without 'arm.grip'"):
        view.encode(action)


def test_views_are_equal_if_they_show_equal_spaces():
    one, other = BoxView(SPACES["hybrid"]), BoxView(SPACES["multi"])
    assert one == BoxView(copy.deepcopy(SPACES["hybrid"])) and one != other
    assert one != spaces.Box(one.low, one.high) and spaces.Box(one.low, one.high) != one
    for copied in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert copied == one and copied.parts == one.parts
    assert repr(other).startswith("BoxView(Dict(")


class Levers(gym.Env[np.ndarray, dict[str, Any]]):
    """Returns what it was told."""

    observation_space = spaces.Box(0, 1, (1,))
    action_space = SPACES["nested"]

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: dict[str, Any]) -> Any:
        assert action in self.action_space
        return np.zeros(1, np.float32), 0.0, False, False, {"action": action}


def test_any_environment_with_dict_actions_can_be_wrapped():
    env = BoxActions(Levers())
    assert env.action_space == BoxView(Levers.action_space)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(20):
        point = env.action_space.sample()
        told = env.step(point)[-1]["action"]
        assert_same(told, env.action_space.decode(point))


def test_an_environment_without_dict_actions_is_refused():
    with pytest.raises(ValueError, match=r"actions Discrete\(2\); wanted a Dict"):
        BoxActions(gym.make("CartPole-v1"))


def test_a_wrapped_registered_environment_keeps_its_spec():
    env = BoxActions(gym.make("GlimpseDigits-Hybrid-v0"))
    again = gym.make(env.spec)
    assert again.action_space == env.action_space


def test_a_vec_env_shows_the_view():
    env = GlimpseVecEnv("GlimpseDigits-Hybrid-v0", 3, seed=0)
    assert env.action_space == BoxView(gym.make("GlimpseDigits-Hybrid-v0").action_space)
    env.reset()
    env.step(np.stack([env.action_space.sample() for _ in range(3)]))
    with pytest.raises(ValueError, match=r"got actions \(3, 14\)"):
        env.step(np.zeros((3, 14), np.float32))
