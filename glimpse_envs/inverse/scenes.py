"""What lies on a canvas: an object from a data set, alone or among pieces of others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from glimpse_envs.components import Component, check_integer, check_number
from glimpse_envs.data.datasets import Split
from glimpse_envs.inverse.actions import ANGLE, ATTRIBUTES, BRIGHTNESS, SCALE, X, Y
from glimpse_envs.inverse.canvas import Canvas, Layers
from glimpse_envs.scenes import scatter_pieces

ImageShape = tuple[int, int, int]

_LEAST_SIDE = 48
"""Of a canvas whose side is not given: room for the moves, pixels."""


class CanvasScene(Component):
    """What lies on a canvas, and where, how large and how bright it may be when it is shown.

    :cvar actions: the types of actions unless others are given
    :cvar needs_dataset: objects are images of a data set; otherwise the scene draws its own
    :cvar noun: what the object is called in instructions
    """

    actions: ClassVar[tuple[str, ...]]
    needs_dataset: ClassVar[bool] = True
    noun: ClassVar[str] = "object"

    def shape(self, image: ImageShape) -> ImageShape:
        """Return height, width and channels of the canvas for images of this shape.

        :raises ValueError: when the images do not fit
        """
        raise NotImplementedError(f"{type(self).__name__} does not define shape")

    def ranges(self, image: ImageShape) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lowest and highest state that is shown, float64 (7,) each."""
        raise NotImplementedError(f"{type(self).__name__} does not define ranges")

    def walls(
        self, image: ImageShape, reach: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lowest and highest state that actions lead to, float64 (7,) each.

        As far beyond the states that are shown as one action leads, so that an action that goes too
        far is always told from the right one; an angle has no end.

        :param reach: the largest parameter of an action on each attribute, in its unit, (7,)
        """
        low, high = self.ranges(image)
        reach = reach.copy()
        reach[ANGLE] = np.inf
        return low - reach, high + reach

    def canvas(self, image: ImageShape) -> Canvas:
        """Return what draws the canvases."""
        raise NotImplementedError(f"{type(self).__name__} does not define canvas")

    def layers(
        self, split: Split | None, index: NDArray[np.int64], keys: NDArray[np.uint64]
    ) -> Layers:
        """Return what lies on n canvases.

        :param split: of the data set, None where none is needed
        :param index: the images to show, int64 (n,)
        :param keys: one random stream each, uint64 (n,), of whose draws those from 2^40 are taken
        """
        raise NotImplementedError(f"{type(self).__name__} does not define layers")


@dataclass(frozen=True)
class Objects(CanvasScene):
    """An image of the data set at a random place, turn, size and brightness.

    Untouched it lies on the canvas as a whole, at its largest size too, if it is not turned.

    :param side: of the square canvas, pixels; None for twice the images' longer side, and at
        least 48
    :param blend: how the image meets what is behind: "max" (the brighter pixel wins, right for
        bright strokes on black) or "paste" (the image covers it, right for photographs)
    :param pieces: number of pieces of other images that lie around, behind the object and untouched
        by actions: clutter
    :param piece: side of a piece, pixels
    :param turn: the image is turned by up to so many degrees, either way
    :param scale: it is enlarged by a factor of up to e^scale, and as much reduced
    :param dim: its pixels are multiplied by a factor from e^-dim to 1
    """

    actions = ("MoveX", "MoveY", "Rotate", "Scale", "Brighten")

    side: int | None = None
    blend: str = "max"
    pieces: int = 0
    piece: int = 8
    turn: float = 180.0
    scale: float = 0.25
    dim: float = 0.8

    def __post_init__(self) -> None:
        if self.side is not None:
            check_integer(self, "side", low=1)
        check_integer(self, "pieces", low=0, high=10_000)
        check_integer(self, "piece", low=1)
        check_number(self, "turn", low=0.0, high=180.0)
        check_number(self, "scale", low=0.0, high=3.0)
        check_number(self, "dim", low=0.0, high=5.0)
        if self.blend not in ("max", "paste"):
            raise ValueError(f"got blend={self.blend!r}; wanted 'max' or 'paste'")

    def shape(self, image: ImageShape) -> ImageShape:
        """Return height, width and channels of the canvas."""
        height, width, channels = image
        side = self.side or max(2 * max(height, width), _LEAST_SIDE)
        largest = math.exp(self.scale) * max(height, width)
        if largest > side:
            raise ValueError(
                f"images of {height} x {width}, enlarged by up to {math.exp(self.scale):.2f}, do "
                f"not fit a canvas of side {side}; wanted a side of at least {math.ceil(largest)}"
            )
        if self.pieces and self.piece > min(height, width):
            raise ValueError(
                f"pieces of {self.piece} x {self.piece} cannot be cut from images of "
                f"{height} x {width}; take a smaller piece"
            )
        return side, side, channels

    def ranges(self, image: ImageShape) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lowest and highest state that is shown, float64 (7,) each."""
        height, width = image[:2]
        side = self.shape(image)[0]
        return ranges(
            (side - math.exp(self.scale) * width) / 2,
            (side - math.exp(self.scale) * height) / 2,
            self.turn,
            self.scale,
            self.dim,
        )

    def canvas(self, image: ImageShape) -> Canvas:
        """Return what draws the canvases."""
        height, width, _ = self.shape(image)
        return Canvas(height, width, opaque=self._opaque)

    def layers(
        self, split: Split | None, index: NDArray[np.int64], keys: NDArray[np.uint64]
    ) -> Layers:
        """Return the images ``index`` and the pieces of others behind them."""
        assert split is not None
        pictures = as_layer(split.images[index])
        if self._opaque:
            pictures = torch.cat([pictures, torch.ones_like(pictures[:, :1])], dim=1)
        if not self.pieces:
            return Layers(pictures, None)
        if len(split) < 2:
            raise ValueError(
                "got a split of one image; pieces are cut from other images: add some, or take "
                "pieces=0"
            )
        grounds = np.zeros((len(index), *self.shape(split.images.shape[1:])), np.uint8)
        paste = self.blend == "paste"
        scatter_pieces(grounds, split.images, index, keys, self.pieces, self.piece, paste)
        return Layers(pictures, as_layer(grounds))

    @property
    def _opaque(self) -> bool:
        # on black a picture that covers and one that is added are the same
        return self.blend == "paste" and self.pieces > 0


def ranges(
    x: float, y: float, turn: float, scale: float, dim: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and highest state of an object, without a cursor, float64 (7,) each."""
    high = np.zeros(len(ATTRIBUTES))
    high[[X, Y, ANGLE, SCALE]] = x, y, turn, scale
    low = -high
    low[BRIGHTNESS] = -dim
    return low, high


def as_layer(images: NDArray[np.uint8]) -> torch.Tensor:
    """Return images (n, H, W, C) as colours in [0, 1], float32 (n, C, H, W)."""
    return torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255.0))
