"""Action schemes: from the agent's action to the next gaze and, perhaps, an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse_envs.compiled import kernel
from glimpse_envs.components import Component, check_integer, check_number
from glimpse_envs.gaze import Geometry, window_of
from glimpse_envs.masks import discrete_masks, multi_discrete_masks

#: left, right, up, down, then the diagonals; in window sides, y downwards
_DIRECTIONS = np.array(
    [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, -1), (-1, 1), (1, 1)], np.float32
)
GO_ON = -1
#: every move of MultiCategorical with every zoom, going on
_MOVES_AND_ZOOMS = np.array([(move, zoom, 0) for move in range(9) for zoom in range(3)])


class Move(NamedTuple):
    """What a batch of actions means.

    :param gaze: the next gaze where the agent goes on, clamped, float32 (B, 3)
    :param answers: the class it answers, int64 (B,), or ``GO_ON``
    """

    gaze: NDArray[np.float32]
    answers: NDArray[np.int64]


class ActionScheme(Component):
    """What an agent can do.

    :cvar answers: the agent answers; otherwise a classifier does, after the last glimpse
    :cvar start: where the first glimpse looks unless the environment is told otherwise
    """

    answers: ClassVar[bool] = True
    start: ClassVar[str] = "overview"

    @property
    def least_budget(self) -> int:
        """The fewest glimpses of an episode that leave an agent something to do.

        Where a classifier answers, it would answer at the reset with one.
        """
        return 1 if self.answers else 2

    def action_space(self, n_classes: int) -> spaces.Space:
        """Return the action space of one lane."""
        raise NotImplementedError(f"{type(self).__name__} does not define action_space")

    def decode(
        self, actions: Any, gaze: NDArray[np.float32], geometry: Geometry, n_classes: int
    ) -> Move:
        """Return what a batch of actions (B, ...) means at the gaze (B, 3).

        :raises ValueError: for actions outside the action space, NaN included
        """
        raise NotImplementedError(f"{type(self).__name__} does not define decode")

    def masks(
        self, gaze: NDArray[np.float32], last: NDArray[np.bool_], geometry: Geometry, n_classes: int
    ) -> NDArray[np.bool_]:
        """Return which actions are legal at the gaze (B, 3): bool (B, n), n the number of choices.

        Of a Discrete action the choices are its values, of a MultiDiscrete one those of its parts,
        one part after the other.

        :param last: bool (B,), the lanes that have taken the last glimpse of their budget
        """
        raise NotImplementedError(f"{type(self).__name__} does not define masks")

    def start_zoom(self, start: str) -> float:
        """Return the zoom of the first glimpse of a start: "overview", "centre" or "random"."""
        return 0.0 if start == "overview" else 1.0

    def zooms(self) -> tuple[float, float]:
        """Return the lowest and the highest zoom that an agent can choose."""
        return 0.0, 1.0

    def with_random_gaze(self, actions: Any, rng: np.random.Generator) -> Any:
        """Return a batch of actions with moves and zooms drawn uniformly, decisions kept."""
        raise NotImplementedError(f"{type(self).__name__} does not define with_random_gaze")

    def memory(self, n: int) -> dict[str, NDArray[np.float32]]:
        """Return the empty memory of n lanes: further observations, float32 (n, size) each."""
        return {}

    def remember(
        self,
        memory: dict[str, NDArray[np.float32]],
        lanes: NDArray[np.int64],
        gaze: NDArray[np.float32],
        geometry: Geometry,
    ) -> None:
        """Enter glimpses into the memory, in place.

        :param memory: as ``memory()`` made it
        :param lanes: that took a glimpse, int64 (n,)
        :param gaze: of all lanes, float32 (B, 3)
        """


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
        check_integer(self, "grid", low=1)

    def action_space(self, n_classes: int) -> spaces.Discrete:
        """Return ``Discrete(6 + n_classes)``: moves, then answers."""
        return spaces.Discrete(self.N_MOVES + n_classes)

    def decode(
        self, actions: Any, gaze: NDArray[np.float32], geometry: Geometry, n_classes: int
    ) -> Move:
        """Return gaze and answers that the actions stand for, see :meth:`ActionScheme.decode`."""
        actions = _integers(actions, (len(gaze),), self.N_MOVES + n_classes)
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
        steps[:4, :2] = self.stride * _DIRECTIONS[:4]
        steps[4:6, 2] = geometry.zoom_step, -geometry.zoom_step
        return steps

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
        actions = _integers(actions, (len(gaze), 3), np.array([9, 3, n_classes + 1]))
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
        _multi_categorical_step(actions, _DIRECTIONS, self.stride, geometry.zoom_step, steps)
        return steps

    def with_random_gaze(self, actions: Any, rng: np.random.Generator) -> Any:
        """Return the actions with their moves and zooms drawn anew, answers kept."""
        actions = np.array(actions)
        actions[:, :2] = rng.integers([9, 3], size=(len(actions), 2))
        return actions


@dataclass(frozen=True)
class Hybrid(ActionScheme):
    """Decide, answer or look anywhere: a Dict of discrete and continuous parts.

    ``decision`` Discrete(2): 0 goes on, 1 answers; ``class`` Discrete(K); ``move`` Box(0, 1, (2,)):
    the next fixation; ``zoom`` Box(0, 1, (1,)): the next zoom.
    """

    def action_space(self, n_classes: int) -> spaces.Dict:
        """Return a Dict of ``decision``, ``class``, ``move`` and ``zoom``."""
        return spaces.Dict(
            {
                "decision": spaces.Discrete(2),
                "class": spaces.Discrete(n_classes),
                "move": spaces.Box(0.0, 1.0, (2,), np.float32),
                "zoom": spaces.Box(0.0, 1.0, (1,), np.float32),
            }
        )

    def decode(
        self, actions: Any, gaze: NDArray[np.float32], geometry: Geometry, n_classes: int
    ) -> Move:
        """Return gaze and answers that the actions stand for, see :meth:`ActionScheme.decode`."""
        n = len(gaze)
        parts = {"decision", "class", "move", "zoom"}
        if not isinstance(actions, dict) or set(actions) != parts:
            raise ValueError(f"got action {actions!r}; wanted a dict with {sorted(parts)}")
        decision = _integers(actions["decision"], (n,), 2, "decision")
        classes = _integers(actions["class"], (n,), n_classes, "class")
        target = np.empty((n, 3), np.float32)
        target[:, :2] = _reals(actions["move"], (n, 2), 0.0, "move")
        target[:, 2:] = _reals(actions["zoom"], (n, 1), 0.0, "zoom")
        return Move(geometry.clamp(target), np.where(decision == 1, classes, GO_ON))

    def with_random_gaze(self, actions: Any, rng: np.random.Generator) -> Any:
        """Return the actions with their moves and zooms drawn anew, answers kept."""
        n = len(actions["decision"])
        gaze = {"move": rng.random((n, 2), np.float32), "zoom": rng.random((n, 1), np.float32)}
        return actions | gaze


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
        target[:, :2] = 0.5 + 0.5 * _reals(actions, (n, 2), -1.0)
        return Move(geometry.clamp(target), np.full(n, GO_ON, np.int64))

    def with_random_gaze(self, actions: Any, rng: np.random.Generator) -> Any:
        """Return the actions with their moves and zooms drawn anew, answers kept."""
        return rng.uniform(-1.0, 1.0, np.shape(actions)).astype(np.float32)


@dataclass(frozen=True)
class Anywhere(ActionScheme):
    """The next gaze itself, ``Box(0, 1, (3,))``: x, y, zoom; a classifier answers.

    With it a scripted gaze, such as a grid or the best fixed sequence, meets the images,
    the sensor and the classifier of another environment.

    :param close: zoom of a first glimpse that starts "centre" or "random"
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
        target = _reals(actions, (n, 3), 0.0)
        return Move(geometry.clamp(target), np.full(n, GO_ON, np.int64))

    def with_random_gaze(self, actions: Any, rng: np.random.Generator) -> Any:
        """Return the actions with their moves and zooms drawn anew, answers kept."""
        return rng.random(np.shape(actions), np.float32)


def _integers(
    actions: Any, shape: tuple[int, ...], below: int | NDArray[np.int64], part: str = "action"
) -> NDArray[np.int64]:
    """Return the actions as int64 of the given shape, each in 0 ... below - 1."""
    array = np.asarray(actions)
    _check_layout(array, shape, "iu", part)
    array = array.astype(np.int64, copy=False)
    wrong = array.view(np.uint64) >= np.asarray(below, np.uint64)  # negative ones look huge
    if wrong.any():
        raise ValueError(
            f"got {part} {_first(array, wrong)}; wanted integers from 0 to below {below}"
        )
    return array


def _reals(
    actions: Any, shape: tuple[int, ...], low: float, part: str = "action"
) -> NDArray[np.float32]:
    """Return the actions as float32 of the given shape, each in [low, 1]."""
    array = np.asarray(actions)
    _check_layout(array, shape, "iuf", part)
    array = array.astype(np.float32, copy=False)
    wrong = ~((array >= low) & (array <= 1.0))  # so that NaN is wrong
    if wrong.any():
        raise ValueError(f"got {part} {_first(array, wrong)}; wanted numbers in [{low:g}, 1]")
    return array


def _check_layout(array: NDArray, shape: tuple[int, ...], kinds: str, part: str) -> None:
    if array.dtype.kind not in kinds or array.shape != shape:
        wanted = "numbers" if "f" in kinds else "integers"
        raise ValueError(
            f"got {part} {array.dtype} of shape {array.shape[1:]} for {len(array)} lane(s); "
            f"wanted {wanted} of shape {shape[1:]} for {shape[0]} lane(s)"
        )


def _first(array: NDArray, wrong: NDArray[np.bool_]) -> Any:
    """Return the first lane's action that is wrong."""
    lane = np.argwhere(wrong)[0, 0]
    return array[lane].tolist()


@kernel
def _multi_categorical_step(actions, directions, stride, zoom_step, step):
    for i in range(actions.shape[0]):
        move = actions[i, 0]
        step[i, 0] = step[i, 1] = 0.0
        if move > 0:
            step[i, 0] = stride * directions[move - 1, 0]
            step[i, 1] = stride * directions[move - 1, 1]
        step[i, 2] = zoom_step * (actions[i, 1] - 1)


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
