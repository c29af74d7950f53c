"""A whole episode in one still picture: the way of the gaze, every glimpse, what was believed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from glimpse_envs.render.drawing import (
    DARK,
    LIGHT,
    Box,
    Palette,
    checked_belief,
    checked_image,
    checked_windows,
    class_name,
    draw_dot,
    draw_marker,
    draw_scene,
    draw_sign,
    draw_tiles,
    even,
    fitting,
    font,
    likeliest,
)

_MIN_HEIGHT = 160
_BARS = 3  # classes shown after each glimpse

# lengths in text sizes
_MARGIN, _GAP, _COLUMN_GAP = 0.6, 0.5, 1.0
_GLIMPSE, _TITLE, _BAR = 6.6, 1.6, 1.3
_CELL = _TITLE + _GLIMPSE + 0.4 + _BARS * _BAR  # a glimpse with number and belief
_LINE = 1.55
_LINES = 3  # beside the image: truth, answer, how many glimpses
_NARROW, _WIDE = 10.0, 12.5  # side of the image in a strip of one row, and of several


def draw_strip(
    image: NDArray[np.uint8],
    windows: ArrayLike,
    glimpses: Sequence[NDArray[np.uint8]],
    beliefs: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    label: int | None = None,
    prediction: int = -1,
    *,
    span: float = 1.0,
    budget: int | None = None,
    columns: int | None = None,
    light: bool = False,
    height: int = 256,
) -> NDArray[np.uint8]:
    """Draw an episode, uint8 (rows, columns, 3), both even.

    Left: the image with all windows and the numbered path of their centres (the last one amber),
    below it truth and answer. Right, for each glimpse: its number and the window's side in image
    pixels, the glimpse as the agent saw it, and with beliefs a bar for each of the three likeliest
    classes, the true one (marked by a triangle) always among them.
    The size depends on ``height``, ``budget``, ``columns`` and whether there are beliefs, on
    nothing else: strips of one run are equal.

    :param image: uint8 (H, W, C), C 1 or 3
    :param windows: (T, 3), left, top and side of each glimpse's window in image pixels
    :param glimpses: t of uint8 (S, k * S, C), k scales side by side
    :param beliefs: (T, K) class probabilities in [0, 1] after each glimpse
    :param classes: names of the classes; without them their numbers are shown
    :param label: true class; None if unknown
    :param prediction: the answer, -1 for none
    :param span: width of the widest scale that the sensor reads, in windows
    :param budget: so many glimpses have their place, those not taken an empty one; None for T
    :param columns: glimpses in a row; None for all in one
    :param light: on white, for pages; else on dark, as ``draw_frame`` and the films
    :param height: of a strip of one row with beliefs in pixels, at least 160; text grows with it
    :raises ValueError: an argument of another shape, type or range
    """
    image, windows = checked_image(image, "image"), checked_windows(windows)
    n = len(windows)
    budget = n if budget is None else budget
    columns = budget if columns is None else columns
    if height < _MIN_HEIGHT or not n <= budget or columns < 1:
        raise ValueError(
            f"got height={height}, budget={budget} and columns={columns} for {n} glimpses; wanted "
            f"a height of at least {_MIN_HEIGHT}, a budget of at least {n} and a column or more"
        )
    if len(glimpses) != n or (beliefs is not None and len(np.asarray(beliefs)) != n):
        got = "no" if beliefs is None else len(np.asarray(beliefs))
        raise ValueError(
            f"got {n} windows, {len(glimpses)} glimpses and {got} beliefs; wanted as many"
        )
    rows, columns = math.ceil(budget / columns), min(columns, budget)
    palette = LIGHT if light else DARK
    side = _NARROW if rows == 1 else _WIDE
    cell = _CELL if beliefs is not None else _CELL - _BARS * _BAR - 0.4
    text = height / (2 * _MARGIN + _NARROW + 0.5 + _LINES * _LINE)
    tall = max(rows * (cell + _GAP) - _GAP, side + 0.5 + _LINES * _LINE) + 2 * _MARGIN
    wide = 2 * _MARGIN + side + _COLUMN_GAP + columns * (_GLIMPSE + _GAP) - _GAP
    size = (even(round(wide * text)), even(round(tall * text)))
    frame = Image.new("RGB", size, palette.background)
    draw = ImageDraw.Draw(frame, "RGBA")

    box = _box(_MARGIN, _MARGIN, side, side, text)
    _draw_image(frame, image, windows, span, box, palette)
    box = _box(_MARGIN, _MARGIN + side + 0.5, side, _LINES * _LINE, text)
    _draw_end(draw, classes, label, prediction, (n, budget), box, palette)
    for t in range(budget):
        x = _MARGIN + side + _COLUMN_GAP + t % columns * (_GLIMPSE + _GAP)
        y = _MARGIN + t // columns * (cell + _GAP)
        square = _box(x, y + _TITLE, _GLIMPSE, _GLIMPSE, text)
        if t >= n:
            left, top, right, bottom = square
            draw.rectangle((left, top, right - 1, bottom - 1), outline=palette.track)
            continue
        title = _box(x, y, _GLIMPSE, _TITLE, text)
        _draw_title(draw, t, n, windows[t, 2] * span, title, palette)
        draw_tiles(frame, draw, checked_image(glimpses[t], "glimpse"), square, palette)
        if beliefs is not None:
            belief = checked_belief(np.asarray(beliefs)[t], classes)
            bars = _box(x, y + _TITLE + _GLIMPSE + 0.4, _GLIMPSE, _BARS * _BAR, text)
            _draw_bars(draw, classes, belief, label, bars, palette)
    return np.array(frame)


def _box(left: float, top: float, width: float, height: float, text: float) -> Box:
    """Return the box in pixels of what is given in text sizes."""
    return (
        round(left * text), round(top * text),
        round(left * text) + round(width * text), round(top * text) + round(height * text),
    )  # fmt: skip


def _draw_image(
    frame: Image.Image,
    image: NDArray[np.uint8],
    windows: NDArray[np.float64],
    span: float,
    box: Box,
    palette: Palette,
) -> None:
    """Draw the image with its windows as large as the box allows, in the middle of its width."""
    left, top, right, bottom = box
    rows, cols = image.shape[:2]
    scale = min((right - left) / cols, (bottom - top) / rows)
    wide, tall = max(1, round(cols * scale)), max(1, round(rows * scale))
    rim = left  # lines may reach over the image's border, up to the frame's
    x = rim + (right - left - wide) // 2
    size = (right - left + 2 * rim, tall + 2 * rim)
    place = (x, rim, x + wide, rim + tall)
    unit = (bottom - top) / 180  # stronger than in a frame of a film: pages show it smaller
    scene = draw_scene(image, windows, size, place, span=span, unit=unit, palette=palette)
    frame.paste(scene, (left - rim, top - rim))


def _draw_end(
    draw: ImageDraw.ImageDraw,
    classes: Sequence[str] | None,
    label: int | None,
    prediction: int,
    glimpses: tuple[int, int],
    box: Box,
    palette: Palette,
) -> None:
    """Write truth, answer and number of glimpses; by colour and sign whether it is right."""
    left, top, right, bottom = box
    line = (bottom - top) / _LINES
    size = line / _LINE
    small, large = font(round(0.95 * size)), font(round(1.2 * size))
    sign, x = left + 4.5 * size, left + 5.7 * size
    middles = [top + (row + 0.5) * line for row in range(_LINES)]
    if label is not None:
        draw.text((left, middles[0]), "Truth", palette.faint, small, anchor="lm")
        draw_marker(draw, sign + 0.15 * size, middles[0], 0.3 * size, palette.text)
        name = fitting(class_name(classes, label), large, right - x)
        draw.text((x, middles[0]), name, palette.text, large, anchor="lm")
    draw.text((left, middles[1]), "Answer", palette.faint, small, anchor="lm")
    verdict = {True: palette.right, False: palette.wrong}
    right_answer = None if label is None else prediction == label
    colour = palette.text if right_answer is None else verdict[right_answer]
    name = "none" if prediction < 0 else class_name(classes, prediction)
    draw.text((x, middles[1]), fitting(name, large, right - x), colour, large, anchor="lm")
    if right_answer is not None:
        draw_sign(draw, right_answer, sign, middles[1], size, colour)
    taken, budget = glimpses
    draw.text((left, middles[2]), "Glimpses", palette.faint, small, anchor="lm")
    draw.text((x, middles[2]), f"{taken} of {budget}", palette.text, small, anchor="lm")


def _draw_title(
    draw: ImageDraw.ImageDraw, t: int, n: int, side: float, box: Box, palette: Palette
) -> None:
    """Draw the glimpse's number as on the image, and how many image pixels its side spans."""
    left, top, right, bottom = box
    size = (bottom - top) / _TITLE
    middle = top + 0.45 * (bottom - top)
    colour = palette.current if t == n - 1 else palette.past
    draw_dot(draw, left + 0.62 * size, middle, 0.62 * size, colour, 0.08 * size, str(t + 1))
    text = f"{side:.0f} px wide"
    draw.text((right, middle), text, palette.faint, font(round(0.85 * size)), anchor="rm")


def _draw_bars(
    draw: ImageDraw.ImageDraw,
    classes: Sequence[str] | None,
    belief: NDArray[np.float64],
    label: int | None,
    box: Box,
    palette: Palette,
) -> None:
    """Draw the likeliest classes' probabilities as bars with the names on them."""
    left, top, right, bottom = box
    line = (bottom - top) / _BARS
    size = line / _BAR
    small = font(round(0.9 * size))
    best = int(np.argmax(belief))
    for row, k in enumerate(likeliest(belief, label, _BARS)):
        y0, y1 = round(top + row * line), round(top + (row + 1) * line) - 3
        middle, x = (y0 + y1) / 2, left + 0.3 * size
        draw.rectangle((left, y0, right - 1, y1), fill=palette.track)
        length = round(float(belief[k]) * (right - left))
        if length > 0:
            draw.rectangle((left, y0, left + length - 1, y1), fill=palette.bar)
        if k == label:
            draw_marker(draw, x, middle, 0.28 * size, palette.text)
            x += 0.7 * size
        name = fitting(class_name(classes, k), small, right - x)
        colour = palette.text if k in (label, best) else palette.faint
        draw.text((x, middle), name, colour, small, anchor="lm")
