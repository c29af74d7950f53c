"""Canvases drawn from states: the original image warped once, whatever was done to it before."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from glimpse_envs.inverse.actions import ANGLE, BRIGHTNESS, CURSOR_X, CURSOR_Y, SCALE, X, Y


class Layers(NamedTuple):
    """What lies on n canvases, colours in [0, 1].

    Where a picture has an opacity, it is the last channel, and the colours are multiplied by it.

    :param pictures: of the objects, float32 (n, C, h, w), or (n, C + 1, h, w) with opacity
    :param backgrounds: float32 (n, C, H, W), or None for black
    """

    pictures: Tensor
    backgrounds: Tensor | None

    def rows(self, lanes: Tensor) -> Layers:
        """Return copies of the layers of some canvases.

        :param lanes: int64 (m,)
        """
        grounds = self.backgrounds
        return Layers(self.pictures[lanes], None if grounds is None else grounds[lanes])

    def to(self, device: torch.device | str) -> Layers:
        """Return the layers on a device of PyTorch's; themselves if they are there."""
        grounds = self.backgrounds
        return Layers(self.pictures.to(device), None if grounds is None else grounds.to(device))

    def put(self, lanes: Tensor, layers: Layers) -> None:
        """Put other layers on some canvases.

        :param lanes: int64 (m,)
        :param layers: of m canvases
        """
        self.pictures[lanes] = layers.pictures
        if self.backgrounds is not None:
            self.backgrounds[lanes] = layers.backgrounds


class Canvas:
    """Draws states of (height, width) pixels.

    The warp is ``torch.nn.functional.grid_sample``, bilinear between pixels, with nothing beyond
    the picture's edge. All of it is done element by element, so that what is drawn of a state does
    not depend on the states beside it.

    :param height: in pixels
    :param width: in pixels
    :param opaque: pictures have an opacity and cover the background; otherwise the brighter
        pixel of the two is seen, as it is right for bright strokes on black
    :param cursor: float32 (C + 1, h, w) with its tip in the upper left corner, or None
    """

    def __init__(
        self, height: int, width: int, *, opaque: bool, cursor: NDArray[np.float32] | None = None
    ) -> None:
        self.height, self.width, self.opaque = height, width, opaque
        self.cursor = None if cursor is None else torch.from_numpy(cursor)
        # centres of pixels, from the middle
        self._across = torch.arange(width, dtype=torch.float32) + (0.5 - width / 2)
        self._down = torch.arange(height, dtype=torch.float32) + (0.5 - height / 2)

    @torch.no_grad()
    def draw(self, state: NDArray[np.float64], layers: Layers) -> Tensor:
        """Return canvases, float32 (n, C, H, W) in [0, 1].

        :param state: float64 (n, 7), see :data:`glimpse_envs.inverse.actions.ATTRIBUTES`
        :param layers: of as many canvases, on the device that draws
        """
        device = layers.pictures.device
        factor = _tensor(np.exp(state[:, BRIGHTNESS]), device)
        grid = self._grid(
            state[:, X], state[:, Y], np.deg2rad(state[:, ANGLE]), np.exp(state[:, SCALE]),
            layers.pictures.shape[2:], device,
        )  # fmt: skip
        drawn = _warp(layers.pictures, grid)
        if self.opaque:
            colours, opacity = drawn[:, :-1], drawn[:, -1:]
        else:
            colours, opacity = drawn, None
        colours = (colours * factor[:, None, None, None]).clamp_(max=1.0)
        if layers.backgrounds is not None and opacity is None:
            colours = torch.maximum(colours, layers.backgrounds)
        elif layers.backgrounds is not None:
            colours += (1.0 - opacity) * layers.backgrounds
        if self.cursor is not None:
            colours = self._with_cursor(colours, state)
        return colours.clamp_(max=1.0)

    def _with_cursor(self, colours: Tensor, state: NDArray[np.float64]) -> Tensor:
        """Return canvases with the cursor on them; only a window around it is touched."""
        _, high, wide = self.cursor.shape
        # one pixel more than the cursor has, which may lie between two
        device = colours.device
        left, across = _window(state[:, CURSOR_X] + self.width / 2, wide, self.width, device)
        top, down = _window(state[:, CURSOR_Y] + self.height / 2, high, self.height, device)
        grid = torch.stack(
            [
                across[:, None, :].expand(-1, high + 1, -1),
                down[:, :, None].expand(-1, -1, wide + 1),
            ],
            dim=3,
        )
        drawn = _warp(self.cursor.to(device).expand(len(state), -1, -1, -1), grid)
        counted = torch.arange(max(len(state), high + 1, wide + 1), device=device)
        place = (
            counted[: len(state), None, None, None],
            counted[: colours.shape[1], None, None],
            (top[:, None] + counted[: high + 1])[:, None, :, None],
            (left[:, None] + counted[: wide + 1])[:, None, None, :],
        )
        colours[place] = drawn[:, :-1] + (1.0 - drawn[:, -1:]) * colours[place]
        return colours

    def _grid(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        angle: NDArray[np.float64],
        scale: NDArray[np.float64],
        size: tuple[int, int],
        device: torch.device,
    ) -> Tensor:
        """Return which point of a picture is seen at each pixel, float32 (n, H, W, 2).

        From -1 to 1 between the picture's edges. ``affine_grid`` gives the same, by a product of
        matrices that takes some forty times as long.

        :param x: of the picture's centre, from the middle of the canvas, (n,); ``y`` likewise
        :param angle: radians clockwise, (n,)
        :param scale: factor, (n,)
        :param size: height and width of the picture
        :param device: of the result
        """
        height, width = size
        cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
        # the inverse of turning and scaling: from the canvas to the picture
        across = np.stack([cos * (2 / width), -sin * (2 / height)], axis=1)  # (n, 2)
        down = np.stack([sin * (2 / width), cos * (2 / height)], axis=1)
        origin = -(across * x[:, None] + down * y[:, None])
        across, down, origin = (
            _tensor(part, device)[:, :, None] for part in (across, down, origin)
        )
        rows = (down * self._down.to(device) + origin)[:, :, :, None]  # (n, 2, H, 1)
        return (rows + (across * self._across.to(device))[:, :, None, :]).permute(0, 2, 3, 1)


def _window(
    tip: NDArray[np.float64], size: int, length: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return where windows of size + 1 pixels begin, and what is seen at their pixels.

    A window lies on the canvas as a whole: what is beyond its edge is not seen anyhow.

    :param tip: where pictures of ``size`` pixels begin, (n,)
    :param length: of the canvas
    :param device: of the result
    :return: first pixels, int64 (n,); points of the picture, from -1 to 1, float32 (n, size + 1)
    """
    first = np.clip(np.floor(tip), 0, length - size - 1)
    # so far away that nothing of it is seen: a number that float32 can still tell
    offset = np.clip(first - tip, -2.0 * size, 2.0 * size)
    points = (np.arange(size + 1) + 0.5 + offset[:, None]) * (2 / size) - 1.0
    return torch.from_numpy(first.astype(np.int64)).to(device), _tensor(points, device)


def _tensor(values: NDArray[np.float64], device: torch.device) -> Tensor:
    """Return numbers as float32 on a device."""
    return torch.from_numpy(values.astype(np.float32)).to(device)


def _warp(pictures: Tensor, grid: Tensor) -> Tensor:
    """Return pictures seen at the points of a grid, black and see-through beyond their edges."""
    return grid_sample(pictures, grid, "bilinear", "zeros", align_corners=False)


def as_bytes(canvases: Tensor) -> NDArray[np.uint8]:
    """Return canvases (n, C, H, W) in [0, 1] as images, uint8 (n, H, W, C)."""
    levels = (canvases * 255.0).round_().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().numpy()
