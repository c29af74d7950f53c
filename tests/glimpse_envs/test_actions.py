"""Action schemes on a 32 x 32 image with an 8 x 8 crop, where all windows are whole pixels."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from glimpse_envs.actions import Anywhere, GreedyMap, Hybrid, MultiCategorical, Pursuit, Saccade
from glimpse_envs.sensors import Crop

K = 10
GEOMETRY = Crop(8).geometry(32, 32)  # a zoom step is 0.5
MIDDLE = (0.5, 0.5, 0.5)  # a window of 16 x 16 in the middle: half a window is a quarter


def gaze(*rows: tuple[float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32)


def decode(scheme, actions, start=MIDDLE):
    n = len(next(iter(actions.values())) if isinstance(actions, dict) else actions)
    return scheme.decode(actions, gaze(start).repeat(n, 0), GEOMETRY, K)


def hybrid(n: int = 1, **changes) -> dict[str, np.ndarray]:
    """A Hybrid action that looks at the middle, with some parts changed."""
    action = {
        "decision": np.zeros(n, np.int64),
        "class": np.zeros(n, np.int64),
        "move": np.full((n, 2), 0.5, np.float32),
        "zoom": np.full((n, 1), 0.5, np.float32),
    }
    return action | changes


# ---- spaces ----


def test_the_action_spaces_are_those_promised():
    assert GreedyMap().action_space(K) == spaces.Discrete(6 + K)
    assert MultiCategorical().action_space(K) == spaces.MultiDiscrete([9, 3, K + 1])
    assert Saccade().action_space(K) == spaces.Box(-1, 1, (2,), np.float32)
    assert Hybrid().action_space(K) == spaces.Dict(
        {
            "decision": spaces.Discrete(2),
            "class": spaces.Discrete(K),
            "move": spaces.Box(0, 1, (2,), np.float32),
            "zoom": spaces.Box(0, 1, (1,), np.float32),
        }
    )


def test_each_scheme_starts_where_it_should():
    starts = {s.__name__: s.start for s in (GreedyMap, MultiCategorical, Hybrid, Saccade)}
    assert starts == {
        "GreedyMap": "overview",
        "MultiCategorical": "overview",
        "Hybrid": "overview",
        "Saccade": "centre",
    }
    assert [MultiCategorical().start_zoom(s) for s in ("overview", "centre", "random")] == [0, 1, 1]
    assert [Saccade(0.5).start_zoom(s) for s in ("overview", "centre", "random")] == [0, 0.5, 0.5]


@pytest.mark.parametrize("scheme", [GreedyMap(), MultiCategorical(), Hybrid(), Saccade()])
def test_a_gaze_drawn_at_random_keeps_the_decisions(scheme):
    space = scheme.action_space(K)
    space.seed(0)
    samples = [space.sample() for _ in range(200)]
    if isinstance(space, spaces.Dict):
        actions = {key: np.stack([s[key] for s in samples]) for key in space.spaces}
    else:
        actions = np.stack(samples)
    drawn = scheme.with_random_gaze(actions, np.random.default_rng(1))
    before, after = decode(scheme, actions), decode(scheme, drawn)
    np.testing.assert_array_equal(before.answers, after.answers)
    going_on = before.answers < 0
    assert (before.gaze[going_on] != after.gaze[going_on]).any(1).mean() > 0.5


# ---- GreedyMap ----

STEPS = {0: (-0.25, 0), 1: (0.25, 0), 2: (0, -0.25), 3: (0, 0.25)}


@pytest.mark.parametrize(("action", "step"), STEPS.items())
def test_greedy_map_moves_by_half_a_window(action, step):
    move = decode(GreedyMap(), np.array([action]))
    np.testing.assert_array_equal(move.gaze, gaze((0.5 + step[0], 0.5 + step[1], 0.5)))
    assert move.answers == -1


@pytest.mark.parametrize(("action", "zoom"), [(4, 1.0), (5, 0.0)])
def test_greedy_map_zooms_by_a_step(action, zoom):
    move = decode(GreedyMap(), np.array([action]))
    np.testing.assert_array_equal(move.gaze, gaze((0.5, 0.5, zoom)))
    assert move.answers == -1


def test_greedy_map_answers_class_k_by_action_6_and_k():
    move = decode(GreedyMap(), np.arange(6, 16))
    np.testing.assert_array_equal(move.answers, np.arange(10))


def test_greedy_map_stays_inside_however_often_it_moves():
    rows = gaze((0.5, 0.5, 1.0))
    for _ in range(20):
        rows = GreedyMap().decode(np.array([0]), rows, GEOMETRY, K).gaze
    np.testing.assert_array_equal(rows, gaze((0.125, 0.5, 1.0)))


def test_the_length_of_a_move_is_the_stride():
    move = decode(GreedyMap(stride=0.25), np.array([1]))
    np.testing.assert_array_equal(move.gaze, gaze((0.625, 0.5, 0.5)))


def seen(*rows: tuple[float, float, float], grid: int = 4, geometry=GEOMETRY) -> np.ndarray:
    scheme = GreedyMap(grid=grid)
    memory = scheme.memory(1)
    for row in rows:
        scheme.remember(memory, np.array([0]), gaze(row), geometry)
    return memory["map"].reshape(grid, grid)


def test_the_map_is_empty_at_first():
    memory = GreedyMap().memory(3)
    assert memory["map"].shape == (3, 64) and memory["map"].dtype == np.float32
    assert not memory["map"].any()


def test_the_map_holds_how_finely_each_part_was_seen():
    np.testing.assert_array_equal(seen((0.5, 0.5, 0.0)), np.full((4, 4), 0.25))
    expected = np.full((4, 4), 0.25)
    expected[:2, 2:] = 0.5  # a window of 16 x 16 in the upper right
    expected[0, 3] = 1.0  # one of 8 x 8 in its corner
    looks = [(0.5, 0.5, 0.0), (0.75, 0.25, 0.5), (0.875, 0.125, 1.0)]
    np.testing.assert_array_equal(seen(*looks), expected)


def test_the_map_keeps_the_finest_look():
    fine_first = seen((0.5, 0.5, 1.0), (0.5, 0.5, 0.0), grid=8)
    np.testing.assert_array_equal(fine_first, seen((0.5, 0.5, 0.0), (0.5, 0.5, 1.0), grid=8))
    assert (fine_first == 1).sum() == 4


def test_the_map_of_a_wide_image_follows_its_shape():
    wide = Crop(8).geometry(16, 32)
    expected = np.zeros((4, 4))
    expected[:, :2] = 0.5
    np.testing.assert_array_equal(seen((0.25, 0.5, 0.0), geometry=wide), expected)


def test_the_map_of_other_lanes_is_left_alone():
    memory = GreedyMap().memory(3)
    everywhere = gaze((0.5, 0.5, 0.0)).repeat(3, 0)
    GreedyMap().remember(memory, np.array([1]), everywhere, GEOMETRY)
    np.testing.assert_array_equal(memory["map"].any(1), [False, True, False])


# ---- MultiCategorical ----

DIRECTIONS = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, -1), (-1, 1), (1, 1)]


@pytest.mark.parametrize("move", range(9))
def test_multi_categorical_moves_in_nine_ways(move):
    x, y = DIRECTIONS[move]
    expected = gaze((0.5 + 0.25 * x, 0.5 + 0.25 * y, 0.5))
    np.testing.assert_array_equal(
        decode(MultiCategorical(stride=0.5), np.array([[move, 1, 0]])).gaze, expected
    )


@pytest.mark.parametrize(("choice", "zoom"), [(0, 0.0), (1, 0.5), (2, 1.0)])
def test_multi_categorical_zooms_out_keeps_and_zooms_in(choice, zoom):
    move = decode(MultiCategorical(), np.array([[0, choice, 0]]))
    np.testing.assert_array_equal(move.gaze, gaze((0.5, 0.5, zoom)))


def test_multi_categorical_zooms_before_it_moves():
    scheme = MultiCategorical(stride=0.5)
    closer = decode(scheme, np.array([[1, 2, 0]]))  # the new window is 8 wide: half is 0.125
    np.testing.assert_array_equal(closer.gaze, gaze((0.375, 0.5, 1.0)))
    quadrant = decode(scheme, np.array([[8, 2, 0]]), start=(0.5, 0.5, 0.0))
    np.testing.assert_array_equal(quadrant.gaze, gaze((0.75, 0.75, 0.5)))


def test_multi_categorical_goes_on_or_answers_class_k_by_k_and_1():
    actions = np.stack([np.full(11, 8), np.full(11, 2), np.arange(11)], axis=1)
    np.testing.assert_array_equal(decode(MultiCategorical(), actions).answers, np.arange(-1, 10))


@pytest.mark.parametrize("scheme", [GreedyMap, MultiCategorical])
@pytest.mark.parametrize("stride", [0, -1, 2.5, float("nan")])
def test_a_stride_outside_its_range_is_refused(scheme, stride):
    with pytest.raises(ValueError, match=r"stride=.*wanted a finite number from 0\.05 to 2"):
        scheme(stride=stride)


# ---- Hybrid ----


def test_hybrid_looks_at_the_place_and_zoom_it_names():
    move = decode(Hybrid(), hybrid(move=np.float32([[0.25, 0.75]]), zoom=np.float32([[0.5]])))
    np.testing.assert_array_equal(move.gaze, gaze((0.25, 0.75, 0.5)))
    assert move.answers == -1


def test_hybrid_is_clamped():
    move = decode(Hybrid(), hybrid(move=np.float32([[0.0, 1.0]]), zoom=np.float32([[1.0]])))
    np.testing.assert_array_equal(move.gaze, gaze((0.125, 0.875, 1.0)))


def test_hybrid_answers_only_where_it_decides_to():
    action = hybrid(3, decision=np.array([0, 1, 1]), **{"class": np.array([4, 4, 9])})
    np.testing.assert_array_equal(decode(Hybrid(), action).answers, [-1, 4, 9])


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros((1, 5)), "wanted a dict with"),
        ({"decision": np.zeros(1, int)}, r"wanted a dict with \['class', 'decision', 'move'"),
        (hybrid(look=np.zeros(1)), "wanted a dict with"),
        (hybrid(decision=np.array([2])), "got decision 2;"),
        (hybrid(decision=np.array([1.0])), "got decision float64"),
        (hybrid(**{"class": np.array([10])}), "got class 10;"),
        (hybrid(move=np.float32([[0.5, 1.1]])), r"got move .*numbers in \[0, 1\]"),
        (hybrid(move=np.float32([0.5, 0.5])), r"got move float32.*wanted numbers of shape \(2,\)"),
        (hybrid(zoom=np.float32([[np.nan]])), r"got zoom .*nan"),
        (hybrid(zoom=np.float32([0.5])), r"got zoom float32.*wanted numbers of shape \(1,\)"),
    ],
)
def test_hybrid_refuses_what_is_not_its_dict(action, message):
    with pytest.raises(ValueError, match=message):
        Hybrid().decode(action, gaze(MIDDLE), GEOMETRY, K)


# ---- Pursuit ----


def test_a_pursuit_shifts_the_gaze_by_its_reach_and_stays_inside():
    actions = np.float32([[0, 0], [1, 0], [0, -0.5], [1, 1]])
    move = decode(Pursuit(zoom=0.5), actions)  # windows of 16 pixels on 32: at most a quarter
    assert (move.answers == -1).all()
    wanted = gaze(MIDDLE, (0.75, 0.5, 0.5), (0.5, 0.25, 0.5), (0.75, 0.75, 0.5))
    np.testing.assert_allclose(move.gaze, wanted, atol=1e-6)
    halved = decode(Pursuit(reach=0.25), actions)  # windows of 8 pixels, steps of 2
    np.testing.assert_allclose(halved.gaze[1], [0.5625, 0.5, 1.0], atol=1e-6)


@pytest.mark.parametrize("scheme", [Pursuit(), Pursuit(reach=2.0, zoom=0.5)])
def test_a_pursuit_reaches_what_lies_within_its_reach(scheme):
    rng = np.random.default_rng(0)
    now = GEOMETRY.clamp(rng.random((50, 3), np.float32))
    now[:, 2] = scheme.zoom
    now = GEOMETRY.clamp(now)
    side = GEOMETRY.windows(now)[:, 2:]
    target = now.copy()
    target[:, :2] += rng.uniform(-1, 1, (50, 2)) * scheme.reach * side / 32
    target = GEOMETRY.clamp(target)
    actions = scheme.toward(target, now, GEOMETRY)
    assert actions.dtype == np.float32 and (abs(actions) <= 1).all()
    np.testing.assert_allclose(scheme.decode(actions, now, GEOMETRY, K).gaze, target, atol=1e-6)


def test_a_pursuit_goes_as_far_as_it_can_toward_what_is_further_away():
    actions = Pursuit(reach=0.5).toward(gaze((0.9, 0.5, 1)), gaze((0.2, 0.5, 1)), GEOMETRY)
    np.testing.assert_allclose(actions, [[1.0, 0.0]], atol=1e-6)


@pytest.mark.parametrize("wrong", [{"reach": 0.0}, {"reach": np.inf}, {"zoom": 2.0}])
def test_a_pursuit_of_wrong_values_is_refused(wrong):
    with pytest.raises(ValueError, match=r"got Pursuit\("):
        Pursuit(**wrong)


# ---- Saccade ----


def test_saccade_0_is_the_middle_and_the_ends_are_the_borders():
    actions = np.float32([[0, 0], [-1, -1], [1, 0.5]])
    move = decode(Saccade(), actions)
    np.testing.assert_array_equal(
        move.gaze, gaze((0.5, 0.5, 1.0), (0.125, 0.125, 1.0), (0.875, 0.75, 1.0))
    )
    np.testing.assert_array_equal(move.answers, [-1, -1, -1])


def test_saccade_keeps_its_zoom():
    np.testing.assert_array_equal(decode(Saccade(0.5), np.float32([[0, 0]])).gaze, gaze(MIDDLE))


@pytest.mark.parametrize("zoom", [-0.1, 1.1, float("nan")])
def test_saccade_refuses_a_zoom_outside_its_range(zoom):
    with pytest.raises(ValueError, match=r"Saccade\(zoom=.*finite number from 0 to 1"):
        Saccade(zoom)


# ---- Anywhere ----


def test_anywhere_is_the_gaze_itself_clamped():
    targets = np.float32([[0.3, 0.6, 0.5], [0, 1, 1], [0.2, 0.9, 0]])
    move = decode(Anywhere(), targets)
    np.testing.assert_array_equal(
        move.gaze, gaze((0.3, 0.6, 0.5), (0.125, 0.875, 1.0), (0.5, 0.5, 0.0))
    )
    np.testing.assert_array_equal(move.answers, [-1, -1, -1])
    assert Anywhere().action_space(K) == spaces.Box(0.0, 1.0, (3,), np.float32)
    assert not Anywhere().answers and Anywhere().zooms() == (0.0, 1.0)


def test_anywhere_starts_as_close_as_it_is_told():
    scheme = Anywhere(0.5)
    starts = [scheme.start_zoom(start) for start in ("overview", "centre", "random")]
    assert starts == [0.0, 0.5, 0.5] and Anywhere().start_zoom("centre") == 1.0


def test_random_gazes_of_anywhere_fill_its_space():
    drawn = Anywhere().with_random_gaze(np.zeros((500, 3)), np.random.default_rng(0))
    assert drawn.dtype == np.float32 and drawn.min() >= 0 and drawn.max() <= 1
    np.testing.assert_allclose(drawn.mean(0), 0.5, atol=0.05)


@pytest.mark.parametrize("close", [-0.1, 1.1, float("nan"), None])
def test_anywhere_refuses_a_zoom_outside_its_range(close):
    with pytest.raises(ValueError, match=r"Anywhere\(close=.*finite number from 0 to 1"):
        Anywhere(close)


# ---- errors ----

WRONG = [
    (GreedyMap(), np.array([16]), "wanted integers from 0 to below 16"),
    (GreedyMap(), np.array([-1]), "wanted integers from 0"),
    (GreedyMap(), np.array([1.0]), "got action float64"),
    (GreedyMap(), np.array([True]), "got action bool"),
    (GreedyMap(), np.array([[1]]), r"int64 of shape \(1,\).*wanted integers of shape \(\)"),
    (GreedyMap(), np.array([1, 2]), r"for 2 lane\(s\); wanted integers of shape \(\) for 1"),
    (GreedyMap(), [None], "got action object"),
    (MultiCategorical(), np.array([[9, 0, 0]]), "wanted integers from 0"),
    (MultiCategorical(), np.array([[0, 3, 0]]), "wanted integers from 0"),
    (MultiCategorical(), np.array([[0, 0, 11]]), "wanted integers from 0"),
    (MultiCategorical(), np.array([[0.0, 0.0, 1.0]]), "got action float64"),
    (MultiCategorical(), np.array([0, 0, 0]), r"wanted integers of shape \(3,\)"),
    (Saccade(), np.float32([[0, 1.01]]), r"wanted numbers in \[-1, 1\]"),
    (Pursuit(), np.float32([[0, 1.01]]), r"wanted numbers in \[-1, 1\]"),
    (Saccade(), np.float32([[np.nan, 0]]), r"nan.*wanted numbers in \[-1, 1\]"),
    (Saccade(), np.float32([[np.inf, 0]]), r"inf.*wanted numbers in \[-1, 1\]"),
    (Saccade(), np.float32([[0, 0, 0]]), r"wanted numbers of shape \(2,\)"),
    (Saccade(), np.array([["a", "b"]]), "wanted numbers"),
    (Anywhere(), np.float32([[0, -0.01, 0]]), r"wanted numbers in \[0, 1\]"),
    (Anywhere(), np.float32([[0, np.nan, 0]]), r"nan.*wanted numbers in \[0, 1\]"),
    (Anywhere(), np.float32([[0, 0]]), r"wanted numbers of shape \(3,\)"),
]


@pytest.mark.parametrize(("scheme", "action", "message"), WRONG)
def test_an_action_outside_its_space_is_refused(scheme, action, message):
    with pytest.raises(ValueError, match=message):
        scheme.decode(action, gaze(MIDDLE), GEOMETRY, K)


def test_a_refused_action_changes_nothing():
    env = gym.make("GlimpseMNIST-GreedyMap-v0", disable_env_checker=True).unwrapped
    twin = gym.make("GlimpseMNIST-GreedyMap-v0").unwrapped
    env.reset(seed=0)
    twin.reset(seed=0)
    with pytest.raises(ValueError, match="wanted integers"):
        env.step(99)
    ours, theirs = env.step(4)[0], twin.step(4)[0]
    assert all(np.array_equal(ours[key], theirs[key]) for key in theirs)


# ---- actions that reach a gaze ----


@pytest.mark.parametrize("scheme", [MultiCategorical(1.0), Hybrid(), Anywhere()])
def test_the_quadrants_are_reached_in_one_step_from_the_overview_and_from_each_other(scheme):
    places = [(0.25, 0.25, 0.5), (0.75, 0.25, 0.5), (0.25, 0.75, 0.5), (0.75, 0.75, 0.5)]
    for start in [(0.5, 0.5, 0.0), *places]:
        now, wanted = gaze(start).repeat(4, 0), gaze(*places)
        move = scheme.decode(scheme.toward(wanted, now, GEOMETRY), now, GEOMETRY, K)
        np.testing.assert_allclose(move.gaze, wanted, atol=1e-6)
        assert (move.answers < 0).all()


def test_the_nearest_step_is_taken_where_one_does_not_reach():
    now, wanted = gaze((0.5, 0.5, 0.0), (0.25, 0.5, 0.5)), gaze((0.25, 0.25, 1.0), (0.9, 0.5, 0.5))
    assert GreedyMap().toward(wanted, now, GEOMETRY).tolist() == [4, 1]  # zoom in, then right
    actions = MultiCategorical().toward(wanted, now, GEOMETRY)
    np.testing.assert_array_equal(actions, [[5, 2, 0], [2, 1, 0]])  # up left and in, then right


def test_a_saccade_keeps_its_zoom():
    scheme, now = Saccade(0.5), gaze((0.5, 0.5, 0.5)).repeat(2, 0)
    wanted = gaze((0.4, 0.6, 0.0), (0.0, 0.0, 1.0))
    move = scheme.decode(scheme.toward(wanted, now, GEOMETRY), now, GEOMETRY, K)
    np.testing.assert_allclose(move.gaze, gaze((0.4, 0.6, 0.5), (0.25, 0.25, 0.5)), atol=1e-6)


@pytest.mark.parametrize("scheme", [GreedyMap(), MultiCategorical(), Hybrid()])
def test_some_lanes_answer_instead(scheme):
    now = gaze(MIDDLE).repeat(3, 0)
    actions = scheme.toward(gaze((0.75, 0.5, 0.5)).repeat(3, 0), now, GEOMETRY)
    answering = scheme.answering(actions, np.array([0, 2]), np.array([7, 0]))
    assert scheme.decode(answering, now, GEOMETRY, K).answers.tolist() == [7, -1, 0]
    assert scheme.decode(actions, now, GEOMETRY, K).answers.tolist() == [-1, -1, -1]
