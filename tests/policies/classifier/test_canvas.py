"""Canvases: what is painted where, and over what."""

from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
import pytest
import torch as th
from canvases import blocks, crop_layout, known, look, paint, tiling
from images import noise

from glimpse_envs import GlimpseConfig, ImageDataset, Sensor
from glimpse_envs.actions import Saccade
from glimpse_envs.sensors import Crop, Retina
from policies.classifier.canvas import CanvasLayout
from policies.classifier.model import View

# ---- layout ----


def test_levels_double_from_the_finest_pixel_to_the_coarsest():
    layout = CanvasLayout(48, 48, 1, 8, 1, 8, 1.0, 6.0)
    np.testing.assert_array_equal(layout.cells, [1, 2, 4, 8])
    assert layout.shape == (48, 48) and layout.grid_shape == (24, 24)
    assert (layout.n_values, layout.n_planes) == (4, 8)
    assert layout.empty(3).shape == (3, 2 * 48 * 48)
    assert layout.empty(3).dtype == np.uint8 and not layout.empty(3).any()


def test_an_entry_is_as_wide_as_the_finest_glimpse_pixel():
    layout = CanvasLayout(48, 36, 3, 8, 1, 16, 2.0, 6.0)
    assert layout.shape == (24, 18) and layout.grid_shape == (12, 9)
    assert (layout.n_values, layout.n_planes) == (12, 15)
    assert layout.empty(1).shape == (1, 4 * 24 * 18)


def test_the_scales_of_a_retina_are_levels():
    np.testing.assert_array_equal(CanvasLayout(48, 48, 1, 8, 3, 8, 1.0, 1.0).cells, [1, 2, 4])


def test_an_image_of_any_size_gets_whole_blocks():
    layout = CanvasLayout(41, 23, 3, 8, 1, 8, 1.0, 23 / 8)
    assert layout.grid_shape == (21, 12) and layout.shape == (42, 24)


@pytest.mark.parametrize(
    ("sensor", "scheme", "levels"),
    [
        (Crop(8), "MultiCategorical", 3),
        (Crop(16), "GreedyMap", 2),
        (Crop(32), "Hybrid", 1),
        (Crop(8), Saccade(), 1),
        (Crop(8), Saccade(0.5), 1),
        (Retina(8, 3), Saccade(), 3),
        (Retina(8, 2), "MultiCategorical", 4),
    ],
)
def test_a_layout_has_the_levels_that_an_environment_reaches(sensor, scheme, levels):
    assert len(layout_of(sensor, scheme).cells) == levels


def layout_of(sensor: Sensor, scheme: object, side: int = 32) -> CanvasLayout:
    images, labels = noise(40, side, side, 3), np.arange(40) % 2
    dataset = ImageDataset.from_arrays(images, labels, images, labels)
    parts = {"classifier": "feedforward"} if isinstance(scheme, Saccade) else {}
    settings = GlimpseConfig(dataset=dataset, sensor=sensor, scheme=scheme, **parts)
    return View.of(settings).layout()


# ---- painting ----


@pytest.mark.parametrize("channels", [1, 3])
def test_a_tiling_at_full_resolution_restores_the_image(channels):
    layout, image = crop_layout(32, channels), noise(1, 32, 32, channels)[0]
    values, fineness = known(layout, paint(layout, Crop(8), image, tiling(4, 1.0)))
    np.testing.assert_array_equal(values, image)
    assert (fineness == 3).all()


def test_an_image_that_is_no_square_is_restored_too():
    image = noise(1, 24, 40, 3)[0]
    layout = CanvasLayout(24, 40, 3, 8, 1, 8, 1.0, 3.0)
    rows, columns = np.divmod(np.arange(15), 5)
    gaze = np.stack([(columns + 0.5) / 5, (rows + 0.5) / 3, np.ones(15)], 1).astype(np.float32)
    values, fineness = known(layout, paint(layout, Crop(8), image, gaze))
    np.testing.assert_array_equal(values, image)
    assert (fineness == len(layout.cells)).all()


def test_a_glimpse_between_whole_pixels_is_painted_where_it_was_read():
    layout, image = crop_layout(), noise(1, 32, 32, 3)[0]
    gaze = np.random.default_rng(1).random((30, 3), np.float32)
    gaze[:, 2] = 1.0
    values, fineness = known(layout, paint(layout, Crop(8), image, gaze))
    np.testing.assert_array_equal(values[fineness == 3], image[fineness == 3])
    assert 64 < (fineness == 3).sum() < 32 * 32 and set(np.unique(fineness)) == {0, 3}


def test_a_slope_is_painted_as_a_slope_wherever_the_window_lies():
    """The mean over a pixel of a linear image is its value in the middle."""
    layout = replace(crop_layout(48, 1), interpolate=True)
    rows, columns = np.mgrid[:48, :48]
    image = (2 * rows + 3 * columns + 8).astype(np.uint8)[..., None]
    sensor = Crop(8)
    for gaze in np.float32([[0.41, 0.53, 0.5], [0.57, 0.33, 0.45], [0.5, 0.5, 0.52]]):
        left, top, side = sensor.geometry(48, 48).windows(gaze[None])[0]
        values, fineness = known(layout, paint(layout, sensor, image, gaze[None]))
        y, x = np.argwhere(fineness).T
        half = side / 16  # of a glimpse pixel; further out there is no neighbour
        inner = (y + 0.5 > top + half) & (y + 0.5 < top + side - half)
        inner &= (x + 0.5 > left + half) & (x + 0.5 < left + side - half)
        assert inner.sum() > 150 and np.unique(fineness).tolist() == [0, 3]
        # glimpse and canvas are rounded to whole grey levels
        painted, wanted = values[y, x, 0][inner], image[y, x, 0][inner]
        np.testing.assert_allclose(painted.astype(int), wanted.astype(int), atol=1.01)


def test_halfway_between_two_glimpse_pixels_lies_the_mean_of_their_values():
    layout = CanvasLayout(16, 16, 1, 8, 1, 8, 1.0, 2.0, interpolate=True)
    glimpse = np.zeros((1, 1, 8, 8, 1), np.uint8)
    glimpse[..., 4:, 0] = 200  # of pixels that are two entries wide
    canvas = layout.empty(1)
    layout.paint(canvas, glimpse, np.float32([[[0.5, 0.5, 0.0]]]), np.array([1]))
    values, fineness = known(layout, canvas[0])
    assert (fineness == 1).all()
    # a quarter and three quarters of the way from the middle of pixel 3 to that of pixel 4
    np.testing.assert_array_equal(values[:, :, 0], [[0] * 7 + [50, 150] + [200] * 7] * 16)


def test_whole_pixels_are_painted_alike_with_and_without_interpolation():
    layout, image = crop_layout(), noise(1, 32, 32, 3)[0]
    gaze = np.random.default_rng(1).random((30, 3), np.float32)
    gaze[:, 2] = 1.0
    between = replace(layout, interpolate=True)
    canvases = [paint(kind, Crop(8), image, gaze) for kind in (layout, between)]
    np.testing.assert_array_equal(*canvases)


@pytest.mark.parametrize(("tiles", "zoom", "cell", "level"), [(2, 0.5, 2, 2), (1, 0.0, 4, 1)])
def test_a_pixel_of_a_coarser_glimpse_fills_as_many_entries_as_it_is_wide(tiles, zoom, cell, level):
    layout, image = crop_layout(), noise(1, 32, 32, 3)[0]
    values, fineness = known(layout, paint(layout, Crop(8), image, tiling(tiles, zoom)))
    np.testing.assert_array_equal(values, blocks(image, cell))
    assert (fineness == level).all()


def test_a_zoom_between_two_levels_counts_as_the_nearer_one():
    layout = crop_layout(32, 1)
    for zoom, level in ((0.95, 3), (0.8, 3), (0.7, 2), (0.3, 2), (0.2, 1)):  # sides 8 * 4^(1 - z)
        canvas = paint(layout, Crop(8), noise(1, 32, 32, 1)[0], np.float32([[0.5, 0.5, zoom]]))
        assert np.unique(known(layout, canvas)[1]).tolist() in ([0, level], [level]), zoom


def test_what_is_black_and_was_seen_is_told_from_what_was_not():
    layout = crop_layout()
    canvas = paint(layout, Crop(8), np.zeros((32, 32, 3), np.uint8), np.float32([[0.5, 0.25, 1]]))
    values, fineness = known(layout, canvas)
    assert (fineness[4:12, 12:20] == 3).all() and fineness.sum() == 64 * 3
    assert not values.any()


# ---- one over another ----


@pytest.mark.parametrize("interpolate", [False, True])
@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_the_finest_glimpse_of_a_place_stays_whatever_the_order(order, interpolate):
    """Windows of 8, 16 and 32 pixels round the middle."""
    layout = replace(crop_layout(32, 1), interpolate=interpolate)
    gaze = np.float32([[0.5, 0.5, 1], [0.5, 0.5, 0.5], [0.5, 0.5, 0]])[None, list(order)]
    greys = np.array([10, 20, 30], np.uint8)[None, list(order), None, None, None]
    canvas = layout.empty(1)
    layout.paint(canvas, np.tile(greys, (1, 1, 8, 8, 1)), gaze, np.array([3]))
    values, fineness = known(layout, canvas[0])
    wanted = np.full((32, 32), 30)
    wanted[8:24, 8:24], wanted[12:20, 12:20] = 20, 10
    np.testing.assert_array_equal(values[..., 0], wanted)
    np.testing.assert_array_equal(fineness, 4 - wanted // 10)


def test_of_real_glimpses_the_finest_stays_too():
    layout, image = crop_layout(), noise(1, 32, 32, 3)[0]
    gaze = np.float32([[0.25, 0.25, 1], [0.5, 0.5, 0], [0.625, 0.625, 0.5], [0.75, 0.5, 1]])
    values, fineness = known(layout, paint(layout, Crop(8), image, gaze))
    wanted, levels = blocks(image, 4), np.ones((32, 32))
    for (top, left, side), cell, level in [
        ((12, 12, 16), 2, 2),
        ((4, 4, 8), 1, 3),
        ((12, 20, 8), 1, 3),
    ]:
        place = slice(top, top + side), slice(left, left + side)
        wanted[place], levels[place] = blocks(image, cell)[place], level
    np.testing.assert_array_equal(values, wanted)
    np.testing.assert_array_equal(fineness, levels)


def test_at_equal_fineness_the_later_glimpse_stays():
    layout, gaze = crop_layout(32, 1), np.float32([[[0.25, 0.25, 1], [0.375, 0.25, 1]]])
    glimpses = np.full((1, 2, 8, 8, 1), 10, np.uint8)
    glimpses[:, 1] = 20
    canvas = layout.empty(1)
    layout.paint(canvas, glimpses, gaze, np.array([2]))
    values = known(layout, canvas[0])[0][..., 0]
    assert (values[4:12, 4:8] == 10).all() and (values[4:12, 8:16] == 20).all()
    assert values.sum() == 32 * 10 + 64 * 20


@pytest.mark.parametrize("zooms", [(1.0, 0.8), (0.8, 1.0)])
def test_widths_of_one_level_are_equally_fine(zooms):
    layout, gaze = crop_layout(32, 1), np.full((1, 2, 3), 0.5, np.float32)
    gaze[0, :, 2] = zooms
    glimpses = np.full((1, 2, 8, 8, 1), 10, np.uint8)
    glimpses[:, 1] = 20
    canvas = layout.empty(1)
    layout.paint(canvas, glimpses, gaze, np.array([2]))
    values, fineness = known(layout, canvas[0])
    assert (values[12:20, 12:20] == 20).all() and np.unique(fineness).tolist() == [0, 3]


def test_only_so_many_glimpses_of_each_row_are_painted():
    layout, image = crop_layout(), noise(1, 32, 32, 3)[0]
    gaze = tiling(4, 1.0)
    glimpses, many = look(Crop(8), image, gaze).repeat(3, 0), gaze[None].repeat(3, 0)
    canvases = layout.empty(3)
    layout.paint(canvases, glimpses, many, np.array([0, 1, 7]))
    seen = [(known(layout, canvas)[1] == 3).sum() for canvas in canvases]
    assert seen == [0, 64, 7 * 64]


@pytest.mark.parametrize("interpolate", [False, True])
@pytest.mark.parametrize("sensor", [Crop(8), Crop(5), Retina(8, 3), Retina(7, 2)], ids=str)
def test_painting_step_by_step_is_painting_the_whole_sequence(sensor, interpolate):
    n, steps, size = 6, 9, sensor.size
    images = noise(n, 32, 32, 3)
    layout = CanvasLayout(32, 32, 3, size, sensor.scales, size, 1.0, 32 / size, interpolate)
    geometry = sensor.geometry(32, 32)
    gaze = geometry.clamp(np.random.default_rng(2).random((n * steps, 3), np.float32))
    glimpses = sensor(images.repeat(steps, 0), gaze).reshape(n, steps, size, -1, 3)
    gaze = gaze.reshape(n, steps, 3)
    at_once, by_steps = layout.empty(n), layout.empty(n)
    layout.paint(at_once, glimpses, gaze, np.full(n, steps))
    for t in range(steps):
        layout.paint(by_steps, glimpses[:, t : t + 1], gaze[:, t : t + 1], np.ones(n, np.int64))
    np.testing.assert_array_equal(at_once, by_steps)


# ---- retinas ----


def test_the_scales_of_a_retina_nest():
    layout, image = CanvasLayout(32, 32, 3, 8, 3, 8, 1.0, 1.0), noise(1, 32, 32, 3)[0]
    canvas = paint(layout, Retina(8, 3), image, np.float32([[0.5, 0.5, 1]]))
    values, fineness = known(layout, canvas)
    wanted, levels = blocks(image, 4), np.ones((32, 32))
    wanted[8:24, 8:24], levels[8:24, 8:24] = blocks(image, 2)[8:24, 8:24], 2
    wanted[12:20, 12:20], levels[12:20, 12:20] = image[12:20, 12:20], 3
    np.testing.assert_array_equal(values, wanted)
    np.testing.assert_array_equal(fineness, levels)


@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_windows_off_the_border_paint_what_lies_inside(corner):
    layout, image = CanvasLayout(32, 32, 1, 8, 3, 8, 1.0, 1.0), noise(1, 32, 32, 1)[0]
    canvas = paint(layout, Retina(8, 3), image, np.float32([[*corner, 1]]))
    values, fineness = known(layout, canvas)
    wanted, levels = np.zeros((32, 32, 1)), np.zeros((32, 32))
    for level, (cell, reach) in enumerate([(4, 16), (2, 8), (1, 4)], start=1):
        columns = slice(None, reach) if corner[0] == 0 else slice(-reach, None)
        rows = slice(None, reach) if corner[1] == 0 else slice(-reach, None)
        wanted[rows, columns], levels[rows, columns] = blocks(image, cell)[rows, columns], level
    np.testing.assert_array_equal(values, wanted)
    np.testing.assert_array_equal(fineness, levels)


def test_painting_stays_within_the_row_of_its_canvas():
    layout = CanvasLayout(41, 23, 1, 7, 3, 7, 1.0, 23 / 7)
    rng = np.random.default_rng(0)
    gaze = rng.random((4, 50, 3), np.float32)
    gaze[:, :20, :2] = rng.integers(0, 2, (4, 20, 2))  # at the very corners
    canvases, glimpses = layout.empty(4), np.full((4, 50, 7, 21, 1), 9, np.uint8)
    layout.paint(canvases, glimpses, gaze, np.array([50, 0, 50, 0]))
    assert canvases[0].any() and canvases[2].any() and not canvases[[1, 3]].any()
    values, fineness = np.split(canvases.reshape(4, 2, *layout.shape), 2, axis=1)
    levels = set(range(1, len(layout.cells) + 1))
    assert set(np.unique(fineness[[0, 2]])) <= {0, *levels}
    np.testing.assert_array_equal(values, 9 * (fineness > 0))


# ---- a sensor of one's own ----


@dataclass(frozen=True)
class Halved(Crop):
    """Windows of 16 pixels and more as 8 x 8."""

    size: int = 16

    def glimpse_shape(self, channels: int) -> tuple[int, int, int]:
        return (8, 8, channels)

    def read(self, images, rows, gaze, prepared=None):
        whole = super().read(images, rows, gaze, prepared).astype(int)
        return whole.reshape(len(rows), 8, 2, 8, 2, -1).mean((2, 4)).astype(np.uint8)


def test_a_sensor_whose_window_is_wider_than_its_glimpse_is_painted_as_wide():
    layout, image = layout_of(Halved(), "MultiCategorical"), np.full((32, 32, 3), 200, np.uint8)
    canvas = paint(layout, Halved(), image, np.float32([[0.25, 0.25, 1]]))
    values, fineness = known(layout, canvas)
    assert (fineness > 0).mean() == 0.25  # a window of 16 x 16 of the 32 x 32
    assert (values[fineness > 0] == 200).all()


# ---- round a gaze ----


def cut(layout: CanvasLayout, canvas: np.ndarray, gaze: np.ndarray, side: int) -> np.ndarray:
    """The part of a whole canvas round a gaze, as a canvas of its own."""
    square = layout.around(side)
    middle = gaze[1::-1] * np.float32([layout.height, layout.width]) / layout.finest_zoom_cell
    top, left = np.rint(middle - np.float32(square.shape) / 2).astype(int)
    wide = max(square.shape)
    planes = np.pad(canvas.reshape(-1, *layout.shape), ((0, 0), (wide, wide), (wide, wide)))
    rows, columns = square.shape
    return planes[:, top + wide :, left + wide :][:, :rows, :columns].reshape(-1)


def test_a_square_is_what_lies_round_a_gaze_and_nothing_is_known_beyond_the_image():
    layout, image = crop_layout(32, 3), noise(1, 32, 32, 3)[0]
    small, counts = layout.around(16), np.array([17])
    for place, seen in (
        ((0.5, 0.5, 1.0), image[8:24, 8:24]),
        ((0.125, 0.25, 1.0), image[:16, :12]),
    ):
        gaze = np.concatenate([tiling(4, 1.0), np.float32([place])])
        glimpses = look(Crop(8), image, gaze)
        squares = layout.painted(glimpses, gaze[None], counts, 16)
        assert squares.shape == small.empty(1).shape and squares.dtype == np.uint8
        values, fineness = known(small, squares[0])
        missing = 16 - seen.shape[1]
        np.testing.assert_array_equal(values[:, missing:], seen)
        assert (fineness[:, missing:] == 3).all() and not fineness[:, :missing].any()


@pytest.mark.parametrize("side", [None, 16, 20, 80])
@pytest.mark.parametrize("interpolate", [False, True])
@pytest.mark.parametrize("sensor", [Crop(8), Retina(8, 3)])
def test_what_is_painted_at_once_is_what_lies_there_of_glimpses_painted_in_turn(
    sensor, interpolate, side
):
    layout = replace(layout_of(sensor, "Hybrid", 40), interpolate=interpolate)
    rng, n, steps = np.random.default_rng(0), 50, 4
    glimpses = rng.integers(0, 256, (n, steps, *sensor.glimpse_shape(3))).astype(np.uint8)
    gaze = rng.random((n, steps, 3)).astype(np.float32)
    gaze[::5] = gaze[::5].round()  # corners of the image, too
    gaze[1::5, :, :2] = gaze[1::5, :1, :2]  # one place, again and again
    counts = rng.integers(1, 1 + steps, n)
    canvases = layout.empty(n)
    layout.paint(canvases, glimpses, gaze, counts)
    if side is not None:
        last = gaze[np.arange(n), counts - 1]
        canvases = np.stack([cut(layout, *pair, side) for pair in zip(canvases, last, strict=True)])
    painted = layout.painted(glimpses, gaze, counts, side)
    assert painted.any() and painted.shape == canvases.shape
    tensor = th.as_tensor(glimpses).permute(0, 1, 4, 2, 3).float()
    gathered = layout.gather(tensor, gaze, counts, side)
    square = layout.around(side)
    read = [square.unfold(th.as_tensor(these)) for these in (painted, canvases, gathered)]
    th.testing.assert_close(*read[:2], rtol=0, atol=0)
    th.testing.assert_close(read[0], read[2], rtol=0, atol=1.01 / 255)  # not rounded


@pytest.mark.parametrize("side", [None, 32])
def test_of_one_glimpse_the_finer_scale_is_seen_where_both_are_as_fine_as_a_canvas_tells(side):
    """Its coarsest level is finer than these windows at zoom 0, as in another environment."""
    layout, rng = CanvasLayout(128, 128, 1, 8, 3, 8, 1.0, 4.0), np.random.default_rng(0)
    glimpses = rng.integers(0, 256, (20, 3, 8, 24, 1), dtype=np.uint8)
    gaze = rng.random((20, 3, 3), np.float32)
    gaze[..., 2] = 0.0
    counts = rng.integers(1, 4, 20)
    canvases = layout.empty(20)
    layout.paint(canvases, glimpses, gaze, counts)
    if side is not None:
        last = gaze[np.arange(20), counts - 1]
        canvases = np.stack([cut(layout, *pair, side) for pair in zip(canvases, last, strict=True)])
    tensor = th.as_tensor(glimpses).permute(0, 1, 4, 2, 3).float()
    square = layout.around(side)
    at_once = (
        layout.painted(glimpses, gaze, counts, side),
        layout.gather(tensor, gaze, counts, side),
    )
    for other in at_once:
        read = [square.unfold(th.as_tensor(these)) for these in (canvases, other)]
        th.testing.assert_close(*read, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("side", "resolution"), [(300, 56), (300, 224), (512, 196), (128, 98)])
def test_a_canvas_has_no_entries_beyond_an_image_of_whole_ones(side, resolution):
    cell = side / resolution
    assert CanvasLayout(side, side, 1, 8, 1, side, cell, cell).shape == (resolution, resolution)


def test_an_object_looks_alike_wherever_it_is_found():
    layout, thing = crop_layout(96, 1), noise(1, 16, 16, 1)[0]
    cuts = []
    for top, left in ((4, 60), (40, 20)):
        image = np.zeros((96, 96, 1), np.uint8)
        image[top : top + 16, left : left + 16] = thing
        middle = np.float32([(left + 8) / 96, (top + 8) / 96, 1.0])
        around = middle + np.float32([[-4, -4, 0], [4, -4, 0], [4, 4, 0], [-4, 4, 0]]) / 96
        gaze = np.concatenate([around, middle[None]])
        glimpses = look(Crop(8), image, gaze)
        cuts.append(layout.painted(glimpses, gaze[None], np.array([5]), 24)[0])
    np.testing.assert_array_equal(*cuts)
    values, _ = known(layout.around(24), cuts[0])
    np.testing.assert_array_equal(values[4:20, 4:20], thing)
