"""Sensors: image and gaze in, glimpse out.

Both sensors read an exact summed-area table (Crow, "Summed-area tables for texture mapping",
SIGGRAPH 1984), so a glimpse is the exact box average of its window whatever the zoom, without
aliasing, at a cost that does not grow with the image or the window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.compiled import kernel
from glimpse_envs.components import Component, check_integer
from glimpse_envs.gaze import Geometry, has_whole_cells, sampled_window
from glimpse_envs.prefetch import prefetch

_MAX_PIXELS = 2**32 // 255 - 1  # the table's last entry must fit in 32 bits


class Sensor(Component):
    """What turns an image and a gaze into a glimpse.

    A sensor of one's own is a frozen dataclass that sets ``size``, the side in pixels of its window
    at zoom 1, and defines ``__call__``; ``glimpse_shape`` too, unless it is (size, size, C).
    ``prepare`` and ``read`` are for sensors that read a table instead of the image.
    """

    size: int

    #: the sensor reads beyond the image's border (padding with zeros)
    padded: bool = False
    #: width of what is read, in windows: what coverage counts
    span: float = 1.0

    @property
    def prepared_as(self) -> str:
        """Return the name under which sensors share what ``prepare`` makes of a data set."""
        return repr(self)

    def glimpse_shape(self, channels: int) -> tuple[int, int, int]:
        """Return the shape of a glimpse of an image with so many channels."""
        return (self.size, self.size, channels)

    @property
    def samples(self) -> int:
        """Return the number of sensor pixels that one glimpse reads (channels not counted)."""
        height, width, _ = self.glimpse_shape(1)
        return height * width

    def geometry(self, height: int, width: int) -> Geometry:
        """Return the gazes that are possible on an image of this size."""
        return Geometry(height, width, self.size, self.padded)

    def __call__(self, images: NDArray[np.uint8], gaze: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the glimpses, uint8 (B, *glimpse_shape).

        :param images: uint8 (B, H, W, C)
        :param gaze: float32 (B, 3); an environment gives a clamped one
        """
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")

    def prepare(self, images: NDArray[np.uint8]) -> NDArray:
        """Return what ``read`` reads, made once for images uint8 (N, H, W, C)."""
        return images

    def read(
        self, prepared: NDArray, rows: NDArray[np.int64], gaze: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """Return glimpses of prepared images, uint8 (n, *glimpse_shape).

        :param prepared: as ``prepare`` made it
        :param rows: which of them, int64 (n,)
        :param gaze: clamped, float32 (n, 3)
        """
        return self(prepared[rows], gaze)


MOST_SCALES = 16
"""Of a retina: its widest window is then 32,768 times its finest one."""


class _AreaSensor(Sensor):
    """A square grid of area averages at one or several scales around the fixation."""

    scales: int = 1
    prepared_as = "summed_area"

    def __post_init__(self) -> None:
        check_integer(self, "size", low=1)
        check_integer(self, "scales", low=1, high=MOST_SCALES)

    def __call__(self, images: NDArray[np.uint8], gaze: NDArray[np.float32]) -> NDArray[np.uint8]:
        images, gaze = np.asarray(images), np.asarray(gaze, np.float32)
        if images.ndim != 4 or images.dtype != np.uint8 or gaze.shape != (len(images), 3):
            raise ValueError(
                f"got images {images.dtype} {images.shape} and gaze {gaze.shape}; wanted images "
                "uint8 (B, H, W, C) and gaze (B, 3)"
            )
        geometry = self.geometry(*images.shape[1:3])
        rows = np.arange(len(images))
        return self.read(self.prepare(images), rows, geometry.clamp(gaze))

    def prepare(self, images: NDArray[np.uint8]) -> NDArray[np.uint32]:
        """Return the summed-area tables, uint32 (N, H + 1, W + 1, C), first row and column 0."""
        _, height, width, _ = images.shape
        if height * width > _MAX_PIXELS:
            raise ValueError(
                f"got an image of {height} x {width}; wanted at most {_MAX_PIXELS} pixels; "
                "shrink the images first"
            )
        return summed_area(images)

    def read(
        self, prepared: NDArray[np.uint32], rows: NDArray[np.int64], gaze: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        return _read(prepared, rows, gaze, self.size, self.scales)


@dataclass(frozen=True)
class Crop(_AreaSensor):
    """A square window, area-averaged to ``size`` x ``size``; at zoom 1 the image's own pixels.

    The window always lies inside the image. At zoom 1 it is read at the nearest whole pixel.

    :param size: side of the glimpse, sensor pixels
    """

    size: int = 8


@dataclass(frozen=True)
class Retina(_AreaSensor):
    """Concentric windows, each twice as wide, all averaged to ``size`` x ``size``.

    Beyond the image there are zeros. The scales lie side by side, finest first, in one image (size,
    scales * size, C). Source: the glimpse sensor of Mnih et al., "Recurrent models of visual
    attention", NIPS 2014.

    :param size: side of one scale, sensor pixels
    :param scales: number of windows
    """

    size: int = 8
    scales: int = 3
    padded = True

    @property
    def span(self) -> float:
        """Width of the widest window, in windows of the finest scale."""
        return 2.0 ** (self.scales - 1)

    def glimpse_shape(self, channels: int) -> tuple[int, int, int]:
        """Return (size, scales * size, channels)."""
        return (self.size, self.scales * self.size, channels)


def summed_area(images: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the summed-area tables (N, H + 1, W + 1, C) of images uint8 (N, H, W, C)."""
    n, height, width, channels = images.shape
    tables = np.empty((n, height + 1, width + 1, channels), np.uint32)
    _summed_area(images, tables)
    return tables


@kernel
def _summed_area(images, tables):
    for i in range(images.shape[0]):
        _summed_area_of_one(images[i], tables[i])


@kernel
def _summed_area_of_one(image, table):
    height, width, channels = image.shape
    table[0] = 0
    for y in range(height):
        table[y + 1, 0] = 0
        for x in range(width):
            for c in range(channels):
                table[y + 1, x + 1, c] = table[y + 1, x, c] + image[y, x, c]
        table[y + 1] += table[y]


@kernel
def _read(table, rows, gaze, size, scales):
    """Read all lanes.

    Positions in the flat arrays are unsigned: numba then leaves out the check for negative
    indices, and the inner loops become vector instructions.
    """
    _, height, width, channels = table.shape
    flat = table.reshape(-1)
    out = np.empty(rows.shape[0] * scales * size * size * channels, np.uint8)
    borders = (size + 1) * channels
    # where the borders between cells lie, and the table along two neighbouring borders
    positions, fractions = np.empty(borders, np.uint64), np.empty(borders)
    exact, between = np.empty((2, borders), np.uint32), np.empty((2, borders))
    windows = np.empty((rows.shape[0], 3))
    for i in range(rows.shape[0]):
        windows[i] = sampled_window(
            gaze[i, 0], gaze[i, 1], gaze[i, 2], height - 1.0, width - 1.0, float(size)
        )
    for i in range(-1, rows.shape[0]):
        if i + 1 < rows.shape[0]:  # bring the next lane's lines while this one is averaged
            first = rows[i + 1] * height * width * channels
            _fetch(flat, first, table.shape, windows[i + 1], size, scales)
        if i < 0:
            continue
        left, top, side = windows[i]
        image = rows[i] * height * width * channels
        for scale in range(scales):
            cell = side / size
            target = (i * size * scales + scale) * size * channels
            stride = scales * size * channels
            if has_whole_cells(left, top, cell):
                corner = int(np.floor(left + 0.5)), int(np.floor(top + 0.5))
                _read_whole(
                    flat, image, (height, width, channels), corner, int(cell), size,
                    out, target, stride, positions, exact,
                )  # fmt: skip
            else:
                _read_between(
                    flat, image, (height, width, channels), (left, top), cell, size,
                    out, target, stride, positions, fractions, between,
                )  # fmt: skip
            left -= 0.5 * side
            top -= 0.5 * side
            side *= 2.0
    return out.reshape((rows.shape[0], size, scales * size, channels))


@kernel
def _fetch(flat, image, shape, window, size, scales):
    """Ask for the lines of the table that a lane's glimpse reads."""
    _, height, width, channels = shape
    left, top, side = window
    line = 64 // 4  # entries
    for _ in range(scales):
        cell = side / size
        whole = has_whole_cells(left, top, cell)
        first = min(max(int(left), 0), width - 1) * channels
        last = min(max(int(left + side) + 1, 1), width) * channels
        stride = max(line, int(cell * channels))
        for j in range(size + 1):
            y = min(max(int(top + j * cell), 0), height - 1)
            for k in range(1 if whole else 2):
                row = image + min(y + k, height - 1) * width * channels
                for m in range(row + first, row + last - 1, stride):
                    prefetch(flat, np.uint64(m))
                prefetch(flat, np.uint64(row + last - 1))
        left, top, side = left - 0.5 * side, top - 0.5 * side, 2.0 * side


@kernel
def _read_whole(flat, image, shape, corner, cell, size, out, target, stride, positions, rows):
    """Average cells of whole pixels. Beyond the border the table is constant: zero padding."""
    height, width, channels = shape
    scale = np.float32(1.0 / (cell * cell))
    pixel = np.uint64(channels)
    for k in range(size + 1):
        x = min(max(corner[0] + k * cell, 0), width - 1)
        for c in range(channels):
            positions[k * channels + c] = x * channels + c
    for j in range(size + 1):
        y = min(max(corner[1] + j * cell, 0), height - 1)
        start = np.uint64(image + y * width * channels)
        upper, lower = rows[(j + 1) & 1], rows[j & 1]
        for m in range(np.uint64(positions.shape[0])):
            lower[m] = flat[start + positions[m]]
        if j > 0:
            row = np.uint64(target + (j - 1) * stride)
            for m in range(np.uint64(size * channels)):
                total = lower[m + pixel] - lower[m] - upper[m + pixel] + upper[m]
                out[row + m] = np.uint8(np.int32(np.float32(total) * scale + np.float32(0.5)))


@kernel
def _read_between(
    flat, image, shape, corner, cell, size, out, target, stride, positions, fractions, rows
):
    """Average cells with fractional borders.

    The integral of an image of square pixels is the bilinear interpolation of its summed-area
    table, so this, too, is exact.
    """
    height, width, channels = shape
    scale = 1.0 / (cell * cell)
    pixel, line = np.uint64(channels), np.uint64(width * channels)
    for k in range(size + 1):
        x = min(max(corner[0] + k * cell, 0.0), width - 1.0)
        whole = min(int(x), width - 2)
        for c in range(channels):
            positions[k * channels + c] = whole * channels + c
            fractions[k * channels + c] = x - whole
    for j in range(size + 1):
        y = min(max(corner[1] + j * cell, 0.0), height - 1.0)
        whole = min(int(y), height - 2)
        fy = y - whole
        start = np.uint64(image + whole * width * channels)
        upper, lower = rows[(j + 1) & 1], rows[j & 1]
        for m in range(np.uint64(positions.shape[0])):
            p = start + positions[m]
            q = p + line
            a, b = float(flat[p]), float(flat[q])
            a += fractions[m] * (float(flat[p + pixel]) - a)
            b += fractions[m] * (float(flat[q + pixel]) - b)
            lower[m] = a + fy * (b - a)
        if j > 0:
            row = np.uint64(target + (j - 1) * stride)
            for m in range(np.uint64(size * channels)):
                total = lower[m + pixel] - lower[m] - upper[m + pixel] + upper[m]
                out[row + m] = np.uint8(np.int32(total * scale + 0.5))
