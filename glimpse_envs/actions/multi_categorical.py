"""A move, a zoom and a decision at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse_envs.actions.checks import integers
from glimpse_envs.actions.scheme import DIRECTIONS, ActionScheme, Move
from glimpse_envs.compiled import kernel
from glimpse_envs.components import check_number
from glimpse_envs.gaze import Geometry
from glimpse_envs.masks import multi_discrete_masks

#: every move of MultiCategorical with every zoom, going on
_MOVES_AND_ZOOMS = np.array([(move, zoom, 0) for move in range(9) for zoom in range(3)])


@dataclass(frozen=True)
class MultiCategorical(ActionScheme):
    """Move, zoom and decision at once: ``MultiDiscrete([9, 3, K + 1])``.

    Move: 0 stays, 1-8 left, right, up, down, up left, up right, down left, down right. Zoom: 0
    out, 1 keep, 2 in; a step about halves or doubles the window and comes before the move.
    Decision: 0 goes on, k + 1 answers class k.

    :param stride: length of a move, sides of the window
    """

    stride: float = 0.5

    def __post_init__(self) -> None:
        check_number(self, "stride", low=0.05, high=2.0)

    def action_space(self, n_classes: int) -> spaces.MultiDiscrete:
        """Return ``MultiDiscrete([9, 3, n_classes + 1])``: move, zoom, decision."""
        return spaces.MultiDiscrete([9, 3, n_classes + 1])

    def decode(
        self, actions: Any, gaze: NDArray[np.float32], geometry: Geometry, n_classes: int
    ) -> Move:
        """Return gaze and answers that the actions stand for, see :meth:`ActionScheme.decode`."""
        actions = integers(actions, (len(gaze), 3), np.array([9, 3, n_classes + 1]))
        return Move(geometry.shift(gaze, self._steps(actions, geometry)), actions[:, 2] - 1)

    def masks(
        self, gaze: NDArray[np.float32], last: NDArray[np.bool_], geometry: Geometry, n_classes: int
    ) -> NDArray[np.bool_]:
        """Return which actions are legal, bool (B, n), see :meth:`ActionScheme.masks`."""
        steps = self._steps(_MOVES_AND_ZOOMS, geometry).reshape(9, 3, 3)
        return multi_discrete_masks(gaze, steps, last, geometry, n_classes)

    def _steps(self, actions: NDArray[np.int64], geometry: Geometry) -> NDArray[np.float32]:
        """Return the relative step of each action (n, 3), float32 (n, 3)."""
        steps = np.empty((len(actions), 3), np.float32)
        _multi_categorical_step(actions, DIRECTIONS, self.stride, geometry.zoom_step, steps)
        return steps

    def toward(
        self, target: NDArray[np.float32], gaze: NDArray[np.float32], geometry: Geometry
    ) -> NDArray[np.int64]:
        """Return the actions that go on and come nearest to another gaze, int64 (B, 3)."""
        steps = self._steps(_MOVES_AND_ZOOMS, geometry)
        return _MOVES_AND_ZOOMS[geometry.nearest_step(gaze, steps, target)]

    def answering(
        self, actions: Any, lanes: NDArray[np.int64], classes: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the actions, in which some lanes answer."""
        actions = np.array(actions)
        actions[lanes, 2] = classes + 1
        return actions

    def with_random_gaze(self, actions: Any, rng: np.random.Generator) -> Any:
        """Return the actions with their moves and zooms drawn anew, answers kept."""
        actions = np.array(actions)
        actions[:, :2] = rng.integers([9, 3], size=(len(actions), 2))
        return actions


@kernel
def _multi_categorical_step(actions, directions, stride, zoom_step, step):
    for i in range(actions.shape[0]):
        move = actions[i, 0]
        step[i, 0] = step[i, 1] = 0.0
        if move > 0:
            step[i, 0] = stride * directions[move - 1, 0]
            step[i, 1] = stride * directions[move - 1, 1]
        step[i, 2] = zoom_step * (actions[i, 1] - 1)
