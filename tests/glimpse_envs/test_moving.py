"""Scenes that move: frames pixel by pixel, and what they depend on."""

import copy
import pickle
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import pytest
from classifiers import NumpyClassifier

from glimpse_envs import GlimpseConfig, ImageDataset
from glimpse_envs.core import GlimpseCore
from glimpse_envs.moving import MovingCanvas, MovingScene
from glimpse_envs.scenes import Scene
from glimpse_envs.strategies import OnTarget, Stay, scripted


def keys(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2**64, size=n, dtype=np.uint64)


def flat_images(*values: int, side: int = 8) -> np.ndarray:
    return np.array(values, np.uint8)[:, None, None, None] * np.ones((side, side, 1), np.uint8)


def data(n: int = 40, side: int = 8, channels: int = 1) -> ImageDataset:
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (n, side, side, channels), dtype=np.uint8)
    return ImageDataset.from_arrays(images, np.arange(n) % 4, images[:8], np.arange(8) % 4)


def config(**parts) -> GlimpseConfig:
    given = {
        "dataset": data(),
        "scene": MovingCanvas(24),
        "sensor": {"type": "Crop", "size": 6},
        "scheme": "Pursuit",
        "reward": "TimeOnTarget",
        "budget": 6,
        **parts,
    }
    return GlimpseConfig(**given)


def begun(settings: GlimpseConfig, n: int = 5, seed: int = 0) -> GlimpseCore:
    core = GlimpseCore(settings, n)
    core.seed_all(seed)
    core.reset(core.lanes)
    return core


def films(scene: MovingScene, images: np.ndarray, index: np.ndarray, stream, n_times: int):
    """Frames of scenes one after the other, (n_times, n, H, W, C)."""
    return np.stack(
        [scene.frames(images, index, stream, np.full(len(index), t)) for t in range(n_times)]
    )


# ---- the canvas ----


@pytest.mark.parametrize("shape", [(8, 8, 1), (6, 10, 3)])
def test_a_single_object_lies_where_places_say_pixel_by_pixel(shape):
    images = np.random.default_rng(0).integers(1, 256, (3, *shape), dtype=np.uint8)
    scene, stream, index = MovingCanvas(30, objects=1), keys(20), np.arange(20) % 3
    for t in (0, 1, 7, 400):
        times = np.full(20, t)
        frames = scene.frames(images, index, stream, times)
        places = scene.places_at(*shape[:2], stream, times)
        for frame, (left, top), i in zip(frames, places, index, strict=True):
            box = frame[top : top + shape[0], left : left + shape[1]]
            np.testing.assert_array_equal(box, images[i])
            assert frame.sum() == images[i].sum()  # the rest is black


def test_objects_go_straight_on_and_bounce_off_the_borders():
    scene, stream, times = MovingCanvas(64, slowest=3.0, fastest=3.0), keys(200), np.arange(120)
    paths = np.stack([scene.places_at(8, 8, stream, np.full(200, t)) for t in times], axis=1)
    assert paths.min() == 0 and paths.max() == 56
    steps = np.diff(paths, axis=1)
    inside = ((paths[:, :-1] > 3) & (paths[:, :-1] < 53)).all(axis=2)
    speeds = np.hypot(*np.moveaxis(steps, -1, 0))[inside]
    assert abs(speeds.mean() - 3.0) < 0.05 and abs(speeds - 3.0).max() <= np.sqrt(0.5) * 2
    for axis in range(2):  # a direction changes at a border alone, and then is the opposite one
        x, dx = paths[..., axis], np.sign(steps[..., axis])
        turned = (dx[:, 1:] * dx[:, :-1]) < 0
        at_border = (x[:, 1:-1] <= 3) | (x[:, 1:-1] >= 53)
        assert turned.sum() > 100 and at_border[turned].all()


def test_speeds_are_drawn_between_the_two():
    scene, stream = MovingCanvas(1000, slowest=1.0, fastest=4.0), keys(500)
    first, later = (scene.places_at(8, 8, stream, np.full(500, t)) for t in (0, 20))
    inside = ((first > 80) & (first < 900)).all(axis=1)
    speeds = np.hypot(*(later - first)[inside].T) / 20
    assert speeds.min() < 1.3 and speeds.max() > 3.7 and abs(speeds.mean() - 2.5) < 0.15


def test_an_object_as_large_as_the_canvas_stands_still():
    images = flat_images(9, 50)
    frames = films(MovingCanvas(8, objects=1), images, np.array([1]), keys(1), 5)
    assert (frames == 50).all()


def test_objects_are_other_images_than_the_named_one_each_with_its_own_path():
    images = flat_images(0, 60, 120, 180)  # the named one is black: all that is seen are others
    frames = films(MovingCanvas(40, objects=4), images, np.zeros(50, int), keys(50), 3)
    areas = (frames > 0).sum((2, 3, 4))
    assert set(np.unique(frames)) == {0, 60, 120, 180} and areas.max() <= 3 * 64
    assert (areas[1:] != areas[:-1]).any()  # they do not move together


def test_the_named_object_covers_the_others_or_the_brighter_pixel_wins():
    images = flat_images(100, 200, 200)
    stream, times, index = keys(300), np.full(300, 4), np.zeros(300, int)
    pasted, brighter = (
        MovingCanvas(12, objects=3, blend=blend).frames(images, index, stream, times)
        for blend in ("paste", "max")
    )
    lit = MovingCanvas(12, objects=1).frames(images, index, stream, times) > 0
    assert (pasted[lit] == 100).all()
    assert set(np.unique(brighter[lit])) == {100, 200}


def test_a_frame_depends_on_its_key_and_time_alone():
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), dtype=np.uint8)
    scene, stream, index = MovingCanvas(30, objects=3), keys(6), np.arange(6)
    together = films(scene, images, index, stream, 8)
    for i in (4, 1):
        for t in (7, 0, 3):  # in any order
            one = scene.frames(images, index[i : i + 1], stream[i : i + 1], np.array([t]))
            np.testing.assert_array_equal(one[0], together[t, i])
    assert len({frame.tobytes() for frame in together.reshape(-1, 30 * 30)}) == 48


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"side": 0}, r"MovingCanvas\(side=0\)"),
        ({"objects": 0}, r"objects=0\); wanted an integer of at least 1"),
        ({"slowest": -1.0}, r"slowest=-1"),
        ({"slowest": 6.0}, r"slowest=6, fastest=5\); wanted slowest at most as large"),
        ({"blend": "mean"}, r"got blend='mean'; wanted 'max' or 'paste'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MovingCanvas(**arguments)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="images of 28 x 12 do not fit a canvas of side 20"):
        MovingCanvas(20).shape(28, 12)
    with pytest.raises(ValueError, match="a split of one image"):
        MovingCanvas(20).compose(flat_images(1), np.zeros(1, int), keys(1))


# ---- in the simulation ----


def test_each_glimpse_is_taken_of_the_next_frame():
    settings = config(sensor={"type": "Crop", "size": 24}, budget=5)
    core = GlimpseCore(settings, 4)
    core.seed_all(3)
    glimpses = [core.reset(core.lanes)["glimpse"]]
    for _ in range(4):
        glimpses.append(core.step(np.zeros((4, 2), np.float32)).observation["glimpse"])
    images, stream = settings.shown_split.images, core._stream
    wanted = films(settings.scene, images, core.index, stream, 5)
    np.testing.assert_array_equal(np.stack(glimpses), wanted)  # the window is the whole canvas
    np.testing.assert_array_equal(core.images(), wanted[4])
    np.testing.assert_array_equal(core.image(2), wanted[4, 2])


def test_a_lane_that_takes_no_glimpse_keeps_its_frame():
    core = begun(config(scheme="MultiCategorical", reward="Terminal", start="centre"), n=3)
    core.step(np.array([[0, 1, 0], [2, 1, 0], [0, 1, 0]]))
    before, image = core.observation(), core.image(1).copy()
    step = core.step(np.array([[0, 1, 0], [3, 2, 4], [0, 1, 0]]))  # lane 1 answers
    assert step.ended.tolist() == [False, True, False]
    np.testing.assert_array_equal(step.observation["glimpse"][1], before["glimpse"][1])
    np.testing.assert_array_equal(core.image(1), image)
    assert core.times.tolist() == [2, 1, 2]


def test_a_changed_classifier_reads_every_glimpse_of_its_own_frame_anew():
    classifier = NumpyClassifier(4, 3)
    core = begun(config(classifier=classifier), n=6)
    rng = np.random.default_rng(0)
    for _ in range(4):
        core.step(rng.uniform(-1, 1, (6, 2)).astype(np.float32))
    belief, glimpse = core.belief.copy(), core.observation()["glimpse"].copy()
    again = core.refresh()  # nothing has changed, so that nothing may
    np.testing.assert_allclose(core.belief, belief, rtol=1e-6)
    np.testing.assert_array_equal(again["glimpse"], glimpse)


def test_a_lookahead_reads_the_next_frame():
    classifier = NumpyClassifier(4, 3)
    core = begun(scripted(config(), classifier), n=6)
    gaze = np.tile(np.float32([0.4, 0.6, 1.0]), (6, 1))
    foreseen = core.lookahead(gaze)
    core.step(gaze)
    np.testing.assert_allclose(core.belief, foreseen, rtol=1e-6)


def test_a_lanes_episodes_depend_on_its_seed_alone():
    actions = np.random.default_rng(0).uniform(-1, 1, (12, 5, 2)).astype(np.float32)

    def play(lanes: list[int]) -> list[np.ndarray]:
        core = GlimpseCore(config(), len(lanes))
        for place, lane in enumerate(lanes):
            core.seed(place, np.random.default_rng(lane))
        seen = [core.reset(core.lanes)["glimpse"]]
        for action in actions:
            step = core.step(action[lanes])
            seen.append(step.observation["glimpse"].copy())
            if step.ended.any():
                seen.append(core.reset(step.ended.nonzero()[0])["glimpse"])
        return seen

    for ours, theirs in zip(play([0, 1, 2, 3, 4]), play([3]), strict=True):
        np.testing.assert_array_equal(ours[3], theirs[0])


def test_training_images_are_augmented_alike_in_all_frames():
    augment = {"type": "ShiftFlip", "shift": 3, "flip": True}
    still = {"scene": MovingCanvas(24, objects=1), "start": "centre"}
    ours = begun(config(augment=augment, **still), n=50)
    for _ in range(3):
        for shown, (left, top, *_) in zip(ours.images(), ours.targets(), strict=True):
            lit = np.argwhere(shown[..., 0])
            wanted = np.array([max(top, 0), max(left, 0)])
            np.testing.assert_array_equal(lit.min(0), wanted)
        ours.step(np.zeros((50, 2), np.float32))


def test_a_copy_and_a_pickle_go_on_alike():
    core = begun(config())
    core.step(np.full((5, 2), 0.5, np.float32))
    for twin in (copy.deepcopy(core), pickle.loads(pickle.dumps(core))):
        mirror = copy.deepcopy(core)
        for _ in range(3):
            ours, theirs = (c.step(np.full((5, 2), -0.3, np.float32)) for c in (mirror, twin))
            np.testing.assert_array_equal(
                ours.observation["glimpse"], theirs.observation["glimpse"]
            )


def test_a_scene_of_ones_own_moves_too():
    @dataclass(frozen=True)
    class Slide(MovingScene):
        """The image, one pixel further down in each frame."""

        def shape(self, height, width):
            return height, width

        def frames(self, images, index, keys, times):
            return np.stack([np.roll(images[i], t, 0) for i, t in zip(index, times, strict=True)])

    settings = config(scene=Slide(), start="centre", reward="Terminal", budget=4)
    core = begun(settings, n=4)
    assert not settings.tracked and "on_target" not in core.summary(core.lanes)
    for t in range(1, 4):
        core.step(np.zeros((4, 2), np.float32))
        for lane in range(4):
            image = settings.shown_split.images[core.index[lane]]
            np.testing.assert_array_equal(core.image(lane), np.roll(image, t, 0))
    with pytest.raises(ValueError, match='start="target" needs a scene that tells where'):
        config(scene=Slide(), start="target", reward="Terminal")


# ---- the named object ----


def test_an_episode_begins_on_the_named_object():
    core = begun(config(scene=MovingCanvas(24, objects=3)), n=100)
    left, top, width, height = core.targets().T
    wanted = np.stack([left + width / 2, top + height / 2], 1) / 24
    low = 3 / 24  # windows stay inside
    np.testing.assert_allclose(core.gaze[:, :2], wanted.clip(low, 1 - low), atol=1e-6)
    assert (core.labels == core.config.shown_split.labels[core.index]).all()


@pytest.mark.parametrize("scheme", ["Pursuit", "Anywhere", "Saccade"])
def test_a_gaze_on_the_target_leads_it_to_where_it_will_be(scheme):
    parts = {} if scheme == "Pursuit" else {"classifier": NumpyClassifier(4, 3)}
    parts |= {"scene": MovingCanvas(40), "scheme": scheme, "start": "target"}
    core = begun(config(**parts), n=60)
    rng = np.random.default_rng(0)
    for t in range(5):
        gaze = OnTarget().look(t, core, core.config, rng)
        step = core.step(core.config.scheme.toward(gaze, core.gaze, core.geometry))
        assert (step.reward == 1.0).all()
    assert core.summary(core.lanes)["on_target"] == [1.0] * 60


def test_a_gaze_that_stays_loses_what_moves():
    core = begun(config(scene=MovingCanvas(60, slowest=3.0), budget=12), n=60)
    total = np.zeros(60)
    for t in range(11):
        gaze = Stay().look(t, core, core.config, np.random.default_rng(0))
        step = core.step(core.config.scheme.toward(gaze, core.gaze, core.geometry))
        total += step.reward
    assert step.ended.all()
    told = core.summary(core.lanes)
    assert 0.0 < np.mean(total) / 11 < 0.15
    np.testing.assert_allclose(np.array(told["on_target"]) * 11, total, atol=1e-5)
    np.testing.assert_array_equal(told["is_success"], step.reward == 1.0)


def test_the_target_stands_still_where_nothing_moves():
    core = begun(config(scene={"type": "TranslatedCanvas", "side": 24}))
    targets = core.targets().copy()
    core.step(np.ones((5, 2), np.float32))
    np.testing.assert_array_equal(core.targets(), targets)
    np.testing.assert_array_equal(core.targets(ahead=3), targets)


def test_to_look_at_a_still_image_counts_where_nobody_answers():
    still = {"scene": {"type": "TranslatedCanvas", "side": 24}, "reward": "TimeOnTarget"}
    core = begun(config(**still, budget=4), n=20)
    for _ in range(3):
        step = core.step(np.zeros((20, 2), np.float32))
        assert (step.reward == 1.0).all()
    told = core.summary(core.lanes)
    assert core.config.follows and told["on_target"] == [1.0] * 20 and all(told["is_success"])
    answered = config(**still, scheme="Saccade", classifier=NumpyClassifier(4, 3))
    assert not answered.tracked  # nothing moves, and a class is what counts


def test_a_first_glimpse_alone_is_no_share_on_target():
    core = begun(config(scene=MovingCanvas(40), budget=4), n=3)
    assert core.summary(core.lanes)["on_target"] == [0.0] * 3


def test_places_of_a_still_scene_are_those_at_any_time():
    @dataclass(frozen=True)
    class Corner(Scene):
        def shape(self, height, width):
            return height, width

        def places(self, height, width, keys):
            return np.full((len(keys), 2), 3, np.int64)

    assert (Corner().places_at(8, 8, keys(4), np.arange(4)) == 3).all()


# ---- the registered ones ----


@pytest.mark.parametrize(
    "env_id", ["GlimpseMovingMNIST-Pursuit-v0", "GlimpseMovingCIFAR-Pursuit-v0"]
)
def test_following_needs_no_classifier_and_lasts_for_the_whole_budget(env_id):
    env = gym.make(env_id)
    env.reset(seed=0)
    for t in range(1, 20):
        _, _, terminated, truncated, info = env.step(np.zeros(2, np.float32))
        assert terminated == (t == 19) and not truncated and info["prediction"] == -1
    assert info["n_glimpses"] == 20 and 0.0 < info["on_target"] <= 1.0


def test_a_classifier_that_is_attached_answers_at_the_end():
    env = gym.make("GlimpseMovingMNIST-Pursuit-v0", classifier=NumpyClassifier(), budget=3)
    env.reset(seed=0)
    env.step(np.zeros(2, np.float32))
    *_, terminated, _, info = env.step(np.zeros(2, np.float32))
    assert terminated and info["is_success"] == (info["prediction"] == info["label"])
