"""The gaze itself."""

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
class Anywhere(ActionScheme):
    """The next gaze itself, ``Box(0, 1, (3,))``: x, y, zoom; a classifier answers.

    With it a scripted gaze, such as a grid or the best fixed sequence, meets the images,
    the sensor and the classifier of another environment.

    :param close: zoom of a first glimpse that starts elsewhere than with an overview
    """

    answers = False
    least_budget = 1  # no agent acts: of one glimpse, the reset's, an answer can be asked for

    close: float = 1.0

    def __post_init__(self) -> None:
        check_number(self, "close", low=0.0, high=1.0)

    def action_space(self, n_classes: int) -> spaces.Box:
        """Return a Box of the whole gaze."""
        return spaces.Box(0.0, 1.0, (3,), np.float32)

    def start_zoom(self, start: str) -> float:
        """Return the zoom of the first glimpse."""
        return 0.0 if start == "overview" else self.close

    def decode(
        self, actions: Any, gaze: NDArray[np.float32], geometry: Geometry, n_classes: int
    ) -> Move:
        """Return gaze and answers that the actions stand for, see :meth:`ActionScheme.decode`."""
        n = len(gaze)
        target = reals(actions, (n, 3), 0.0)
        return Move(geometry.clamp(target), np.full(n, GO_ON, np.int64))

    def toward(
        self, target: NDArray[np.float32], gaze: NDArray[np.float32], geometry: Geometry
    ) -> NDArray[np.float32]:
        """Return the other gaze itself, float32 (B, 3)."""
        return geometry.clamp(target)

    def with_random_gaze(self, actions: Any, rng: np.random.Generator) -> Any:
        """Return the actions with their moves and zooms drawn anew, answers kept."""
        return rng.random(np.shape(actions), np.float32)
