"""Spatial memory: glimpses painted where they were taken, the finest one known of each place.

Parts of one picture belong together, and here they lie together: a small CNN can read them as it
would read the picture, with masks that tell how closely each place was looked at.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch as th
from numpy.typing import NDArray
from torch.nn import functional as F

from policies.classifier import canvas_kernels as kernels
from policies.classifier.canvas_kernels import BLOCK


@dataclass(frozen=True)
class CanvasLayout:
    """A picture in the image's coordinates, as bytes.

    C planes of values and one of how finely each entry is known, all at the resolution of the
    finest glimpse pixel. A glimpse is painted over what is known less finely or as finely. Levels
    of fineness double: level l is for glimpse pixels about ``cells[l]`` image pixels wide.

    The network reads a grid of blocks of 2 x 2 entries.

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
        and the canvas's do not coincide
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
    def grid_shape(self) -> tuple[int, int]:
        """Height and width of what :meth:`unfold` gives."""
        entry = BLOCK * self.finest_zoom_cell
        # a hair less: sides that are whole numbers of entries divide to a hair more
        return math.ceil(self.height / entry - 1e-9), math.ceil(self.width / entry - 1e-9)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the canvas, entries: whole blocks."""
        rows, columns = self.grid_shape
        return BLOCK * rows, BLOCK * columns

    @property
    def n_values(self) -> int:
        """Number of the planes of values that :meth:`unfold` gives."""
        return BLOCK**2 * self.channels

    @property
    def n_planes(self) -> int:
        """Number of planes that :meth:`unfold` gives: values, then one mask for each level."""
        return self.n_values + len(self.cells)

    def empty(self, n: int) -> NDArray[np.uint8]:
        """Return n empty canvases, uint8 (n, bytes)."""
        return np.zeros((n, (self.channels + 1) * math.prod(self.shape)), np.uint8)

    def paint(
        self,
        canvases: NDArray[np.uint8],
        glimpses: NDArray[np.uint8],
        gaze: NDArray[np.float32],
        counts: NDArray[np.int64],
    ) -> None:
        """Paint the first glimpses of each row, in place: finer ones, then later ones, on top.

        :param canvases: uint8 (n, bytes)
        :param glimpses: uint8 (n, T, size, scales * size, C)
        :param gaze: float32 (n, T, 3)
        :param counts: how many glimpses of each row, int64 (n,)
        """
        origins = np.zeros((len(canvases), 2), np.int64)
        planes = canvases.reshape(len(canvases), self.channels + 1, *self.shape)
        kernels.paint(planes, origins, self.shape, False, glimpses, gaze, counts, *self._placing)

    def painted(
        self,
        glimpses: NDArray[np.uint8],
        gaze: NDArray[np.float32],
        counts: NDArray[np.int64],
        side: int | None = None,
    ) -> NDArray[np.uint8]:
        """Return empty canvases painted as :meth:`paint` does, or squares of them, sooner.

        The squares lie round the last gaze of each row, which is rounded to whole entries. What
        lies beyond the image is not known.

        :param glimpses: uint8 (n, T, size, scales * size, C)
        :param gaze: float32 (n, T, 3)
        :param counts: how many glimpses of each row, int64 (n,); for squares at least 1
        :param side: of the squares, image pixels; None for whole canvases
        :return: uint8 (n, bytes), of the layout ``around(side)``
        """
        square = self.around(side)
        canvases = square.empty(len(gaze))
        planes = canvases.reshape(len(gaze), self.channels + 1, *square.shape)
        origins = self._origins(gaze, counts, side)
        kernels.paint(planes, origins, self.shape, True, glimpses, gaze, counts, *self._placing)
        return canvases

    def _origins(
        self, gaze: NDArray[np.float32], counts: NDArray[np.int64], side: int | None
    ) -> NDArray[np.int64]:
        """Return row and column of the first entries of squares round last gazes, int64 (n, 2)."""
        if side is None:
            return np.zeros((len(gaze), 2), np.int64)
        last = gaze[np.arange(len(gaze)), counts - 1]
        middles = last[:, 1::-1] * np.float32([self.height, self.width])
        half = np.float32(self.around(side).shape) / 2
        return np.rint(middles / self.finest_zoom_cell - half).astype(np.int64)

    @cached_property
    def _placing(self) -> tuple[tuple, tuple, NDArray[np.float64]]:
        """What tells the kernels where glimpses go: image, glimpse and levels."""
        return (
            (float(self.height), float(self.width), float(self.window)),
            (self.size, self.scales, self.interpolate),
            self.cells,
        )

    def around(self, side: int | None) -> "CanvasLayout":
        """Return the layout of a square of ``side`` image pixels; None for this one."""
        return self if side is None else replace(self, height=side, width=side)

    def gather(
        self,
        glimpses: th.Tensor,
        gaze: NDArray[np.float32],
        counts: NDArray[np.int64],
        side: int | None = None,
    ) -> th.Tensor:
        """Paint as :meth:`painted` does, so that gradients reach the glimpses.

        Their pixels are looked up where painting would have taken them from.

        :param glimpses: float (n, T, C, size, scales * size) in [0, 255]
        :param gaze: float32 (n, T, 3)
        :param counts: how many glimpses of each row, int64 (n,); for squares at least 1
        :param side: of the squares, image pixels; None for whole canvases
        :return: of the glimpses' type, (n, bytes) in [0, 255], for :meth:`unfold`; not rounded
        """
        n, _, channels, _, _ = glimpses.shape
        shape, origins = self.around(side).shape, self._origins(gaze, counts, side)
        index = np.zeros((4, n, *shape), np.int64)
        weights = np.zeros((2, n, *shape), np.float32)
        known = np.zeros((n, *shape), np.uint8)
        kernels.index_of(index, weights, known, origins, self.shape, gaze, counts, *self._placing)
        corners = th.as_tensor(index, device=glimpses.device).flatten(2)
        across, down = th.as_tensor(weights, device=glimpses.device).to(glimpses).flatten(2)
        pixels = glimpses.transpose(1, 2).flatten(2)  # (n, C, T * height * width)

        def at(corner: th.Tensor) -> th.Tensor:  # (n, C, entries)
            return pixels.gather(2, corner[:, None].expand(-1, channels, -1))

        upper = th.lerp(at(corners[0]), at(corners[1]), across[:, None])
        lower = th.lerp(at(corners[2]), at(corners[3]), across[:, None])
        fineness = th.as_tensor(known, device=glimpses.device).to(glimpses).flatten(1)[:, None]
        values = th.lerp(upper, lower, down[:, None]) * (fineness > 0)
        return th.cat([values, fineness], dim=1).flatten(1)

    def planes(
        self, canvases: NDArray[np.uint8], device: th.device, dtype: th.dtype = th.float32
    ) -> th.Tensor:
        """The same as :meth:`unfold` of bytes, sooner.

        On a CPU in one pass, as convolutions want it.

        :param canvases: uint8 (n, bytes), as :meth:`paint` leaves them
        :param device: of the result
        :param dtype: of the result on a CPU, ``float32`` or ``bfloat16``
        :return: (n, n_planes, grid height, grid width); on a CPU channels last in memory
        """
        if device.type != "cpu":  # a quarter of the bytes to move
            return self.unfold(th.as_tensor(canvases, device=device))
        grey = th.arange(256, device=device).float()
        values = (2.0 * (grey * (1.0 / 255.0)) - 1.0).to(dtype)
        shares = th.linspace(0.0, 1.0, 1 + BLOCK**2, device=device).to(dtype)
        shape = (len(canvases), *self.grid_shape, self.n_planes)
        out = th.empty(shape, dtype=dtype, device=device)
        if dtype == th.bfloat16:  # numpy has no such type: its bits
            values, shares, bits = (t.view(th.int16).numpy() for t in (values, shares, out))
        else:
            values, shares, bits = (t.numpy() for t in (values, shares, out))
        planes = canvases.reshape(len(canvases), self.channels + 1, *self.shape)
        kernels.unfold(planes, values, shares, len(self.cells), bits)
        return out.permute(0, 3, 1, 2)

    def unfold(self, canvases: th.Tensor) -> th.Tensor:
        """Return what a network reads: the entries of a block side by side, as channels.

        :param canvases: uint8 (n, bytes), or float of the same values
        :return: float32 (n, n_planes, grid height, grid width): values in [-1, 1], 0 where nothing
            was painted; and for each level, finest first, the share of a block's entries that are
            known at least as finely
        """
        planes = canvases.view(-1, self.channels + 1, *self.shape)
        fineness = planes[:, -1:]
        values = (2.0 * (planes[:, :-1].float() * (1.0 / 255.0)) - 1.0) * (fineness > 0)
        n_levels = len(self.cells)
        levels = th.arange(n_levels, 0, -1, device=planes.device)[:, None, None]
        masks = (fineness >= levels).float()
        return th.cat([F.pixel_unshuffle(values, BLOCK), F.avg_pool2d(masks, BLOCK)], dim=1)


def planes_type(device: th.device) -> th.dtype:
    """Return the type in which a network that computes there now wants its planes."""
    low = device.type == "cpu" and th.is_autocast_enabled("cpu")
    low = low and th.get_autocast_dtype("cpu") == th.bfloat16
    return th.bfloat16 if low else th.float32
