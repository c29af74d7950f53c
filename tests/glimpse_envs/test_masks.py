"""Masks of the legal actions on a 32 x 32 image with an 8 x 8 crop, and of every face."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from classifiers import NumpyClassifier
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecMonitor

from glimpse_envs import ActionScheme
from glimpse_envs.actions import GreedyMap, MultiCategorical
from glimpse_envs.gaze import Geometry
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_envs.sensors import Crop
from policies import GlimpseExtractor

K, LANES = 10, 5
GEOMETRY = Crop(8).geometry(32, 32)  # a zoom step is 0.5
WIDE = Crop(8).geometry(16, 32)
DISCRETE = ["GlimpseDigits-GreedyMap-v0", "GlimpseDigits-MultiCat-v0"]
OVERVIEW, MIDDLE = (0.5, 0.5, 0.0), (0.5, 0.5, 0.5)
CORNER = (0.125, 0.125, 1.0)  # the upper left one, at the finest zoom

# names of the choices, in order
STEPS = "left right up down in out".split()
MOVES = "stay left right up down up-left up-right down-left down-right".split()
ZOOMS = "out keep in".split()
EVERY = {"move": set(MOVES), "zoom": set(ZOOMS)}


def masks(scheme, *rows, last=False, geometry=GEOMETRY) -> np.ndarray:
    gaze = np.array(rows, np.float32)
    return scheme.masks(gaze, np.full(len(gaze), last), geometry, K)


def legal_steps(row, **settings) -> set[str]:
    """The legal moves and zooms of GreedyMap at a gaze."""
    (mask,) = masks(GreedyMap(), row, **settings)
    assert mask.dtype == np.bool_ and mask.shape == (6 + K,)
    assert mask[6:].all()
    return {name for name, legal in zip(STEPS, mask, strict=False) if legal}


def legal_parts(row, **settings) -> dict[str, set[str]]:
    """The legal moves and zooms of MultiCategorical at a gaze."""
    (mask,) = masks(MultiCategorical(), row, **settings)
    assert mask.dtype == np.bool_ and mask.shape == (9 + 3 + K + 1,)
    assert mask[12] == (not settings.get("last")) and mask[13:].all()
    return {
        "move": {name for name, legal in zip(MOVES, mask[:9], strict=True) if legal},
        "zoom": {name for name, legal in zip(ZOOMS, mask[9:12], strict=True) if legal},
    }


# ---- GreedyMap ----


def test_in_the_middle_every_step_is_legal():
    assert legal_steps(MIDDLE) == set(STEPS)


def test_from_the_overview_one_can_only_zoom_in():
    assert legal_steps(OVERVIEW) == {"in"}


def test_a_corner_at_the_finest_zoom_is_left_inwards_or_by_zooming_out():
    assert legal_steps(CORNER) == {"right", "down", "out"}
    assert legal_steps((0.875, 0.875, 1.0)) == {"left", "up", "out"}


def test_the_overview_of_a_wide_image_moves_along_it():
    assert legal_steps((0.5, 0.5, 0.0), geometry=WIDE) == {"left", "right", "in"}
    assert legal_steps((0.25, 0.5, 0.0), geometry=WIDE) == {"right", "in"}


def test_a_padded_window_moves_until_its_fixation_is_at_the_edge():
    padded = Geometry(32, 32, 8, padded=True)
    assert legal_steps(OVERVIEW, geometry=padded) == set(STEPS) - {"out"}
    assert legal_steps((0.0, 1.0, 0.0), geometry=padded) == {"right", "up", "in"}


def test_after_the_last_glimpse_no_step_is_legal():
    for row in (OVERVIEW, MIDDLE, CORNER):
        assert legal_steps(row, last=True) == set()


@pytest.mark.parametrize("steps", range(1, 11))
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_a_zoom_limit_is_met_however_the_steps_round(steps, start):
    geometry = Geometry(2**steps, 2**steps, 1)  # 5, 7 and 9 steps down from 1 end just above 0
    step = geometry.zoom_step * (1 if start == 0 else -1)
    gaze = np.float32([[0.5, 0.5, start]])
    towards, back = ("in", "out") if start == 0 else ("out", "in")
    for _ in range(steps):
        assert towards in legal_steps(gaze[0], geometry=geometry)
        gaze = geometry.shift(gaze, np.float32([[0, 0, step]]))
    assert {towards, back} & legal_steps(gaze[0], geometry=geometry) == {back}


# ---- MultiCategorical ----


def test_in_the_middle_every_part_is_legal():
    assert legal_parts(MIDDLE) == EVERY


def test_from_the_overview_one_moves_by_zooming_in():
    assert legal_parts(OVERVIEW) == {"move": set(MOVES), "zoom": {"keep", "in"}}


def test_from_a_corner_at_the_finest_zoom_directions_out_of_the_image_are_illegal():
    inwards = set(MOVES) - {"left", "up", "up-left"}
    assert legal_parts(CORNER) == {"move": inwards, "zoom": {"out", "keep"}}


def test_at_the_edge_of_a_coarse_window_a_finer_one_still_moves_there():
    assert legal_parts((0.25, 0.5, 0.5)) == EVERY
    assert "left" not in legal_parts((0.125, 0.5, 1.0))["move"]


def test_where_no_zoom_brings_a_direction_about_it_is_illegal():
    one_size = Crop(8).geometry(8, 8)
    assert legal_parts(OVERVIEW, geometry=one_size)["move"] == {"stay"}
    wide = Crop(8).geometry(8, 32)
    assert legal_parts(OVERVIEW, geometry=wide)["move"] == set(MOVES) - {"up", "down"}


def test_after_the_last_glimpse_only_staying_and_answers_are_legal():
    for row in (OVERVIEW, MIDDLE, CORNER):
        assert legal_parts(row, last=True) == {"move": {"stay"}, "zoom": {"keep"}}


# ---- what legal means ----


def random_gazes(geometry: Geometry, n: int = 300) -> np.ndarray:
    """Gazes that an agent reaches: whole zoom steps, a third of them at an edge or a corner."""
    rng = np.random.default_rng(0)
    gaze = rng.random((n, 3), np.float32)
    gaze[: n // 3, :2] = rng.integers(2, size=(n // 3, 2))
    gaze[: n // 3 : 2, 0] = 0.5
    levels = round(1 / geometry.zoom_step)
    gaze[:, 2] = rng.integers(levels + 1, size=n) / np.float32(levels)
    return geometry.clamp(gaze)


GEOMETRIES = [GEOMETRY, WIDE, Geometry(100, 60, 7), Geometry(32, 32, 8, padded=True)]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("stride", [0.05, 0.5, 2.0])
def test_every_legal_step_changes_the_gaze_and_no_illegal_one_does(geometry, stride):
    scheme, gaze = GreedyMap(stride=stride), random_gazes(geometry)
    mask = scheme.masks(gaze, np.zeros(len(gaze), bool), geometry, K)
    for action in range(6):
        after = scheme.decode(np.full(len(gaze), action), gaze, geometry, K).gaze
        change = np.abs(after - gaze).max(1)
        assert (change[mask[:, action]] > 1e-4).all() and (change[~mask[:, action]] < 1e-6).all()
    assert 0 < mask[:, :6].mean() < 1 and mask[:, 6:].all()


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("stride", [0.05, 0.5, 2.0])
def test_a_part_is_legal_if_it_changes_something_with_a_legal_zoom(geometry, stride):
    scheme, gaze = MultiCategorical(stride=stride), random_gazes(geometry)
    mask = scheme.masks(gaze, np.zeros(len(gaze), bool), geometry, K)

    def after(move: int, zoom: int) -> np.ndarray:
        actions = np.tile([move, zoom, 0], (len(gaze), 1))
        return scheme.decode(actions, gaze, geometry, K).gaze

    zooms = [np.abs(after(0, zoom) - gaze)[:, 2] > 1e-6 for zoom in range(3)]
    zooms[1][:] = True
    np.testing.assert_array_equal(mask[:, 9:12], np.stack(zooms, axis=1))
    for move in range(1, 9):
        moved = [np.abs(after(move, zoom) - after(0, zoom))[:, :2].max(1) for zoom in range(3)]
        changes = np.any([zooms[zoom] & (moved[zoom] > 1e-6) for zoom in range(3)], axis=0)
        np.testing.assert_array_equal(mask[:, move], changes)
    assert mask[:, 0].all() and 0 < mask[:, :12].mean() < 1


def test_lanes_are_masked_each_by_itself():
    rows = [OVERVIEW, MIDDLE, CORNER, MIDDLE]
    last = np.array([False, False, True, True])
    for scheme in (GreedyMap(), MultiCategorical()):
        together = scheme.masks(np.array(rows, np.float32), last, GEOMETRY, K)
        alone = [masks(scheme, row, last=end)[0] for row, end in zip(rows, last, strict=True)]
        np.testing.assert_array_equal(together, alone)


# ---- faces ----


def parts_of(space: spaces.Space, mask: np.ndarray) -> list[np.ndarray]:
    """One lane's mask cut into those of the parts of an action."""
    sizes = [space.n] if isinstance(space, spaces.Discrete) else space.nvec
    assert mask.shape == (sum(sizes),)
    return np.split(mask, np.cumsum(sizes)[:-1])


def legal_actions(space: spaces.Space, masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random legal actions; each lane answers at a pace of its own, or where it has to."""
    actions = []
    for lane, mask in enumerate(masks):
        parts = parts_of(space, mask.copy())
        going_on, answers = parts[-1][:-K], parts[-1][-K:]
        if rng.random() < 0.15 * lane:
            going_on[:] = False
        elif going_on.any():
            answers[:] = False
        actions.append([rng.choice(part.nonzero()[0]) for part in parts])
    return np.array(actions).reshape(len(masks), *space.shape)


@pytest.mark.parametrize("env_id", DISCRETE)
def test_the_masks_of_the_three_faces_agree(env_id):
    singles = [gym.make(env_id, budget=8) for _ in range(LANES)]
    vector = gym.make_vec(env_id, num_envs=LANES, budget=8)
    vec_env = GlimpseVecEnv(env_id, LANES, seed=0, budget=8)
    for lane, env in enumerate(singles):
        env.reset(seed=lane)
    vector.reset(seed=0)
    vec_env.reset()
    rng, ends, seen = np.random.default_rng(0), np.zeros(LANES, int), set()
    for _ in range(80):
        ours = get_action_masks(vec_env)
        assert ours.dtype == np.bool_
        np.testing.assert_array_equal(vector.unwrapped.action_masks(), ours)
        np.testing.assert_array_equal([get_action_masks(env) for env in singles], ours)
        seen |= {row.tobytes() for row in ours}
        actions = legal_actions(vec_env.action_space, ours, rng)
        vector.step(actions)
        _, _, ended, _ = vec_env.step(actions)
        for env, action in zip(singles, actions, strict=True):
            if env.step(action)[2]:
                env.reset()
        ends += ended
    assert len(set(ends)) > 1 and ends.min() > 1 and len(seen) > 4


@pytest.mark.parametrize(("env_id", "look"), [(DISCRETE[0], 4), (DISCRETE[1], (5, 2, 0))])
def test_looking_is_legal_until_the_budget_is_spent(env_id, look):
    env = gym.make(env_id, budget=3).unwrapped
    env.reset(seed=0)
    for left in (2, 1, 0):
        parts = parts_of(env.action_space, env.action_masks())
        assert parts[-1][-K:].all() and parts[-1][:-K].any() == (left > 0)
        terminated = env.step(np.array(look))[2]
    assert terminated


@pytest.mark.parametrize("env_id", DISCRETE)
def test_an_environment_of_sb3_returns_a_row_for_each_lane(env_id):
    env = GlimpseVecEnv(env_id, 3, seed=0)
    env.reset()
    env.step(legal_actions(env.action_space, env.action_masks(), np.random.default_rng(1)))
    env.core.gaze[:] = [OVERVIEW, MIDDLE, CORNER]
    every = env.action_masks()
    assert len(np.unique(every, axis=0)) == 3
    rows = env.env_method("action_masks", indices=[2, 0])
    np.testing.assert_array_equal(rows, every[[2, 0]])
    np.testing.assert_array_equal(env.env_method("action_masks", indices=1), every[[1]])
    monitored = VecMonitor(env)
    assert is_masking_supported(env) and is_masking_supported(monitored)
    np.testing.assert_array_equal(get_action_masks(monitored), every)


def test_a_single_environment_is_masked_in_sb3s_own_vector():
    ours, theirs = (face(DISCRETE[1], 2, seed=7) for face in (GlimpseVecEnv, make_vec_env))
    ours.reset(), theirs.reset()
    assert is_masking_supported(theirs) and is_masking_supported(gym.make(DISCRETE[1]))
    for _ in range(8):
        np.testing.assert_array_equal(get_action_masks(theirs), get_action_masks(ours))
        actions = np.stack([ours.action_space.sample() for _ in range(2)])
        ours.step(actions), theirs.step(actions)


def faces(env_id: str, **parts: Any) -> list[Any]:
    envs = [gym.make(env_id, **parts), gym.make_vec(env_id, num_envs=2, **parts)]
    return [env.unwrapped for env in envs] + [GlimpseVecEnv(env_id, 2, **parts)]


def test_before_the_first_reset_there_are_no_masks():
    for env in faces(DISCRETE[0]):
        with pytest.raises(ResetNeeded, match=r"call reset\(\)"):
            env.action_masks()


@pytest.mark.parametrize("scheme", ["Hybrid", "Saccade", "Anywhere"])
def test_continuous_actions_have_no_masks(scheme):
    for env in faces(DISCRETE[1], scheme=scheme, classifier=NumpyClassifier()):
        env.reset()
        with pytest.raises(ValueError, match=rf"{scheme} has .*Discrete and MultiDiscrete actions"):
            env.action_masks()


def test_a_scheme_of_ones_own_that_has_no_masks_says_so():
    class _Silent(GreedyMap):
        masks = ActionScheme.masks

    env = gym.make(DISCRETE[0], scheme=_Silent()).unwrapped
    env.reset()
    with pytest.raises(NotImplementedError, match="_Silent does not define masks"):
        env.action_masks()


# ---- learning ----


class Referee(VecEnvWrapper):
    """Sees that every action is legal."""

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        self.n_actions = 0

    def reset(self):
        return self.venv.reset()

    def step_async(self, actions: np.ndarray) -> None:
        for mask, action in zip(get_action_masks(self.venv), actions, strict=True):
            parts = parts_of(self.action_space, mask)
            assert all(part[k] for part, k in zip(parts, np.atleast_1d(action), strict=True))
        self.n_actions += len(actions)
        self.venv.step_async(actions)

    def step_wait(self):
        return self.venv.step_wait()


@pytest.mark.parametrize("env_id", DISCRETE)
def test_maskable_ppo_trains_and_acts_legally(env_id):
    env = Referee(VecMonitor(GlimpseVecEnv(env_id, 4, seed=0, budget=4)))
    model = MaskablePPO(
        "MultiInputPolicy",
        env,
        n_steps=64,
        batch_size=128,
        n_epochs=2,
        seed=0,
        policy_kwargs={"features_extractor_class": GlimpseExtractor},
    )
    model.learn(512)
    assert env.n_actions == 512
    vec_env = model.get_env()
    observation = vec_env.reset()
    for t in range(32):
        masks = get_action_masks(vec_env)
        actions, _ = model.predict(observation, action_masks=masks, deterministic=t % 2 == 0)
        observation, *_ = vec_env.step(actions)
    assert env.n_actions == 512 + 4 * 32
