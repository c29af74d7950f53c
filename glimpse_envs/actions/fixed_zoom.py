"""A gaze of two real numbers, at one zoom; what the agent does not answer a classifier may."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse_envs.actions.scheme import ActionScheme
from glimpse_envs.components import check_number


class FixedZoom(ActionScheme):
    """Actions ``Box(-1, 1, (2,))`` that move a window of one size.

    Centred on 0 because SB3 clips actions and never unscales them: on [0, 1] an untrained policy
    would always go to the top left.
    """

    answers = False

    zoom: float

    def __post_init__(self) -> None:
        check_number(self, "zoom", low=0.0, high=1.0)

    def action_space(self, n_classes: int) -> spaces.Box:
        """Return ``Box(-1, 1, (2,))``: to the right and downwards."""
        return spaces.Box(-1.0, 1.0, (2,), np.float32)

    def start_zoom(self, start: str) -> float:
        """Return the zoom of the first glimpse."""
        return 0.0 if start == "overview" else self.zoom

    def zooms(self) -> tuple[float, float]:
        """Return the smallest and the largest zoom of an action."""
        return self.zoom, self.zoom

    def with_random_gaze(self, actions: Any, rng: np.random.Generator) -> Any:
        """Return the actions with their moves drawn anew."""
        return rng.uniform(-1.0, 1.0, np.shape(actions)).astype(np.float32)

    def zoomed(self, gaze: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return gazes of this zoom at the same fixations, float32 (B, 3)."""
        gaze = np.array(gaze, np.float32)
        gaze[:, 2] = self.zoom
        return gaze
