"""Scenes: canvases pixel by pixel, and what they depend on."""

import gymnasium as gym
import numpy as np
import pytest

from glimpse_envs import GlimpseConfig, ImageDataset
from glimpse_envs.core import GlimpseCore
from glimpse_envs.scenes import ClutteredCanvas, Plain, Scene, TranslatedCanvas


def keys(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2**64, size=n, dtype=np.uint64)


def flat_images(*values: int, side: int = 10) -> np.ndarray:
    """Images of one grey level each, so that a canvas tells whose pixels it shows."""
    return np.array(values, np.uint8)[:, None, None, None] * np.ones((side, side, 1), np.uint8)


def placed(canvas: np.ndarray, image: np.ndarray) -> list[tuple[int, int]]:
    """All places (top, left) where the canvas shows the image pixel by pixel."""
    windows = np.lib.stride_tricks.sliding_window_view(canvas, image.shape)
    equal = (windows == image).all((-3, -2, -1))[..., 0]
    return [tuple(place) for place in np.argwhere(equal).tolist()]


# ---- placement ----


@pytest.mark.parametrize("scene", [TranslatedCanvas(30), ClutteredCanvas(30, pieces=0)])
@pytest.mark.parametrize("shape", [(10, 10, 1), (8, 12, 3)])
def test_the_image_lies_on_a_black_canvas_pixel_by_pixel(scene, shape):
    images = np.random.default_rng(0).integers(1, 256, (5, *shape), dtype=np.uint8)
    index = np.arange(40) % 5
    canvases = scene.compose(images, index, keys(40))
    assert canvases.shape == (40, 30, 30, shape[2]) and canvases.dtype == np.uint8
    for canvas, i in zip(canvases, index, strict=True):
        assert len(placed(canvas, images[i])) == 1
        assert canvas.sum() == images[i].sum()  # the rest is black


def test_an_image_of_the_canvas_size_fills_it():
    images = np.random.default_rng(0).integers(0, 256, (2, 10, 10, 3), dtype=np.uint8)
    canvas = TranslatedCanvas(10).compose(images, np.array([1]), keys(1))
    np.testing.assert_array_equal(canvas[0], images[1])


def test_places_are_uniform():
    n, places = 6000, 11
    canvases = TranslatedCanvas(20).compose(flat_images(1), np.zeros(n, int), keys(n))
    for axis in (1, 2):
        start = (canvases.max((3 - axis, 3)) > 0).argmax(1)
        counts = np.bincount(start, minlength=places)
        assert counts.size == places
        assert ((counts - n / places) ** 2 / (n / places)).sum() < 29.6  # p = 0.001, 10 degrees


def test_equal_keys_give_equal_canvases_and_others_differ():
    images = np.random.default_rng(0).integers(0, 256, (6, 10, 10, 1), dtype=np.uint8)
    scene, index = ClutteredCanvas(40, pieces=3, piece=5), np.full(8, 2)
    first, again = (scene.compose(images, index, keys(8)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len({canvas.tobytes() for canvas in first}) == 8


def test_a_canvas_does_not_depend_on_its_batch():
    images = np.random.default_rng(0).integers(0, 256, (6, 10, 10, 1), dtype=np.uint8)
    scene, index, stream = ClutteredCanvas(40, piece=5), np.arange(6), keys(6)
    batch = scene.compose(images, index, stream)
    for i in range(6):
        alone = scene.compose(images, index[i : i + 1], stream[i : i + 1])
        np.testing.assert_array_equal(alone[0], batch[i])


def test_pieces_do_not_move_the_image():
    images = flat_images(255, 100, 100)
    index, stream = np.zeros(20, int), keys(20)
    bare = ClutteredCanvas(40, pieces=0).compose(images, index, stream)
    cluttered = ClutteredCanvas(40, pieces=4, piece=5).compose(images, index, stream)
    np.testing.assert_array_equal(bare == 255, cluttered == 255)


# ---- clutter ----


@pytest.mark.parametrize("pieces", [1, 4])
def test_pieces_have_their_size_and_number(pieces):
    n, piece = 300, 5
    images = flat_images(255, 100, 100)
    scene = ClutteredCanvas(60, pieces=pieces, piece=piece)
    areas = (scene.compose(images, np.zeros(n, int), keys(n)) == 100).sum((1, 2, 3))
    assert areas.max() == pieces * piece**2  # where none overlaps another or the image
    assert (areas == pieces * piece**2).mean() > 0.5


def test_pieces_are_never_cut_from_the_image_itself():
    images = flat_images(0, 50, 100, 150, 200)
    scene = ClutteredCanvas(60, pieces=6, piece=5)
    for i in range(5):
        dark = images.copy()
        dark[i] = 255  # were a piece cut from it, it would be white beyond the image
        canvases = scene.compose(dark, np.full(100, i), keys(100))
        assert ((canvases == 255).sum((1, 2, 3)) == 100).all()


def test_pieces_come_from_all_other_images():
    images = flat_images(0, 50, 100, 150, 200)
    canvases = ClutteredCanvas(60, pieces=6, piece=5).compose(images, np.zeros(100, int), keys(100))
    assert set(np.unique(canvases)) == {0, 50, 100, 150, 200}


def test_max_keeps_the_brighter_pixel_and_paste_covers():
    images = flat_images(100, 200, 50, 50)
    index, stream = np.zeros(300, int), keys(300)
    brighter, pasted = (
        ClutteredCanvas(16, pieces=4, piece=6, blend=blend).compose(images, index, stream)
        for blend in ("max", "paste")
    )
    own = TranslatedCanvas(16).compose(images, index, stream) == 100
    assert (pasted[own] == 100).all()
    assert (brighter[own] >= 100).all() and set(np.unique(brighter[own])) == {100, 200}


def test_a_split_of_one_image_has_nothing_to_cut_pieces_from():
    with pytest.raises(ValueError, match="a split of one image"):
        ClutteredCanvas(40, piece=5).compose(flat_images(1), np.zeros(1, int), keys(1))


# ---- errors ----


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"side": 0}, r"ClutteredCanvas\(side=0\); wanted an integer of at least 1"),
        ({"side": 60.0}, r"side=60.0"),
        ({"pieces": -1}, r"pieces=-1\); wanted an integer of at least 0"),
        ({"piece": 0}, r"piece=0"),
        ({"blend": "mean"}, r"got blend='mean'; wanted 'max' or 'paste'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ClutteredCanvas(**arguments)


@pytest.mark.parametrize("scene", [TranslatedCanvas(20), ClutteredCanvas(20)])
def test_an_image_larger_than_the_canvas_is_refused(scene):
    with pytest.raises(ValueError, match="images of 28 x 12 do not fit a canvas of side 20"):
        scene.shape(28, 12)


def test_a_piece_larger_than_the_images_is_refused():
    with pytest.raises(ValueError, match="pieces of 8 x 8 cannot be cut from images of 6 x 28"):
        ClutteredCanvas(60).shape(6, 28)


# ---- scenes in an environment ----


def canvas_of(index: int, seed: int, **parts) -> np.ndarray:
    env = gym.make("GlimpseClutteredMNIST-MultiCat-v0", **parts).unwrapped
    env.reset(seed=seed)
    env.reset(options={"index": index})
    return env.core.image(0).copy()


@pytest.mark.parametrize("split", ["test", "validation"])
def test_the_canvas_of_an_evaluated_image_is_the_same_whatever_the_seed(split):
    for index in (0, 7):
        ours, theirs = (canvas_of(index, seed, split=split) for seed in (0, 1))
        np.testing.assert_array_equal(ours, theirs)
    assert (canvas_of(0, 0, split=split) != canvas_of(7, 0, split=split)).any()


def test_another_scene_seed_draws_other_test_canvases():
    ours, theirs = (canvas_of(3, 0, split="test", scene_seed=seed) for seed in (0, 1))
    assert (ours != theirs).any()


def test_the_canvas_of_a_training_image_is_new_in_every_episode():
    env = gym.make("GlimpseClutteredMNIST-MultiCat-v0").unwrapped
    env.reset(seed=0)
    canvases = set()
    for _ in range(5):
        env.reset(options={"index": 3})
        canvases.add(env.core.image(0).tobytes())
    assert len(canvases) == 5


def test_the_random_start_of_an_evaluated_image_is_the_same_whatever_the_seed():
    starts = {}
    for seed in (0, 1):
        env = gym.make("GlimpseMNIST-MultiCat-v0", split="test", start="random")
        env.reset(seed=seed)
        starts[seed] = [env.reset(options={"index": i})[0]["gaze"].tolist() for i in range(10)]
    assert starts[0] == starts[1]
    assert len(set(map(tuple, starts[0]))) == 10


@pytest.mark.parametrize("scene_seed", [-1, 0.5, "0", 2**64])
def test_a_scene_seed_that_is_no_seed_is_refused(scene_seed):
    with pytest.raises(ValueError, match=r"scene_seed=.*wanted an integer from 0"):
        gym.make("GlimpseMNIST-MultiCat-v0", scene_seed=scene_seed)


def test_the_plain_scene_shows_the_data_sets_own_images():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 20, 24, 3), dtype=np.uint8), np.arange(40) % 2
    data = ImageDataset.from_arrays(images, labels, images[:4], labels[:4])
    assert Plain().shape(20, 24) == (20, 24)
    env = gym.make("GlimpseCIFAR-MultiCat-v0", dataset=data, split="test").unwrapped
    _, info = env.reset(options={"index": 2})
    np.testing.assert_array_equal(env.core.image(0), images[2])
    assert info["label"] == 0


# ---- where the image lies ----


@pytest.mark.parametrize("shift", [0, 3])
@pytest.mark.parametrize("scene", [{"type": "ClutteredCanvas", "side": 24}, "Plain"])
def test_the_target_is_where_the_image_lies_mirrored_and_shifted_or_not(scene, shift):
    corner = np.zeros((6, 10, 1), np.uint8)
    corner[:2, :3] = 255  # brighter than all else: tells where the image lies and which way round
    images = np.tile(corner, (30, 1, 1, 1))
    dataset = ImageDataset.from_arrays(images, np.arange(30) % 3, images, np.arange(30) % 3)
    if scene != "Plain":
        scene = {**scene, "pieces": 0}
    augment = {"type": "ShiftFlip", "shift": shift, "flip": True}
    config = GlimpseConfig(
        dataset=dataset, scene=scene, sensor={"type": "Crop", "size": 4}, augment=augment
    )
    core = GlimpseCore(config, 200)
    core.seed_all(0)
    core.reset(core.lanes)
    targets, shown, height, width = core.targets(), core.images()[..., 0], *config.shape[:2]
    assert targets.shape == (200, 4) and (targets[:, 2:] == (10, 6)).all()
    for (left, top, _, _), picture, stream in zip(targets, shown, core._stream, strict=True):
        start = left + 7 if stream & np.uint64(1) else left
        wanted = np.zeros((height, width), np.uint8)
        rows = slice(max(top, 0), max(top + 2, 0))
        wanted[rows, max(start, 0) : max(start + 3, 0)] = 255
        np.testing.assert_array_equal(picture, wanted)


def test_a_scene_that_does_not_say_where_its_images_lie_says_so():
    class Own(Plain):
        places = Scene.places

    core = GlimpseCore(GlimpseConfig(dataset="digits", scene=Own(), sensor={"type": "Crop"}), 2)
    with pytest.raises(NotImplementedError, match="Own does not define places"):
        core.targets()
