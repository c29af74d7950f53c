"""What a network reads of a canvas."""

import numpy as np
import pytest
import torch as th
from canvases import crop_layout, paint
from images import noise

from glimpse_envs import GlimpseConfig, ImageDataset
from glimpse_envs.sensors import Crop, Retina
from policies.classifier.canvas import CanvasLayout
from policies.classifier.model import View


@pytest.mark.parametrize(
    "layout",
    [crop_layout(), crop_layout(48, 1), CanvasLayout(41, 23, 3, 8, 3, 8, 1.0, 1.0)],
    ids=["crop", "four levels", "retina"],
)
def test_unfolded_planes_are_values_of_blocks_and_shares_known(layout):
    """Entry by entry: C values of each place of a block, then one mask a level, finest first."""
    rng = np.random.default_rng(0)
    canvases = rng.integers(0, 256, layout.empty(2).shape, dtype=np.uint8)
    stack, n_levels = canvases.reshape(2, -1, *layout.shape), len(layout.cells)
    stack[:, -1] = rng.integers(0, n_levels + 1, (2, *layout.shape))
    unfolded = layout.unfold(th.as_tensor(canvases))
    assert unfolded.dtype == th.float32
    assert unfolded.shape == (2, layout.n_planes, *layout.grid_shape)
    values = np.where(stack[:, -1:] > 0, stack[:, :-1] / 127.5 - 1.0, 0.0)
    parts = [(y, x) for y in range(2) for x in range(2)]
    wanted = [values[:, c, y::2, x::2] for c in range(layout.channels) for y, x in parts]
    for level in range(n_levels):
        seen = stack[:, -1] >= n_levels - level
        wanted.append(sum(seen[:, y::2, x::2].astype(float) for y, x in parts) / 4)
    np.testing.assert_allclose(unfolded, np.stack(wanted, 1), atol=1e-6)


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
    assert 0 < wanted[:2, layout.n_values :].mean() < 1
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


def test_masks_are_the_shares_of_a_block_that_are_known_at_least_as_finely():
    layout = crop_layout(32, 1)
    # columns 1 to 8 and rows 0 to 7 of the finest, over rows 8 to 23 and columns 8 to 23
    gaze = np.float32([[5 / 32, 0.125, 1], [0.5, 0.5, 0.5]])
    canvas = paint(layout, Crop(8), noise(1, 32, 32, 1)[0], gaze)
    finest, middle, coarsest = layout.unfold(th.as_tensor(canvas[None]))[0, layout.n_values :]
    np.testing.assert_allclose(finest[0, :6], [0.5, 1, 1, 1, 0.5, 0])
    np.testing.assert_allclose(finest[:6, 1], [1, 1, 1, 1, 0, 0])
    assert finest[4:].sum() == 0
    np.testing.assert_array_equal(middle[:4], finest[:4])
    assert (middle[4:12, 4:12] == 1).all() and middle.sum() == finest.sum() + 64
    np.testing.assert_array_equal(coarsest, middle)  # nothing is known more coarsely
    whole = paint(layout, Crop(8), noise(1, 32, 32, 1)[0], np.float32([*gaze, [0.5, 0.5, 0]]))
    masks = layout.unfold(th.as_tensor(whole[None]))[0, layout.n_values :]
    assert (masks[2] == 1).all() and th.equal(masks[:2], th.stack([finest, middle]))
