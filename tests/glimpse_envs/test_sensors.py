"""Sensors against slow, independent references."""

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import pytest
from images import noise

from glimpse_envs import Sensor
from glimpse_envs.gaze import Geometry
from glimpse_envs.sensors import Crop, Retina

SHAPES = [(32, 32, 1), (32, 32, 3), (24, 40, 3), (41, 23, 1)]


def random_gazes(n: int, zoom: float | None = None, seed: int = 1) -> np.ndarray:
    gaze = np.random.default_rng(seed).uniform(0, 1, (n, 3)).astype(np.float32)
    if zoom is not None:
        gaze[:, 2] = zoom
    return gaze


def box_weights(start: float, side: float, size: int, n: int) -> np.ndarray:
    """Share of each of n pixels in each of ``size`` cells, ``side`` wide together."""
    borders = start + side / size * np.arange(size + 1)
    pixels = np.arange(n)
    overlap = np.minimum(borders[1:, None], pixels + 1) - np.maximum(borders[:-1, None], pixels)
    return np.maximum(overlap, 0.0) / (side / size)  # (size, n)


def box_average(image: np.ndarray, window: tuple[float, float, float], size: int) -> np.ndarray:
    """The exact average of each cell of a window, zeros beyond the border; float64."""
    left, top, side = window
    rows = box_weights(top, side, size, image.shape[0])
    columns = box_weights(left, side, size, image.shape[1])
    return np.einsum("iy,jx,yxc->ijc", rows, columns, image.astype(float), optimize=True)


# ---- Crop ----


@pytest.mark.parametrize("size", [1, 5, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_crop_at_zoom_1_is_the_images_own_pixels(shape, size):
    images, height, width = noise(200, *shape), *shape[:2]
    gaze = Geometry(height, width, size).clamp(random_gazes(200, zoom=1.0))
    glimpses = Crop(size)(images, gaze)
    left, top, _ = Geometry(height, width, size).windows(gaze).T
    for image, glimpse, x, y in zip(images, glimpses, left, top, strict=True):
        x, y = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
        np.testing.assert_array_equal(glimpse, image[y : y + size, x : x + size])


def test_a_crop_at_zoom_1_reaches_every_corner():
    image = noise(1, 24, 40, 3)
    corners = [(0, 0), (1, 0), (0, 1), (1, 1)]
    gaze = np.array([(x, y, 1) for x, y in corners], np.float32)
    top_left, top_right, bottom_left, bottom_right = Crop(6)(image.repeat(4, 0), gaze)
    np.testing.assert_array_equal(top_left, image[0, :6, :6])
    np.testing.assert_array_equal(top_right, image[0, :6, -6:])
    np.testing.assert_array_equal(bottom_left, image[0, -6:, :6])
    np.testing.assert_array_equal(bottom_right, image[0, -6:, -6:])


@pytest.mark.parametrize("size", [5, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_crop_is_the_exact_box_average_at_any_zoom(shape, size):
    n = 300
    images, geometry = noise(n, *shape), Geometry(*shape[:2], size)
    gaze = geometry.clamp(random_gazes(n) * np.float32([1, 1, 0.98]))
    glimpses = Crop(size)(images, gaze)
    windows = geometry.windows(gaze)
    exact = [box_average(i, w, size) for i, w in zip(images, windows, strict=True)]
    assert abs(glimpses - np.stack(exact)).max() <= 0.51  # rounded to the nearest grey level


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_a_crop_of_a_power_of_two_is_the_rounded_mean_of_its_blocks(factor):
    size, side = 4, 32
    zoom = 1 - np.log(factor) / np.log(side / size)
    image = noise(1, side, side, 3)
    corner = np.array([(0.0, 0.0, zoom)], np.float32)
    blocks = image[0, : size * factor, : size * factor].astype(float)
    means = blocks.reshape(size, factor, size, factor, 3).mean((1, 3))
    np.testing.assert_array_equal(Crop(size)(image, corner)[0], np.floor(means + 0.5))


@pytest.mark.parametrize("value", [0, 1, 127, 255])
def test_a_uniform_image_looks_uniform_at_every_zoom(value):
    image = np.full((1, 32, 40, 3), value, np.uint8)
    gaze = random_gazes(200)
    assert (Crop(7)(image.repeat(200, 0), gaze) == value).all()


@pytest.mark.parametrize("zoom", [None, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("sensor", [Crop(8), Crop(5), Retina(8, 4), Retina(5, 2)])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_table_gives_what_the_pixels_give(shape, sensor, zoom):
    images, n = noise(6, *shape), 200
    rows = np.random.default_rng(2).integers(0, 6, n)
    gaze = sensor.geometry(*shape[:2]).clamp(random_gazes(n, zoom))
    of_table = sensor.read(images, rows, gaze, sensor.prepare(images))
    np.testing.assert_array_equal(of_table, sensor.read(images, rows, gaze))
    np.testing.assert_array_equal(of_table, sensor(images[rows], gaze))


@pytest.mark.parametrize("prepared", [True, False])
def test_an_image_whose_sum_is_too_large_is_refused(prepared):
    image = np.zeros((1, 4096, 4113, 1), np.uint8)
    with pytest.raises(ValueError, match="4096 x 4113; wanted at most 16843008 pixels; shrink"):
        Crop(8).prepare(image) if prepared else Crop(8)(image, np.float32([[0.5, 0.5, 1.0]]))


def test_a_crop_larger_than_24_bits_of_light_is_still_exact():
    image = np.full((1, 600, 600, 1), 255, np.uint8)  # the sum of a cell does not fit a float32
    image[0, ::2] = 254
    assert set(np.unique(Crop(2)(image, np.array([(0.5, 0.5, 0)], np.float32)))) <= {254, 255}


# ---- Retina ----


def slow_retina(image: np.ndarray, gaze: np.ndarray, size: int, scales: int) -> np.ndarray:
    """The retina by padding: each scale a window twice as wide, finest first; float64."""
    height, width, _ = image.shape
    pad = size * 2**scales
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    left, top, side = Geometry(height, width, size, padded=True).windows(gaze[None])[0]
    if side == size:  # zoom 1 is read at whole pixels
        left, top = np.floor(left + 0.5), np.floor(top + 0.5)
    middle_x, middle_y, tiles = left + side / 2 + pad, top + side / 2 + pad, []
    for scale in range(scales):
        wide = side * 2**scale
        window = middle_x - wide / 2, middle_y - wide / 2, wide
        tiles.append(box_average(padded, window, size))
    return np.concatenate(tiles, axis=1)


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("scales", [1, 2, 4])
@pytest.mark.parametrize("shape", [(32, 32, 1), (24, 40, 3)])
def test_a_retina_is_windows_each_twice_as_wide_padded_with_zeros(shape, scales, size):
    n = 60
    images, gaze = noise(n, *shape), random_gazes(n, zoom=1.0)
    gaze[: n // 2, 2] = 0.6
    glimpses = Retina(size, scales)(images, gaze)
    assert glimpses.shape == (n, size, scales * size, shape[2]) and glimpses.dtype == np.uint8
    for image, row, glimpse in zip(images, gaze, glimpses, strict=True):
        assert abs(glimpse - slow_retina(image, row, size, scales)).max() <= 0.51


def test_a_retina_puts_the_finest_scale_first():
    image = np.zeros((1, 32, 32, 1), np.uint8)
    image[0, 12:20, 12:20] = 200  # the finest window, in the middle
    glimpse = Retina(8, 3)(image, np.array([(0.5, 0.5, 1)], np.float32))[0, ..., 0]
    fine, middle, coarse = np.split(glimpse, 3, axis=1)
    assert (fine == 200).all()
    assert (middle[2:6, 2:6] == 200).all() and middle.sum() == 16 * 200
    assert (coarse[3:5, 3:5] == 200).all() and coarse.sum() == 4 * 200


def test_a_retina_of_one_scale_is_a_crop_where_both_lie_inside():
    images = noise(50, 32, 32, 3)
    gaze = Geometry(32, 32, 8).clamp(random_gazes(50))
    np.testing.assert_array_equal(Retina(8, 1)(images, gaze), Crop(8)(images, gaze))


def test_a_retina_beyond_the_border_sees_zeros():
    image = np.full((1, 32, 32, 1), 255, np.uint8)
    corner = np.array([(0.0, 0.0, 1)], np.float32)
    glimpse = Retina(8, 1)(image, corner)[0, ..., 0]
    assert (glimpse[4:, 4:] == 255).all() and glimpse.sum() == 16 * 255


# ---- what a sensor says of itself ----


def test_samples_count_sensor_pixels_whatever_the_channels():
    assert Crop(8).samples == 64
    assert Retina(8, 3).samples == 3 * 64
    assert Crop(8).glimpse_shape(3) == (8, 8, 3)
    assert Retina(8, 3).glimpse_shape(1) == (8, 24, 1)


def test_the_span_of_a_retina_is_its_widest_window():
    assert (Crop(8).span, Retina(8, 1).span, Retina(8, 3).span) == (1, 1, 4)


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "8"])
@pytest.mark.parametrize("sensor", [Crop, Retina])
def test_a_size_that_is_no_positive_integer_is_refused(sensor, size):
    with pytest.raises(ValueError, match=rf"{sensor.__name__}\(size=.*integer of at least 1"):
        sensor(size)


@pytest.mark.parametrize("scales", [0, 1.5])
def test_scales_that_are_no_positive_integer_are_refused(scales):
    with pytest.raises(ValueError, match=r"scales=.*integer of at least 1"):
        Retina(8, scales)


@pytest.mark.parametrize(
    ("images", "gaze"),
    [
        (np.zeros((2, 32, 32), np.uint8), np.zeros((2, 3))),
        (np.zeros((2, 32, 32, 1), np.float32), np.zeros((2, 3))),
        (np.zeros((2, 32, 32, 1), np.uint8), np.zeros((1, 3))),
        (np.zeros((2, 32, 32, 1), np.uint8), np.zeros((2, 2))),
    ],
    ids=["no channels", "floats", "too few gazes", "no zoom"],
)
def test_arrays_of_the_wrong_kind_are_refused(images, gaze):
    with pytest.raises(ValueError, match=r"wanted images uint8 \(B, H, W, C\) and gaze \(B, 3\)"):
        Crop(8)(images, gaze)


def test_an_image_smaller_than_the_sensor_is_refused():
    with pytest.raises(ValueError, match="8 x 8 pixels does not fit an image of 6 x 32"):
        Crop(8)(noise(1, 6, 32, 1), random_gazes(1))


# ---- a sensor of one's own ----


@dataclass(frozen=True)
class BrightestPixel(Sensor):
    """The brightest pixel of the window, in every channel: a user's whole sensor."""

    size: int = 4

    def glimpse_shape(self, channels: int) -> tuple[int, int, int]:
        return (1, 1, channels)

    def __call__(self, images: np.ndarray, gaze: np.ndarray) -> np.ndarray:
        out = np.empty((len(images), *self.glimpse_shape(images.shape[3])), np.uint8)
        windows = self.geometry(*images.shape[1:3]).windows(gaze).round().astype(int)
        for i, (left, top, side) in enumerate(windows):
            out[i] = images[i, top : top + side, left : left + side].max((0, 1))
        return out


@pytest.mark.parametrize("data", ["MNIST", "TranslatedMNIST"])
@pytest.mark.parametrize(
    "sensor", [BrightestPixel(), "BrightestPixel", {"type": "BrightestPixel", "size": 4}]
)
def test_a_sensor_of_ones_own_works_in_every_environment(data, sensor):
    env = gym.make(f"Glimpse{data}-MultiCat-v0", sensor=sensor)
    observation, info = env.reset(seed=0)
    image = env.unwrapped.core.image(0)
    assert observation["glimpse"].shape == (1, 1, 1)
    assert observation["glimpse"] == image.max()
    for _ in range(3):
        observation, *_, info = env.step(np.array([5, 2, 0]))  # closer, towards the upper left
    assert observation["glimpse"] == image[:4, :4].max()
    *_, terminated, _, info = env.step(np.array([0, 1, 1 + info["label"]]))
    assert terminated and info["samples"] == 4
