"""Spatial memory: glimpses painted where they were taken, on planes of their resolution.

Parts of one picture belong together, and here they lie together: a small CNN can read them as it
would read the picture, with masks that tell what was never looked at.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch as th
from numpy.typing import NDArray
from torch.nn import functional as F

from glimpse_envs.compiled import kernel
from glimpse_envs.gaze import sampled_window


@dataclass(frozen=True)
class CanvasLayout:
    """Planes of a canvas, one set for each resolution (level), as bytes side by side.

    Level l is for glimpse pixels about ``cells[l]`` image pixels wide. It has C planes of values
    and one mask (255 where something was painted), of whole grid entries, each
    ``p = min(cells[l], grid)`` image pixels wide.

    :param height: of the image, pixels
    :param width: of the image, pixels
    :param channels: of the image
    :param size: side of one glimpse (of one scale of a retina), sensor pixels
    :param scales: scales of the retina, side by side in a glimpse; 1 for a crop
    :param window: side of the window at zoom 1, image pixels
    :param finest_zoom_cell: width of the finest glimpse pixel, image pixels
    :param coarsest_zoom_cell: width of the coarsest one of a retina's first scale
    :param interpolate: paint between the middles of glimpse pixels what lies between their values
        (bilinear), instead of the nearest one's: right for windows that lie anywhere, whose pixels
        and the grid's do not coincide
    """

    height: int
    width: int
    channels: int
    size: int
    scales: int
    window: int
    finest_zoom_cell: float
    coarsest_zoom_cell: float
    interpolate: bool = False

    @cached_property
    def cells(self) -> NDArray[np.float64]:
        """Width of a glimpse pixel at each level, image pixels: doubling, finest first."""
        finest = self.finest_zoom_cell
        coarsest = self.coarsest_zoom_cell * 2 ** (self.scales - 1)
        n_levels = 1 + round(math.log2(coarsest / finest))
        return finest * 2.0 ** np.arange(n_levels)

    @property
    def grid(self) -> float:
        """Width of an entry of the grid that the network reads, image pixels."""
        return 2.0 * self.finest_zoom_cell

    @cached_property
    def pixels(self) -> NDArray[np.float64]:
        """Width of a plane's entry at each level, image pixels."""
        return np.minimum(self.cells, self.grid)

    @cached_property
    def shapes(self) -> NDArray[np.int64]:
        """Height and width of each level's planes, (L, 2), whole grid entries."""
        entries = np.ceil(np.array([[self.height], [self.width]]) / self.grid)  # (2, 1)
        return (entries * np.round(self.grid / self.pixels)).astype(np.int64).T.copy()

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where each level begins in the bytes of a canvas, and their number, (L + 1,)."""
        sizes = (self.channels + 1) * self.shapes.prod(axis=1)
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Height and width of what :meth:`unfold` gives."""
        return math.ceil(self.height / self.grid), math.ceil(self.width / self.grid)

    @cached_property
    def n_planes(self) -> int:
        """Number of planes that :meth:`unfold` gives."""
        return self.masks[-1] + 1

    @cached_property
    def masks(self) -> list[int]:
        """Which of the planes that :meth:`unfold` gives are masks, one for each level."""
        per_entry = np.round(self.grid / self.pixels).astype(int) ** 2
        return (np.cumsum(self.channels * per_entry + 1) - 1).tolist()

    def empty(self, n: int) -> NDArray[np.uint8]:
        """Return n empty canvases, uint8 (n, bytes)."""
        return np.zeros((n, self.offsets[-1]), np.uint8)

    def paint(
        self,
        canvases: NDArray[np.uint8],
        glimpses: NDArray[np.uint8],
        gaze: NDArray[np.float32],
        counts: NDArray[np.int64],
    ) -> None:
        """Paint the first glimpses of each row, later ones over earlier ones, in place.

        :param canvases: uint8 (n, bytes)
        :param glimpses: uint8 (n, T, size, scales * size, C)
        :param gaze: float32 (n, T, 3)
        :param counts: how many glimpses of each row, int64 (n,)
        """
        _paint(canvases, glimpses, gaze, counts, *self._placing, self.offsets)

    @cached_property
    def _placing(self) -> tuple[tuple, tuple, tuple]:
        """What tells the kernels where glimpses go: image, glimpse and planes."""
        return (
            (float(self.height), float(self.width), float(self.window)),
            (self.size, self.scales, self.interpolate),
            (self.cells, self.pixels, self.shapes),
        )

    def gather(
        self, glimpses: th.Tensor, gaze: NDArray[np.float32], counts: NDArray[np.int64]
    ) -> th.Tensor:
        """Paint as :meth:`paint` does, on empty canvases, so that gradients reach the glimpses.

        Their pixels are looked up where painting would have taken them from.

        :param glimpses: float (n, T, C, size, scales * size) in [0, 255]
        :param gaze: float32 (n, T, 3)
        :param counts: how many glimpses of each row, int64 (n,)
        :return: of the glimpses' type, (n, bytes) in [0, 255], for :meth:`unfold`; not rounded
        """
        n, _, channels, _, _ = glimpses.shape
        areas = self.shapes.prod(axis=1)
        index = np.full((4, n, areas.sum()), -1)
        weights = np.zeros((2, n, areas.sum()), np.float32)
        _index(index, weights, gaze, counts, *self._placing, np.cumsum(areas) - areas)
        corners = th.as_tensor(index, device=glimpses.device)
        across, down = th.as_tensor(weights, device=glimpses.device).to(glimpses)[:, :, None]
        pixels = glimpses.transpose(1, 2).flatten(2)  # (n, C, T * height * width)

        def at(corner: th.Tensor) -> th.Tensor:  # (n, C, entries)
            return pixels.gather(2, corner.clamp(min=0)[:, None].expand(-1, channels, -1))

        upper = th.lerp(at(corners[0]), at(corners[1]), across)
        lower = th.lerp(at(corners[2]), at(corners[3]), across)
        painted = (corners[0] >= 0).to(glimpses)[:, None]  # (n, 1, entries)
        planes = th.cat([th.lerp(upper, lower, down) * painted, 255.0 * painted], dim=1)
        return th.cat([level.flatten(1) for level in planes.split(areas.tolist(), 2)], dim=1)

    def planes(
        self, canvases: NDArray[np.uint8], device: th.device, dtype: th.dtype = th.float32
    ) -> th.Tensor:
        """The same as :meth:`unfold` of bytes, sooner.

        On a CPU in one pass, as convolutions want it.

        :param canvases: uint8 (n, bytes), as :meth:`paint` leaves them
        :param device: of the result
        :param dtype: of the result on a CPU, ``float32`` or ``bfloat16``
        :return: (n, n_planes, grid height, grid width), channels last in memory
        """
        if device.type != "cpu":  # a quarter of the bytes to move
            return self.unfold(th.as_tensor(canvases, device=device))
        grey = th.arange(256, device=device).float()
        values = (2.0 * (grey * (1.0 / 255.0)) - 1.0).to(dtype)
        shares = th.linspace(0.0, 1.0, 1 + self._block(0) ** 2, device=device).to(dtype)
        shape = (len(canvases), *self.grid_shape, self.n_planes)
        out = th.empty(shape, dtype=dtype, device=device)
        if dtype == th.bfloat16:  # numpy has no such type: its bits
            values, shares, bits = (t.view(th.int16).numpy() for t in (values, shares, out))
        else:
            values, shares, bits = (t.numpy() for t in (values, shares, out))
        blocks = np.array([self._block(level) for level in range(len(self.cells))])
        _unfold(canvases, values, shares, blocks, self.shapes, self.offsets, self.channels, bits)
        return out.permute(0, 3, 1, 2)

    def _block(self, level: int) -> int:
        """Return side of a grid entry, in entries of a level's planes."""
        return round(self.grid / self.pixels[level])

    def unfold(self, canvases: th.Tensor) -> th.Tensor:
        """Bring all levels to one grid: the blocks of finer planes become channels.

        :param canvases: uint8 (n, bytes), or float of the same values
        :return: float32 (n, n_planes, grid height, grid width): values in [-1, 1], 0 where nothing
            was painted, and masks in [0, 1]
        """
        planes = []
        for level, (rows, columns) in enumerate(self.shapes.tolist()):
            begin, end = self.offsets[level : level + 2]
            level_planes = canvases[:, begin:end].view(-1, self.channels + 1, rows, columns)
            level_planes = level_planes.float() * (1.0 / 255.0)
            mask = level_planes[:, -1:]
            values = (2.0 * level_planes[:, :-1] - 1.0) * mask
            block = self._block(level)
            if block > 1:
                values, mask = F.pixel_unshuffle(values, block), F.avg_pool2d(mask, block)
            planes += [values, mask]
        return th.cat(planes, dim=1)


@kernel
def _paint(canvases, glimpses, gaze, counts, image, glimpse, planes, offsets):
    """See ``CanvasLayout.paint``; a plane at a time, which takes half to two thirds of the time."""
    height, width, finest = image
    _, scales, interpolate = glimpse
    shapes, channels = planes[2], glimpses.shape[4]
    rows, columns = _axis(shapes[:, 0].max()), _axis(shapes[:, 1].max())
    (uppers, lowers, downs), (lefts, rights, shares) = rows, columns
    for i in range(canvases.shape[0]):
        for t in range(counts[i]):
            left, top, side = sampled_window(
                gaze[i, t, 0], gaze[i, t, 1], gaze[i, t, 2], height, width, finest
            )
            for scale in range(scales):
                level, (first_row, last_row), (first_column, last_column) = _place(
                    left, top, side, scale, glimpse, planes, rows, columns
                )
                stride, area = shapes[level, 1], shapes[level, 0] * shapes[level, 1]
                for row in range(first_row, last_row):
                    y, lower, down = uppers[row], lowers[row], downs[row]
                    begin = offsets[level] + row * stride
                    for c in range(channels):
                        line = canvases[i, begin + c * area : begin + c * area + stride]
                        if interpolate:
                            for column in range(first_column, last_column):
                                x, right, across = lefts[column], rights[column], shares[column]
                                above = glimpses[i, t, y, x, c] * (1.0 - across)
                                above += glimpses[i, t, y, right, c] * across
                                below = glimpses[i, t, lower, x, c] * (1.0 - across)
                                below += glimpses[i, t, lower, right, c] * across
                                line[column] = above * (1.0 - down) + below * down + 0.5
                        else:
                            for column in range(first_column, last_column):
                                line[column] = glimpses[i, t, y, lefts[column], c]
                    mask = begin + channels * area
                    canvases[i, mask + first_column : mask + last_column] = 255
                left, top, side = left - 0.5 * side, top - 0.5 * side, 2.0 * side


@kernel
def _index(index, weights, gaze, counts, image, glimpse, planes, starts):
    """Between which four pixels of its row's glimpses an entry lies, (4, n, entries).

    Upper left, upper right, lower left, lower right; and the shares of the right and of the lower
    ones.
    """
    height, width, finest = image
    size, scales, _ = glimpse
    shapes = planes[2]
    rows, columns = _axis(shapes[:, 0].max()), _axis(shapes[:, 1].max())
    (uppers, lowers, downs), (lefts, rights, shares) = rows, columns
    for i in range(index.shape[1]):
        for t in range(counts[i]):
            left, top, side = sampled_window(
                gaze[i, t, 0], gaze[i, t, 1], gaze[i, t, 2], height, width, finest
            )
            for scale in range(scales):
                level, (first_row, last_row), (first_column, last_column) = _place(
                    left, top, side, scale, glimpse, planes, rows, columns
                )
                for row in range(first_row, last_row):
                    upper = (t * size + uppers[row]) * scales * size
                    lower = (t * size + lowers[row]) * scales * size
                    for column in range(first_column, last_column):
                        place = starts[level] + row * shapes[level, 1] + column
                        index[0, i, place] = upper + lefts[column]
                        index[1, i, place] = upper + rights[column]
                        index[2, i, place] = lower + lefts[column]
                        index[3, i, place] = lower + rights[column]
                        weights[0, i, place], weights[1, i, place] = shares[column], downs[row]
                left, top, side = left - 0.5 * side, top - 0.5 * side, 2.0 * side


@kernel(inline="always")
def _axis(n):
    """Room for what ``_place`` tells of n rows or columns.

    Two neighbouring glimpse pixels, and the share of the second.
    """
    return np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n)


@kernel(inline="always")
def _place(left, top, side, scale, glimpse, planes, rows, columns):
    """Find out which entries a window is painted on.

    Between which glimpse pixels each lies is written into ``rows`` and ``columns``.

    :return: the level; the first row and the one after the last; likewise the columns
    """
    size, _, interpolate = glimpse
    cells, pixels, shapes = planes
    cell = side / size
    level = 0
    while level + 1 < cells.shape[0] and cells[level] * cells[level + 1] < cell * cell:
        level += 1  # the nearest one, of ratios
    entry = pixels[level]
    row_range = _fill(rows, shapes[level, 0], entry, top, side, size, 0, interpolate)
    column_range = _fill(
        columns, shapes[level, 1], entry, left, side, size, scale * size, interpolate
    )
    return level, row_range, column_range


@kernel
def _fill(axis, n, entry, start, side, size, shift, interpolate):
    """Do this for one axis: for the entries whose centres lie in the window."""
    first = max(0, int(np.ceil(start / entry - 0.5)))
    last = min(n, int(np.ceil((start + side) / entry - 0.5)))
    cell = side / size
    for k in range(first, last):
        pixel, neighbour, axis[2][k] = _between(
            ((k + 0.5) * entry - start) / cell, size, interpolate
        )
        axis[0][k], axis[1][k] = pixel + shift, neighbour + shift
    return first, last


@kernel
def _unfold(canvases, values, shares, blocks, shapes, offsets, channels, out):
    """Values and shares are tables: of a byte, and of how much of a block was painted."""
    n, height, width, _ = out.shape
    for i in range(n):
        canvas = canvases[i]
        for y in range(height):
            row = out[i, y]
            first = 0
            for level in range(blocks.shape[0]):
                block = blocks[level]
                area, columns = shapes[level, 0] * shapes[level, 1], shapes[level, 1]
                mask = first + channels * block * block
                step = (shares.shape[0] - 1) // (block * block)
                painted = np.zeros(width, np.int64)
                for dy in range(block):
                    for dx in range(block):
                        at = offsets[level] + (y * block + dy) * columns + dx
                        seen = canvas[at + channels * area : at + channels * area + area]
                        for x in range(width):
                            painted[x] += seen[x * block] != 0
                        for c in range(channels):
                            plane = canvas[at + c * area : at + c * area + area]
                            k = first + (c * block + dy) * block + dx
                            for x in range(width):
                                value = values[plane[x * block]]
                                row[x, k] = value if seen[x * block] else values.dtype.type(0)
                for x in range(width):
                    row[x, mask] = shares[painted[x] * step]
                first = mask + 1


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
