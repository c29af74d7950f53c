"""What all panels are drawn with: a sheet and its colours, signs, text, enlarged pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels


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


class Sheet(NamedTuple):
    """A picture in the making.

    :param picture: what it will be
    :param draw: draws on it, colours with or without opacity
    :param palette: its colours
    """

    picture: Image.Image
    draw: ImageDraw.ImageDraw
    palette: Palette

    @classmethod
    def blank(cls, width: int, height: int, palette: Palette) -> Sheet:
        """Return an empty sheet of these sizes, made even: video encoders halve colours."""
        size = (width + width % 2, height + height % 2)
        picture = Image.new("RGB", size, palette.background)
        return cls(picture, ImageDraw.Draw(picture, "RGBA"), palette)


# --- signs -----------------------------------------------------------------------------------


def draw_corners(draw: ImageDraw.ImageDraw, box: Sequence[float], unit: float) -> None:
    """Mark the corners of a box (left, top, width, height), whatever colours are below."""
    left, top, width, height = box
    right, bottom, arm = left + width, top + height, 0.22 * min(width, height)
    for colour, thick in (((0, 0, 0, 150), 4.0 * unit), ((255, 255, 255, 255), 2.0 * unit)):
        for x, inwards in ((left, arm), (right, -arm)):
            for y, down in ((top, arm), (bottom, -arm)):
                line = [(x + inwards, y), (x, y), (x, y + down)]
                draw.line(line, fill=colour, width=max(1, round(thick)), joint="curve")


def draw_dot(
    draw: ImageDraw.ImageDraw,
    x: float,
    y: float,
    radius: float,
    colour: Colour,
    unit: float,
    text: str = "",
) -> None:
    """Draw a dot of the path with a dark rim ``unit`` wide, ``text`` in it."""
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(0, 0, 0, 170))
    r = radius - unit
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(*colour, 255))
    if text:
        size = round(1.43 * radius / (1 if len(text) == 1 else 1.3))
        draw.text((x, y), text, fill=(0, 0, 0, 255), font=font(size), anchor="mm")


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


def enlarged(image: NDArray[np.uint8], width: int, height: int) -> Image.Image:
    """Enlarge with sharp pixels, so that they can be counted; shrink by averaging."""
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    grows = width >= picture.width and height >= picture.height
    method = Image.Resampling.NEAREST if grows else Image.Resampling.BOX
    return picture.resize((width, height), method).convert("RGB")
