"""Pyramids of large images, against averages of the images themselves."""

from dataclasses import replace

import numpy as np
import pytest
from images import noise

from glimpse_envs import GlimpseConfig, ImageDataset, image_sources
from glimpse_envs.area_averages import averages
from glimpse_envs.core import GlimpseCore
from glimpse_envs.data.datasets import Split
from glimpse_envs.pyramid import FINENESS, level_of, level_shapes, pyramid
from glimpse_envs.pyramid_averages import averages_from_pyramid
from glimpse_envs.sensors import Crop, Foveated, Retina


def test_levels_are_half_as_large_and_average_what_there_is():
    images = noise(2, 75, 133, 3)
    levels = pyramid(images)
    assert levels[0] is images
    assert [level.shape[1:3] for level in levels] == level_shapes(75, 133)
    assert level_shapes(75, 133) == [(75, 133), (38, 67), (19, 34)]
    exact = images[:, :72, :132].reshape(2, 18, 4, 33, 4, 3).mean((2, 4))
    assert np.abs(levels[2][:, :18, :33] - exact).max() <= 1.0
    # the last column of the second level has one of the image's, and its last row three
    np.testing.assert_allclose(levels[2][:, 18, 33], images[:, 72:, 132:].mean((1, 2)), atol=1.0)


def test_levels_are_as_bright_as_the_image():
    levels = pyramid(noise(1, 512, 512, 1))
    assert len(levels) == 6
    for level in levels:
        assert level.mean() == pytest.approx(levels[0].mean(), abs=0.05)


@pytest.mark.parametrize("shape", [(20, 24), (31, 300), (64, 64)])
def test_images_of_few_levels_and_no_lanes_at_all_are_read(shape):
    images, sensor = noise(3, *shape, 2), Crop(4)
    gaze = sensor.geometry(*shape).clamp(np.random.default_rng(0).random((50, 3), np.float32))
    rows = np.arange(50) % 3
    images.flags.writeable = False
    found = sensor.read_pyramid(pyramid(images), rows, gaze)
    levels = level_of(sensor.geometry(*shape).sampled_windows(gaze)[:, 2] / 4, len(pyramid(images)))
    exact = sensor.read(images, rows, gaze)
    np.testing.assert_array_equal(found[levels == 0], exact[levels == 0])
    assert sensor.read_pyramid(pyramid(images), rows[:0], gaze[:0]).shape == (0, 4, 4, 2)


def test_a_glimpse_costs_the_same_in_images_of_any_size():
    cells = np.array([0.5, 1.0, 2 * FINENESS - 0.1, 2 * FINENESS, 70.0, 1e6])
    assert level_of(cells, 8).tolist() == [0, 0, 0, 1, 4, 7]
    wide = np.array([4.0, 64.0, 300.0])
    assert ((wide / 2.0 ** level_of(wide, 8)) < 2 * FINENESS).all()


@pytest.mark.parametrize("sensor", [Crop(8), Retina(8, 3)])
def test_glimpses_are_those_of_the_image(sensor):
    images = noise(3, 301, 200, 3) // 4 + np.arange(200, dtype=np.uint8)[:, None] // 2
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 3, 300)
    gaze = rng.random((300, 3), np.float32)
    gaze = sensor.geometry(301, 200).clamp(gaze)
    exact = averages(images, rows, gaze, 8, sensor.scales)
    found = sensor.read_pyramid(pyramid(images), rows, gaze)
    fine = sensor.geometry(301, 200).sampled_windows(gaze)[:, 2] / 8 < 2 * FINENESS
    assert 50 < fine.sum() < 299
    np.testing.assert_array_equal(found[fine, :, :8], exact[fine, :, :8])
    errors = np.abs(found.astype(int) - exact)
    assert errors.max() <= 4 and errors.mean() < 0.2


@pytest.mark.parametrize("scales", [1, 3])
def test_borders_within_a_pixel_of_a_level_are_where_they_are(scales):
    white = np.full((1, 333, 259, 1), 255, np.uint8)
    sensor = Retina(8, scales) if scales > 1 else Crop(8)
    gaze = np.random.default_rng(0).random((200, 3), np.float32)
    gaze = sensor.geometry(333, 259).clamp(gaze)
    rows = np.zeros(200, np.int64)
    exact = averages(white, rows, gaze, 8, scales)
    found = averages_from_pyramid(pyramid(white), rows, gaze, 8, scales)
    assert np.abs(found.astype(int) - exact).max() <= 1
    assert scales > 1 or (found == 255).all()


def of_images(**parts):
    images = noise(40, 27, 30, 3)
    labels = np.arange(40) % 4
    data = ImageDataset.from_arrays(images, labels, images[:8], labels[:8])
    return GlimpseConfig(dataset=data, sensor=Crop(6), **parts)


def play(config, large, monkeypatch):
    with monkeypatch.context() as patch:
        if large:
            patch.setattr(image_sources, "LARGEST_SHARED", 0)
        core = GlimpseCore(config, 16)
    core.seed_all(0)
    seen = [core.reset(core.lanes)]
    space = config.action_space
    space.seed(0)
    for _ in range(3):
        actions = np.stack([space.sample() for _ in range(16)])
        actions[:, 2] = 0  # go on
        seen.append(core.step(actions).observation)
    return core, seen


@pytest.mark.parametrize(
    ("augment", "source"),
    [
        (None, image_sources.LargeImages),
        ({"type": "ShiftFlip", "shift": 4, "flip": True}, image_sources.LargeImages),
        ({"type": "ShiftFlip", "shift": 4, "fill": "reflect"}, image_sources.ComposedImages),
    ],
)
def test_large_images_are_shown_and_augmented_as_others(augment, source, monkeypatch):
    config = of_images(augment=augment)
    core, seen = play(config, False, monkeypatch)
    large, also = play(config, True, monkeypatch)
    assert type(large.source) is source and type(core.source) is not image_sources.LargeImages
    np.testing.assert_array_equal(large.images(), core.images())
    np.testing.assert_array_equal(large.image(3), core.image(3))
    for one, other in zip(seen, also, strict=True):
        np.testing.assert_array_equal(one["gaze"], other["gaze"])
        difference = one["glimpse"].astype(int) - other["glimpse"]
        assert np.abs(difference).max() <= 1 and (difference == 0).mean() > 0.99


def test_windows_between_two_pixels_are_rounded_alike_where_images_are_mirrored(monkeypatch):
    # an odd crop in the middle of an even image
    config = of_images(augment={"type": "ShiftFlip", "shift": 0, "flip": True}, start="centre")
    config = replace(config, sensor=Crop(7))
    assert config.shape[1] % 2 == 0
    (_, seen), (large, also) = (play(config, size, monkeypatch) for size in (False, True))
    assert large.source._mirrored.any() and not large.source._mirrored.all()
    np.testing.assert_array_equal(seen[0]["glimpse"], also[0]["glimpse"])


def test_what_reads_beyond_an_augmented_image_reads_copies(monkeypatch):
    monkeypatch.setattr(image_sources, "LARGEST_SHARED", 0)
    shifted = of_images(augment="ShiftFlip")
    assert not image_sources.have_own_images(shifted)
    for sensor in (Retina(6, 2), Foveated(6)):
        assert image_sources.have_own_images(replace(shifted, sensor=sensor))
    assert not image_sources.have_own_images(replace(shifted, sensor=Retina(6, 2), augment=None))


@pytest.mark.parametrize(
    ("sensor", "zoom", "rows"),
    [(Crop(8), 1.0, 8), (Retina(8, 2), 1.0, 16), (Crop(8), 0.0, 32)],
)
def test_memory_is_given_back_after_so_many_rows_as_are_read(sensor, zoom, rows, monkeypatch):
    monkeypatch.setattr(image_sources, "LARGEST_SHARED", 0)
    told, images, labels = [], noise(4, 256, 256, 3), np.arange(4) % 2
    other = Split(images, labels)
    parts = {"train": Split(images, labels, told.append), "validation": other, "test": other}
    data = ImageDataset("large", classes=["a", "b"], **parts)
    core = GlimpseCore(GlimpseConfig(dataset=data, sensor=sensor), 10)
    core.seed_all(0)
    core.reset(core.lanes)
    told.clear()
    gaze = np.tile(np.float32([0.5, 0.5, zoom]), (10, 1))
    core.source.read(core.lanes, gaze, np.zeros(10, np.int64))
    assert told == [10 * rows * 4096]
