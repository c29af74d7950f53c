"""Pictures of an episode: the image, where the agent looked, what it saw and what it thinks.

`draw_frame` draws one moment. `tile_frames` (several side by side) and `write_video` (an mp4 or a
gif of a sequence) are at hand here, too. Numpy and Pillow only, and fast, because a frame is drawn
at every rendered step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from glimpse_envs.videos import tile_frames, write_video

__all__ = ["draw_frame", "tile_frames", "write_video"]

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]  # left, top, right, bottom

# Okabe and Ito's palette ("Color universal design", 2008), which colour-blind people can tell
# apart: blue is the past, amber is now.
BACKGROUND: Colour = (21, 24, 31)
TEXT: Colour = (236, 239, 244)
FAINT: Colour = (139, 147, 162)
TRACK: Colour = (44, 49, 60)
PAST: Colour = (86, 180, 233)
CURRENT: Colour = (255, 176, 0)
CURRENT_WIDE: Colour = (160, 112, 10)
RIGHT: Colour = (46, 204, 138)
WRONG: Colour = (255, 107, 92)

_FINE = 2  # the image is drawn at this many times its size, then averaged: smooth slanted lines
_MIN_HEIGHT = 128
_MAX_ASPECT = 2.0  # a wider image is shown smaller instead of making the frame wider
_MAX_BARS = 10


def draw_frame(
    image: NDArray[np.uint8],
    windows: ArrayLike,
    *,
    glimpse: NDArray[np.uint8] | None = None,
    belief: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    label: int | None = None,
    prediction: int = -1,
    span: float = 1.0,
    height: int = 256,
) -> NDArray[np.uint8]:
    """Draw one moment of an episode, uint8 (height, width, 3), both even.

    Left: the image with all windows so far (earlier ones thin and fading, the current one strong)
    and the numbered path of their centres. Middle: the glimpse as the agent saw it, its answer and
    the true label. Right, with a belief: a bar for each class, or if they are more than ten for the
    likeliest and the true one.
    The size depends on `height`, the image's shape and whether there is a belief, on nothing else:
    it is constant over an episode, as video encoders need.

    :param image: uint8 (H, W, C), C 1 or 3
    :param windows: (T, 3), left, top and side of each glimpse's window in image pixels, the
        current one last; they may stick out of the image
    :param glimpse: uint8 (S, k * S, C), k scales side by side; None draws none
    :param belief: (K,) class probabilities in [0, 1]
    :param classes: names of the classes; without them their numbers are shown
    :param label: true class; None if unknown
    :param prediction: the answer that stands, -1 for none
    :param span: width of the widest scale that the sensor reads, in windows: a retina's wider
        scales are outlined faintly, each twice as wide as the one before
    :param height: of the frame in pixels, at least 128; an odd one is made even by one row more
    :raises ValueError: an argument of another shape, type or range
    """
    image, windows = _check_image(image, "image"), _check_windows(windows)
    if height < _MIN_HEIGHT:
        raise ValueError(f"got height={height}; wanted at least {_MIN_HEIGHT} pixels")
    height = _even(height)
    probabilities = None if belief is None else _check_belief(belief, classes)

    margin = max(4, round(0.045 * height))
    column, bars = round(0.62 * height), round(0.72 * height)
    scene = _draw_scene(image, windows, span, height, margin)
    left = scene.width + margin // 2
    width = left + column + margin + (0 if probabilities is None else margin + bars)
    width = _even(width)
    frame = Image.new("RGB", (width, height), BACKGROUND)
    frame.paste(scene, (0, 0))
    draw = ImageDraw.Draw(frame)

    top, bottom = margin, height - margin
    answer_top = bottom - round(0.27 * height)
    _draw_glimpse(frame, draw, glimpse, len(windows), (left, top, left + column, answer_top))
    _draw_answer(draw, classes, label, prediction, (left, answer_top, left + column, bottom))
    if probabilities is not None:
        left += column + margin
        box = (left, top, left + bars, bottom)
        _draw_belief(draw, classes, probabilities, label, box)
    return np.array(frame)


# --- the image with its windows and path -----------------------------------------------------


def _draw_scene(
    image: NDArray[np.uint8], windows: NDArray[np.float64], span: float, height: int, margin: int
) -> Image.Image:
    """Draw the image in the middle of a picture `height` high, with windows and path on it."""
    rows, cols = image.shape[:2]
    room = height - 2 * margin
    scale = min(room / rows, _MAX_ASPECT * room / cols)
    size = (max(1, round(cols * scale)), max(1, round(rows * scale)))
    top = (height - size[1]) // 2

    fine = (_FINE * (size[0] + 2 * margin), _FINE * height)
    scene = Image.new("RGB", fine, BACKGROUND)
    scene.paste(_resize(image, _FINE * size[0], _FINE * size[1]), (_FINE * margin, _FINE * top))
    # from image pixels to pixels of the fine picture
    windows = windows * (_FINE * scale)
    windows[:, :2] += np.array([margin, top]) * _FINE
    draw = ImageDraw.Draw(scene, "RGBA")
    unit = _FINE * height / 256
    _draw_windows(draw, windows, span, unit)
    _draw_path(draw, windows[:, :2] + 0.5 * windows[:, 2:], unit)
    return scene.reduce(_FINE)


def _draw_windows(
    draw: ImageDraw.ImageDraw, windows: NDArray[np.float64], span: float, unit: float
) -> None:
    for i, window in enumerate(windows[:-1]):
        opacity = round(70 + 150 * (i + 1) / len(windows))  # the older, the fainter
        _outline(draw, window, (*PAST, opacity), 1.5 * unit)
    current = windows[-1]
    for k in range(1, int(math.log2(max(span, 1.0)) + 1e-6) + 1):
        grown = 2.0**k - 1.0
        wide = current + np.array([-0.5, -0.5, 1.0]) * grown * current[2]
        _outline(draw, wide, (*CURRENT, 150), 1.0 * unit)
    # a dark rim keeps the outline visible on a bright image
    _outline(draw, current, (0, 0, 0, 150), 5.0 * unit)
    _outline(draw, current, (*CURRENT, 255), 3.0 * unit)


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


def _draw_path(draw: ImageDraw.ImageDraw, centres: NDArray[np.float64], unit: float) -> None:
    n, radius = len(centres), 7.0 * unit
    points = [(float(x), float(y)) for x, y in centres]
    if n > 1:
        draw.line(points, fill=(0, 0, 0, 120), width=round(3.5 * unit), joint="curve")
        draw.line(points, fill=(255, 255, 255, 190), width=round(1.5 * unit), joint="curve")
    font = _font(round(10.0 * unit))
    for i, (x, y) in enumerate(points):
        # a dot that later ones would cover is small and has no number
        later = centres[i + 1 :] - centres[i]
        covered = bool((np.hypot(later[:, 0], later[:, 1]) < 2.0 * radius).any())
        colour = CURRENT if i == n - 1 else PAST
        r = 0.4 * radius if covered else radius
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(0, 0, 0, 170))
        r -= unit
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(*colour, 255))
        if not covered:
            draw.text((x, y), str(i + 1), fill=(0, 0, 0, 255), font=font, anchor="mm")


# --- the panel -------------------------------------------------------------------------------


def _name(classes: Sequence[str] | None, k: int) -> str:
    """Return the class's name, or its number where there are no names."""
    if classes is None:
        return str(k)
    if not 0 <= k < len(classes):
        raise ValueError(f"got class {k}; wanted 0 to {len(classes) - 1}, as there are classes")
    return str(classes[k])


def _draw_glimpse(
    frame: Image.Image,
    draw: ImageDraw.ImageDraw,
    glimpse: NDArray[np.uint8] | None,
    number: int,
    box: Box,
) -> None:
    left, top, right, bottom = box
    small = _text_size(frame.height)
    draw.text((left, top), f"Glimpse {number}", fill=CURRENT, font=_font(small), anchor="la")
    if glimpse is None:
        return
    glimpse = _check_image(glimpse, "glimpse")
    rows, cols = glimpse.shape[:2]
    if cols % rows:
        raise ValueError(
            f"got a glimpse of shape {glimpse.shape}; wanted (S, k * S, C), k square scales side "
            "by side"
        )
    box = (left, top + round(1.5 * small), right, bottom - small // 2)
    tiles = [glimpse[:, k : k + rows] for k in range(0, cols, rows)]
    for k, (tile, (x, y, side)) in enumerate(zip(tiles, _grid(len(tiles), box), strict=True)):
        frame.paste(_resize(tile, side, side), (x, y))
        colour = CURRENT if k == 0 else CURRENT_WIDE
        draw.rectangle((x, y, x + side - 1, y + side - 1), outline=colour)


def _grid(n: int, box: Box) -> list[tuple[int, int, int]]:
    """Return left, top and side of n equal squares in about as many rows as columns."""
    left, top, right, bottom = box
    gap, columns = 4, math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    step = min((right - left + gap) // columns, (bottom - top + gap) // rows)
    side = max(1, step - gap)
    return [(left + i % columns * step, top + i // columns * step, side) for i in range(n)]


def _draw_answer(
    draw: ImageDraw.ImageDraw,
    classes: Sequence[str] | None,
    label: int | None,
    prediction: int,
    box: Box,
) -> None:
    """Write the label and the answer, and by colour, sign and word whether it is right."""
    left, top, right, bottom = box
    size = round((bottom - top) / 4.8)
    small, large = _font(round(0.95 * size)), _font(round(1.15 * size))
    lines = [top + (row + 0.5) * (bottom - top) / 3 for row in range(3)]
    sign = left + 3.8 * size
    x = sign + 1.15 * size

    if label is not None:
        draw.text((left, lines[0]), "Truth", FAINT, small, anchor="lm")
        _draw_marker(draw, sign + 0.15 * size, lines[0], 0.3 * size)
        draw.text((x, lines[0]), _fit(_name(classes, label), small, right - x), TEXT, small, "lm")
    draw.text((left, lines[1]), "Answer", FAINT, small, anchor="lm")
    if prediction < 0:
        draw.text((x, lines[1]), "not yet", FAINT, small, anchor="lm")
        return
    colour = TEXT if label is None else (RIGHT if prediction == label else WRONG)
    name = _fit(_name(classes, prediction), large, right - x)
    draw.text((x, lines[1]), name, colour, large, anchor="lm")
    if label is not None:
        _draw_sign(draw, prediction == label, sign, lines[1], size, colour)
        verdict = "right" if prediction == label else "wrong"
        draw.text((x, lines[2]), verdict, colour, large, anchor="lm")


def _draw_sign(
    draw: ImageDraw.ImageDraw, right: bool, x: float, y: float, size: float, colour: Colour
) -> None:
    """Draw a tick or a cross, `size` wide: the font may lack both."""
    r, width = 0.36 * size, max(2, round(0.17 * size))
    x += 0.4 * size
    if right:
        draw.line(((x - r, y), (x - 0.3 * r, y + r), (x + r, y - r)), colour, width, joint="curve")
    else:
        draw.line(((x - r, y - r), (x + r, y + r)), colour, width)
        draw.line(((x - r, y + r), (x + r, y - r)), colour, width)


def _draw_belief(
    draw: ImageDraw.ImageDraw,
    classes: Sequence[str] | None,
    belief: NDArray[np.float64],
    label: int | None,
    box: Box,
) -> None:
    """Draw the probabilities as bars, the true class marked."""
    left, top, right, bottom = box
    # equal margins above and below: top + bottom is the frame's height
    size, shown = _text_size(top + bottom), _shown(belief, label)
    title = "Belief" if len(shown) == len(belief) else f"Belief: {len(shown)} of {len(belief)}"
    draw.text((left, top), title, FAINT, _font(size), anchor="la")
    top += round(1.5 * size)
    line = min((bottom - top) / len(shown), 2.2 * size)
    font = _font(min(size, round(0.68 * line)))
    marker = 0.3 * size
    names = tuple(_name(classes, k) for k in range(len(belief)))
    room = min(_widest(names, font), 0.5 * (right - left))
    start = left + 3 * marker + room + 0.5 * size
    end = right - font.getlength("100%") - 0.4 * size
    best = int(np.argmax(belief))
    for row, k in enumerate(shown):
        y = top + (row + 0.5) * line
        colour = TEXT if k in (label, best) else FAINT
        name = _fit(names[k], font, room)
        draw.text((start - 0.5 * size, y), name, colour, font, anchor="rm")
        if k == label:
            x = start - 0.5 * size - font.getlength(name)
            _draw_marker(draw, x - 2.6 * marker, y, marker)
        y0, y1 = round(y - 0.33 * line), round(y + 0.33 * line) - 1
        draw.rectangle((start, y0, end, y1), fill=TRACK)
        length = belief[k] * (end - start)
        if length >= 0.5:
            draw.rectangle((start, y0, start + length, y1), fill=PAST)
        draw.text((right, y), f"{100 * belief[k]:.0f}%", colour, font, anchor="rm")


def _shown(belief: NDArray[np.float64], label: int | None) -> list[int]:
    """Return the classes to show: all in order, or the likeliest and the true one if many."""
    if len(belief) <= _MAX_BARS:
        return list(range(len(belief)))
    shown = [int(k) for k in np.argsort(-belief, kind="stable")[:_MAX_BARS]]
    return shown if label is None or label in shown else [*shown[:-1], int(label)]


def _draw_marker(draw: ImageDraw.ImageDraw, x: float, y: float, r: float) -> None:
    """Draw the small triangle that points at the true class."""
    draw.polygon(((x, y - r), (x + 1.6 * r, y), (x, y + r)), fill=TEXT)


def _fit(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Shorten a text until it is at most `width` pixels wide."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


# --- helpers ---------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=max(8, size))


@lru_cache(maxsize=8)
def _widest(names: tuple[str, ...], font: ImageFont.FreeTypeFont) -> float:
    """Width of the widest name: of all, not of those shown, so that the bars keep their place."""
    return max(font.getlength(name) for name in names)


def _text_size(height: int) -> int:
    return max(9, round(height / 19))


def _even(n: int) -> int:
    return n + n % 2


def _resize(image: NDArray[np.uint8], width: int, height: int) -> Image.Image:
    """Enlarge with sharp pixels, so that they can be counted; shrink by averaging."""
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    grows = width >= picture.width and height >= picture.height
    method = Image.Resampling.NEAREST if grows else Image.Resampling.BOX
    return picture.resize((width, height), method).convert("RGB")


def _check_image(image: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise ValueError(
            f"got {name} {image.dtype} {image.shape}; wanted uint8 (height, width, 1 or 3)"
        )
    return image


def _check_windows(windows: ArrayLike) -> NDArray[np.float64]:
    windows = np.array(windows, np.float64)  # a copy: it is moved to the picture's coordinates
    if windows.ndim != 2 or windows.shape[1] != 3 or not len(windows):
        raise ValueError(f"got windows {windows.shape}; wanted (T, 3): left, top, side; T >= 1")
    if not np.isfinite(windows).all() or (windows[:, 2] <= 0).any():
        raise ValueError(f"got windows {windows.tolist()}; wanted finite numbers and sides above 0")
    return windows


def _check_belief(belief: ArrayLike, classes: Sequence[str] | None) -> NDArray[np.float64]:
    belief = np.asarray(belief, np.float64)
    if belief.ndim != 1 or not len(belief) or (classes is not None and len(classes) != len(belief)):
        wanted = "(K,)" if classes is None else f"({len(classes)},), one for each class"
        raise ValueError(f"got belief {belief.shape}; wanted {wanted}")
    if not ((belief >= -1e-6) & (belief <= 1 + 1e-6)).all():  # false for NaN, too
        raise ValueError(f"got belief {belief.tolist()}; wanted probabilities in [0, 1]")
    return belief
