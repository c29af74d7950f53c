"""What pictures of episodes have in common: colours, text, the image with windows and path."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]  # left, top, right, bottom


class Palette(NamedTuple):
    """Colours of a picture, red, green and blue each.

    Okabe and Ito's ("Color universal design", 2008), which colour-blind people can tell apart:
    blue is the past, amber is now.
    """

    background: Colour
    text: Colour
    faint: Colour
    track: Colour  # of a bar, beyond what it fills
    bar: Colour  # what it fills, where text lies on it
    past: Colour
    current: Colour
    current_wide: Colour
    right: Colour
    wrong: Colour


DARK = Palette(
    background=(21, 24, 31),
    text=(236, 239, 244),
    faint=(139, 147, 162),
    track=(44, 49, 60),
    bar=(37, 99, 141),
    past=(86, 180, 233),
    current=(255, 176, 0),
    current_wide=(160, 112, 10),
    right=(46, 204, 138),
    wrong=(255, 107, 92),
)
LIGHT = Palette(
    background=(255, 255, 255),
    text=(29, 33, 41),
    faint=(99, 107, 122),
    track=(237, 240, 244),
    bar=(158, 208, 240),
    past=(86, 180, 233),
    current=(255, 176, 0),
    current_wide=(200, 150, 40),
    right=(0, 122, 82),
    wrong=(200, 52, 30),
)

_FINE = 2  # the image is drawn at this many times its size, then averaged: smooth slanted lines


# --- the image with its windows and path -----------------------------------------------------


def draw_scene(
    image: NDArray[np.uint8],
    windows: NDArray[np.float64],
    size: tuple[int, int],
    box: Box,
    *,
    span: float,
    unit: float,
    palette: Palette,
) -> Image.Image:
    """Draw an image on a background, with its windows and the numbered path of their centres.

    :param image: uint8 (H, W, 1 or 3)
    :param windows: (T, 3), left, top and side in image pixels, the current one last
    :param size: width and height of the picture
    :param box: the image's place in it
    :param span: width of the widest scale that the sensor reads, in windows
    :param unit: what lines are measured in, pixels of the picture
    """
    left, top, right, bottom = (_FINE * edge for edge in box)
    picture = Image.new("RGB", (_FINE * size[0], _FINE * size[1]), palette.background)
    picture.paste(enlarged(image, right - left, bottom - top), (left, top))
    # from image pixels to pixels of the fine picture
    scale = np.array([right - left, bottom - top]) / (image.shape[1], image.shape[0])
    windows = windows * scale[[0, 1, 0]]
    windows[:, :2] += (left, top)
    draw = ImageDraw.Draw(picture, "RGBA")
    _draw_windows(draw, windows, span, _FINE * unit, palette)
    _draw_path(draw, windows[:, :2] + 0.5 * windows[:, 2:], _FINE * unit, palette)
    return picture.reduce(_FINE)


def _draw_windows(
    draw: ImageDraw.ImageDraw,
    windows: NDArray[np.float64],
    span: float,
    unit: float,
    palette: Palette,
) -> None:
    for i, window in enumerate(windows[:-1]):
        opacity = round(70 + 150 * (i + 1) / len(windows))  # the older, the fainter
        # dark rims keep the outlines visible on a bright image
        _outline(draw, window, (0, 0, 0, opacity // 2), 3.0 * unit)
        _outline(draw, window, (*palette.past, opacity), 1.5 * unit)
    current = windows[-1]
    for k in range(1, int(math.log2(max(span, 1.0)) + 1e-6) + 1):
        grown = 2.0**k - 1.0
        wide = current + np.array([-0.5, -0.5, 1.0]) * grown * current[2]
        _outline(draw, wide, (*palette.current, 150), 1.0 * unit)
    _outline(draw, current, (0, 0, 0, 150), 5.0 * unit)
    _outline(draw, current, (*palette.current, 255), 3.0 * unit)


def _outline(
    draw: ImageDraw.ImageDraw,
    window: NDArray[np.float64],
    colour: tuple[int, int, int, int],
    width: float,
) -> None:
    """Outline a window; the line's middle runs on the window's border."""
    left, top, side = (float(v) for v in window)
    half = 0.5 * width
    box = (left - half, top - half, left + side + half - 1, top + side + half - 1)
    draw.rectangle(box, outline=colour, width=max(1, round(width)))


def _draw_path(
    draw: ImageDraw.ImageDraw, centres: NDArray[np.float64], unit: float, palette: Palette
) -> None:
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


def draw_dot(
    draw: ImageDraw.ImageDraw,
    x: float,
    y: float,
    radius: float,
    colour: Colour,
    unit: float,
    text: str = "",
) -> None:
    """Draw a dot of the path with a dark rim ``unit`` wide, a glimpse's number in it."""
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(0, 0, 0, 170))
    r = radius - unit
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(*colour, 255))
    if text:
        size = round(1.43 * radius / (1 if len(text) == 1 else 1.3))
        draw.text((x, y), text, fill=(0, 0, 0, 255), font=font(size), anchor="mm")


# --- glimpses and signs ----------------------------------------------------------------------


def draw_tiles(
    frame: Image.Image,
    draw: ImageDraw.ImageDraw,
    glimpse: NDArray[np.uint8],
    box: Box,
    palette: Palette,
) -> None:
    """Enlarge a glimpse, uint8 (S, k * S, C), into a box; k scales as outlined tiles."""
    rows, cols = glimpse.shape[:2]
    if cols % rows:
        raise ValueError(
            f"got a glimpse of shape {glimpse.shape}; wanted (S, k * S, C), k square scales side "
            "by side"
        )
    tiles = [glimpse[:, k : k + rows] for k in range(0, cols, rows)]
    for k, (tile, (x, y, side)) in enumerate(zip(tiles, _grid(len(tiles), box), strict=True)):
        frame.paste(enlarged(tile, side, side), (x, y))
        colour = palette.current if k == 0 else palette.current_wide
        draw.rectangle((x, y, x + side - 1, y + side - 1), outline=colour)


def _grid(n: int, box: Box) -> list[tuple[int, int, int]]:
    """Return left, top and side of n equal squares in about as many rows as columns."""
    left, top, right, bottom = box
    gap, columns = 4, math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    step = min((right - left + gap) // columns, (bottom - top + gap) // rows)
    side = max(1, step - gap)
    return [(left + i % columns * step, top + i // columns * step, side) for i in range(n)]


def draw_sign(
    draw: ImageDraw.ImageDraw, right: bool, x: float, y: float, size: float, colour: Colour
) -> None:
    """Draw a tick or a cross, ``size`` wide: the font may lack both."""
    r, width = 0.36 * size, max(2, round(0.17 * size))
    x += 0.4 * size
    if right:
        draw.line(((x - r, y), (x - 0.3 * r, y + r), (x + r, y - r)), colour, width, joint="curve")
    else:
        draw.line(((x - r, y - r), (x + r, y + r)), colour, width)
        draw.line(((x - r, y + r), (x + r, y - r)), colour, width)


def draw_marker(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: Colour) -> None:
    """Draw the small triangle that points at the true class."""
    draw.polygon(((x, y - r), (x + 1.6 * r, y), (x, y + r)), fill=colour)


# --- text and pixels -------------------------------------------------------------------------


def class_name(classes: Sequence[str] | None, k: int) -> str:
    """Return the class's name, or its number where there are no names."""
    if classes is None:
        return str(k)
    if not 0 <= k < len(classes):
        raise ValueError(f"got class {k}; wanted 0 to {len(classes) - 1}, as there are classes")
    return str(classes[k])


@lru_cache(maxsize=32)
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return the font that comes with Pillow, at least 8 pixels high."""
    return ImageFont.load_default(size=max(8, size))


def fitting(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Shorten a text until it is at most ``width`` pixels wide."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def likeliest(belief: NDArray[np.float64], label: int | None, n: int) -> list[int]:
    """Return the n likeliest classes, surest first; the last gives way to the true one."""
    shown = [int(k) for k in np.argsort(-belief, kind="stable")[:n]]
    return shown if label is None or label in shown else [*shown[:-1], int(label)]


def enlarged(image: NDArray[np.uint8], width: int, height: int) -> Image.Image:
    """Enlarge with sharp pixels, so that they can be counted; shrink by averaging."""
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    grows = width >= picture.width and height >= picture.height
    method = Image.Resampling.NEAREST if grows else Image.Resampling.BOX
    return picture.resize((width, height), method).convert("RGB")


def even(n: int) -> int:
    """Return n, or n + 1 if n is odd: video encoders halve colours."""
    return n + n % 2


# --- what callers pass -----------------------------------------------------------------------


def checked_image(image: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Return the image, uint8 (H, W, 1 or 3).

    :raises ValueError: another type or shape
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise ValueError(
            f"got {name} {image.dtype} {image.shape}; wanted uint8 (height, width, 1 or 3)"
        )
    return image


def checked_windows(windows: ArrayLike) -> NDArray[np.float64]:
    """Return a copy of the windows, float64 (T, 3).

    :raises ValueError: another shape, no window, numbers that are not finite, sides not above 0
    """
    windows = np.array(windows, np.float64)  # a copy: it is moved to the picture's coordinates
    if windows.ndim != 2 or windows.shape[1] != 3 or not len(windows):
        raise ValueError(f"got windows {windows.shape}; wanted (T, 3): left, top, side; T >= 1")
    if not np.isfinite(windows).all() or (windows[:, 2] <= 0).any():
        raise ValueError(f"got windows {windows.tolist()}; wanted finite numbers and sides above 0")
    return windows


def checked_belief(belief: ArrayLike, classes: Sequence[str] | None) -> NDArray[np.float64]:
    """Return the belief, float64 (K,).

    :raises ValueError: another shape, not one for each class, or no probabilities
    """
    belief = np.asarray(belief, np.float64)
    if belief.ndim != 1 or not len(belief) or (classes is not None and len(classes) != len(belief)):
        wanted = "(K,)" if classes is None else f"({len(classes)},), one for each class"
        raise ValueError(f"got belief {belief.shape}; wanted {wanted}")
    if not ((belief >= -1e-6) & (belief <= 1 + 1e-6)).all():  # false for NaN, too
        raise ValueError(f"got belief {belief.tolist()}; wanted probabilities in [0, 1]")
    return belief
