"""A drawing of an episode of inverse action modelling: before, after, and what was made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.render.drawing import DARK, Palette, Sheet, enlarged, fitting, font
from glimpse_envs.text import readable

_MIN_SIDE = 64


def draw_frame(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    made: NDArray[np.uint8] | None,
    action: str,
    similarity: float,
    instruction: str = "",
    *,
    side: int = 192,
    palette: Palette = DARK,
) -> NDArray[np.uint8]:
    """Draw three images side by side, uint8 (height, width, 3), both even.

    :param before: the canvas at the start, uint8 (H, W, C)
    :param after: the target, uint8 (H, W, C)
    :param made: the canvas as the actions so far have left it; None if there was none
    :param action: the last action in words
    :param similarity: of ``made`` with ``after``
    :param instruction: that tells what to do; "" where ``after`` does
    :param side: of the longer side of an image in the drawing, pixels
    :param palette: the colours
    :raises ValueError: a side of less than 64
    """
    if side < _MIN_SIDE:
        raise ValueError(f"got side={side}; wanted at least {_MIN_SIDE} pixels")
    rows, columns = before.shape[:2]
    factor = side / max(rows, columns)
    height, width = round(factor * rows), round(factor * columns)
    margin, size = round(0.06 * side), round(0.075 * side)
    letters = font(size)
    line = size + margin // 2
    sheet = Sheet.blank(
        4 * margin + 3 * width, 2 * margin + height + (3 if instruction else 2) * line, palette
    )
    titles = ("before", "after, not shown" if instruction else "after", "before, transformed")
    for i, (title, image) in enumerate(zip(titles, (before, after, made), strict=True)):
        left = margin + i * (width + margin)
        sheet.draw.text((left, margin), title, palette.faint, letters)
        box = (left, margin + line, left + width - 1, margin + line + height - 1)
        if image is None:
            sheet.draw.rectangle(box, fill=palette.track)
        else:
            sheet.picture.paste(enlarged(image, width, height), box[:2])
    wide = 3 * width + 2 * margin
    if instruction:
        place = (margin, margin + line + height + margin // 2)
        shown = fitting(readable(instruction), letters, wide)
        sheet.draw.text(place, shown, palette.current, letters)
    if made is not None:
        text = f"{action}: similarity {similarity:.2f}"
        place = (margin, sheet.picture.height - margin // 2)
        shown = fitting(text, letters, wide)
        sheet.draw.text(place, shown, palette.text, letters, anchor="ls")
    return np.array(sheet.picture)
