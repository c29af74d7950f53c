"""The next fixation; a classifier answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.actions.checks import reals
from glimpse_envs.actions.fixed_zoom import FixedZoom
from glimpse_envs.actions.scheme import GO_ON, Move
from glimpse_envs.gaze import Geometry


@dataclass(frozen=True)
class Saccade(FixedZoom):
    """The next fixation, ``Box(-1, 1, (2,))``; a classifier answers.

    0 is the middle of the image.

    :param zoom: of every glimpse
    """

    start = "centre"

    zoom: float = 1.0

    def decode(
        self, actions: Any, gaze: NDArray[np.float32], geometry: Geometry, n_classes: int
    ) -> Move:
        """Return gaze and answers that the actions stand for, see :meth:`ActionScheme.decode`."""
        n = len(gaze)
        target = np.full((n, 3), self.zoom, np.float32)
        target[:, :2] = self.fixations(actions, n)
        return Move(geometry.clamp(target), np.full(n, GO_ON, np.int64))

    @staticmethod
    def fixations(actions: Any, n: int) -> NDArray[np.float32]:
        """Return the fixations that actions of n lanes stand for, float32 (n, 2), not clamped."""
        return 0.5 + 0.5 * reals(actions, (n, 2), -1.0)

    def toward(
        self, target: NDArray[np.float32], gaze: NDArray[np.float32], geometry: Geometry
    ) -> NDArray[np.float32]:
        """Return the fixations nearest to another gaze, float32 (B, 2)."""
        return 2.0 * geometry.clamp(self.zoomed(target))[:, :2] - 1.0
