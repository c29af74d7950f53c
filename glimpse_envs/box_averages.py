"""Exact averages of squares that lie anywhere around a fixation: what foveated sensors see.

Squares overlap and have many sizes, so they are read from a summed-area table: the images', where
one was made, or one of what the lane's squares cover, made for the glimpse. Sums of whole pixels
are taken from it as integers before anything is weighted: both tables give the same bits. What a
glimpse costs depends on the pixels under its squares, with the images' table only on how many
squares there are, and never on the rest of the image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.area_averages import check_size
from glimpse_envs.arrays import read_only
from glimpse_envs.compiled import kernel
from glimpse_envs.gaze import has_whole_cells, sampled_window


def box_averages(
    images: NDArray[np.uint8],
    rows: NDArray[np.int64],
    gaze: NDArray[np.float32],
    size: int,
    squares: NDArray[np.float64],
    table: NDArray[np.uint32] | None = None,
) -> NDArray[np.uint8]:
    """Return averages of squares in and around windows, uint8 (n, h, w, C).

    Beyond the image there are zeros.

    :param images: uint8 (N, H, W, C)
    :param rows: which of them, int64 (n,)
    :param gaze: of the windows, float32 (n, 3)
    :param size: side of a window, cells
    :param squares: left and top from the window's upper left corner, and side, in whole cells,
        int64 (h, w, 3)
    :param table: what ``summed_area`` made of the images, or None
    :raises ValueError: for images whose sums do not fit in 32 bits
    """
    check_size(images)
    borders = np.concatenate([squares[..., :2], squares[..., :2] + squares[..., 2:]], axis=2)
    borders = borders.reshape(-1, 4)
    out = np.zeros((len(rows), *squares.shape[:2], images.shape[3]), np.uint8)
    has_table = table is not None
    # without the images' table, one of a part of an image is made for every glimpse: written to as
    # an array, and read as another, so that only one kind of table has to be compiled
    room = 0 if has_table else (images.shape[1] + 1) * (images.shape[2] + 1) * images.shape[3]
    part = np.empty(room, np.uint32)
    sums = read_only((table if has_table else part).reshape(-1))
    _read(read_only(images), sums, part, has_table, rows, gaze, float(size), borders, out.ravel())
    return out


@kernel
def _read(images, sums, written, has_table, rows, gaze, size, borders, out):
    """Read all lanes into ``out``; see ``pixel_averages`` for why positions are unsigned.

    Without a table ``sums`` is what is ``written`` to.
    """
    _, height, width, channels = images.shape
    shape, length = (height, width, channels), height * width * channels
    table_length = (height + 1) * (width + 1) * channels
    pixels, n_borders = images.reshape(-1), borders.shape[0]
    left, top, right, bottom = np.inf, np.inf, -np.inf, -np.inf
    for k in range(n_borders):
        left, top = min(left, borders[k, 0]), min(top, borders[k, 1])
        right, bottom = max(right, borders[k, 2]), max(bottom, borders[k, 3])
    for i in range(rows.shape[0]):
        image = rows[i] * length
        x, y, side = sampled_window(
            gaze[i, 0], gaze[i, 1], gaze[i, 2], float(height), float(width), size
        )
        cell = side / size
        # what the table is about: left, top, width, height, position of its first entry
        part = 0, 0, width, height, rows[i] * table_length
        if not has_table:
            x0, x1 = _within(x + cell * left, width), _within(x + cell * right + 1.0, width)
            y0, y1 = _within(y + cell * top, height), _within(y + cell * bottom + 1.0, height)
            part = x0, y0, x1 - x0, y1 - y0, 0
            _summed_part(pixels, image, shape, part, written)
        if has_whole_cells(x, y, cell):
            corner = int(np.floor(x + 0.5)), int(np.floor(y + 0.5)), int(cell)
            _whole(pixels, image, shape, sums, part, corner, borders, out, i * n_borders)
        else:
            _between(shape, sums, part, (x, y, cell), borders, out, i * n_borders)


@kernel(inline="always")
def _within(position, length):
    return min(max(int(np.floor(position)), 0), length)


@kernel
def _summed_part(pixels, image, shape, part, sums):
    """Make the summed-area table of a part of an image, (height + 1, width + 1, C)."""
    _, width, channels = shape
    left, top, across, down, _ = part
    step, line = np.uint64(channels), np.uint64((across + 1) * channels)
    for m in range(line):
        sums[m] = 0
    for y in range(down):
        first = np.uint64((y + 1) * (across + 1) * channels)
        start = np.uint64(image + ((top + y) * width + left) * channels)
        for c in range(step):
            sums[first + c] = 0
            total = np.uint32(0)
            source, target = start + c, first + step + c
            for _ in range(across):
                total += np.uint32(pixels[source])
                sums[target] = sums[target - line] + total
                source += step
                target += step


@kernel
def _whole(pixels, image, shape, sums, part, corner, borders, out, first):
    """Average squares of whole pixels; the first is square number ``first`` of ``out``."""
    height, width, channels = shape
    left, top, cell = corner
    line = (part[2] + 1) * channels
    for k in range(borders.shape[0]):
        x0, x1 = left + cell * borders[k, 0], left + cell * borders[k, 2]
        y0, y1 = top + cell * borders[k, 1], top + cell * borders[k, 3]
        area = (x1 - x0) * (y1 - y0)
        x0, x1 = min(max(x0, 0), width), min(max(x1, 0), width)
        y0, y1 = min(max(y0, 0), height), min(max(y1, 0), height)
        if x1 <= x0 or y1 <= y0:
            continue  # beyond the border: zeros
        target = np.uint64((first + k) * channels)
        if area == 1:
            start = np.uint64(image + (y0 * width + x0) * channels)
            for c in range(np.uint64(channels)):
                out[target + c] = pixels[start + c]
            continue
        a, b = (x0 - part[0]) * channels, (x1 - part[0]) * channels
        u, v = part[4] + (y0 - part[1]) * line, part[4] + (y1 - part[1]) * line
        ua, ub, va, vb = np.uint64(u + a), np.uint64(u + b), np.uint64(v + a), np.uint64(v + b)
        scale = 1.0 / area
        for c in range(np.uint64(channels)):
            total = np.uint32(sums[vb + c] - sums[va + c] - sums[ub + c] + sums[ua + c])
            out[target + c] = np.uint8(np.int32(float(total) * scale + 0.5))


@kernel
def _between(shape, sums, part, corner, borders, out, first):
    """Average squares with fractional borders: a pixel counts for the part that lies inside."""
    height, width, channels = shape
    left, top, cell = corner
    line = (part[2] + 1) * channels
    for k in range(borders.shape[0]):
        x0, x1 = left + cell * borders[k, 0], left + cell * borders[k, 2]
        y0, y1 = top + cell * borders[k, 1], top + cell * borders[k, 3]
        scale = 1.0 / ((x1 - x0) * (y1 - y0))
        x0, x1 = min(max(x0, 0.0), float(width)), min(max(x1, 0.0), float(width))
        y0, y1 = min(max(y0, 0.0), float(height)), min(max(y1, 0.0), float(height))
        if x1 <= x0 or y1 <= y0:
            continue  # beyond the border: zeros
        target = np.uint64((first + k) * channels)
        a, b, u, v = int(x0), int(x1), int(y0), int(y1)
        ax, bx, uy, vy = x0 - a, x1 - b, y0 - u, y1 - v
        a, b = (a - part[0]) * channels, (b - part[0]) * channels
        u, v = part[4] + (u - part[1]) * line, part[4] + (v - part[1]) * line
        ua, ub, va, vb = np.uint64(u + a), np.uint64(u + b), np.uint64(v + a), np.uint64(v + b)
        # the next pixel's entries; where a border is whole they do not count, and may not be there
        next_a = np.uint64(channels if ax > 0.0 else 0)
        next_b = np.uint64(channels if bx > 0.0 else 0)
        below_u, below_v = np.uint64(line if uy > 0.0 else 0), np.uint64(line if vy > 0.0 else 0)
        for c in range(np.uint64(channels)):
            # the upper row's entries, from which sums down to the other three are measured
            at_a, at_b = sums[ua + c], sums[ub + c]
            upper = at_b - at_a, sums[ua + next_a + c] - at_a, sums[ub + next_b + c] - at_b
            cut = _down_to(sums, ua + below_u + c, ub + below_u + c, next_a, next_b, upper, ax, bx)
            full = _down_to(sums, va + c, vb + c, next_a, next_b, upper, ax, bx)
            over = _down_to(sums, va + below_v + c, vb + below_v + c, next_a, next_b, upper, ax, bx)
            total = full + vy * (over - full) - uy * cut
            out[target + c] = np.uint8(np.int32(total * scale + 0.5))


@kernel(inline="always")
def _down_to(sums, p, q, next_a, next_b, upper, ax, bx):
    """Return the sum between two fractional columns, from the upper row down to another one.

    :param p: where the left column's entry of that row is
    :param q: where the right column's is
    :param upper: sums of the upper row between the columns, and of the pixels that they cut
    """
    at_a, at_b = sums[p], sums[q]
    between = float(np.uint32(at_b - at_a - upper[0]))
    cut_a = float(np.uint32(sums[p + next_a] - at_a - upper[1]))
    cut_b = float(np.uint32(sums[q + next_b] - at_b - upper[2]))
    return between + bx * cut_b - ax * cut_a
