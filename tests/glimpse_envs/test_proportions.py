"""Images of their own proportions: windows keep inside each, whatever the frame."""

import pickle

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

from glimpse_envs import image_sources
from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.core import GlimpseCore
from glimpse_envs.data import folders
from glimpse_envs.data.datasets import DatasetError, ImageDataset, Split
from glimpse_envs.data.loaders import load_dataset
from glimpse_envs.gaze import Geometry
from glimpse_envs.proportions import LaneGeometry, lane_geometry, least_side
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_envs.strategies import Blind, Fixed, Glance, Grid, Uniform, Walk
from glimpse_lab.evaluation.oracle_gaze import SaliencyGaze
from glimpse_lab.evaluation.rollout import evaluate_gaze
from glimpse_lab.graph import Database

FRAME, N = 32, 24
INSIDE = 200  # grey level of images; their frames are black


def extents() -> np.ndarray:
    return np.random.default_rng(0).integers(12, FRAME + 1, (N, 2))


def split() -> Split:
    images = np.zeros((N, FRAME, FRAME, 1), np.uint8)
    for image, (height, width) in zip(images, extents(), strict=True):
        top, left = (FRAME - height) // 2, (FRAME - width) // 2
        image[top : top + height, left : left + width] = INSIDE
    return Split(images, np.arange(N) % 3, extents=extents())


def oblong() -> ImageDataset:
    parts = {name: split() for name in ("train", "validation", "test")}
    return _made(parts)


def _made(parts: dict[str, Split]) -> ImageDataset:
    return ImageDataset("oblong", classes=["a", "b", "c"], **parts)


def config(**parts) -> GlimpseConfig:
    given = {"scheme": "MultiCategorical", "sensor": {"type": "Crop", "size": 8}, "budget": 6}
    return make_config(dataset=oblong(), **{**given, **parts})


def begun(n: int = N, **parts) -> GlimpseCore:
    core = GlimpseCore(config(**parts), n)
    core.seed_all(0)
    core.reset(core.lanes, np.arange(n) % N)
    return core


@pytest.mark.parametrize("start", ["random", "centre", "overview"])
@pytest.mark.parametrize("scheme", ["MultiCategorical", "GreedyMap", "Hybrid"])
def test_no_window_of_a_crop_leaves_the_image(scheme, start):
    core = begun(64, scheme=scheme, start=start)
    space = gym.vector.utils.batch_space(core.config.action_space, 64)
    space.seed(0)
    assert (core.observation()["glimpse"] == INSIDE).all()
    for _ in range(40):
        step = core.step(space.sample())
        assert (step.observation["glimpse"] == INSIDE).all()
        ended = step.ended.nonzero()[0]
        if len(ended):
            coverage = core.summary(ended)["coverage"]
            assert 0 < min(coverage) and max(coverage) <= 1 + 1e-6
            core.reset(ended)


def test_all_of_it_can_be_reached():
    core, sizes = begun(), extents()
    for x, y in np.ndindex(2, 2):
        gaze = core.geometry.clamp(np.tile(np.float32([x, y, 1.0]), (N, 1)))
        left, top, side = core.geometry.windows(gaze).T
        begin = (FRAME - sizes) // 2
        np.testing.assert_allclose(left, begin[:, 1] + x * (sizes[:, 1] - 8), atol=1e-4)
        np.testing.assert_allclose(top, begin[:, 0] + y * (sizes[:, 0] - 8), atol=1e-4)
        assert (side == 8).all()
    largest = core.geometry.clamp(np.tile(np.float32([0.5, 0.5, 0.0]), (N, 1)))
    np.testing.assert_allclose(core.geometry.windows(largest)[:, 2], sizes.min(axis=1), atol=1e-4)


def test_of_an_image_that_fills_its_frame_nothing_differs():
    frame, rng = Geometry(24, 32, 6), np.random.default_rng(0)
    lanes = lane_geometry(frame, np.array([[24, 32]]), None, 5)
    lanes.show(np.arange(5), np.zeros(5, np.int64), np.zeros(5, np.uint64))
    gaze, step = rng.random((2, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(lanes.shift(gaze, step), frame.shift(gaze, step))
    steps = rng.random((4, 3), np.float32)
    np.testing.assert_array_equal(lanes.after_each(gaze, steps), frame.after_each(gaze, steps))
    history, counts = rng.random((5, 4, 3), np.float32), np.array([0, 1, 2, 3, 4])
    for span in (1.0, 4.0):
        np.testing.assert_array_equal(
            lanes.coverage(history, counts, span), frame.coverage(history, counts, span)
        )
    np.testing.assert_allclose(lanes.to_frame(gaze), gaze, atol=1e-6)


def test_gazes_of_some_lanes_alone_are_refused():
    geometry, some = begun().geometry, np.arange(5)
    with pytest.raises(ValueError, match=f"got gazes 5; wanted as many for each of {N} lanes"):
        geometry.clamp(np.zeros((5, 3), np.float32))
    with pytest.raises(ValueError, match="got gazes 5"):
        geometry.coverage(np.zeros((5, 2, 3), np.float32), np.ones(5, np.int64))
    assert geometry.of(some).clamp(np.zeros((5, 3), np.float32)).shape == (5, 3)
    assert geometry.of(some[:0]).clamp(np.zeros((0, 3), np.float32)).shape == (0, 3)


def test_what_a_sensor_reads_beyond_the_image_is_not_seen_of_it():
    frame, middle = Geometry(32, 32, 8, padded=True), np.full((1, 1, 3), [0.5, 0.5, 1], np.float32)
    lanes = lane_geometry(frame, np.array([[16, 32]]), None, 1)
    lanes.show(np.arange(1), np.zeros(1, np.int64), np.zeros(1, np.uint64))
    assert lanes.coverage(middle, np.array([1]))[0] == pytest.approx(8 * 8 / (16 * 32))
    assert lanes.coverage(middle, np.array([1]), span=4.0)[0] == 1.0
    up = lanes.clamp(np.float32([[0.5, 0.0, 1.0]]))
    assert up[0, 1] == pytest.approx(0.25)  # the fixation stays on the image


def test_masks_are_those_of_each_image_alone():
    core = begun(scheme="GreedyMap", start="random")
    masks = core.action_masks()[:, :6]
    for lane, (height, width) in enumerate(extents()):
        alone = Geometry(int(height), int(width), 8)
        left, top, side = core.geometry.windows(core.gaze[lane : lane + 1])[0]
        x0, y0 = (FRAME - width) // 2, (FRAME - height) // 2
        room = [left - x0, x0 + width - left - side, top - y0, y0 + height - top - side]
        np.testing.assert_array_equal(masks[lane, :4], np.array(room) > 1e-3)
        assert masks[lane, 4] == (side > 8 + 1e-3)
        assert masks[lane, 5] == (side < alone.largest - 1e-3)
    assert 0 < masks.mean() < 1


@pytest.mark.parametrize("gaze", [Uniform(), Grid(2), Fixed(((0.0, 1.0, 1.0), (1.0, 0.0, 1.0)))])
def test_scripted_gazes_are_fractions_of_the_image(gaze):
    core, rng = begun(scheme="Anywhere", classifier=Blind(3)), np.random.default_rng(0)
    begin = (FRAME - extents()[:, ::-1]) // 2 / FRAME
    end = begin + extents()[:, ::-1] / FRAME
    for step in range(4):
        target = gaze.look(step, core, core.config, rng)[:, :2]
        assert (target >= begin - 1e-6).all() and (target <= end + 1e-6).all()
        core.step(gaze.look(step, core, core.config, rng))
    if isinstance(gaze, Grid):  # all four quarters, whose windows are half as wide as the frame
        seen = core.geometry.windows(core.history[:, 1:5].reshape(-1, 3)).reshape(N, 4, 3)
        wide = extents()[:, ::-1] > 18
        apart = np.ptp(seen[..., :2], axis=1)
        assert (apart[wide] > 0).all() and core.geometry.coverage(
            core.history, np.full(N, 5)
        ).min() > 0.7
    if isinstance(gaze, Fixed):
        corner = gaze.look(0, core, core.config, rng)
        np.testing.assert_allclose(corner[:, 0], begin[:, 0], atol=1e-6)
        np.testing.assert_allclose(corner[:, 1], end[:, 1], atol=1e-6)


def test_the_faces_agree():
    parts = {"scene": "Plain", "sensor": {"type": "Crop", "size": 8}, "budget": 6}
    env_id = "GlimpseDigits-MultiCat-v0"
    single = gym.make(env_id, dataset=oblong(), **parts)
    assert isinstance(single.unwrapped.core.geometry, LaneGeometry)
    lanes = GlimpseVecEnv(env_id, 3, dataset=oblong(), seed=5, **parts)
    seen, (own, _) = lanes.reset(), single.reset(seed=7)
    single.action_space.seed(0)
    for _ in range(30):
        for name, value in own.items():
            np.testing.assert_array_equal(value, seen[name][2])
        action = single.action_space.sample()
        own, _, ended, _, _ = single.step(action)
        seen = lanes.step(np.tile(action, (3, 1)))[0]
        if ended:
            own, _ = single.reset()


def test_they_survive_pickling_and_tell_data_sets_apart():
    data = oblong()
    again = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(again.train.extents, extents())
    filled = _made({n: Split(s.images, s.labels) for n, s in vars(data).items() if n in _SPLITS})
    assert again.digest == data.digest != filled.digest


_SPLITS = ("train", "validation", "test")


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("flip", [False, True])
def test_what_moves_the_images_moves_what_may_be_looked_at(flip, large, monkeypatch):
    if large:
        monkeypatch.setattr(image_sources, "LARGEST_SHARED", 0)
    core = begun(200, augment={"type": "ShiftFlip", "shift": 4, "flip": flip}, start="random")
    wanted = image_sources.LargeImages if large else image_sources.ComposedImages
    assert type(core.source) is wanted
    space = gym.vector.utils.batch_space(core.config.action_space, 200)
    space.seed(0)
    zoomed = core.geometry.windows(core.gaze)[:, 2] > 9
    for _ in range(10):
        glimpse = core.observation()["glimpse"]
        assert (glimpse[~zoomed] == INSIDE).all()
        actions = space.sample()
        actions[:, 2] = 0
        core.step(actions)
        core.reset((core.n_glimpses == 6).nonzero()[0])
        zoomed = core.geometry.windows(core.gaze)[:, 2] > 9
        if not large:  # coarse pixels of smaller copies hold some of the bars
            zoomed[:] = False
    moved = core.geometry.bounds(200)
    shown = core.images()[..., 0] == INSIDE
    for lane in range(200):
        y, x = shown[lane].nonzero()
        assert [x.min(), y.min(), x.max() + 1, y.max() + 1] == moved[lane].tolist()


def test_what_a_shift_leaves_of_the_narrowest_image():
    assert least_side(np.array([[32, 20]]), (32, 32), 4) == 20  # there is room beside it
    assert least_side(np.array([[32, 20]]), (32, 32), 10) == 16
    assert least_side(np.array([[32, 32]]), (32, 32), 4) == 28


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        ({"sensor": {"type": "Crop", "size": 16}}, "does not fit the narrowest image of train, 1"),
        ({"augment": {"type": "ShiftFlip", "shift": 15}}, "moved by up to 15"),
        ({"augment": {"type": "ShiftFlip", "fill": "reflect"}}, "wanted a motion"),
        ({"scene": {"type": "TranslatedCanvas", "side": 60}}, "lie on it as bars"),
    ],
)
def test_what_frames_cannot_be_shown_with_is_refused(parts, match):
    for name in _SPLITS:
        with pytest.raises(ValueError, match=match):
            config(**parts, split=name)


def test_walks_are_steps_of_the_agents_own():
    core = begun(scheme="MultiCategorical", start="random")
    gaze = core.gaze.copy()
    walked = Walk().look(0, core, core.config, np.random.default_rng(3))
    actions = np.zeros((N, 3), np.int64)
    actions = core.config.scheme.with_random_gaze(actions, np.random.default_rng(3))
    own = core.config.scheme.decode(actions, gaze, core.geometry, 3).gaze
    np.testing.assert_array_equal(walked, own)


@pytest.mark.parametrize("gaze", [Uniform(1.0), Glance()])
def test_uniform_gazes_are_uniform_in_each_image(gaze):
    images = np.zeros((3, 32, 32, 1), np.uint8)
    parts = dict.fromkeys(_SPLITS, Split(images, np.arange(3), extents=np.array([[32, 16]] * 3)))
    sensor = {"type": "Crop", "size": 8}
    shown = make_config(dataset=_made(parts), scheme="Anywhere", classifier=Blind(3), sensor=sensor)
    core = GlimpseCore(shown, 4000)
    core.seed_all(0)
    core.reset(core.lanes)
    looked = gaze.look(1, core, core.config, np.random.default_rng(0))
    left = core.geometry.windows(looked)[:, 0] - 8
    assert left.min() >= -1e-3 and left.max() <= 8 + 1e-3
    assert np.histogram(left, 8, (0, 8))[0].min() > 400  # of 500 each


def test_saliency_sees_no_edge_where_an_image_ends():
    core = begun(scheme="Anywhere", classifier=Blind(3), start="overview")
    rng = np.random.default_rng(0)
    detail = np.array(core.images())
    spots = []
    for lane, (left, top, right, bottom) in enumerate(core.geometry.bounds(N).astype(int)):
        x, y = rng.integers(left + 2, right - 4), rng.integers(top + 2, bottom - 4)
        detail[lane, y, x] = 120
        spots.append((x, y))
    core.images = lambda: detail
    gaze = SaliencyGaze()(0, core, core.config)
    left, top, side = core.geometry.windows(core.geometry.clamp(gaze)).T
    x, y = np.array(spots).T
    assert ((left <= x + 1) & (x <= left + side) & (top <= y + 1) & (y <= top + side)).all()


def test_the_share_of_pixels_is_that_of_the_images():
    shown = config(scheme="Anywhere", classifier=Blind(3), split="test")
    paths = evaluate_gaze(Grid(2), shown, classifier=Blind(3))
    assert paths.pixels == round(extents().prod(axis=1).mean())


def test_a_graph_does_not_show_them():
    with pytest.raises(ValueError, match="wanted fit: crop or letterbox"):
        Database(oblong())


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (np.ones((N, 3), int), "wanted integers"),
        (np.ones((N, 2)), "wanted integers"),
        (np.zeros((N, 2), int), "at least 1"),
        (np.full((N, 2), FRAME + 1), "within frames of 32 x 32"),
    ],
)
def test_extents_that_are_none_are_refused(given, match):
    whole = split()
    with pytest.raises(DatasetError, match=match):
        Split(whole.images, whole.labels, extents=given)


@pytest.mark.parametrize("largest", [folders.LARGEST_IN_MEMORY, 0], ids=["memory", "packed"])
def test_photographs_of_a_folder_keep_their_proportions(largest, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(folders, "LARGEST_IN_MEMORY", largest)
    monkeypatch.setenv("GLIMPSE_DATA_DIR", str(tmp_path / "data"))
    sizes = [(40, 30), (30, 40), (20, 20), (64, 16)]
    for name in "ab":
        for i in range(8):
            height, width = sizes[i % 4]
            file = tmp_path / "photos" / name / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (width, height), (INSIDE,) * 3).save(file)
    data = load_dataset({"type": "folder", "path": str(tmp_path / "photos"), "fit": "keep"})
    assert "longer side of 8 images becomes 40, their shapes stay" in capsys.readouterr().err
    assert data.image_shape == (40, 40, 3)
    boxed = {"type": "folder", "path": str(tmp_path / "photos"), "fit": "letterbox"}
    assert data.digest != load_dataset({**boxed, "background": "black"}).digest
    known = {(40, 30), (30, 40), (40, 40), (40, 10)}
    for split_name in _SPLITS:
        shown = data.split(split_name)
        assert {tuple(row) for row in shown.extents.tolist()} <= known
        for image, (height, width) in zip(shown.images, shown.extents, strict=True):
            filled = (image[..., 0] == INSIDE).sum(axis=0), (image[..., 0] == INSIDE).sum(axis=1)
            assert (filled[0].max(), filled[1].max()) == (height, width)
            assert (image[..., 0] == INSIDE).sum() == height * width == (image[..., 0] > 0).sum()
    parts = {"scene": "Plain", "sensor": {"type": "Crop", "size": 8}}
    env = gym.make("GlimpseDigits-MultiCat-v0", dataset=data, **parts)
    observation, _ = env.reset(seed=0)
    assert (observation["glimpse"] == INSIDE).all()
