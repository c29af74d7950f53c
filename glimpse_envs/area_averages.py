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
from glimpse_envs.prefetch import prefetch
from glimpse_envs.pyramid import Pyramid, level_of

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
    return _read(read_only(images), table, rows, windows, size, scales, float(height), float(width))


def averages_from_pyramid(
    levels: Pyramid, rows: NDArray[np.int64], gaze: NDArray[np.float32], size: int, scales: int
) -> NDArray[np.uint8]:
    """Return what :func:`averages` returns, nearly: wide windows are read from coarser levels.

    Where glimpse pixels are less than twice ``pyramid.FINENESS`` image pixels wide it is the same.

    :param levels: of the images
    :param rows: which of them, int64 (n,)
    :param gaze: of the finest window, float32 (n, 3)
    :param size: side of the grid of averages of one window
    :param scales: number of windows
    """
    n, (height, width, channels) = len(rows), levels[0].shape[1:]
    out = np.empty((n, size, scales * size, channels), np.uint8)
    windows = Geometry(height, width, size, True).sampled_windows(gaze)
    for scale in range(scales):
        columns = slice(scale * size, (scale + 1) * size)
        read_from = level_of(windows[:, 2] / size, len(levels))
        for level in np.unique(read_from):
            lanes, cell = (read_from == level).nonzero()[0], 2.0**level
            out[lanes, :, columns] = _read(
                read_only(levels[level]), _NO_TABLE, rows[lanes], windows[lanes] / cell, size, 1,
                height / cell, width / cell,
            )  # fmt: skip
        windows[:, :2] -= 0.5 * windows[:, 2:]
        windows[:, 2] *= 2.0
    return out


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
def _read(images, table, rows, windows, size, scales, extent_y, extent_x):
    """Read all lanes. The image ends at the extents, which may be within its last row and column.

    Positions in the flat arrays are unsigned: numba then leaves out the check for negative
    indices, and the inner loops become vector instructions.
    """
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
    ends = extent_y == height and extent_x == width
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
                _copy(pixels, image, shape, corner, size, out, target, stride)
            elif whole and has_table:
                _whole_from_table(
                    sums, tables, tabled, corner, int(cell), size,
                    out, target, stride, positions, exact,
                )  # fmt: skip
            elif whole and ends:
                _whole(
                    pixels, image, shape, corner, int(cell), size,
                    out, target, stride, whole_columns,
                )  # fmt: skip
            elif has_table:
                _between_from_table(
                    sums, tables, tabled, (left, top), cell, size,
                    out, target, stride, positions, fractions, between,
                )  # fmt: skip
            else:
                _between(
                    pixels, image, shape, (extent_y, extent_x), (left, top), cell, size,
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
            _fetch_rows(pixels, image, shape, left, top, side, 1.0, size, 1, 64)
        elif has_table:
            rows = 1 if whole else 2
            _fetch_rows(sums, tables, tabled, left, top, side, cell, size + 1, rows, 16)
        left, top, side = left - 0.5 * side, top - 0.5 * side, 2.0 * side


@kernel
def _fetch_rows(flat, image, shape, left, top, side, cell, n, rows, line):
    """Ask for ``n`` times so many rows, ``cell`` apart; a line of memory has ``line`` entries."""
    height, width, channels = shape
    first = min(max(int(left), 0), width - 1) * channels
    last = min(max(int(left + side) + 1, 1), width) * channels
    step = max(line, int(cell * channels))
    for j in range(n):
        y = min(max(int(top + j * cell), 0), height - 1)
        for k in range(rows):
            row = image + min(y + k, height - 1) * width * channels
            for m in range(row + first, row + last - 1, step):
                prefetch(flat, np.uint64(m))
            prefetch(flat, np.uint64(row + last - 1))


# --- from pixels ------------------------------------------------------------------------------


@kernel
def _copy(pixels, image, shape, corner, size, out, target, stride):
    """Copy the image's own pixels."""
    height, width, channels = shape
    first, last = max(corner[0], 0), min(corner[0] + size, width)
    if last <= first:
        return
    entries = np.uint64((last - first) * channels)
    for j in range(max(0, -corner[1]), min(size, height - corner[1])):
        start = np.uint64(image + ((corner[1] + j) * width + first) * channels)
        row = np.uint64(target + j * stride + (first - corner[0]) * channels)
        for m in range(entries):
            out[row + m] = pixels[start + m]


@kernel
def _whole(pixels, image, shape, corner, cell, size, out, target, stride, sums):
    """Average cells of whole pixels: rows of pixels are added up, and then what is beside."""
    height, width, channels = shape
    scale = np.float32(1.0 / (cell * cell))
    first = min(max(corner[0], 0), width)
    entries = np.uint64((min(max(corner[0] + size * cell, 0), width) - first) * channels)
    step = np.uint64(channels)
    for j in range(size):
        upper = min(max(corner[1] + j * cell, 0), height)
        lower = min(max(corner[1] + (j + 1) * cell, 0), height)
        if lower <= upper:
            continue  # beyond the border: zeros
        start = np.uint64(image + (upper * width + first) * channels)
        for m in range(entries):
            sums[m] = pixels[start + m]
        for y in range(upper + 1, lower):
            start = np.uint64(image + (y * width + first) * channels)
            for m in range(entries):
                sums[m] += pixels[start + m]
        for k in range(size):
            begin = min(max(corner[0] + k * cell, 0), width) - first
            end = min(max(corner[0] + (k + 1) * cell, 0), width) - first
            for c in range(channels):
                total = np.uint32(0)
                for m in range(
                    np.uint64(begin * channels + c), np.uint64(end * channels + c), step
                ):
                    total += sums[m]
                value = np.int32(np.float32(total) * scale + np.float32(0.5))
                out[target + j * stride + k * channels + c] = np.uint8(value)


@kernel
def _between(pixels, image, shape, extents, corner, cell, size, out, target, stride, whole, sums):
    """Average cells with fractional borders: a pixel counts for the part of it that lies inside."""
    _, width, channels = shape
    scale = 1.0 / (cell * cell)
    bottom, right = extents
    first = min(max(int(np.floor(corner[0])), 0), width)
    last = min(max(int(np.ceil(corner[0] + size * cell)), 0), width)
    entries, step = np.uint64((last - first) * channels), np.uint64(channels)
    for j in range(size):
        upper = min(max(corner[1] + j * cell, 0.0), bottom)
        lower = min(max(corner[1] + (j + 1) * cell, 0.0), bottom)
        row, beyond = int(upper), int(np.ceil(lower))
        if beyond <= row:
            continue  # beyond the border: zeros
        # rows between are added up as integers, twice as fast
        for m in range(entries):
            whole[m] = 0
        for y in range(row + 1, beyond - 1):
            start = np.uint64(image + (y * width + first) * channels)
            for m in range(entries):
                whole[m] += pixels[start + m]
        above = min(row + 1.0, lower) - upper
        start = np.uint64(image + (row * width + first) * channels)
        for m in range(entries):
            sums[m] = above * float(pixels[start + m]) + float(whole[m])
        if beyond > row + 1:
            below = lower - (beyond - 1.0)
            start = np.uint64(image + ((beyond - 1) * width + first) * channels)
            for m in range(entries):
                sums[m] += below * float(pixels[start + m])
        for k in range(size):
            begin = min(max(corner[0] + k * cell, 0.0), right)
            end = min(max(corner[0] + (k + 1) * cell, 0.0), right)
            column, beyond = int(begin), int(np.ceil(end))
            if beyond <= column:
                continue  # beyond the border: zeros
            before = min(column + 1.0, end) - begin
            behind = end - (beyond - 1.0)
            head = np.uint64((column - first) * channels)
            tail = np.uint64((beyond - 1 - first) * channels)
            place = np.uint64(target + j * stride + k * channels)
            for c in range(np.uint64(channels)):
                total = before * sums[head + c]
                for m in range(head + c + step, tail + c, step):
                    total += sums[m]
                if tail > head:
                    total += behind * sums[tail + c]
                out[place + c] = np.uint8(np.int32(total * scale + 0.5))


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
