"""A raster like a graphical user interface: a panel on a desktop with widgets, and a cursor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from glimpse_envs.compiled import kernel
from glimpse_envs.components import check_integer, check_number
from glimpse_envs.data.datasets import Split
from glimpse_envs.inverse.actions import CURSOR_X, CURSOR_Y
from glimpse_envs.inverse.canvas import Canvas, Layers
from glimpse_envs.inverse.scenes import CanvasScene, ImageShape, as_layer, ranges
from glimpse_envs.randomness import draw_below

_CURSOR = (
    "#..........",
    "##.........",
    "#o#........",
    "#oo#.......",
    "#ooo#......",
    "#oooo#.....",
    "#ooooo#....",
    "#oooooo#...",
    "#ooooooo#..",
    "#oooooooo#.",
    "#ooooooooo#",
    "#oooooo####",
    "#oo#ooo#...",
    "#o#.#ooo#..",
    "##..#ooo#..",
    ".....###...",
)

_CURSORS = [CURSOR_X, CURSOR_Y]

_MARGIN = 8
"""Pixels between the edge and cursors that are shown, so that one that goes too far is told."""

_WIDGET, _DRAWS = 16, 6  # height of a row of widgets, pixels, and draws of a widget


@dataclass(frozen=True)
class Gui(CanvasScene):
    """A panel with a title, buttons, check boxes and bars like text; it and the cursor can move.

    Colours are dark ones, so that the white cursor is seen everywhere. Behind the panel is a
    desktop with other widgets. All is drawn by a random stream, none of it is a data set. The panel
    is an image of its own, which is moved, scaled and brightened as any object.

    :param side: of the square canvas, pixels
    :param scale: the panel is enlarged by a factor of up to e^scale, and as much reduced
    :param dim: its pixels are multiplied by a factor from e^-dim to 1
    """

    actions = ("MoveX", "MoveY", "Scale", "Brighten", "CursorX", "CursorY")
    noun = "panel"
    needs_dataset = False

    side: int = 96
    scale: float = 0.25
    dim: float = 0.8

    def __post_init__(self) -> None:
        check_integer(self, "side", low=72)
        check_number(self, "scale", low=0.0, high=3.0)
        check_number(self, "dim", low=0.0, high=5.0)
        room = self.side - math.exp(self.scale) * max(self.panel)
        if room < 0:
            raise ValueError(
                f"got Gui(side={self.side}, scale={self.scale}), where a panel of {self.panel[0]} "
                f"x {self.panel[1]} does not fit; wanted a scale of at most "
                f"{math.log(self.side / max(self.panel)):.2f}"
            )

    @property
    def panel(self) -> tuple[int, int]:
        """Height and width of the panel, in pixels."""
        return 11 * self.side // 24, 7 * self.side // 12

    def shape(self, image: ImageShape) -> ImageShape:
        """Return height, width and channels of the canvas."""
        return self.side, self.side, 3

    def ranges(self, image: ImageShape) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lowest and highest state that is shown, float64 (7,) each."""
        height, width = self.panel
        factor = math.exp(self.scale)
        x, y = (self.side - factor * width) / 2, (self.side - factor * height) / 2
        low, high = ranges(x, y, 0.0, self.scale, self.dim)
        _, tall, wide = cursor().shape
        low[_CURSORS] = _MARGIN - self.side / 2
        high[_CURSORS] = self.side / 2 - np.array([wide, tall]) - _MARGIN
        return low, high

    def walls(
        self, image: ImageShape, reach: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lowest and highest state that actions lead to, float64 (7,) each.

        The cursor stops at the edge of the screen. If it could leave, a move in the wrong direction
        would be rewarded: one cursor at the wrong place is nearer to the target than two.
        """
        low, high = super().walls(image, reach)
        shown = self.ranges(image)
        low[_CURSORS], high[_CURSORS] = shown[0][_CURSORS] - _MARGIN, shown[1][_CURSORS] + _MARGIN
        return low, high

    def canvas(self, image: ImageShape) -> Canvas:
        """Return what draws the canvases."""
        return Canvas(self.side, self.side, opaque=True, cursor=cursor())

    def layers(
        self, split: Split | None, index: NDArray[np.int64], keys: NDArray[np.uint64]
    ) -> Layers:
        """Return a panel and a desktop for each of ``keys``."""
        panels = np.zeros((len(keys), *self.panel, 3), np.uint8)
        desktops = np.zeros((len(keys), self.side, self.side, 3), np.uint8)
        _draw_screens(desktops, panels, keys)
        colours = as_layer(panels)
        opaque = torch.ones_like(colours[:, :1])
        return Layers(torch.cat([colours, opaque], dim=1), as_layer(desktops))


def cursor() -> NDArray[np.float32]:
    """Return an arrow with a dark rim, colours times opacity and opacity, float32 (4, h, w)."""
    signs = np.array([list(row) for row in _CURSOR])
    inside, opacity = (signs == "o").astype(np.float32), (signs != ".").astype(np.float32)
    return np.stack([inside, inside, inside, opacity])


@kernel
def _draw_screens(desktops, panels, keys):
    """Draw desktops (n, H, W, 3) and panels (n, h, w, 3)."""
    for i in range(keys.shape[0]):
        key = keys[i]
        ground = np.array([draw_below(key, c, 50) + 25 for c in range(3)])
        screen = desktops[i, :, 0:]  # of the type of a part of a panel: all is compiled for one
        _fill(screen, np.array([0, 0, screen.shape[0], screen.shape[1]]), ground)
        _fill(screen, np.array([0, 0, 7, screen.shape[1]]), ground // 2)
        _widgets(screen, np.array([10, 100]), key, ground + 40)
        panel = panels[i, :, 0:]
        height, width = panel.shape[:2]
        title = np.array([draw_below(key, 10 + c, 110) + 20 for c in range(3)])
        paper = np.full(3, 90 + draw_below(key, 20, 50))
        _fill(panel, np.array([0, 0, height, width]), title)
        _fill(panel, np.array([9, 1, height - 1, width - 1]), paper)
        bright = np.full(3, 180)
        _fill(panel, np.array([3, 3, 6, 3 + width // 4 + draw_below(key, 21, width // 3)]), bright)
        _fill(panel, np.array([2, width - 7, 7, width - 2]), bright)
        _widgets(panel[9 : height - 1, 1 : width - 1], np.array([2, 1000]), key, paper)


@kernel
def _widgets(screen, first, key, paper):
    """Draw rows of widgets.

    ``first`` holds the top of the first row and the number of the first draw of the stream.
    """
    top, number = first
    height, width = screen.shape[:2]
    ink = paper // 4
    while top + 10 <= height:
        left = 3 + draw_below(key, number, 6)
        while left + 14 <= width:
            kind = draw_below(key, number + 1, 3)
            size = min(14 + draw_below(key, number + 2, 22), width - left - 2)
            tone = np.array([draw_below(key, number + 3 + c, 130) + 20 for c in range(3)])
            if kind == 0:  # a button with a word
                _fill(screen, np.array([top, left, top + 11, left + size]), ink)
                _fill(screen, np.array([top + 1, left + 1, top + 10, left + size - 1]), tone)
                _fill(
                    screen,
                    np.array([top + 5, left + 4, top + 7, left + size - 4]),
                    180 * (tone < 70),
                )
            elif kind == 1:  # a check box, perhaps ticked, and its words
                _fill(screen, np.array([top + 1, left, top + 9, left + 8]), ink)
                _fill(screen, np.array([top + 2, left + 1, top + 8, left + 7]), np.full(3, 170))
                if tone[0] % 2:
                    _fill(screen, np.array([top + 4, left + 3, top + 6, left + 5]), ink)
                _fill(screen, np.array([top + 4, left + 10, top + 6, left + size]), ink)
            else:  # three lines of text
                for line in range(3):
                    end = left + size - (tone[line] % (size // 2))
                    _fill(screen, np.array([top + 4 * line, left, top + 4 * line + 2, end]), ink)
            left += size + 4
            number += _DRAWS
        top += _WIDGET
        number += _DRAWS


@kernel
def _fill(screen, box, colour):
    """Fill a rectangle (top, left, bottom, right) as far as it lies on the screen.

    An array of them has one type; of numbers each that is written down would have its own.
    """
    top, left, bottom, right = box
    for y in range(max(top, 0), min(bottom, screen.shape[0])):
        for x in range(max(left, 0), min(right, screen.shape[1])):
            for c in range(3):
                screen[y, x, c] = colour[c]
