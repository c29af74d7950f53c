"""Canvases: what is painted where, at which resolution."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch as th
from images import noise

from glimpse_envs import GlimpseConfig, ImageDataset, Sensor
from glimpse_envs.actions import Saccade
from glimpse_envs.sensors import Crop, Retina
from policies.classifier.canvas import CanvasLayout
from policies.classifier.model import View


def crop_layout(side: int = 32, channels: int = 3, size: int = 8) -> CanvasLayout:
    """Of a square image and a crop that zooms from the whole to its own size."""
    return CanvasLayout(side, side, channels, size, 1, size, 1.0, side / size)


def planes(layout: CanvasLayout, canvas: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Values (h, w, C) and mask (h, w) of a level of one canvas."""
    rows, columns = layout.shapes[level]
    begin, end = layout.offsets[level : level + 2]
    stack = canvas[begin:end].reshape(layout.channels + 1, rows, columns)
    return stack[:-1].transpose(1, 2, 0), stack[-1]


def blocks(image: np.ndarray, factor: int) -> np.ndarray:
    """Rounded means of blocks of factor x factor pixels."""
    height, width, channels = image.shape
    parts = image.reshape(height // factor, factor, width // factor, factor, channels)
    return np.floor(parts.mean((1, 3)) + 0.5)


def look(sensor: Sensor, image: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """The glimpses of one image at many gazes, uint8 (1, T, h, w, C)."""
    return sensor(image[None].repeat(len(gaze), 0), gaze)[None]


def paint(layout: CanvasLayout, sensor: Sensor, image: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """The canvas of one episode that looks at an image along a gaze; uint8 (bytes,)."""
    gaze = sensor.geometry(*image.shape[:2]).clamp(gaze)
    canvas = layout.empty(1)
    layout.paint(canvas, look(sensor, image, gaze), gaze[None], np.array([len(gaze)]))
    return canvas[0]


def tiling(tiles: int, zoom: float, seed: int = 0) -> np.ndarray:
    """Gazes at the middles of tiles x tiles squares, in random order."""
    rows, columns = np.divmod(np.random.default_rng(seed).permutation(tiles**2), tiles)
    gaze = np.full((tiles**2, 3), zoom, np.float32)
    gaze[:, 0], gaze[:, 1] = (columns + 0.5) / tiles, (rows + 0.5) / tiles
    return gaze


# ---- layout ----


def test_levels_double_from_the_finest_pixel_to_the_coarsest():
    layout = CanvasLayout(48, 48, 1, 8, 1, 8, 1.0, 6.0)
    np.testing.assert_array_equal(layout.cells, [1, 2, 4, 8])
    np.testing.assert_array_equal(layout.pixels, [1, 2, 2, 2])
    np.testing.assert_array_equal(layout.shapes, [[48, 48], [24, 24], [24, 24], [24, 24]])
    assert layout.grid_shape == (24, 24)
    assert layout.empty(3).shape == (3, 2 * (48 * 48 + 3 * 24 * 24))


def test_the_scales_of_a_retina_are_levels():
    np.testing.assert_array_equal(CanvasLayout(48, 48, 1, 8, 3, 8, 1.0, 1.0).cells, [1, 2, 4])


def test_an_image_of_any_size_gets_whole_entries():
    layout = CanvasLayout(41, 23, 3, 8, 1, 8, 1.0, 23 / 8)
    assert layout.grid_shape == (21, 12)
    np.testing.assert_array_equal(layout.shapes[0], [42, 24])


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
    canvas = paint(layout, Crop(8), image, tiling(4, 1.0))
    values, mask = planes(layout, canvas, 0)
    np.testing.assert_array_equal(values, image)
    assert (mask == 255).all()
    for level in (1, 2):
        assert not np.concatenate(planes(layout, canvas, level), axis=None).any()


def test_an_image_that_is_no_square_is_restored_too():
    image = noise(1, 24, 40, 3)[0]
    layout = CanvasLayout(24, 40, 3, 8, 1, 8, 1.0, 3.0)
    rows, columns = np.divmod(np.arange(15), 5)
    gaze = np.stack([(columns + 0.5) / 5, (rows + 0.5) / 3, np.ones(15)], 1).astype(np.float32)
    values, mask = planes(layout, paint(layout, Crop(8), image, gaze), 0)
    np.testing.assert_array_equal(values, image)
    assert (mask == 255).all()


def test_a_glimpse_between_whole_pixels_is_painted_where_it_was_read():
    layout, image = crop_layout(), noise(1, 32, 32, 3)[0]
    gaze = np.random.default_rng(1).random((30, 3), np.float32)
    gaze[:, 2] = 1.0
    values, mask = planes(layout, paint(layout, Crop(8), image, gaze), 0)
    np.testing.assert_array_equal(values[mask == 255], image[mask == 255])
    assert 64 < (mask == 255).sum() < 32 * 32


def test_a_slope_is_painted_as_a_slope_wherever_the_window_lies():
    """The mean over a pixel of a linear image is its value in the middle."""
    layout = replace(crop_layout(48, 1), interpolate=True)
    rows, columns = np.mgrid[:48, :48]
    image = (2 * rows + 3 * columns + 8).astype(np.uint8)[..., None]
    sensor, entry = Crop(8), layout.pixels[1]
    for gaze in np.float32([[0.41, 0.53, 0.5], [0.57, 0.33, 0.45], [0.5, 0.5, 0.52]]):
        left, top, side = sensor.geometry(48, 48).windows(gaze[None])[0]
        values, mask = planes(layout, paint(layout, sensor, image, gaze[None]), 1)
        y, x = ((np.argwhere(mask == 255) + 0.5) * entry - 0.5).T  # middles, in whole pixels
        half = side / 16  # of a glimpse pixel; further out there is no neighbour
        inner = (y + 0.5 > top + half) & (y + 0.5 < top + side - half)
        inner &= (x + 0.5 > left + half) & (x + 0.5 < left + side - half)
        wanted = (2 * y + 3 * x + 8)[inner]
        assert len(wanted) > 30
        # glimpse and canvas are rounded to whole grey levels
        np.testing.assert_allclose(values[mask == 255][inner, 0], wanted, atol=1.01)


def test_whole_pixels_are_painted_alike_with_and_without_interpolation():
    layout, image = crop_layout(), noise(1, 32, 32, 3)[0]
    gaze = np.random.default_rng(1).random((30, 3), np.float32)
    gaze[:, 2] = 1.0
    between = replace(layout, interpolate=True)
    canvases = [paint(kind, Crop(8), image, gaze) for kind in (layout, between)]
    np.testing.assert_array_equal(*canvases)


@pytest.mark.parametrize(("tiles", "zoom", "level", "cell"), [(2, 0.5, 1, 2), (1, 0.0, 2, 4)])
def test_a_coarser_glimpse_goes_to_its_own_level(tiles, zoom, level, cell):
    layout, image = crop_layout(), noise(1, 32, 32, 3)[0]
    canvas = paint(layout, Crop(8), image, tiling(tiles, zoom))
    values, mask = planes(layout, canvas, level)
    entry = int(layout.pixels[level])
    wanted = blocks(image, cell).repeat(cell // entry, 0).repeat(cell // entry, 1)
    np.testing.assert_array_equal(values, wanted)
    assert (mask == 255).all()
    others = [k for k in range(3) if k != level]
    assert not any(planes(layout, canvas, k)[1].any() for k in others)


def test_a_zoom_between_two_levels_goes_to_the_nearer_one():
    layout = crop_layout(32, 1)
    for zoom, level in ((0.95, 0), (0.8, 0), (0.7, 1), (0.3, 1), (0.2, 2)):  # sides 8 * 4^(1 - z)
        canvas = paint(layout, Crop(8), noise(1, 32, 32, 1)[0], np.float32([[0.5, 0.5, zoom]]))
        painted = [k for k in range(3) if planes(layout, canvas, k)[1].any()]
        assert painted == [level], zoom


def test_masks_tell_what_was_looked_at():
    layout = crop_layout()
    canvas = paint(layout, Crop(8), np.zeros((32, 32, 3), np.uint8), np.float32([[0.5, 0.25, 1]]))
    mask = planes(layout, canvas, 0)[1]
    assert (mask[4:12, 12:20] == 255).all() and mask.sum() == 64 * 255
    assert not planes(layout, canvas, 0)[0].any()  # black, and yet seen


def test_a_later_glimpse_overwrites_an_earlier_one():
    layout, gaze = crop_layout(32, 1), np.float32([[[0.25, 0.25, 1], [0.375, 0.25, 1]]])
    glimpses = np.full((1, 2, 8, 8, 1), 10, np.uint8)
    glimpses[:, 1] = 20
    canvas = layout.empty(1)
    layout.paint(canvas, glimpses, gaze, np.array([2]))
    values = planes(layout, canvas[0], 0)[0][..., 0]
    assert (values[4:12, 4:8] == 10).all() and (values[4:12, 8:16] == 20).all()
    assert values.sum() == 32 * 10 + 64 * 20


def test_only_so_many_glimpses_of_each_row_are_painted():
    layout, image = crop_layout(), noise(1, 32, 32, 3)[0]
    gaze = tiling(4, 1.0)
    glimpses, many = look(Crop(8), image, gaze).repeat(3, 0), gaze[None].repeat(3, 0)
    canvases = layout.empty(3)
    layout.paint(canvases, glimpses, many, np.array([0, 1, 7]))
    seen = [(planes(layout, canvas, 0)[1] == 255).sum() for canvas in canvases]
    assert seen == [0, 64, 7 * 64]


@pytest.mark.parametrize("sensor", [Crop(8), Crop(5), Retina(8, 3), Retina(7, 2)])
def test_painting_step_by_step_is_painting_the_whole_sequence(sensor):
    n, steps = 6, 9
    images = noise(n, 32, 32, 3)
    layout = CanvasLayout(32, 32, 3, sensor.size, sensor.scales, sensor.size, 1.0, 32 / sensor.size)
    geometry = sensor.geometry(32, 32)
    gaze = geometry.clamp(np.random.default_rng(2).random((n * steps, 3), np.float32))
    glimpses = sensor(images.repeat(steps, 0), gaze).reshape(n, steps, sensor.size, -1, 3)
    gaze = gaze.reshape(n, steps, 3)
    at_once, by_steps = layout.empty(n), layout.empty(n)
    layout.paint(at_once, glimpses, gaze, np.full(n, steps))
    for t in range(steps):
        layout.paint(by_steps, glimpses[:, t : t + 1], gaze[:, t : t + 1], np.ones(n, np.int64))
    np.testing.assert_array_equal(at_once, by_steps)


# ---- retinas ----


def test_the_scales_of_a_retina_land_on_their_levels_at_the_right_places():
    layout, image = CanvasLayout(32, 32, 3, 8, 3, 8, 1.0, 1.0), noise(1, 32, 32, 3)[0]
    canvas = paint(layout, Retina(8, 3), image, np.float32([[0.5, 0.5, 1]]))
    wanted = [image, blocks(image, 2), blocks(image, 4).repeat(2, 0).repeat(2, 1)]
    margins = [12, 4, 0]  # entries on each side of windows of 8, 16 and 32 pixels
    for level, (whole, margin) in enumerate(zip(wanted, margins, strict=True)):
        values, mask = planes(layout, canvas, level)
        seen = np.zeros(mask.shape, bool)
        seen[margin : len(mask) - margin, margin : len(mask) - margin] = True
        np.testing.assert_array_equal(mask == 255, seen)
        np.testing.assert_array_equal(values[seen], whole[seen])
        assert not values[~seen].any()


@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_windows_off_the_border_paint_what_lies_inside(corner):
    layout, image = CanvasLayout(32, 32, 1, 8, 3, 8, 1.0, 1.0), noise(1, 32, 32, 1)[0]
    canvas = paint(layout, Retina(8, 3), image, np.float32([[*corner, 1]]))
    for level, (whole, reach) in enumerate(
        [(image, 4), (blocks(image, 2), 4), (blocks(image, 4).repeat(2, 0).repeat(2, 1), 8)]
    ):
        values, mask = planes(layout, canvas, level)
        columns = slice(None, reach) if corner[0] == 0 else slice(-reach, None)
        rows = slice(None, reach) if corner[1] == 0 else slice(-reach, None)
        assert (mask[rows, columns] == 255).all() and mask.sum() == reach**2 * 255
        np.testing.assert_array_equal(values[rows, columns], whole[rows, columns])


def test_painting_stays_within_the_row_of_its_canvas():
    layout = CanvasLayout(41, 23, 1, 7, 3, 7, 1.0, 23 / 7)
    rng = np.random.default_rng(0)
    gaze = rng.random((4, 50, 3), np.float32)
    gaze[:, :20, :2] = rng.integers(0, 2, (4, 20, 2))  # at the very corners
    canvases, glimpses = layout.empty(4), np.full((4, 50, 7, 21, 1), 9, np.uint8)
    layout.paint(canvases, glimpses, gaze, np.array([50, 0, 50, 0]))
    assert canvases[0].any() and canvases[2].any() and not canvases[[1, 3]].any()
    assert set(np.unique(canvases)) == {0, 9, 255}


# ---- what the network reads ----


@pytest.mark.parametrize(
    "layout",
    [crop_layout(), crop_layout(48, 1), CanvasLayout(41, 23, 3, 8, 3, 8, 1.0, 1.0)],
    ids=["crop", "four levels", "retina"],
)
def test_unfolded_levels_share_one_grid(layout):
    rng = np.random.default_rng(0)
    canvases = rng.integers(0, 256, layout.empty(5).shape, dtype=np.uint8)
    unfolded = layout.unfold(th.as_tensor(canvases))
    assert unfolded.dtype == th.float32
    assert unfolded.shape == (5, layout.n_planes, *layout.grid_shape)
    assert unfolded.min() >= -1 and unfolded.max() <= 1
    masks = unfolded[:, layout.masks]
    assert masks.shape[1] == len(layout.cells) and masks.min() >= 0 and masks.max() <= 1


@pytest.mark.parametrize("dtype", [th.float32, th.bfloat16])
@pytest.mark.parametrize("zoom", [1.0, 0.4])
@pytest.mark.parametrize(
    ("sensor", "shape"),
    [(Crop(8), (32, 32, 3)), (Crop(8), (48, 48, 1)), (Retina(8, 3), (41, 23, 3))],
    ids=["crop", "four levels", "retina"],
)
def test_bytes_are_unfolded_in_one_pass_to_the_same(sensor, shape, zoom, dtype):
    images = noise(40, *shape)
    dataset = ImageDataset.from_arrays(images, np.arange(40) % 4, images, np.arange(40) % 4)
    layout = View.of(GlimpseConfig(dataset=dataset, sensor=sensor)).layout()
    gaze = np.random.default_rng(0).random((3, 2, 3), np.float32)
    gaze[..., 2] = zoom
    canvases = np.stack([paint(layout, sensor, images[i], gaze[i]) for i in range(3)])
    canvases[2] = 0
    wanted = layout.unfold(th.as_tensor(canvases))
    assert 0 < wanted[:2, layout.masks].mean() < 1
    planes = layout.planes(canvases, th.device("cpu"), dtype)
    assert planes.dtype == dtype and planes.is_contiguous(memory_format=th.channels_last)
    assert th.equal(planes, wanted.to(dtype))


def test_bytes_for_another_device_are_unfolded_there():
    layout = crop_layout()
    planes = layout.planes(layout.empty(2), th.device("meta"))
    assert planes.device.type == "meta" and planes.shape == (2, layout.n_planes, 16, 16)


def test_an_empty_canvas_unfolds_to_zeros():
    layout = crop_layout()
    assert not layout.unfold(th.as_tensor(layout.empty(2))).any()


def test_blocks_of_the_finest_plane_become_channels():
    layout, image = crop_layout(32, 3), noise(1, 32, 32, 3)[0]
    canvas = paint(layout, Crop(8), image, tiling(4, 1.0))[None]
    unfolded = layout.unfold(th.as_tensor(canvas))[0].numpy()  # 12 + 1, then 3 + 1 twice
    wanted = image.astype(np.float32) / 127.5 - 1.0
    for c in range(3):
        for y in range(2):
            for x in range(2):
                plane = unfolded[4 * c + 2 * y + x]
                np.testing.assert_allclose(plane, wanted[y::2, x::2, c], atol=1e-6)
    assert (unfolded[12] == 1).all() and not unfolded[13:].any()
    assert layout.masks == [12, 16, 20]


def test_the_finest_mask_is_the_share_of_the_block_that_was_seen():
    layout = crop_layout(32, 1)
    canvas = paint(layout, Crop(8), noise(1, 32, 32, 1)[0], np.float32([[5 / 32, 0.125, 1]]))
    mask = layout.unfold(th.as_tensor(canvas[None]))[0, 4]  # from column 1 to 8
    np.testing.assert_allclose(mask[0, :6], [0.5, 1, 1, 1, 0.5, 0])
    np.testing.assert_allclose(mask[:6, 1], [1, 1, 1, 1, 0, 0])


# ---- a sensor of one's own ----


@dataclass(frozen=True)
class Halved(Crop):
    """Windows of 16 pixels and more as 8 x 8."""

    size: int = 16

    def glimpse_shape(self, channels: int) -> tuple[int, int, int]:
        return (8, 8, channels)

    def read(self, prepared, rows, gaze):
        whole = super().read(prepared, rows, gaze).astype(int)
        return whole.reshape(len(rows), 8, 2, 8, 2, -1).mean((2, 4)).astype(np.uint8)


def test_a_sensor_whose_window_is_wider_than_its_glimpse_is_painted_as_wide():
    layout, image = layout_of(Halved(), "MultiCategorical"), np.full((32, 32, 3), 200, np.uint8)
    canvas = paint(layout, Halved(), image, np.float32([[0.25, 0.25, 1]]))
    mask = planes(layout, canvas, 0)[1]
    assert (mask == 255).mean() == 0.25  # a window of 16 x 16 of the 32 x 32
