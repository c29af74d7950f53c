"""A shift of the gaze, to follow what moves; nobody has to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.actions.checks import reals
from glimpse_envs.actions.fixed_zoom import FixedZoom
from glimpse_envs.actions.scheme import GO_ON, Move
from glimpse_envs.components import check_number
from glimpse_envs.gaze import Geometry


@dataclass(frozen=True)
class Pursuit(FixedZoom):
    """A shift of the gaze from where it is, ``Box(-1, 1, (2,))``; the agent never answers.

    0 keeps the gaze where it is. Episodes last for the whole budget. A classifier may be attached,
    and then answers after the last glimpse, as with ``Saccade``; none is needed where the reward is
    for looking at something, not for telling what it is.

    :param reach: the largest shift to the right and downwards, sides of the window
    :param zoom: of every glimpse
    """

    needs_classifier = False
    start = "target"

    reach: float = 1.0
    zoom: float = 1.0

    def __post_init__(self) -> None:
        check_number(self, "reach", low=1e-3, high=1000.0)
        super().__post_init__()

    def decode(
        self, actions: Any, gaze: NDArray[np.float32], geometry: Geometry, n_classes: int
    ) -> Move:
        """Return gaze and answers that the actions stand for, see :meth:`ActionScheme.decode`."""
        n = len(gaze)
        step = np.zeros((n, 3), np.float32)
        step[:, :2] = self.reach * reals(actions, (n, 2), -1.0)
        return Move(geometry.shift(self.zoomed(gaze), step), np.full(n, GO_ON, np.int64))

    def toward(
        self, target: NDArray[np.float32], gaze: NDArray[np.float32], geometry: Geometry
    ) -> NDArray[np.float32]:
        """Return the shifts that come nearest to another gaze, float32 (B, 2)."""
        wanted = geometry.windows(geometry.clamp(self.zoomed(target)))
        present = geometry.windows(self.zoomed(gaze))  # the gaze of an overview lies in the middle
        shift = (wanted[:, :2] - present[:, :2]) / (self.reach * wanted[:, 2:])
        return shift.clip(-1.0, 1.0).astype(np.float32)
