"""Glimpses and classifiers with gradients, beside the real ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch as th
from images import noise

from glimpse_envs import GlimpseConfig, ImageDataset, Sensor
from glimpse_envs.sensors import Crop, Foveated, Retina
from glimpse_lab.robustness.differentiable import crop, logits, see, squares, to_uint8
from policies.classifier.memory import MEMORIES
from policies.classifier.model import TorchClassifier, View


def as_tensor(images: np.ndarray, dtype: th.dtype = th.float32) -> th.Tensor:
    return th.as_tensor(images).permute(0, 3, 1, 2).to(dtype)


def gazes(n: int, seed: int = 0) -> np.ndarray:
    """Random ones; at the ends of the zoom, and at the very corners, too."""
    rng = np.random.default_rng(seed)
    gaze = rng.random((n, 3), np.float32)
    gaze[: n // 4, 2], gaze[n // 4 : n // 2, 2] = 0.0, 1.0
    gaze[::7, :2] = rng.integers(0, 2, gaze[::7, :2].shape)
    return gaze


# ---- glimpses ----


@pytest.mark.parametrize("shape", [(32, 32, 3), (24, 40, 1), (41, 23, 2), (8, 8, 1)])
@pytest.mark.parametrize("sensor", [Crop(8), Crop(5), Retina(8, 3), Retina(7, 2)], ids=str)
def test_a_glimpse_is_what_the_sensor_rounds(sensor: Sensor, shape: tuple[int, int, int]) -> None:
    images, gaze = noise(200, *shape), gazes(200)
    wanted = sensor(images, gaze).astype(np.float32)
    got = crop(as_tensor(images), gaze, sensor.geometry(*shape[:2]), sensor.size, sensor.scales)
    assert got.shape == (200, shape[2], *wanted.shape[1:3])
    assert np.abs(got.permute(0, 2, 3, 1).numpy() - wanted).max() <= 0.5 + 1e-3


def test_the_finest_zoom_copies_pixels_and_the_coarsest_averages_blocks() -> None:
    images = as_tensor(noise(1, 32, 32, 3), th.float64)
    geometry = Crop(8).geometry(32, 32)
    fine = crop(images, np.float32([[0.5, 0.25, 1.0]]), geometry, 8)
    assert th.equal(fine, images[:, :, 4:12, 12:20])
    coarse = crop(images, np.float32([[0.5, 0.5, 0.0]]), geometry, 8)
    assert th.allclose(coarse, th.nn.functional.avg_pool2d(images, 4))


@pytest.mark.parametrize("sensor", [Crop(3), Retina(3, 2)], ids=str)
def test_gradients_of_a_glimpse_are_those_of_differences(sensor: Sensor) -> None:
    images = as_tensor(noise(4, 9, 7, 2), th.float64).requires_grad_()
    geometry, gaze = sensor.geometry(9, 7), gazes(4)
    gaze[3, 2] = 0.4
    assert th.autograd.gradcheck(
        lambda pixels: crop(pixels, gaze, geometry, sensor.size, sensor.scales), images
    )


@pytest.mark.parametrize("layout", ["cartesian", "log_polar"])
@pytest.mark.parametrize("shape", [(32, 32, 3), (41, 23, 2)])
def test_receptive_fields_are_what_the_sensor_rounds(layout: str, shape: tuple[int, ...]) -> None:
    images, gaze, sensor = noise(40, *shape), gazes(40), Foveated(8, layout)
    got = squares(as_tensor(images), gaze, sensor.geometry(*shape[:2]), sensor)
    wanted = sensor(images, gaze).astype(np.float32)
    assert np.abs(got.permute(0, 2, 3, 1).numpy() - wanted).max() <= 0.5 + 1e-3
    seen = see(sensor, as_tensor(images).requires_grad_(), gaze[:, None])
    np.testing.assert_array_equal(seen[:, 0].permute(0, 2, 3, 1).detach().numpy(), wanted)
    assert seen.requires_grad


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"wanted \(B, C, 32, 32\)"):
        crop(th.zeros(2, 1, 28, 28), gazes(2), Crop(8).geometry(32, 32), 8)


@pytest.mark.parametrize("sensor", [Crop(6), Retina(6, 2)], ids=str)
def test_what_is_seen_is_rounded_and_has_the_gradient_of_the_average(sensor: Sensor) -> None:
    images = noise(5, 20, 28, 1)
    gaze = gazes(15).reshape(5, 3, 3)
    pixels = (as_tensor(images) + 0.3).requires_grad_()
    seen = see(sensor, pixels, gaze)
    for t in range(3):
        read = sensor(images, gaze[:, t])
        np.testing.assert_array_equal(seen[:, t].permute(0, 2, 3, 1).detach().numpy(), read)
    weights = th.rand(seen.shape)
    (seen * weights).sum().backward()
    other = as_tensor(images).requires_grad_()
    geometry = sensor.geometry(20, 28)
    exact = [crop(other, gaze[:, t], geometry, sensor.size, sensor.scales) for t in range(3)]
    (th.stack(exact, 1) * weights).sum().backward()
    assert th.allclose(pixels.grad, other.grad, atol=1e-6) and pixels.grad.any()


def test_a_sensor_of_ones_own_has_no_gradient() -> None:
    class Negative(Crop):
        """A crop of something else."""

    with pytest.raises(ValueError, match="wanted Crop, Retina, Foveated or Lattice"):
        see(Negative(8), th.zeros(1, 1, 32, 32), gazes(1)[:, None])


def test_rounding_stays_in_range() -> None:
    images = th.tensor([-0.2, 0.4, 0.6, 254.7, 255.3]).view(1, 1, 1, 5)
    assert to_uint8(images).ravel().tolist() == [0, 0, 1, 255, 255]


# ---- classifiers ----


def reader(memory: str, sensor: Sensor, shape: tuple[int, int, int]) -> TorchClassifier:
    images, labels = noise(40, *shape), np.arange(40) % 4
    dataset = ImageDataset.from_arrays(images, labels, images, labels)
    config = GlimpseConfig(dataset=dataset, sensor=sensor)
    settings = {"width": 8} if memory in ("canvas", "rcn") else {"hidden_size": 16}
    classifier = TorchClassifier(View.of(config), memory, **settings)
    with th.no_grad():
        classifier.readout.weight.mul_(20.0)
        classifier.temperatures.copy_(th.linspace(0.5, 2.0, len(classifier.temperatures)))
        for name, buffer in classifier.named_buffers():  # as a trained one has them
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.1, 0.5)
    return classifier


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize(
    ("sensor", "shape"), [(Crop(8), (32, 32, 3)), (Retina(6, 2), (20, 28, 1))], ids=str
)
def test_logits_are_those_of_the_classifier_step_by_step(
    memory: str, sensor: Sensor, shape: tuple[int, int, int]
) -> None:
    n, steps = 12, 5
    classifier = reader(memory, sensor, shape)
    images = noise(n, *shape)
    gaze = sensor.geometry(*shape[:2]).clamp(gazes(n * steps)).reshape(n, steps, 3)
    pixels = as_tensor(images).requires_grad_()
    glimpses = see(sensor, pixels, gaze)
    state = classifier.start(n)  # the real one first: its network is prepared without gradients
    for t in range(steps):
        state, belief, _ = classifier.update(state, sensor(images, gaze[:, t]), gaze[:, t])
        got = logits(classifier, glimpses, gaze, np.full(n, t + 1))
        wanted = np.log(belief)
        np.testing.assert_allclose(got.log_softmax(1).detach(), wanted, atol=1e-4, rtol=1e-4)
    (gradient,) = th.autograd.grad(got[:, 0].sum(), pixels)
    assert gradient.flatten(1).any(dim=1).all()


@pytest.mark.parametrize("memory", MEMORIES)
def test_each_row_is_read_to_its_own_end(memory: str) -> None:
    classifier = reader(memory, Crop(8), (32, 32, 1))
    glimpses, gaze = th.rand(4, 3, 1, 8, 8) * 255, gazes(12).reshape(4, 3, 3)
    glimpses.requires_grad_()
    counts = np.array([1, 3, 2, 1])
    got = logits(classifier, glimpses, gaze, counts)
    for row, count in enumerate(counts):
        alone = logits(classifier, glimpses[[row]], gaze[[row]], np.array([count]))
        assert th.allclose(got[row], alone[0], atol=1e-5)
    (gradient,) = th.autograd.grad(got.sum(), glimpses)
    after = np.arange(3) >= counts[:, None]
    assert not gradient[th.as_tensor(after)].any()


@pytest.mark.parametrize("interpolate", [False, True])
def test_gradients_through_a_canvas_are_those_of_differences(interpolate: bool) -> None:
    """Of what is painted and unfolded; the network behind it is torch's own."""
    layout = reader("canvas", Crop(4), (12, 10, 2)).memory.layout
    layout = replace(layout, interpolate=interpolate)
    gaze = gazes(6, seed=3).reshape(2, 3, 3)
    glimpses = (th.rand(2, 3, 2, 4, 4, dtype=th.float64) * 255).requires_grad_()
    assert th.autograd.gradcheck(lambda seen: layout.gather(seen, gaze, np.array([3, 2])), glimpses)


@pytest.mark.parametrize("scales", [1, 2])
def test_gathering_is_painting(scales: int) -> None:
    """Byte by byte, fineness included, with glimpses that cover others and stick out."""
    sensor = Retina(6, scales)
    layout = reader("canvas", sensor, (23, 41, 3)).memory.layout
    glimpses = noise(5, 9, 6, 6 * scales, 3)
    gaze, counts = gazes(45, seed=1).reshape(5, 9, 3), np.array([9, 0, 4, 1, 9])
    canvases = layout.empty(5)
    layout.paint(canvases, glimpses, gaze, counts)
    tensor = th.as_tensor(glimpses).permute(0, 1, 4, 2, 3).float()
    np.testing.assert_array_equal(layout.gather(tensor, gaze, counts).numpy(), canvases)
    between = replace(layout, interpolate=True)
    canvases = between.empty(5)
    between.paint(canvases, glimpses, gaze, counts)
    gathered = between.gather(tensor, gaze, counts).numpy()
    np.testing.assert_allclose(gathered, canvases, atol=0.501)  # painting rounds
    assert (gathered != canvases).any()
    fineness = [rows.reshape(5, 4, -1)[:, 3] for rows in (gathered, canvases)]
    np.testing.assert_array_equal(*fineness)
    assert set(np.unique(fineness[0])) == set(range(len(layout.cells) + 1))
