"""The panels beside the image: a glimpse enlarged, the belief after it, the answer.

Films and scanpath figures arrange the same panels. A panel is drawn into a box, its text ``size``
pixels large; the heights of panels are given in such text sizes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.render.drawing import (
    Box,
    Colour,
    Sheet,
    draw_dot,
    draw_marker,
    draw_sign,
    enlarged,
    fitting,
    font,
)
from glimpse_envs.render.episode import Episode

CAPTION = 1.6  # above the box of a glimpse or a belief
BAR = 1.3  # of a class in a belief, at least
ANSWER = 4.65  # three lines

_TALLEST_BAR = 2.2
_PERCENT_FROM = 8.0  # width of a panel whose bars have their percentages on them
_WORDS_FROM = 9.5  # width of a panel of the answer that has words beside its signs
_BETWEEN = 3  # bars, pixels
_BETWEEN_SCALES = 4


def draw_caption(sheet: Sheet, text: str, box: Box, size: float, *, right: bool = False) -> None:
    """Write a caption above a box, from its left side or, with ``right``, up to its right one."""
    place = (box[2] if right else box[0], box[1] - 0.55 * CAPTION * size)
    anchor = "rm" if right else "lm"
    sheet.draw.text(place, text, sheet.palette.faint, font(round(0.85 * size)), anchor=anchor)


def draw_glimpse(sheet: Sheet, episode: Episode, t: int, box: Box, size: float) -> None:
    """Draw glimpse t + 1 enlarged, k scales as outlined tiles; one that is not there as an outline.

    Above the box: its number as on the image, and how many image pixels its widest scale spans.
    """
    taken, palette = t < episode.n_glimpses, sheet.palette
    if taken:
        radius, middle = 0.62 * size, box[1] - 0.55 * CAPTION * size
        colour = palette.current if t == episode.n_glimpses - 1 else palette.past
        draw_dot(sheet.draw, box[0] + radius, middle, radius, colour, 0.08 * size, str(t + 1))
        width = f"{episode.windows[t, 2] * episode.span:.0f} px wide"
        draw_caption(sheet, width, box, size, right=True)
    glimpse = episode.glimpses[t] if taken else None
    if glimpse is None:
        ((x, y, side),) = _squares(1, box)
        sheet.draw.rectangle((x, y, x + side - 1, y + side - 1), outline=palette.track)
        return
    side = glimpse.shape[0]
    tiles = [glimpse[:, start : start + side] for start in range(0, glimpse.shape[1], side)]
    for k, (tile, (x, y, side)) in enumerate(zip(tiles, _squares(len(tiles), box), strict=True)):
        sheet.picture.paste(enlarged(tile, side, side), (x, y))
        colour = palette.current if k == 0 else palette.current_wide
        sheet.draw.rectangle((x, y, x + side - 1, y + side - 1), outline=colour)


def _squares(n: int, box: Box) -> list[tuple[int, int, int]]:
    """Return left, top and side of n equal squares in about as many rows as columns."""
    left, top, right, bottom = box
    gap, columns = _BETWEEN_SCALES, math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    step = min((right - left + gap) // columns, (bottom - top + gap) // rows)
    side = max(1, step - gap)
    return [(left + i % columns * step, top + i // columns * step, side) for i in range(n)]


def draw_belief(sheet: Sheet, episode: Episode, t: int, n: int, box: Box, size: float) -> None:
    """Draw the belief after glimpse t + 1 as bars with the classes' names on them.

    The true class is marked; it and the likeliest are bright.

    :param n: the most classes to show
    """
    belief = episode.beliefs[t] if episode.beliefs is not None else None
    if belief is None:
        return
    left, top, right, bottom = box
    draw, palette = sheet.draw, sheet.palette
    shown, best = shown_classes(belief, episode.label, n), int(np.argmax(belief))
    line = min((bottom - top) / len(shown), _TALLEST_BAR * size)
    small = font(round(min(0.9 * size, 0.68 * line)))
    percent = right - left >= _PERCENT_FROM * size
    end = right - 0.3 * size - (small.getlength("100%") if percent else 0.0)
    for row, k in enumerate(shown):
        y0, y1 = round(top + row * line), round(top + (row + 1) * line) - _BETWEEN
        middle, x = (y0 + y1) / 2, left + 0.3 * size
        draw.rectangle((left, y0, right - 1, y1), fill=palette.track)
        length = round(float(belief[k]) * (right - left))
        if length > 0:
            draw.rectangle((left, y0, left + length - 1, y1), fill=palette.bar)
        if k == episode.label:
            draw_marker(draw, x, middle, 0.28 * size, palette.text)
            x += 0.75 * size
        colour = palette.text if k in (episode.label, best) else palette.faint
        name = fitting(episode.name(k), small, end - x)
        draw.text((x, middle), name, colour, small, anchor="lm")
        if percent:
            text = f"{100 * belief[k]:.0f}%"
            draw.text((right - 0.3 * size, middle), text, colour, small, anchor="rm")


def shown_classes(belief: NDArray[np.float64], label: int | None, n: int) -> list[int]:
    """Return all classes in order or, if they are more than n, the n likeliest, surest first.

    The true one is always among them: the last gives way to it.
    """
    if len(belief) <= n:
        return list(range(len(belief)))
    shown = [int(k) for k in np.argsort(-belief, kind="stable")[:n]]
    return shown if label is None or label in shown else [*shown[:-1], int(label)]


def draw_answer(sheet: Sheet, episode: Episode, box: Box, size: float) -> None:
    """Write truth, answer and number of glimpses; by colour and sign whether it is right.

    A narrow panel has the signs alone, so that there is room for the classes' names.
    """
    left, top, right, bottom = box
    draw, palette, small = sheet.draw, sheet.palette, font(round(0.9 * size))
    words = right - left >= _WORDS_FROM * size
    sign = left + (3.65 * size if words else 0.0)
    x = sign + 1.2 * size
    truth, answer, count = (top + (row + 0.5) * (bottom - top) / 3 for row in range(3))
    if words:
        middle = "Gaze" if episode.follows else "Answer"
        for word, y in (("Truth", truth), (middle, answer), ("Glimpses", count)):
            if word != "Truth" or episode.label is not None:
                draw.text((left, y), word, palette.faint, small, anchor="lm")
    if episode.label is not None:
        draw_marker(draw, sign + 0.15 * size, truth, 0.3 * size, palette.text)
        _draw_name(sheet, episode.name(episode.label), x, truth, box, palette.text, size)

    if episode.right is None:
        colour = palette.text if episode.prediction >= 0 else palette.faint
    else:
        colour = palette.right if episode.right else palette.wrong
        draw_sign(draw, episode.right, sign, answer, size, colour)
    if episode.follows:
        name = "on target" if episode.on_target else "off target"
    elif episode.prediction >= 0:
        name = episode.name(episode.prediction)
    else:
        name = "no answer" if episode.ended else "not yet"
    _draw_name(sheet, name, x, answer, box, colour, size)

    text = f"{episode.n_glimpses} of {episode.budget}"
    draw.text((x, count), text, palette.text, small, anchor="lm")


def _draw_name(
    sheet: Sheet, name: str, x: float, y: float, box: Box, colour: Colour, size: float
) -> None:
    """Write a class's name large or, where it would leave the box, small and then shortened."""
    room, large, small = box[2] - x, font(round(1.2 * size)), font(round(0.9 * size))
    chosen = large if large.getlength(name) <= room else small
    sheet.draw.text((x, y), fitting(name, chosen, room), colour, chosen, anchor="lm")
