"""Pictures of an episode: the image, where the agent looked, what it saw and what it thinks.

``draw_frame`` draws one moment; ``glimpse_envs.render.scanpath_figure`` has a whole episode in one
picture. ``tile_frames`` (several side by side) and ``write_video`` (an mp4 or a gif of a sequence)
are at hand here, too. Numpy and Pillow only, and fast, because a frame is drawn at every rendered
step.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from glimpse_envs.render.drawing import (
    DARK,
    Box,
    checked_belief,
    checked_image,
    checked_windows,
    class_name,
    draw_marker,
    draw_scene,
    draw_sign,
    draw_tiles,
    even,
    fitting,
    font,
    likeliest,
)
from glimpse_envs.render.videos import tile_frames, write_video

__all__ = ["draw_frame", "tile_frames", "write_video"]

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
    The size depends on ``height``, the image's shape and whether there is a belief, on nothing
    else: it is constant over an episode, as video encoders need.

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
    image, windows = checked_image(image, "image"), checked_windows(windows)
    if height < _MIN_HEIGHT:
        raise ValueError(f"got height={height}; wanted at least {_MIN_HEIGHT} pixels")
    height = even(height)
    probabilities = None if belief is None else checked_belief(belief, classes)

    margin = max(4, round(0.045 * height))
    column, bars = round(0.62 * height), round(0.72 * height)
    rows, cols = image.shape[:2]
    room = height - 2 * margin
    scale = min(room / rows, _MAX_ASPECT * room / cols)
    wide, tall = max(1, round(cols * scale)), max(1, round(rows * scale))
    top = (height - tall) // 2
    scene = draw_scene(
        image,
        windows,
        (wide + 2 * margin, height),
        (margin, top, margin + wide, top + tall),
        span=span,
        unit=height / 256,
        palette=DARK,
    )
    left = scene.width + margin // 2
    width = left + column + margin + (0 if probabilities is None else margin + bars)
    width = even(width)
    frame = Image.new("RGB", (width, height), DARK.background)
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


# --- the panel -------------------------------------------------------------------------------


def _draw_glimpse(
    frame: Image.Image,
    draw: ImageDraw.ImageDraw,
    glimpse: NDArray[np.uint8] | None,
    number: int,
    box: Box,
) -> None:
    left, top, right, bottom = box
    small = _text_size(frame.height)
    draw.text((left, top), f"Glimpse {number}", fill=DARK.current, font=font(small), anchor="la")
    if glimpse is None:
        return
    box = (left, top + round(1.5 * small), right, bottom - small // 2)
    draw_tiles(frame, draw, checked_image(glimpse, "glimpse"), box, DARK)


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
    small, large = font(round(0.95 * size)), font(round(1.15 * size))
    lines = [top + (row + 0.5) * (bottom - top) / 3 for row in range(3)]
    sign = left + 3.8 * size
    x = sign + 1.15 * size

    if label is not None:
        draw.text((left, lines[0]), "Truth", DARK.faint, small, anchor="lm")
        draw_marker(draw, sign + 0.15 * size, lines[0], 0.3 * size, DARK.text)
        name = fitting(class_name(classes, label), small, right - x)
        draw.text((x, lines[0]), name, DARK.text, small, "lm")
    draw.text((left, lines[1]), "Answer", DARK.faint, small, anchor="lm")
    if prediction < 0:
        draw.text((x, lines[1]), "not yet", DARK.faint, small, anchor="lm")
        return
    colour = DARK.text if label is None else (DARK.right if prediction == label else DARK.wrong)
    name = fitting(class_name(classes, prediction), large, right - x)
    draw.text((x, lines[1]), name, colour, large, anchor="lm")
    if label is not None:
        draw_sign(draw, prediction == label, sign, lines[1], size, colour)
        verdict = "right" if prediction == label else "wrong"
        draw.text((x, lines[2]), verdict, colour, large, anchor="lm")


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
    draw.text((left, top), title, DARK.faint, font(size), anchor="la")
    top += round(1.5 * size)
    line = min((bottom - top) / len(shown), 2.2 * size)
    small = font(min(size, round(0.68 * line)))
    marker = 0.3 * size
    names = tuple(class_name(classes, k) for k in range(len(belief)))
    room = min(_widest(names, small), 0.5 * (right - left))
    start = left + 3 * marker + room + 0.5 * size
    end = right - small.getlength("100%") - 0.4 * size
    best = int(np.argmax(belief))
    for row, k in enumerate(shown):
        y = top + (row + 0.5) * line
        colour = DARK.text if k in (label, best) else DARK.faint
        name = fitting(names[k], small, room)
        draw.text((start - 0.5 * size, y), name, colour, small, anchor="rm")
        if k == label:
            x = start - 0.5 * size - small.getlength(name)
            draw_marker(draw, x - 2.6 * marker, y, marker, DARK.text)
        y0, y1 = round(y - 0.33 * line), round(y + 0.33 * line) - 1
        draw.rectangle((start, y0, end, y1), fill=DARK.track)
        length = belief[k] * (end - start)
        if length >= 0.5:
            draw.rectangle((start, y0, start + length, y1), fill=DARK.past)
        draw.text((right, y), f"{100 * belief[k]:.0f}%", colour, small, anchor="rm")


def _shown(belief: NDArray[np.float64], label: int | None) -> list[int]:
    """Return the classes to show: all in order, or the likeliest and the true one if many."""
    if len(belief) <= _MAX_BARS:
        return list(range(len(belief)))
    return likeliest(belief, label, _MAX_BARS)


@lru_cache(maxsize=8)
def _widest(names: tuple[str, ...], font: ImageFont.FreeTypeFont) -> float:
    """Width of the widest name: of all, not of those shown, so that the bars keep their place."""
    return max(font.getlength(name) for name in names)


def _text_size(height: int) -> int:
    return max(9, round(height / 19))
