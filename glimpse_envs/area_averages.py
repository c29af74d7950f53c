"""Exact box averages of windows: what sensors with square pixels see.

From the pixels themselves, or from an exact summed-area table (Crow, "Summed-area tables for
texture mapping", SIGGRAPH 1984), where one was made. Reading the pixels costs as much as the window
has of them, reading a table the same whatever the window; making one costs several times as much as
reading all pixels once, and it takes four times the image's memory. So a table is for images that
are shown again and again, and there for windows that are coarser than the image. Images that are
too large for that are read from a pyramid.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.arrays import read_only
from glimpse_envs.compiled import kernel
from glimpse_envs.gaze import Geometry, has_whole_cells
from glimpse_envs.pixel_averages import copy_pixels, fetch_rows, fractional_cells, whole_cells

_MAX_PIXELS = 2**32 // 255 - 1  # the sum of an image must fit in 32 bits
_NO_TABLE = read_only(np.empty((0, 0, 0, 0), np.uint32))


def averages(
    images: NDArray[np.uint8],
    rows: NDArray[np.int64],
    gaze: NDArray[np.float32],
    size: int,
    scales: int,
    table: NDArray[np.uint32] | None = None,
) -> NDArray[np.uint8]:
    """Return averages of concentric windows, each twice as wide, uint8 (n, size, scales * size, C).

    Beyond the image there are zeros. The scales lie side by side, finest first.

    :param images: uint8 (N, H, W, C)
    :param rows: which of them, int64 (n,)
    :param gaze: of the finest window, float32 (n, 3)
    :param size: side of the grid of averages of one window
    :param scales: number of windows
    :param table: what :func:`summed_area` made of the images, or None
    :raises ValueError: for images whose sums do not fit in 32 bits
    """
    check_size(images)
    height, width = images.shape[1:3]
    windows = Geometry(height, width, size, True).sampled_windows(gaze)
    table = _NO_TABLE if table is None else read_only(table)
    return _read(read_only(images), table, rows, windows, size, scales)


def summed_area(images: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the summed-area tables, (N, H + 1, W + 1, C), first row and column 0.

    :param images: uint8 (N, H, W, C)
    :raises ValueError: for images whose sums do not fit in 32 bits
    """
    check_size(images)
    n, height, width, channels = images.shape
    tables = np.empty((n, height + 1, width + 1, channels), np.uint32)
    _summed_area(images, tables)
    return tables


def check_size(images: NDArray[np.uint8]) -> None:
    """Raise a ValueError for images whose sums do not fit in 32 bits."""
    height, width = images.shape[1:3]
    if height * width > _MAX_PIXELS:
        raise ValueError(
            f"got an image of {height} x {width}; wanted at most {_MAX_PIXELS} pixels; "
            "shrink the images first"
        )


@kernel
def _read(images, table, rows, windows, size, scales):
    """Read all lanes."""
    n, (_, height, width, channels) = rows.shape[0], images.shape
    shape, length = (height, width, channels), height * width * channels
    # a table has one row and one column more
    tabled = (height + 1, width + 1, channels)
    table_length = (height + 1) * (width + 1) * channels
    has_table = table.shape[0] > 0
    pixels, sums = images.reshape(-1), table.reshape(-1)
    out = np.zeros(n * scales * size * size * channels, np.uint8)
    stride = scales * size * channels
    borders = (size + 1) * channels
    # where the borders between cells lie, and the table along two neighbouring borders
    positions, fractions = np.empty(borders, np.uint64), np.empty(borders)
    exact, between = np.empty((2, borders), np.uint32), np.empty((2, borders))
    # of columns of pixels
    whole_columns, columns = np.empty(width * channels, np.uint32), np.empty(width * channels)
    extents = float(height), float(width)
    for i in range(-1, n):
        if i + 1 < n:  # bring the next lane's lines while this one is averaged
            row = rows[i + 1]
            _fetch(
                pixels, row * length, shape, sums, row * table_length, tabled,
                windows[i + 1], size, scales, has_table,
            )  # fmt: skip
        if i < 0:
            continue
        left, top, side = windows[i]
        image, tables = rows[i] * length, rows[i] * table_length
        for scale in range(scales):
            cell = side / size
            target = (i * size * scales + scale) * size * channels
            corner = int(np.floor(left + 0.5)), int(np.floor(top + 0.5))
            whole = has_whole_cells(left, top, cell)
            if whole and cell == 1.0:
                copy_pixels(pixels, image, shape, corner, size, out, target, stride)
            elif whole and has_table:
                _whole_from_table(
                    sums, tables, tabled, corner, int(cell), size,
                    out, target, stride, positions, exact,
                )  # fmt: skip
            elif whole:
                whole_cells(
                    pixels, image, shape, corner, int(cell), size,
                    out, target, stride, whole_columns,
                )  # fmt: skip
            elif has_table:
                _between_from_table(
                    sums, tables, tabled, (left, top), cell, size,
                    out, target, stride, positions, fractions, between,
                )  # fmt: skip
            else:
                fractional_cells(
                    pixels, image, shape, extents, (left, top), cell, size,
                    out, target, stride, whole_columns, columns,
                )  # fmt: skip
            left -= 0.5 * side
            top -= 0.5 * side
            side *= 2.0
    return out.reshape((n, size, scales * size, channels))


@kernel
def _fetch(pixels, image, shape, sums, tables, tabled, window, size, scales, has_table):
    """Ask for the lines of memory that a lane's glimpse reads in pieces."""
    left, top, side = window
    for _ in range(scales):
        cell = side / size
        whole = has_whole_cells(left, top, cell)
        if whole and cell == 1.0:
            fetch_rows(pixels, image, shape, left, top, side, 1.0, size, 1, 64)
        elif has_table:
            rows = 1 if whole else 2
            fetch_rows(sums, tables, tabled, left, top, side, cell, size + 1, rows, 16)
        left, top, side = left - 0.5 * side, top - 0.5 * side, 2.0 * side


# --- from a summed-area table -----------------------------------------------------------------


@kernel
def _summed_area(images, tables):
    for i in range(images.shape[0]):
        _summed_area_of_one(images[i], tables[i])


@kernel
def _summed_area_of_one(image, table):
    height, width, channels = image.shape
    # loops in the place of operations on rows, which take three times as long to compile
    for x in range(width + 1):
        for c in range(channels):
            table[0, x, c] = 0
    for y in range(height):
        for c in range(channels):
            table[y + 1, 0, c] = 0
        for x in range(width):
            for c in range(channels):
                table[y + 1, x + 1, c] = table[y + 1, x, c] + image[y, x, c]
        for x in range(width):
            for c in range(channels):
                table[y + 1, x + 1, c] += table[y, x + 1, c]


@kernel
def _whole_from_table(flat, image, shape, corner, cell, size, out, target, stride, positions, rows):
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
def _between_from_table(
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
