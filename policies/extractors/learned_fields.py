"""Receptive fields whose places and sizes are learnt by gradient."""

from __future__ import annotations

import numpy as np
import torch as th
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

_PACE = 16.0
"""With it, learning rates that suit weights make squares cross a window in some hundred updates."""

_EDGE = 0.01
"""How far from the ends of their range places and sides begin, a share: there they would stay."""


class LearnedFields(nn.Module):
    """A layer of units that each keep one average of a square of a wide window.

    Every unit learns where its square lies and how wide it is, as the retinal lattice of Cheung,
    Weiss and Olshausen, "Emergence of foveal image sampling from learning to attend in visual
    scenes", ICLR 2017, with squares of whole pixels in the place of Gaussians: what a
    :class:`~glimpse_envs.sensors.Lattice` reads. They begin as tiles of the window.

    :param size: S; there are S x S units
    :param window: side of what they choose from, pixels, at least S
    """

    def __init__(self, size: int, window: int) -> None:
        super().__init__()
        self.size, self.window = size, window
        tile = window / size
        begin = _logits((th.arange(size) * tile) / max(1.0, window - tile))
        y, x = th.meshgrid(begin, begin, indexing="ij")
        # vectors, not matrices: optimisers that make matrices orthogonal must leave them alone
        self.x, self.y = nn.Parameter(x.flatten()), nn.Parameter(y.flatten())
        share = th.full((size * size,), (tile - 1.0) / max(1.0, window - 1.0))
        self.side = nn.Parameter(_logits(share))

    def forward(self, pixels: th.Tensor) -> th.Tensor:
        """Return the averages, float32 (n, C, S, S).

        :param pixels: of the window, float32 (n, C, window, window)
        """
        left, top, side = self._places_and_sides()
        sums = F.pad(pixels, (1, 0, 1, 0)).cumsum(2, dtype=th.float64).cumsum(3)
        right, bottom = left + side, top + side
        inside = _sum_to(sums, bottom, right) - _sum_to(sums, bottom, left)
        inside = inside - _sum_to(sums, top, right) + _sum_to(sums, top, left)
        return (inside / side.square()).float().unflatten(2, (self.size, self.size))

    def squares(self) -> NDArray[np.int64]:
        """Return left, top and side of each in pixels of the window, int64 (S, S, 3)."""
        with th.no_grad():
            squares = th.stack(self._places_and_sides(), dim=1).cpu().numpy()
        return squares.astype(np.int64).reshape(self.size, self.size, 3)

    def _places_and_sides(self) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Return left, top and side, whole pixels of the window in which all lie, (S * S,) each."""
        side = _whole(1.0 + (self.window - 1.0) * (_PACE * self.side).sigmoid())
        left, top = (
            _whole((self.window - side) * (_PACE * along).sigmoid()) for along in (self.x, self.y)
        )
        return left, top, side


def _sum_to(sums: th.Tensor, rows: th.Tensor, columns: th.Tensor) -> th.Tensor:
    """Return what lies above and left of corners, float64 (n, C, S * S).

    With gradients of the corners: one between two pixels is half of what moving it by a pixel to
    either side would add, since it lies at their border, where one side's would be either's.

    :param sums: summed-area tables, float64 (n, C, 1 + window, 1 + window)
    :param rows: whole numbers, 0 to window, float32 (S * S,)
    :param columns: likewise
    """
    last, y, x = sums.shape[2] - 1, rows.long(), columns.long()

    def at(y: th.Tensor, x: th.Tensor) -> th.Tensor:
        return sums[:, :, y.clamp(0, last), x.clamp(0, last)]

    down, across = 0.5 * (at(y + 1, x) - at(y - 1, x)), 0.5 * (at(y, x + 1) - at(y, x - 1))
    return at(y, x) + down * (rows - rows.detach()) + across * (columns - columns.detach())


def _logits(shares: th.Tensor) -> th.Tensor:
    """Return parameters whose sigmoid gives these shares, but for the ends."""
    return shares.logit(_EDGE) / _PACE


def _whole(values: th.Tensor) -> th.Tensor:
    """Round, with the gradients of what is rounded (straight through; Bengio et al. 2013).

    Between pixels a square's share of each would tell what no sensor sees.
    """
    return values + (values.round() - values).detach()
