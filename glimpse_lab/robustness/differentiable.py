"""Glimpses and what a classifier makes of them, with gradients to the image: for attacks.

The gaze is a constant here: no gradient flows through the choice of where to look.
"""

import numpy as np
import torch as th
from numpy.typing import NDArray

from glimpse_envs.gaze import Geometry, has_whole_cells
from glimpse_envs.sensors import Crop, Foveated, Lattice, Retina, Sensor
from policies.classifier.model import TorchClassifier


def crop(
    images: th.Tensor, gaze: NDArray[np.float32], geometry: Geometry, size: int, scales: int = 1
) -> th.Tensor:
    """Return what a ``Crop`` (or with several scales a ``Retina``) sees, before it is rounded.

    A box average is separable: along each side of the window, the overlap of every glimpse pixel
    with every image pixel is a matrix, and the glimpse is their product with the image. What lies
    beyond the border counts as zero.

    :param images: float (B, C, H, W) in [0, 255]
    :param gaze: float32 (B, 3), clamped here
    :param geometry: of the sensor on these images
    :param size: side of a glimpse, sensor pixels
    :param scales: of a retina, side by side
    :return: of the images' type, (B, C, size, scales * size)
    :raises ValueError: for images that are not those of the geometry
    """
    height, width = images.shape[2:]
    if (height, width) != (geometry.height, geometry.width) or len(gaze) != len(images):
        raise ValueError(
            f"got images {tuple(images.shape)} and gaze {gaze.shape}; wanted (B, C, "
            f"{geometry.height}, {geometry.width}) and (B, 3)"
        )
    left, top, side = geometry.sampled_windows(geometry.clamp(gaze)).T
    parts = []
    for _ in range(scales):
        cell = side / size
        whole = has_whole_cells(left, top, cell)
        x = np.where(whole, np.floor(left + 0.5), left)
        y = np.where(whole, np.floor(top + 0.5), top)
        columns, rows = (
            th.as_tensor(_overlaps(*along), dtype=images.dtype, device=images.device)[:, None]
            for along in ((x, cell, size, width), (y, cell, size, height))
        )
        parts.append(rows @ images @ columns.mT)
        left, top, side = left - 0.5 * side, top - 0.5 * side, 2.0 * side
    return th.cat(parts, dim=3)


def squares(
    images: th.Tensor, gaze: NDArray[np.float32], geometry: Geometry, sensor: Foveated | Lattice
) -> th.Tensor:
    """Return what a ``Foveated`` or a ``Lattice`` sees, before it is rounded.

    :param images: float (B, C, H, W) in [0, 255]
    :param gaze: float32 (B, 3), clamped here
    :param geometry: of the sensor on these images
    :param sensor: its receptive fields are averaged
    :return: of the images' type, (B, C, size, size)
    """
    size, (height, width) = sensor.size, images.shape[2:]
    left, top, side = geometry.sampled_windows(geometry.clamp(gaze)).T
    cell = side / size
    whole = has_whole_cells(left, top, cell)
    fields = sensor.receptive_fields().reshape(-1, 3)
    across, down = (
        np.where(whole, np.floor(edge + 0.5), edge)[:, None] + cell[:, None] * fields[:, k]
        for edge, k in ((left, 0), (top, 1))
    )  # (B, size ** 2)
    wide = (cell[:, None] * fields[:, 2]).reshape(-1)
    columns, rows = (
        th.as_tensor(
            _overlaps(begin.reshape(-1), wide, 1, length).reshape(*begin.shape, length),
            dtype=images.dtype,
            device=images.device,
        )[:, None]
        for begin, length in ((across, width), (down, height))
    )
    return ((rows @ images) * columns).sum(dim=3).unflatten(2, (size, size))


def see(sensor: Sensor, images: th.Tensor, gaze: NDArray[np.float32]) -> th.Tensor:
    """Return the glimpses of a sensor, with gradients to the images.

    Its very values, rounded ones of the rounded images, with the gradients of the exact averages (a
    straight-through estimator; Bengio et al. 2013).

    :param sensor: a ``Crop``, ``Retina``, ``Foveated`` or ``Lattice``
    :param images: float32 (B, C, H, W) in [0, 255]
    :param gaze: float32 (B, T, 3), finite
    :return: float32 (B, T, C, h, w)
    :raises ValueError: for other sensors
    """
    if type(sensor) not in (Crop, Retina, Foveated, Lattice):
        raise ValueError(
            f"got sensor {sensor}, whose gradient is not known; wanted Crop, Retina, Foveated or "
            "Lattice"
        )
    pixels = to_uint8(images)
    geometry = sensor.geometry(*pixels.shape[1:3])
    glimpses = []
    for t in range(gaze.shape[1]):
        if isinstance(sensor, Foveated | Lattice):
            exact = squares(images, gaze[:, t], geometry, sensor)
        else:
            exact = crop(images, gaze[:, t], geometry, sensor.size, sensor.scales)
        read = th.as_tensor(sensor(pixels, gaze[:, t]), device=images.device)
        glimpses.append(_straight_through(exact, read.permute(0, 3, 1, 2).to(images.dtype)))
    return th.stack(glimpses, dim=1)


def to_uint8(images: th.Tensor) -> NDArray[np.uint8]:
    """Return the nearest whole values, uint8 (B, H, W, C).

    :param images: float (B, C, H, W) in [0, 255]
    """
    rounded = images.detach().round().clamp(0.0, 255.0).permute(0, 2, 3, 1)
    return np.ascontiguousarray(rounded.cpu().numpy().astype(np.uint8))


def logits(
    classifier: TorchClassifier,
    glimpses: th.Tensor,
    gaze: NDArray[np.float32],
    counts: NDArray[np.int64],
) -> th.Tensor:
    """Return the classifier's logits after the first glimpses of each row.

    :param classifier: in evaluation mode
    :param glimpses: float32 (B, T, C, h, w) in [0, 255]
    :param gaze: float32 (B, T, 3), finite
    :param counts: how many of each row are read, int64 (B,), 1 to T
    :return: float32 (B, K)
    """
    return classifier.logits(classifier.memory.follow(glimpses, gaze, counts), counts)


def _overlaps(
    start: NDArray[np.float64], cell: NDArray[np.float64], size: int, length: int
) -> NDArray[np.float64]:
    """Return which share of a glimpse pixel each image pixel is, along one side.

    :param start: of the window, image pixels, (B,)
    :param cell: width of a glimpse pixel, image pixels, (B,)
    :param size: glimpse pixels
    :param length: image pixels
    :return: (B, size, length)
    """
    borders = start[:, None] + np.arange(size + 1) * cell[:, None]  # (B, size + 1)
    low, high = borders[:, :-1, None], borders[:, 1:, None]
    pixels = np.arange(length)
    overlap = np.minimum(high, pixels + 1.0) - np.maximum(low, pixels)
    return overlap.clip(min=0.0) / cell[:, None, None]


def _straight_through(exact: th.Tensor, rounded: th.Tensor) -> th.Tensor:
    """Return ``rounded``, with the gradient of ``exact``."""
    return exact + (rounded - exact).detach()
