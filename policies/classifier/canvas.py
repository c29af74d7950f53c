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
from glimpse_envs.gaze import window_of


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
        self._paint(canvases, glimpses, gaze, counts)

    def _paint(self, canvases: NDArray, glimpses: NDArray, *where: NDArray) -> None:
        _paint(
            *(canvases, glimpses, *where),
            *(float(self.height), float(self.width), float(self.window), self.size, self.scales),
            *(self.cells, self.pixels, self.shapes, self.offsets),
            *(self.interpolate, 0.0 if canvases.dtype.kind == "f" else 0.5),
        )

    def gather(
        self, glimpses: th.Tensor, gaze: NDArray[np.float32], counts: NDArray[np.int64]
    ) -> th.Tensor:
        """Paint as :meth:`paint` does, on empty canvases, so that gradients reach the glimpses:
        what is painted are the coordinates of glimpse pixels, where these are then looked up.

        :param glimpses: float (n, T, C, size, scales * size) in [0, 255]
        :param gaze: float32 (n, T, 3)
        :param counts: how many glimpses of each row, int64 (n,)
        :return: of the glimpses' type, (n, bytes) in [0, 255], for :meth:`unfold`; not rounded
        """
        n, steps, channels, height, width = glimpses.shape
        device = glimpses.device

        def painted(coordinates: NDArray, axis: int) -> th.Tensor:
            shape = [1, steps, height, width, channels]
            kept = [size if k == axis else 1 for k, size in enumerate(shape)]
            image = np.broadcast_to(coordinates.reshape(kept), (n, *shape[1:]))
            canvases = np.zeros((n, self.offsets[-1]), np.float32)
            self._paint(canvases, np.ascontiguousarray(image, np.float32), gaze, counts)
            return th.as_tensor(canvases, device=device)

        channel, masks = self._channels(device)
        step = painted(np.arange(1, 1 + steps), 1).round()  # 0 where nothing is painted
        seen = step.masked_fill(masks, 0).long()
        first = ((seen - 1).clamp(min=0) * channels + channel) * height  # of its rows
        rows, columns = painted(np.arange(height), 2), painted(np.arange(width), 3)
        top, left = rows.long().clamp(max=height - 1), columns.long().clamp(max=width - 1)
        down, right = (rows - top).to(glimpses), (columns - left).to(glimpses)
        pixels = glimpses.flatten(1)

        def at(row: th.Tensor, column: th.Tensor) -> th.Tensor:
            row, column = row.clamp(max=height - 1), column.clamp(max=width - 1)
            return pixels.gather(1, (first + row) * width + column)

        upper = th.lerp(at(top, left), at(top, left + 1), right)
        lower = th.lerp(at(top + 1, left), at(top + 1, left + 1), right)
        values = th.lerp(upper, lower, down) * (seen > 0)
        return th.where(masks, step.to(glimpses), values)

    def _channels(self, device: th.device) -> tuple[th.Tensor, th.Tensor]:
        """Return the channel of each byte, int64 (bytes,), 0 for masks; and which are masks."""
        parts = [np.arange(self.channels + 1).repeat(area) for area in self.shapes.prod(axis=1)]
        channel = th.as_tensor(np.concatenate(parts), device=device)
        masks = channel == self.channels
        return channel.masked_fill(masks, 0), masks

    def planes(
        self, canvases: NDArray[np.uint8], device: th.device, dtype: th.dtype = th.float32
    ) -> th.Tensor:
        """The same as :meth:`unfold` of bytes, sooner: on a CPU in one pass, as convolutions want
        it.

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
def _paint(
    canvases, glimpses, gaze, counts,
    height, width, finest, size, scales,
    cells, pixels, shapes, offsets, interpolate, rounding,
):  # fmt: skip
    channels = glimpses.shape[4]
    widest = shapes[:, 1].max()
    lefts, rights, shares = np.empty(widest, np.int64), np.empty(widest, np.int64), np.empty(widest)
    for i in range(canvases.shape[0]):
        for t in range(counts[i]):
            left, top, side = window_of(
                gaze[i, t, 0], gaze[i, t, 1], gaze[i, t, 2], height, width, finest
            )
            if side == finest:  # the sensors read whole pixels there
                left, top = np.floor(left + 0.5), np.floor(top + 0.5)
            for scale in range(scales):
                cell = side / size
                level = 0
                while level + 1 < cells.shape[0] and cells[level] * cells[level + 1] < cell * cell:
                    level += 1  # the nearest one, of ratios
                entry = pixels[level]
                rows, columns = shapes[level]
                area = rows * columns
                # entries whose centre lies in the window
                first_row = max(0, int(np.ceil(top / entry - 0.5)))
                last_row = min(rows, int(np.ceil((top + side) / entry - 0.5)))
                first_column = max(0, int(np.ceil(left / entry - 0.5)))
                last_column = min(columns, int(np.ceil((left + side) / entry - 0.5)))
                for column in range(first_column, last_column):
                    at = ((column + 0.5) * entry - left) / cell
                    x, right, shares[column] = _between(at, size, interpolate)
                    lefts[column], rights[column] = x + scale * size, right + scale * size
                for row in range(first_row, last_row):
                    y, lower, down = _between(((row + 0.5) * entry - top) / cell, size, interpolate)
                    for column in range(first_column, last_column):
                        x, right, across = lefts[column], rights[column], shares[column]
                        place = offsets[level] + row * columns + column
                        for c in range(channels):
                            if interpolate:
                                above = glimpses[i, t, y, x, c] * (1.0 - across)
                                above += glimpses[i, t, y, right, c] * across
                                below = glimpses[i, t, lower, x, c] * (1.0 - across)
                                below += glimpses[i, t, lower, right, c] * across
                                value = above * (1.0 - down) + below * down + rounding
                                canvases[i, place + c * area] = value
                            else:
                                canvases[i, place + c * area] = glimpses[i, t, y, x, c]
                        canvases[i, place + channels * area] = 255
                left, top, side = left - 0.5 * side, top - 0.5 * side, 2.0 * side


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
    """Two neighbouring pixels and the share of the second, for a place in pixels; without
    interpolation the one that it lies in.
    """
    if not interpolate:
        pixel = min(max(int(at), 0), size - 1)
        return pixel, pixel, 0.0
    at = min(max(at - 0.5, 0.0), size - 1.0)
    pixel = int(at)
    return pixel, min(pixel + 1, size - 1), at - pixel
