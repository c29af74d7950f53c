"""Frames of films: the image, where the agent looked, what it saw and what it thinks.

``draw_frame`` draws one moment; ``glimpse_envs.render.scanpath_figure`` has a whole episode in one
picture. ``tile_frames`` (several side by side) and ``write_video`` (an mp4 or a gif of a sequence)
are at hand here, too. Numpy and Pillow only, and fast, because a frame is drawn at every rendered
step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.render.drawing import DARK, Sheet, draw_corners, draw_marker, draw_sign, font
from glimpse_envs.render.episode import Episode
from glimpse_envs.render.image_panel import draw_image
from glimpse_envs.render.panels import (
    ANSWER,
    CAPTION,
    draw_answer,
    draw_belief,
    draw_caption,
    draw_glimpse,
)
from glimpse_envs.render.videos import tile_frames, write_video

__all__ = ["draw_frame", "draw_legend", "tile_frames", "write_video"]

_MIN_HEIGHT = 128
_MAX_ASPECT = 2.0  # a wider image is shown smaller instead of making the frame wider
_MAX_BARS = 6


def draw_frame(episode: Episode, *, height: int = 256) -> NDArray[np.uint8]:
    """Draw the latest moment of an episode, uint8 (height, width, 3), both even.

    Left: the image with all windows so far (earlier ones thin and fading, the current one strong)
    and the numbered path of their centres. Middle: the glimpse as the agent saw it, the true label
    and the answer. Right, with beliefs: a bar for each class, or if they are more than six for the
    likeliest and the true one.
    The size depends on ``height``, the image's shape and whether there are beliefs, on nothing
    else: it is constant over an episode, as video encoders need.

    :param height: of the frame in pixels, at least 128; an odd one is made even by one row more
    :raises ValueError: a smaller height
    """
    if height < _MIN_HEIGHT:
        raise ValueError(f"got height={height}; wanted at least {_MIN_HEIGHT} pixels")
    height += height % 2
    size = max(9.0, height / 11.5)  # of text: films show several frames side by side
    margin = max(4, round(0.045 * height))
    column, bars = round(0.62 * height), round(0.72 * height)
    rows, columns = episode.image.shape[:2]
    room = height - 2 * margin
    across = max(1, round(columns * min(room / rows, _MAX_ASPECT * room / columns)))
    left = across + 2 * margin + margin // 2
    right = left + column
    wide = right + margin if episode.beliefs is None else right + margin + bars + margin
    sheet = Sheet.blank(wide, height, DARK)

    top, bottom, t = margin, height - margin, episode.n_glimpses - 1
    draw_image(sheet, episode, (margin, top, margin + across, bottom), unit=height / 160)
    top += round(CAPTION * size)
    middle = bottom - round(ANSWER * size)
    draw_glimpse(sheet, episode, t, (left, top, right, middle - round(0.5 * size)), size)
    draw_answer(sheet, episode, (left, middle, right, bottom), size)
    belief = None if episode.beliefs is None else episode.beliefs[t]
    if belief is not None:
        box = (right + margin, top, right + margin + bars, bottom)
        n, of = min(_MAX_BARS, len(belief)), len(belief)
        draw_caption(sheet, "Belief" if n == of else f"Belief, {n} of {of}", box, size)
        draw_belief(sheet, episode, t, _MAX_BARS, box, size)
    return np.array(sheet.picture)


def draw_legend(
    width: int, *, height: int = 36, target: bool = False, follows: bool = False
) -> NDArray[np.uint8]:
    """Draw what colours and signs of frames mean, uint8 (height, width, 3), both even.

    What has no room in a line of this width is left out, from the end.

    :param width: of the film in pixels
    :param height: of the line in pixels
    :param target: whether corners mark what the episodes are about
    :param follows: whether nobody answers, as of an ``Episode``
    """
    sheet = Sheet.blank(width, height, DARK)
    size, middle = 0.55 * height, 0.5 * height
    letters, palette = font(round(size)), sheet.palette
    x = size
    for sign, text in (
        *([("target", "named object")] if target else []),
        ("past", "earlier glimpses"),
        ("current", "the latest"),
        ("truth", "true class"),
        ("right", "on target" if follows else "right"),
        ("wrong", "off target" if follows else "wrong, or no answer"),
    ):
        if x + 1.3 * size + letters.getlength(text) > width:
            break
        if sign == "truth":
            draw_marker(sheet.draw, x + 0.2 * size, middle, 0.4 * size, palette.text)
        elif sign == "target":
            half = 0.42 * size
            draw_corners(sheet.draw, (x, middle - half, 2 * half, 2 * half), size / 13)
        elif sign in ("right", "wrong"):
            colour = getattr(palette, sign)
            draw_sign(sheet.draw, sign == "right", x, middle, 1.2 * size, colour)
        else:
            half = 0.42 * size
            box = (x, middle - half, x + 2 * half, middle + half)
            sheet.draw.rectangle(box, outline=getattr(palette, sign), width=max(2, round(size / 6)))
        x += 1.3 * size
        sheet.draw.text((x, middle), text, palette.text, letters, anchor="lm")
        x += letters.getlength(text) + 1.5 * size
    return np.array(sheet.picture)
