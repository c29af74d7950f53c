"""Masks of the legal actions, laid out as sb3-contrib's MaskablePPO reads them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.gaze import Geometry

#: sums of zoom steps miss 0 and 1 by less: a step that only makes up for it changes nothing
_ROUNDING = 1e-6


def discrete_masks(
    gaze: NDArray[np.float32],
    steps: NDArray[np.float32],
    last: NDArray[np.bool_],
    geometry: Geometry,
    n_classes: int,
) -> NDArray[np.bool_]:
    """Return the masks of one choice among n steps and K answers, bool (B, n + K).

    A step is legal if it changes the gaze and a glimpse is left; answers always are.

    :param gaze: float32 (B, 3)
    :param steps: relative ones, as ``Geometry.shift`` takes them, float32 (n, 3)
    :param last: bool (B,), the lanes that have taken the last glimpse of their budget
    """
    changes = _differ(geometry.after_each(gaze, steps), gaze[:, None]).any(2)  # (B, n)
    answers = np.ones((len(gaze), n_classes), np.bool_)
    return np.concatenate([changes & ~last[:, None], answers], axis=1)


def multi_discrete_masks(
    gaze: NDArray[np.float32],
    steps: NDArray[np.float32],
    last: NDArray[np.bool_],
    geometry: Geometry,
    n_classes: int,
) -> NDArray[np.bool_]:
    """Return the masks of move, zoom and decision side by side, bool (B, 9 + 3 + K + 1).

    Staying, keeping the zoom and every answer are always legal; a zoom is if it changes the zoom.
    The zoom comes before the move, and the masks of the parts know nothing of each other. So a
    direction is legal if it changes the fixation together with at least one legal zoom: a tighter
    mask would forbid an action that does something, and this one lets pass directions that do
    nothing together with another zoom. After the last glimpse only staying, keeping and answers
    are legal.

    :param gaze: float32 (B, 3)
    :param steps: of every move (the first stays) with every zoom (out, keep, in), as
        ``Geometry.shift`` takes them, float32 (9, 3, 3)
    :param last: bool (B,), the lanes that have taken the last glimpse of their budget
    """
    n_moves, n_zooms, _ = steps.shape
    after = geometry.after_each(gaze, steps.reshape(-1, 3)).reshape(-1, n_moves, n_zooms, 3)
    left = ~last[:, None]
    zooms = _differ(after[:, 0, :, 2], gaze[:, 2:]) & left  # (B, 3)
    zooms[:, 1] = True
    moved = _differ(after[..., :2], after[:, :1, :, :2]).any(3)  # (B, 9, 3)
    moves = moved.any(2) & left  # (B, 9); an illegal zoom is no other than keeping it
    moves[:, 0] = True
    answers = np.ones((len(gaze), n_classes), np.bool_)
    return np.concatenate([moves, zooms, left, answers], axis=1)


def _differ(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.abs(ours - theirs) > _ROUNDING
