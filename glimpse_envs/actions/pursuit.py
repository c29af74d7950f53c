"""A shift of the gaze, to follow what moves; nobody has to answer."""

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
class Pursuit(ActionScheme):
    """A shift of the gaze from where it is, ``Box(-1, 1, (2,))``; the agent never answers.

    0 keeps the gaze where it is. Episodes last for the whole budget. A classifier may be attached,
    and then answers after the last glimpse, as with ``Saccade``; none is needed where the reward is
    for looking at something, not for telling what it is.

    :param reach: the largest shift to the right and downwards, sides of the window
    :param zoom: of every glimpse
    """

    answers = False
    needs_classifier = False
    start = "target"

    reach: float = 1.0
    zoom: float = 1.0

    def __post_init__(self) -> None:
        check_number(self, "reach", low=1e-3, high=1000.0)
        check_number(self, "zoom", low=0.0, high=1.0)

    def action_space(self, n_classes: int) -> spaces.Box:
        """Return ``Box(-1, 1, (2,))``: the shift to the right and downwards."""
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
        step = np.zeros((n, 3), np.float32)
        step[:, :2] = self.reach * reals(actions, (n, 2), -1.0)
        return Move(geometry.shift(self._zoomed(gaze), step), np.full(n, GO_ON, np.int64))

    def toward(
        self, target: NDArray[np.float32], gaze: NDArray[np.float32], geometry: Geometry
    ) -> NDArray[np.float32]:
        """Return the shifts that come nearest to another gaze, float32 (B, 2)."""
        wanted = geometry.windows(geometry.clamp(self._zoomed(np.asarray(target))))
        present = geometry.windows(self._zoomed(gaze))  # the gaze of an overview lies in the middle
        shift = (wanted[:, :2] - present[:, :2]) / (self.reach * wanted[:, 2:])
        return shift.clip(-1.0, 1.0).astype(np.float32)

    def with_random_gaze(self, actions: Any, rng: np.random.Generator) -> Any:
        """Return the actions with their shifts drawn anew."""
        return rng.uniform(-1.0, 1.0, np.shape(actions)).astype(np.float32)

    def _zoomed(self, gaze: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return gazes of this zoom at the same fixations."""
        gaze = np.array(gaze, np.float32)
        gaze[:, 2] = self.zoom
        return gaze
