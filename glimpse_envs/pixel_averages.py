"""Averages of an image's own pixels over the cells of one glimpse, compiled.

Images are flat arrays. Positions in them are unsigned: numba then leaves out the check for negative
indices, and the inner loops become vector instructions.
"""

from __future__ import annotations

import numpy as np

from glimpse_envs.compiled import kernel
from glimpse_envs.prefetch import prefetch


@kernel
def fetch_rows(flat, image, shape, left, top, side, cell, n, rows, line):
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


@kernel
def copy_pixels(pixels, image, shape, corner, size, out, target, stride):
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
def whole_cells(pixels, image, shape, corner, cell, size, out, target, stride, sums):
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
def fractional_cells(
    pixels, image, shape, extents, corner, cell, size, out, target, stride, whole, sums
):
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
