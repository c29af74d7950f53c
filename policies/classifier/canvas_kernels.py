"""What paints canvases, and what a network reads of them, compiled. See ``canvas``."""

import numpy as np

from glimpse_envs.compiled import kernel
from glimpse_envs.gaze import sampled_window

BLOCK = 2
"""Side of a grid entry, in entries of the canvas."""


@kernel
def paint(canvases, origins, whole, empty, glimpses, gaze, counts, image, glimpse, cells):
    """See ``CanvasLayout.paint``; the last plane of a canvas says how finely it is known.

    Canvases are parts, from their origins on, of the one of the whole image. On empty ones the last
    glimpse comes first, and of each the finest scale, so that nothing is painted that another one
    would cover.
    """
    height, width, finest = image
    _, scales, interpolate = glimpse
    channels = glimpses.shape[4]
    rows, columns = _axis(canvases.shape[2]), _axis(canvases.shape[3])
    (uppers, lowers, downs), (lefts, rights, shares) = rows, columns
    for i in range(canvases.shape[0]):
        everywhere = 0  # fineness of a window over the whole canvas: coarser ones add nothing
        for k in range(counts[i]):
            t = counts[i] - 1 - k if empty else k
            left, top, side = sampled_window(
                gaze[i, t, 0], gaze[i, t, 1], gaze[i, t, 2], height, width, finest
            )
            for m in range(scales):
                scale = m if empty else scales - 1 - m
                fineness, (first_row, last_row), (first_column, last_column) = _place(
                    left, top, side, scale, glimpse, cells, rows, columns, origins[i], whole
                )
                if fineness <= everywhere:
                    break
                kept = fineness if empty else fineness + 1
                for row in range(first_row, last_row):
                    y, lower, down = uppers[row], lowers[row], downs[row]
                    known = canvases[i, channels, row]
                    for c in range(channels):
                        line = canvases[i, c, row]
                        for column in range(first_column, last_column):
                            if known[column] >= kept:
                                continue
                            x = lefts[column]
                            if interpolate:
                                right, across = rights[column], shares[column]
                                above = glimpses[i, t, y, x, c] * (1.0 - across)
                                above += glimpses[i, t, y, right, c] * across
                                below = glimpses[i, t, lower, x, c] * (1.0 - across)
                                below += glimpses[i, t, lower, right, c] * across
                                line[column] = above * (1.0 - down) + below * down + 0.5
                            else:
                                line[column] = glimpses[i, t, y, x, c]
                    for column in range(first_column, last_column):
                        known[column] = max(known[column], fineness)
                if empty and _covers(first_row, last_row, rows, origins[i, 0], whole[0]):
                    if _covers(first_column, last_column, columns, origins[i, 1], whole[1]):
                        everywhere = fineness


@kernel
def index_of(index, weights, known, origins, whole, gaze, counts, image, glimpse, cells):
    """Between which four pixels of its row's glimpses an entry lies, (4, n, height, width).

    Entries are parts, from their origins on, of the canvas of the whole image. Upper left, upper
    right, lower left, lower right; the shares of the right and of the lower ones; and how finely
    each entry is known.
    """
    height, width, finest = image
    size, scales, _ = glimpse
    rows, columns = _axis(known.shape[1]), _axis(known.shape[2])
    (uppers, lowers, downs), (lefts, rights, shares) = rows, columns
    for i in range(index.shape[1]):
        for t in range(counts[i]):
            left, top, side = sampled_window(
                gaze[i, t, 0], gaze[i, t, 1], gaze[i, t, 2], height, width, finest
            )
            for scale in range(scales - 1, -1, -1):
                fineness, (first_row, last_row), (first_column, last_column) = _place(
                    left, top, side, scale, glimpse, cells, rows, columns, origins[i], whole
                )
                for row in range(first_row, last_row):
                    upper = (t * size + uppers[row]) * scales * size
                    lower = (t * size + lowers[row]) * scales * size
                    for column in range(first_column, last_column):
                        if known[i, row, column] > fineness:
                            continue
                        known[i, row, column] = fineness
                        index[0, i, row, column] = upper + lefts[column]
                        index[1, i, row, column] = upper + rights[column]
                        index[2, i, row, column] = lower + lefts[column]
                        index[3, i, row, column] = lower + rights[column]
                        weights[0, i, row, column] = shares[column]
                        weights[1, i, row, column] = downs[row]


@kernel(inline="always")
def _axis(n):
    """Room for what ``_place`` tells of n rows or columns.

    Two neighbouring glimpse pixels, and the share of the second.
    """
    return np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n)


@kernel(inline="always")
def _place(left, top, side, scale, glimpse, cells, rows, columns, origin, whole):
    """Find out which entries a scale of a glimpse is painted on, whose first window is given.

    They are counted from ``origin`` on, and lie on the ``whole`` canvas. Between which glimpse
    pixels each lies is written into ``rows`` and ``columns``.

    :return: the fineness, 1 for the coarsest level; the first row and the one after the last;
        likewise the columns
    """
    size, _, interpolate = glimpse
    n_levels = cells.shape[0]
    wider = 2.0**scale
    left, top = left - 0.5 * (wider - 1.0) * side, top - 0.5 * (wider - 1.0) * side
    side *= wider
    cell = side / size
    level = 0
    while level + 1 < n_levels and cells[level] * cells[level + 1] < cell * cell:
        level += 1  # the nearest one, of ratios
    row_range = _fill(rows, cells[0], top, side, size, 0, interpolate, origin[0], whole[0])
    column_range = _fill(
        columns, cells[0], left, side, size, scale * size, interpolate, origin[1], whole[1]
    )
    return n_levels - level, row_range, column_range


@kernel
def _fill(axis, entry, start, side, size, shift, interpolate, origin, whole):
    """Do this for one axis: for the entries whose centres lie in the window."""
    first = max(0, origin, int(np.ceil(start / entry - 0.5))) - origin
    end = min(origin + axis[0].shape[0], whole, int(np.ceil((start + side) / entry - 0.5)))
    last = max(first, end - origin)
    cell = side / size
    for k in range(first, last):
        pixel, neighbour, axis[2][k] = _between(
            ((origin + k + 0.5) * entry - start) / cell, size, interpolate
        )
        axis[0][k], axis[1][k] = pixel + shift, neighbour + shift
    return first, last


@kernel(inline="always")
def _covers(first, last, axis, origin, whole):
    """Whether a range of entries is all that a canvas has of the image."""
    return first == max(0, -origin) and last == min(axis[0].shape[0], whole - origin)


@kernel
def unfold(canvases, values, shares, n_levels, out):
    """Values and shares are tables: of a byte, and of how many entries of a block are known."""
    n, height, width, _ = out.shape
    channels = canvases.shape[1] - 1
    n_values = BLOCK * BLOCK * channels
    count = np.empty(n_levels + 1, np.int64)
    for i in range(n):
        known = canvases[i, channels]
        for y in range(height):
            row = out[i, y]
            for dy in range(BLOCK):
                finenesses = known[y * BLOCK + dy]
                for dx in range(BLOCK):
                    for c in range(channels):
                        line = canvases[i, c, y * BLOCK + dy]
                        k = (c * BLOCK + dy) * BLOCK + dx
                        for x in range(width):
                            at = x * BLOCK + dx
                            value = values[line[at]]
                            row[x, k] = value if finenesses[at] else values.dtype.type(0)
            for x in range(width):
                for level in range(n_levels + 1):
                    count[level] = 0
                for dy in range(BLOCK):
                    for dx in range(BLOCK):
                        count[known[y * BLOCK + dy, x * BLOCK + dx]] += 1
                painted = 0
                for level in range(n_levels):
                    painted += count[n_levels - level]
                    row[x, n_values + level] = shares[painted]


@kernel
def _between(at, size, interpolate):
    """Return two neighbouring pixels and the share of the second, for a place in pixels.

    Without interpolation the one that it lies in.
    """
    if not interpolate:
        pixel = min(max(int(at), 0), size - 1)
        return pixel, pixel, 0.0
    at = min(max(at - 0.5, 0.0), size - 1.0)
    pixel = int(at)
    return pixel, min(pixel + 1, size - 1), at - pixel
