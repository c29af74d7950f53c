"""Scanpath figures: a whole episode in one still picture, glimpse by glimpse."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.render.drawing import DARK, LIGHT, Box, Sheet
from glimpse_envs.render.episode import Episode
from glimpse_envs.render.image_panel import draw_image
from glimpse_envs.render.panels import ANSWER, BAR, CAPTION, draw_answer, draw_belief, draw_glimpse

_MIN_HEIGHT = 160
_BARS = 3  # classes shown after each glimpse

# lengths in text sizes
_MARGIN, _GAP, _COLUMN_GAP, _ABOVE_BARS, _ABOVE_ANSWER = 0.6, 0.5, 1.0, 0.4, 0.5
_GLIMPSE = 6.6
_NARROW, _WIDE = 10.0, 12.5  # side of the image in a figure of one row, and of several


def draw_scanpath(
    episode: Episode, *, columns: int | None = None, light: bool = False, height: int = 256
) -> NDArray[np.uint8]:
    """Draw an episode, uint8 (rows, columns, 3), both even.

    Left: the image with all windows and the numbered path of their centres (the last one amber),
    below it truth and answer. Right, for each glimpse: its number and the window's side in image
    pixels, the glimpse as the agent saw it, and with beliefs a bar for each of the three likeliest
    classes, the true one (marked by a triangle) always among them. Glimpses of the budget that were
    not taken have an empty place.
    The size depends on ``height``, ``columns``, the budget and whether there are beliefs, on
    nothing else: the figures of one run are equal.

    :param columns: glimpses in a row; None for all in one
    :param light: on white, for pages; else on dark, as ``draw_frame`` and the films
    :param height: of a figure of one row with beliefs in pixels, at least 160; text grows with it
    :raises ValueError: a smaller height, or no column
    """
    columns = episode.budget if columns is None else columns
    if height < _MIN_HEIGHT or columns < 1:
        raise ValueError(
            f"got height={height} and columns={columns}; wanted a height of at least {_MIN_HEIGHT} "
            "and a column or more"
        )
    rows, columns = math.ceil(episode.budget / columns), min(columns, episode.budget)
    side = _NARROW if rows == 1 else _WIDE
    cell = CAPTION + _GLIMPSE
    if episode.beliefs is not None:
        cell += _ABOVE_BARS + _BARS * BAR
    size = height / (2 * _MARGIN + _NARROW + _ABOVE_ANSWER + ANSWER)  # of text
    tall = max(rows * (cell + _GAP) - _GAP, side + _ABOVE_ANSWER + ANSWER) + 2 * _MARGIN
    wide = 2 * _MARGIN + side + _COLUMN_GAP + columns * (_GLIMPSE + _GAP) - _GAP
    sheet = Sheet.blank(round(wide * size), round(tall * size), LIGHT if light else DARK)

    box = _box(_MARGIN, _MARGIN, side, side, size)
    # lines are stronger than in a frame of a film: pages show figures smaller
    draw_image(sheet, episode, box, unit=(box[3] - box[1]) / 180)
    box = _box(_MARGIN, _MARGIN + side + _ABOVE_ANSWER, side, ANSWER, size)
    draw_answer(sheet, episode, box, size)
    for t in range(episode.budget):
        row, column = divmod(t, columns)
        x = _MARGIN + side + _COLUMN_GAP + column * (_GLIMPSE + _GAP)
        y = _MARGIN + row * (cell + _GAP)
        y += CAPTION
        draw_glimpse(sheet, episode, t, _box(x, y, _GLIMPSE, _GLIMPSE, size), size)
        if t < episode.n_glimpses:
            y += _GLIMPSE + _ABOVE_BARS
            draw_belief(sheet, episode, t, _BARS, _box(x, y, _GLIMPSE, _BARS * BAR, size), size)
    return np.array(sheet.picture)


def _box(left: float, top: float, width: float, height: float, size: float) -> Box:
    """Return the box in pixels of what is given in text sizes."""
    x, y = round(left * size), round(top * size)
    return x, y, x + round(width * size), y + round(height * size)
