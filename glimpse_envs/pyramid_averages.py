"""Box averages of windows in large images, read from the levels of a pyramid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.arrays import read_only
from glimpse_envs.compiled import kernel
from glimpse_envs.gaze import Geometry, has_whole_cells
from glimpse_envs.pixel_averages import copy_pixels, fetch_rows, fractional_cells, whole_cells
from glimpse_envs.pyramid import FINENESS, Pyramid, level_and_cell


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
    height, width = levels[0].shape[1:3]
    windows = Geometry(height, width, size, True).sampled_windows(gaze)
    return _read(tuple(map(read_only, levels)), rows, windows, size, scales, FINENESS)


@kernel
def _read(levels, rows, windows, size, scales, fineness):
    """Read all lanes, each window from its level; compiled once for each number of levels."""
    n, (_, height, width, channels) = rows.shape[0], levels[0].shape
    out = np.zeros(n * scales * size * size * channels, np.uint8)
    stride = scales * size * channels
    # of columns of pixels
    whole, columns = np.empty(width * channels, np.uint32), np.empty(width * channels)
    for i in range(-1, n):
        if i + 1 < n:  # bring the next lane's lines while this one is averaged
            _fetch(levels, rows[i + 1], windows[i + 1], size, scales, fineness)
        if i < 0:
            continue
        left, top, side = windows[i]
        for scale in range(scales):
            level, cell = level_and_cell(side / size, len(levels), fineness)
            images = levels[level]
            shape = (images.shape[1], images.shape[2], channels)
            pixels, image = images.reshape(-1), rows[i] * shape[0] * shape[1] * channels
            share = 1.0 / (1 << level)
            x, y, extents = left * share, top * share, (height * share, width * share)
            target = (i * size * scales + scale) * size * channels
            corner = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
            even = has_whole_cells(x, y, cell)
            if even and cell == 1.0:
                copy_pixels(pixels, image, shape, corner, size, out, target, stride)
            elif even and extents[0] == shape[0] and extents[1] == shape[1]:
                whole_cells(
                    pixels, image, shape, corner, int(cell), size, out, target, stride, whole
                )
            else:
                fractional_cells(
                    pixels, image, shape, extents, (x, y), cell, size,
                    out, target, stride, whole, columns,
                )  # fmt: skip
            left, top, side = left - 0.5 * side, top - 0.5 * side, 2.0 * side
    return out.reshape((n, size, scales * size, channels))


@kernel
def _fetch(levels, row, window, size, scales, fineness):
    """Ask for the lines of memory that a lane's glimpse reads."""
    left, top, side = window
    for _ in range(scales):
        level, cell = level_and_cell(side / size, len(levels), fineness)
        images, share = levels[level], 1.0 / (1 << level)
        height, width, channels = images.shape[1:]
        fetch_rows(
            images.reshape(-1), row * height * width * channels, (height, width, channels),
            left * share, top * share, size * cell, 1.0, int(size * cell) + 1, 1, 64,
        )  # fmt: skip
        left, top, side = left - 0.5 * side, top - 0.5 * side, 2.0 * side
