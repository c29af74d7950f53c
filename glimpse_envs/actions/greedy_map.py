"""One step at a time, and a map of what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse_envs.actions.checks import integers
from glimpse_envs.actions.scheme import DIRECTIONS, GO_ON, ActionScheme, Move
from glimpse_envs.compiled import kernel
from glimpse_envs.components import check_integer, check_number
from glimpse_envs.gaze import Geometry, window_of
from glimpse_envs.masks import discrete_masks


@dataclass(frozen=True)
class GreedyMap(ActionScheme):
    """One small step or an answer: left, right, up, down, zoom in, zoom out, answer class k.

    ``Discrete(6 + K)``. The observation adds ``map``, a flat grid: how finely each part has been
    seen, 1 for all of it at full resolution (a window of the sensor's own size), 0 for not at all.

    :param stride: length of a move, sides of the window
    :param grid: cells of the map along each side of the image
    """

    N_MOVES: ClassVar[int] = 6

    stride: float = 0.5
    grid: int = 8

    def __post_init__(self) -> None:
        check_number(self, "stride", low=0.05, high=2.0)
        check_integer(self, "grid", low=1, high=256)

    def action_space(self, n_classes: int) -> spaces.Discrete:
        """Return ``Discrete(6 + n_classes)``: moves, then answers."""
        return spaces.Discrete(self.N_MOVES + n_classes)

    def decode(
        self, actions: Any, gaze: NDArray[np.float32], geometry: Geometry, n_classes: int
    ) -> Move:
        """Return gaze and answers that the actions stand for, see :meth:`ActionScheme.decode`."""
        actions = integers(actions, (len(gaze),), self.N_MOVES + n_classes)
        steps = self._steps(geometry, self.N_MOVES + n_classes)
        answers = np.maximum(actions - self.N_MOVES, GO_ON)
        return Move(geometry.shift(gaze, steps[actions]), answers)

    def masks(
        self, gaze: NDArray[np.float32], last: NDArray[np.bool_], geometry: Geometry, n_classes: int
    ) -> NDArray[np.bool_]:
        """Return which actions are legal, bool (B, n), see :meth:`ActionScheme.masks`."""
        return discrete_masks(gaze, self._steps(geometry, self.N_MOVES), last, geometry, n_classes)

    def _steps(self, geometry: Geometry, n: int) -> NDArray[np.float32]:
        """Return the relative step of the first n actions, float32 (n, 3); answers have none."""
        steps = np.zeros((n, 3), np.float32)
        steps[:4, :2] = self.stride * DIRECTIONS[:4]
        steps[4:6, 2] = geometry.zoom_step, -geometry.zoom_step
        return steps

    def toward(
        self, target: NDArray[np.float32], gaze: NDArray[np.float32], geometry: Geometry
    ) -> NDArray[np.int64]:
        """Return the moves that come nearest to another gaze, int64 (B,)."""
        return geometry.nearest_step(gaze, self._steps(geometry, self.N_MOVES), target)

    def answering(
        self, actions: Any, lanes: NDArray[np.int64], classes: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the actions, in which some lanes answer."""
        actions = np.array(actions)
        actions[lanes] = self.N_MOVES + classes
        return actions

    def with_random_gaze(self, actions: Any, rng: np.random.Generator) -> Any:
        """Return the actions with their moves and zooms drawn anew, answers kept."""
        random = rng.integers(self.N_MOVES, size=np.shape(actions))
        return np.where(np.asarray(actions) < self.N_MOVES, random, actions)

    def memory(self, n: int) -> dict[str, NDArray[np.float32]]:
        """Return an empty map for each lane, float32 (n, cells)."""
        return {"map": np.zeros((n, self.grid * self.grid), np.float32)}

    def remember(
        self,
        memory: dict[str, NDArray[np.float32]],
        lanes: NDArray[np.int64],
        gaze: NDArray[np.float32],
        geometry: Geometry,
    ) -> None:
        """Note in the map how finely each part has been seen."""
        size = float(geometry.height), float(geometry.width), float(geometry.finest)
        _mark(memory["map"], self.grid, lanes, gaze, *size)


@kernel
def _mark(grids, grid, lanes, gaze, height, width, finest):
    """Raise the cells that a window overlaps to its resolution, times the share of their area."""
    cell_height, cell_width = height / grid, width / grid
    for lane in lanes:
        left, top, side = window_of(
            gaze[lane, 0], gaze[lane, 1], gaze[lane, 2], height, width, finest
        )
        resolution = finest / side
        for j in range(grid):
            rows = _overlap(top, side, j * cell_height, cell_height)
            if rows > 0.0:
                for k in range(grid):
                    share = rows * _overlap(left, side, k * cell_width, cell_width)
                    cell = j * grid + k
                    grids[lane, cell] = max(grids[lane, cell], np.float32(resolution * share))


@kernel(inline="always")
def _overlap(start, length, cell_start, cell_length):
    """Return the share of a cell that an interval covers."""
    end = min(start + length, cell_start + cell_length)
    return max(end - max(start, cell_start), 0.0) / cell_length
