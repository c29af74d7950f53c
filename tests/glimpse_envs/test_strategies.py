"""Scripted gazes, on images of 32 x 32 with a crop of 8: zooms 0, 1/2 and 1."""

import numpy as np
import pytest
from classifiers import NumpyClassifier

from glimpse_envs import GlimpseConfig, ImageDataset
from glimpse_envs.actions import Saccade
from glimpse_envs.components import resolve
from glimpse_envs.core import GlimpseCore
from glimpse_envs.sensors import Crop, Retina
from glimpse_envs.strategies import (
    Blind,
    Centre,
    Fixed,
    Glance,
    Grid,
    Mixture,
    OnTarget,
    ScriptedGaze,
    Uniform,
    Walk,
    reachable_zooms,
    scripted,
)

N = 400
GAZES = ((0.25, 0.25, 0.5), (0.75, 0.5, 1.0), (0.5, 0.5, 0.0))
STRATEGIES = [
    Uniform(),
    Uniform(0.3),
    Walk(),
    Mixture(),
    Mixture((Fixed(GAZES), "Centre", {"type": "Uniform", "zoom": 1.0})),
    Centre(),
    Centre(0.25),
    Grid(),
    Grid(3, anywhere=True),
    Fixed(GAZES),
]
SCHEMES = ["GreedyMap", "MultiCategorical", "Hybrid", "Saccade", "Anywhere"]


def config(**parts) -> GlimpseConfig:
    """Four classes of noise, 32 x 32."""
    images = np.random.default_rng(0).integers(0, 256, (120, 32, 32, 1), dtype=np.uint8)
    labels = np.arange(120) % 4
    dataset = ImageDataset.from_arrays(images[:80], labels[:80], images[80:], labels[80:])
    parts = {"dataset": dataset, "sensor": Crop(8), **parts}
    if parts.get("scheme") in ("Saccade", "Anywhere") or isinstance(parts.get("scheme"), Saccade):
        parts.setdefault("classifier", NumpyClassifier(4, 3))
    return GlimpseConfig(**parts)


def gazes(n: int = N, seed: int = 3) -> np.ndarray:
    """Random clamped gazes."""
    rng = np.random.default_rng(seed)
    return config().geometry.clamp(rng.random((n, 3), np.float32))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# ---- all of them ----


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_a_strategy_gives_gazes_within_the_unit_cube(strategy, scheme):
    settings, gaze = config(scheme=scheme), gazes()
    for step in range(5):
        gaze = strategy(step, gaze, settings, rng(step))
        assert gaze.dtype == np.float32 and gaze.shape == (N, 3)
        assert (gaze >= 0).all() and (gaze <= 1).all()


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_a_strategy_leaves_the_present_gaze_alone_and_repeats_by_seed(strategy):
    gaze = gazes()
    before = gaze.copy()
    one, same = (strategy(0, gaze, config(), rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(gaze, before)


def test_a_strategy_has_a_name_and_one_of_ones_own_too():
    class Corner(ScriptedGaze):
        def __call__(self, step, gaze, config, rng):
            return np.zeros_like(gaze)

    assert resolve({"type": "Grid", "side": 4, "anywhere": True}, ScriptedGaze) == Grid(4, True)
    assert isinstance(resolve("Corner", ScriptedGaze), Corner)
    with pytest.raises(ValueError, match="did you mean 'Uniform'"):
        resolve("Unifrom", ScriptedGaze)


# ---- Uniform ----


@pytest.mark.parametrize("shape", [(32, 32), (24, 40), (41, 23)])
@pytest.mark.parametrize("sensor", [Crop(8), Retina(8, 2)])
def test_uniform_windows_need_no_clamping(shape, sensor):
    images = np.zeros((40, *shape, 1), np.uint8)
    dataset = ImageDataset.from_arrays(images, np.arange(40) % 2, images, np.arange(40) % 2)
    settings = GlimpseConfig(dataset=dataset, sensor=sensor)
    gaze = Uniform()(0, np.zeros((N, 3), np.float32), settings, rng())
    np.testing.assert_allclose(settings.geometry.clamp(gaze), gaze, atol=1e-6)


def test_uniform_draws_every_reachable_zoom_and_places_all_over():
    gaze = Uniform()(0, gazes(), config(), rng())
    zooms, counts = np.unique(gaze[:, 2], return_counts=True)
    np.testing.assert_array_equal(zooms, reachable_zooms(config()))
    assert counts.min() > N / 5
    close = gaze[gaze[:, 2] == 1][:, :2]  # from 1/8 to 7/8
    assert close.min() < 0.17 and close.max() > 0.83
    np.testing.assert_allclose(close.mean(0), 0.5, atol=0.06)
    assert (gaze[gaze[:, 2] == 0][:, :2] == 0.5).all()


def test_uniform_of_one_zoom_keeps_to_it():
    assert (Uniform(0.3)(0, gazes(), config(), rng())[:, 2] == np.float32(0.3)).all()
    assert (Uniform()(0, gazes(), config(scheme=Saccade(0.4)), rng())[:, 2] == 0.4).all()


# ---- Grid ----


def played(strategy: ScriptedGaze, steps: int, lanes: int = 1, **parts) -> np.ndarray:
    """The gazes that the environment makes of a strategy's, float32 (lanes, steps, 3)."""
    settings = config(budget=steps + 1, **parts)
    core = GlimpseCore(scripted(settings), lanes)
    core.seed_all(0)
    core.reset(core.lanes)
    draws = rng()
    for step in range(steps):
        core.step(strategy(step, core.gaze, settings, draws))
    return core.history[:, 1:]


@pytest.mark.parametrize("side", [1, 2, 4])
@pytest.mark.parametrize("anywhere", [False, True])
def test_a_grid_tiles_the_image_whatever_its_first_tile(side, anywhere):
    lanes = 12
    path = played(Grid(side, anywhere), side**2, lanes)
    firsts = set()
    for lane in range(lanes):
        windows = config().geometry.windows(path[lane])
        seen = np.zeros((32, 32), int)
        for left, top, width in windows.round().astype(int):
            assert width == 32 // side
            seen[top : top + width, left : left + width] += 1
        assert (seen == 1).all()
        np.testing.assert_allclose(windows, windows.round(), atol=1e-3)
        firsts.add(tuple(windows[0].round().astype(int)))
    assert len(firsts) == 1 if not anywhere or side == 1 else len(firsts) > 2


def test_a_grid_goes_row_by_row_and_begins_again():
    path = played(Grid(2), 6)[0]
    wanted = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75), (0.25, 0.25), (0.75, 0.25)]
    np.testing.assert_array_equal(path[:, :2], np.float32(wanted))
    assert (path[:, 2] == 0.5).all()


def test_a_grid_keeps_to_the_zooms_of_the_scheme():
    path = played(Grid(2), 4, scheme=Saccade(1.0))[0]
    np.testing.assert_array_equal(path[:, 2], 1.0)
    np.testing.assert_array_equal(path[:, 0], [0.25, 0.75, 0.25, 0.75])


def test_a_grid_finer_than_the_sensor_zooms_visits_every_tile():
    path = played(Grid(8), 64)[0]  # tiles of 4, windows of 8: those at the border are clamped
    assert len(np.unique(path[:, :2], axis=0)) == 64


# ---- Fixed and Centre ----


def test_fixed_gazes_repeat_for_every_lane():
    path = played(Fixed(GAZES), 7, lanes=3)
    for lane in range(3):
        np.testing.assert_array_equal(path[lane], np.float32([GAZES[t % 3] for t in range(7)]))


@pytest.mark.parametrize("wrong", [(), (0.5, 0.5, 1.0), ((0.5, 0.5),), ((0.5, 0.5, 1.1),)])
def test_fixed_wants_gazes(wrong):
    with pytest.raises(ValueError, match=r"got Fixed\(gazes=.*wanted at least one"):
        Fixed(wrong)


def test_the_centre_is_seen_at_the_finest_zoom_of_the_scheme():
    np.testing.assert_array_equal(Centre()(0, gazes(), config(), rng()), [[0.5, 0.5, 1.0]] * N)
    lower = Centre()(0, gazes(), config(scheme=Saccade(0.5)), rng())
    np.testing.assert_array_equal(lower, [[0.5, 0.5, 0.5]] * N)


# ---- Walk and Mixture ----


def nothing(scheme: str) -> object:
    """An action that goes on, whatever its gaze."""
    if scheme == "Hybrid":
        return {
            "decision": np.zeros(N, np.int64),
            "class": np.zeros(N, np.int64),
            "move": np.zeros((N, 2), np.float32),
            "zoom": np.zeros((N, 1), np.float32),
        }
    shapes = {"GreedyMap": (N,), "MultiCategorical": (N, 3), "Saccade": (N, 2), "Anywhere": (N, 3)}
    return np.zeros(shapes[scheme], np.float32 if scheme in ("Saccade", "Anywhere") else np.int64)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_walk_is_the_schemes_own_random_actions(scheme):
    settings, gaze = config(scheme=scheme), gazes()
    actions = settings.scheme.with_random_gaze(nothing(scheme), rng(9))
    move = settings.scheme.decode(actions, gaze, settings.geometry, 4)
    assert (move.answers == -1).all()
    np.testing.assert_array_equal(Walk()(0, gaze, settings, rng(9)), move.gaze)
    assert len(np.unique(move.gaze, axis=0)) > N / 3


def test_a_mixture_follows_each_of_its_strategies_alike_often():
    mixture = Mixture((Fixed(GAZES), {"type": "Centre", "zoom": 0.2}, "Walk"))
    assert mixture.strategies == (Fixed(GAZES), Centre(0.2), Walk())
    gaze = mixture(1, gazes(), config(), rng())
    fixed = (gaze == np.float32(GAZES[1])).all(1)
    centre = (gaze == np.float32([0.5, 0.5, 0.2])).all(1)
    for share in (fixed.mean(), centre.mean(), 1 - (fixed | centre).mean()):
        assert 0.25 < share < 0.42


@pytest.mark.parametrize(("wrong", "message"), [((), "nothing"), (("Gird",), "'Grid'")])
def test_a_mixture_of_nothing_or_of_the_unknown_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Mixture(wrong)


@pytest.mark.parametrize("kind", [Uniform, Centre])
@pytest.mark.parametrize("zoom", [-0.1, 1.1, float("nan"), "1"])
def test_a_zoom_outside_its_range_is_refused(kind, zoom):
    with pytest.raises(ValueError, match=rf"{kind.__name__}\(zoom=.*from 0 to 1"):
        kind(zoom)


@pytest.mark.parametrize("side", [0, 1.5, True])
def test_a_grid_without_tiles_is_refused(side):
    with pytest.raises(ValueError, match=r"Grid\(side=.*integer of at least 1"):
        Grid(side)


# ---- scripted environments ----


@pytest.mark.parametrize("start", ["overview", "centre", "random"])
@pytest.mark.parametrize("scheme", ["MultiCategorical", Saccade(0.5)])
def test_a_scripted_environment_keeps_what_is_shown(scheme, start):
    parts = {
        "scene": {"type": "TranslatedCanvas", "side": 48},
        "sensor": Retina(6, 2),
        "augment": {"type": "ShiftFlip", "shift": 2},
    }
    settings = config(**parts, scheme=scheme, start=start, budget=5, scene_seed=3)
    script = scripted(settings, NumpyClassifier(4, 3))
    kept = ("dataset", "scene", "sensor", "budget", "start", "split", "scene_seed", "augment")
    for name in kept:
        assert getattr(script, name) == getattr(settings, name), name
    cores = [GlimpseCore(made, 6) for made in (settings, script)]
    firsts = []
    for core in cores:
        core.seed_all(11)
        firsts.append(core.reset(core.lanes))
    for key in ("glimpse", "gaze", "remaining"):
        np.testing.assert_array_equal(firsts[0][key], firsts[1][key])


def test_the_classifier_of_a_scripted_environment_answers():
    classifier = NumpyClassifier(4, 3)
    core = GlimpseCore(scripted(config(budget=3, reward="GlimpseCost"), classifier), 9)
    core.seed_all(0)
    core.reset(core.lanes)
    for left in (1, 0):
        _, reward, ended = core.step(Uniform()(0, core.gaze, config(), rng()))
        assert ended.all() == (left == 0) and (core.predictions == core.belief.argmax(1)).all()
    np.testing.assert_array_equal(reward, core.predictions == core.labels)


def test_a_scripted_environment_takes_the_classifier_that_is_there():
    own, other = NumpyClassifier(4, 3), NumpyClassifier(4, 3, seed=1)
    settings = config(classifier=own, observe_classifier_features=True)
    assert scripted(settings).classifier is own
    assert scripted(settings, other).classifier is other
    assert isinstance(scripted(config()).classifier, Blind)
    assert not scripted(settings).observe_classifier_features


def test_of_a_single_glance_the_classifier_answers_and_any_action_ends():
    classifier = NumpyClassifier(4, 3)
    core = GlimpseCore(scripted(config(budget=1), classifier), 5)
    core.seed_all(0)
    core.reset(core.lanes)
    answers, belief = core.predictions.copy(), core.belief.copy()
    assert (answers == belief.argmax(axis=1)).all()
    gaze = core.gaze.copy()
    step = core.step(np.full((5, 3), 0.9, np.float32))
    assert step.ended.all() and (core.n_glimpses == 1).all()
    np.testing.assert_array_equal(core.gaze, gaze)
    np.testing.assert_array_equal(core.predictions, answers)
    np.testing.assert_array_equal(step.reward, answers == core.labels)


def test_the_blind_believe_in_every_class_alike():
    blind = Blind(4)
    state, belief, hidden = blind.update(blind.start(3), np.zeros((3, 8, 8, 1)), np.zeros((3, 3)))
    np.testing.assert_array_equal(belief, np.full((3, 4), 0.25, np.float32))
    assert state.shape == hidden.shape == (3, 0)


# ---- reachable zooms ----


@pytest.mark.parametrize(
    ("sensor", "scheme", "zooms"),
    [
        (Crop(8), "MultiCategorical", [0, 0.5, 1]),
        (Crop(16), "GreedyMap", [0, 1]),
        (Crop(32), "GreedyMap", [0, 1]),
        (Crop(6), "MultiCategorical", [0, 1 / 3, 2 / 3, 1]),
        (Crop(8), Saccade(), [1]),
        (Crop(8), Saccade(0.4), [0.4]),
    ],
)
def test_the_reachable_zooms_are_whole_steps_from_end_to_end(sensor, scheme, zooms):
    got = reachable_zooms(config(sensor=sensor, scheme=scheme))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, zooms, atol=1e-7)


def test_a_walk_meets_all_reachable_zooms_and_no_other():
    settings, met = config(sensor=Crop(6)), set()
    gaze = np.tile(np.float32([0.5, 0.5, 0.0]), (N, 1))
    for step in range(12):
        gaze = Walk()(step, gaze, settings, rng(step))
        met |= set(gaze[:, 2].round(5).tolist())
    assert met == set(reachable_zooms(settings).round(5).tolist())


@pytest.mark.parametrize("strategy", [Uniform(), Centre(), Grid(2), Fixed(((0.5, 0.5, 0.0),))])
def test_gazes_without_a_scheme_are_told_apart_by_the_zooms_they_reach(strategy):
    multi, hybrid = (config(scheme=scheme) for scheme in ("MultiCategorical", "Hybrid"))
    close = config(scheme="Saccade", classifier=Blind(multi.dataset.n_classes))
    assert strategy.identity(multi) == strategy.identity(hybrid) != strategy.identity(close)
    assert Walk().identity(multi) != Walk().identity(hybrid)
    assert Mixture((strategy, Walk())).identity(multi) != Mixture((strategy,)).identity(multi)


# ---- Glance ----


def test_a_glance_is_an_overview_unless_the_environment_gave_one():
    first = Glance()(0, gazes(), config(start="random"), rng())
    np.testing.assert_array_equal(first, [[0.5, 0.5, 0.0]] * N)
    for step, start in ((1, "random"), (0, "overview")):
        later = Glance()(step, gazes(), config(start=start), rng())
        assert (later[:, 2] == 1.0).all()
        assert len(np.unique(later[:, 0])) > 1


# ---- where the image lies ----


def on_a_canvas(n: int = 300, **parts) -> GlimpseCore:
    """Images of 8 x 8 on canvases of 32 x 32, where windows are 32, 16 or 8 pixels wide."""
    images = np.zeros((40, 8, 8, 1), np.uint8)
    labels = np.arange(40) % 4
    dataset = ImageDataset.from_arrays(images, labels, images, labels)
    core = GlimpseCore(
        config(dataset=dataset, scene={"type": "TranslatedCanvas", "side": 32}, **parts), n
    )
    core.seed_all(0)
    core.reset(core.lanes)
    return core


def test_on_target_the_window_is_the_image():
    core = on_a_canvas()
    gaze = OnTarget().look(0, core, core.config, rng())
    windows = core.geometry.windows(gaze)
    np.testing.assert_allclose(windows, core.targets()[:, :3], atol=1e-3)


def test_the_zoom_is_the_nearest_that_an_agent_reaches():
    core = on_a_canvas(sensor={"type": "Crop", "size": 4})  # windows of 32, 16, 8, 4
    assert np.allclose(OnTarget().look(0, core, core.config, rng())[:, 2], 2 / 3)
    core = on_a_canvas(sensor={"type": "Retina", "size": 4, "scales": 2}, scheme=Saccade(1.0))
    assert np.allclose(OnTarget().look(0, core, core.config, rng())[:, 2], 1.0)


def test_the_jitter_is_uniform_and_kept_inside():
    core = on_a_canvas()
    gaze = OnTarget(jitter=0.5).look(0, core, core.config, rng())
    windows, targets = core.geometry.windows(gaze), core.targets()
    off = windows[:, :2] - targets[:, :2]
    assert np.abs(off).max() <= 4.0 + 1e-3 and 1.8 < np.abs(off).mean() < 2.2
    assert (windows[:, :2] >= -1e-3).all() and (windows[:, :2] <= 24 + 1e-3).all()


def test_on_target_may_be_one_of_a_mixture_but_needs_lanes():
    core = on_a_canvas()
    mixture = Mixture((OnTarget(), Centre(0.0)))
    gaze = mixture.look(0, core, core.config, rng())
    there = OnTarget().look(0, core, core.config, rng())
    hit = (np.abs(gaze - there) < 1e-6).all(axis=1)
    assert 0.4 < hit.mean() < 0.6 and (gaze[~hit] == (0.5, 0.5, 0.0)).all()
    with pytest.raises(ValueError, match="call look"):
        OnTarget()(0, core.gaze, core.config, rng())


def test_a_gaze_of_ones_own_is_asked_with_the_present_gaze():
    core = on_a_canvas()
    np.testing.assert_array_equal(
        Walk().look(0, core, core.config, rng()), Walk()(0, core.gaze, core.config, rng())
    )
