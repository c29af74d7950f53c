"""Image pyramids: large images beside smaller copies, from which wide windows are read.

Each level is the one before averaged over squares of 2 x 2 pixels (Burt and Adelson, "The Laplacian
pyramid as a compact image code", 1983, with boxes in the place of Gaussians). All levels together
take a third more than the images. A window is read from the level in which a glimpse pixel is
:data:`FINENESS` to twice as many pixels wide, so that a glimpse costs the same in images of any
size; windows as fine as that are read from the image itself, exactly. Elsewhere the pixels of a
level that lie on a border between two glimpse pixels count for the part that lies inside, as if
they were even.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.compiled import kernel

FINENESS = 4
"""Least width of a glimpse pixel, pixels of the level that it is read from."""

#: side below which there are no further levels: no window has so few pixels for a glimpse
_LEAST_SIDE = 16

Pyramid = tuple[NDArray[np.uint8], ...]
"""Levels, uint8 (N, ceil(H / 2^l), ceil(W / 2^l), C), the images first."""


def pyramid(images: NDArray[np.uint8]) -> Pyramid:
    """Return the levels of images, which are the first, without a copy.

    :param images: uint8 (N, H, W, C)
    """
    levels = [images]
    for shape in level_shapes(*images.shape[1:3])[1:]:
        levels.append(np.empty((len(images), *shape, images.shape[3]), np.uint8))
    for i in range(len(images)):
        fill([level[i] for level in levels])
    return tuple(levels)


def fill(levels: list[NDArray[np.uint8]]) -> None:
    """Make all levels of one image from the first.

    :param levels: uint8 (H, W, C) and on, of :func:`level_shapes`; written to but for the first
    """
    height, width = levels[0].shape[:2]
    for level in range(1, len(levels)):
        finer = 2.0 ** (level - 1)
        _halve(levels[level - 1], levels[level], height / finer, width / finer)


def level_shapes(height: int, width: int) -> list[tuple[int, int]]:
    """Return height and width of all levels of images of a size."""
    shapes = [(height, width)]
    while min(shapes[-1]) >= 2 * _LEAST_SIDE:
        cell = 2 ** len(shapes)
        shapes.append((math.ceil(height / cell), math.ceil(width / cell)))
    return shapes


def level_of(cells: NDArray[np.float64], n_levels: int) -> NDArray[np.int64]:
    """Return the level that glimpse pixels are read from, int64 (n,).

    :param cells: their widths, image pixels, float64 (n,)
    :param n_levels: that there are
    """
    levels = np.empty(len(cells), np.int64)
    _levels_of(cells, n_levels, FINENESS, levels)
    return levels


@kernel
def level_and_cell(cell, n_levels, fineness):
    """Return the level that a glimpse pixel is read from, and its width there.

    The fineness is an argument, as what is compiled elsewhere is kept when a constant here changes.
    """
    level = 0
    while level + 1 < n_levels and cell >= 2.0 * fineness:
        level, cell = level + 1, 0.5 * cell
    return level, cell


@kernel
def _levels_of(cells, n_levels, fineness, levels):
    for i in range(cells.shape[0]):
        levels[i], _ = level_and_cell(cells[i], n_levels, fineness)


@kernel
def _halve(finer, coarser, height, width):
    """Average squares of 2 x 2 pixels.

    The last row and column of the finer level may be less than a pixel of the image; they count for
    what they are.

    :param height: of the image, pixels of the finer level
    :param width: likewise
    """
    rows, columns, channels = coarser.shape
    for y in range(rows):
        below = min(2 * y + 1, finer.shape[0] - 1)
        upper, lower = min(1.0, height - 2 * y), max(0.0, min(1.0, height - 2 * y - 1))
        for x in range(columns):
            beside = min(2 * x + 1, finer.shape[1] - 1)
            left, right = min(1.0, width - 2 * x), max(0.0, min(1.0, width - 2 * x - 1))
            scale = 1.0 / ((upper + lower) * (left + right))
            # halves are rounded up and down in turn: else every level would be brighter
            half = 0.375 + 0.25 * ((x ^ y) & 1)
            for c in range(channels):
                total = upper * (left * finer[2 * y, 2 * x, c] + right * finer[2 * y, beside, c])
                total += lower * (left * finer[below, 2 * x, c] + right * finer[below, beside, c])
                coarser[y, x, c] = np.uint8(np.int32(total * scale + half))
