"""The panel of the image, with the windows of all glimpses and the path of the gaze over it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from glimpse_envs.render.drawing import (
    Box,
    Colour,
    Palette,
    Sheet,
    draw_corners,
    draw_dot,
    enlarged,
)
from glimpse_envs.render.episode import Episode

_FINE = 2  # drawn at this many times its size, then averaged: smooth slanted lines


def draw_image(sheet: Sheet, episode: Episode, box: Box, unit: float) -> None:
    """Draw the image, its windows (the last one strong) and the numbered path of their centres.

    Lines may reach over the image's border as far as the box is from the sheet's.

    :param box: has the image in its middle, as large as fits
    :param unit: what widths of lines are measured in, pixels
    """
    left, top, right, bottom = box
    rim = min(left, top)
    size = (right - left + 2 * rim, bottom - top + 2 * rim)
    scene = Image.new("RGB", (_FINE * size[0], _FINE * size[1]), sheet.palette.background)
    place = fitted(episode.image, (rim, rim, size[0] - rim, size[1] - rim))
    x0, y0, x1, y1 = (_FINE * edge for edge in place)
    scene.paste(enlarged(episode.image, x1 - x0, y1 - y0), (x0, y0))
    # from image pixels to pixels of the scene
    rows, columns = episode.image.shape[:2]
    across, down = (x1 - x0) / columns, (y1 - y0) / rows
    windows = episode.windows * (across, down, across) + (x0, y0, 0.0)
    draw = ImageDraw.Draw(scene, "RGBA")
    if episode.target is not None:
        target = episode.target * (across, down, across, down) + (x0, y0, 0.0, 0.0)
        draw_corners(draw, target.tolist(), _FINE * unit)
    _draw_windows(draw, windows, episode.span, _FINE * unit, sheet.palette)
    _draw_path(draw, windows[:, :2] + 0.5 * windows[:, 2:], _FINE * unit, sheet.palette)
    sheet.picture.paste(scene.reduce(_FINE), (left - rim, top - rim))


def fitted(image: NDArray[np.uint8], box: Box) -> Box:
    """Return the largest box of an image's proportions that fits, in the middle of ``box``."""
    left, top, right, bottom = box
    rows, columns = image.shape[:2]
    scale = min((right - left) / columns, (bottom - top) / rows)
    width, height = max(1, round(columns * scale)), max(1, round(rows * scale))
    x, y = left + (right - left - width) // 2, top + (bottom - top - height) // 2
    return x, y, x + width, y + height


def _draw_windows(
    draw: ImageDraw.ImageDraw,
    windows: NDArray[np.float64],
    span: float,
    unit: float,
    palette: Palette,
) -> None:
    """Outline earlier windows thin and fading, the last one strong with its wider scales."""
    for i, window in enumerate(windows[:-1]):
        opacity = round(70 + 150 * (i + 1) / len(windows))  # the older, the fainter
        # dark rims keep the outlines visible on a bright image
        _outline(draw, window, (0, 0, 0), opacity // 2, 3.0 * unit)
        _outline(draw, window, palette.past, opacity, 1.5 * unit)
    current = windows[-1]
    # each twice as wide as the one before, the last as wide as what is read
    for k in range(1, math.ceil(math.log2(max(span, 1.0)) - 1e-6) + 1):
        grown = min(2.0**k, span) - 1.0
        wide = current + np.array([-0.5, -0.5, 1.0]) * grown * current[2]
        _outline(draw, wide, palette.current, 150, 1.0 * unit)
    _outline(draw, current, (0, 0, 0), 150, 5.0 * unit)
    _outline(draw, current, palette.current, 255, 3.0 * unit)


def _outline(
    draw: ImageDraw.ImageDraw,
    window: NDArray[np.float64],
    colour: Colour,
    opacity: int,
    width: float,
) -> None:
    """Outline a window; the line's middle runs on the window's border."""
    left, top, side = (float(v) for v in window)
    half = 0.5 * width
    box = (left - half, top - half, left + side + half - 1, top + side + half - 1)
    draw.rectangle(box, outline=(*colour, opacity), width=max(1, round(width)))


def _draw_path(
    draw: ImageDraw.ImageDraw, centres: NDArray[np.float64], unit: float, palette: Palette
) -> None:
    """Connect the windows' centres, with a numbered dot on each."""
    n, radius = len(centres), 7.0 * unit
    points = [(float(x), float(y)) for x, y in centres]
    if n > 1:
        draw.line(points, fill=(0, 0, 0, 120), width=round(3.5 * unit), joint="curve")
        draw.line(points, fill=(255, 255, 255, 190), width=round(1.5 * unit), joint="curve")
    for i, (x, y) in enumerate(points):
        # a dot that later ones would cover is small and has no number
        later = centres[i + 1 :] - centres[i]
        covered = bool((np.hypot(later[:, 0], later[:, 1]) < 2.0 * radius).any())
        colour = palette.current if i == n - 1 else palette.past
        if covered:
            draw_dot(draw, x, y, 0.4 * radius, colour, unit)
        else:
            draw_dot(draw, x, y, radius, colour, unit, str(i + 1))
