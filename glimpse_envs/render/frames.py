"""Frames of films: the image, where the agent looked, what it saw and what it thinks.

``draw_frame`` draws one moment; ``glimpse_envs.render.scanpath_figure`` has a whole episode in one
picture. ``tile_frames`` (several side by side) and ``write_video`` (an mp4 or a gif of a sequence)
are at hand here, too. Numpy and Pillow only, and fast, because a frame is drawn at every rendered
step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.render.drawing import DARK, Sheet
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

__all__ = ["draw_frame", "tile_frames", "write_video"]

_MIN_HEIGHT = 128
_MAX_ASPECT = 2.0  # a wider image is shown smaller instead of making the frame wider
_MAX_BARS = 10


def draw_frame(episode: Episode, *, height: int = 256) -> NDArray[np.uint8]:
    """Draw the latest moment of an episode, uint8 (height, width, 3), both even.

    Left: the image with all windows so far (earlier ones thin and fading, the current one strong)
    and the numbered path of their centres. Middle: the glimpse as the agent saw it, the true label
    and the answer. Right, with beliefs: a bar for each class, or if they are more than ten for the
    likeliest and the true one.
    The size depends on ``height``, the image's shape and whether there are beliefs, on nothing
    else: it is constant over an episode, as video encoders need.

    :param height: of the frame in pixels, at least 128; an odd one is made even by one row more
    :raises ValueError: a smaller height
    """
    if height < _MIN_HEIGHT:
        raise ValueError(f"got height={height}; wanted at least {_MIN_HEIGHT} pixels")
    height += height % 2
    size = max(9.0, height / 18.5)  # of text
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
    draw_image(sheet, episode, (margin, top, margin + across, bottom), unit=height / 256)
    top += round(CAPTION * size)
    middle = bottom - round(ANSWER * size)
    draw_glimpse(sheet, episode, t, (left, top, right, middle - round(0.5 * size)), size)
    draw_answer(sheet, episode, (left, middle, right, bottom), size)
    belief = None if episode.beliefs is None else episode.beliefs[t]
    if belief is not None:
        box = (right + margin, top, right + margin + bars, bottom)
        n, of = min(_MAX_BARS, len(belief)), len(belief)
        draw_caption(sheet, "Belief" if n == of else f"Belief: {n} of {of}", box, size)
        draw_belief(sheet, episode, t, _MAX_BARS, box, size)
    return np.array(sheet.picture)
