"""The next fixation; a classifier answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse_envs.actions.checks import reals
from glimpse_envs.actions.scheme import GO_ON, ActionScheme, Move
from glimpse_envs.components import check_number
from glimpse_envs.gaze import Geometry


@dataclass(frozen=True)
class Saccade(ActionScheme):
    """The next fixation, ``Box(-1, 1, (2,))``; a classifier answers.

    0 is the middle of the image. Centred on 0 because SB3 clips actions and never unscales them: on
    [0, 1] an untrained policy would start in the top left corner.

    :param zoom: of every glimpse
    """

    answers = False
    start = "centre"

    zoom: float = 1.0

    def __post_init__(self) -> None:
        check_number(self, "zoom", low=0.0, high=1.0)

    def action_space(self, n_classes: int) -> spaces.Box:
        """Return ``Box(-1, 1, (2,))``: the next fixation."""
        return spaces.Box(-1.0, 1.0, (2,), np.float32)

    def start_zoom(self, start: str) -> float:
        """Return the zoom of the first glimpse."""
        return 0.0 if start == "overview" else self.zoom

    def zooms(self) -> tuple[float, float]:
        """Return the smallest and the largest zoom of an action."""
        return self.zoom, self.zoom

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
        target = np.array(target, np.float32)
        target[:, 2] = self.zoom
        return 2.0 * geometry.clamp(target)[:, :2] - 1.0

    def with_random_gaze(self, actions: Any, rng: np.random.Generator) -> Any:
        """Return the actions with their moves and zooms drawn anew, answers kept."""
        return rng.uniform(-1.0, 1.0, np.shape(actions)).astype(np.float32)
