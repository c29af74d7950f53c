"""What every action scheme is: from the agent's action to the next gaze and, perhaps, an answer."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse_envs.components import Component
from glimpse_envs.gaze import Geometry

#: left, right, up, down, then the diagonals; in window sides, y downwards
DIRECTIONS = np.array(
    [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, -1), (-1, 1), (1, 1)], np.float32
)
#: in the place of an answer where the agent goes on
GO_ON = -1


class Move(NamedTuple):
    """What a batch of actions means.

    :ivar gaze: the next gaze where the agent goes on, clamped, float32 (B, 3)
    :ivar answers: the class it answers, int64 (B,), or ``GO_ON``
    """

    gaze: NDArray[np.float32]
    answers: NDArray[np.int64]


class ActionScheme(Component):
    """What an agent can do.

    :cvar answers: the agent answers; otherwise a classifier does, after the last glimpse, or, of a
        scheme that needs none and has none, nobody
    :cvar start: where the first glimpse looks unless the environment is told otherwise
    """

    answers: ClassVar[bool] = True
    start: ClassVar[str] = "overview"

    @property
    def needs_classifier(self) -> bool:
        """Whether there is nothing to do without a classifier, which answers."""
        return not self.answers

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
        """Return the zoom of the first glimpse of a ``start``, as of the configuration."""
        return 0.0 if start == "overview" else 1.0

    def zooms(self) -> tuple[float, float]:
        """Return the lowest and the highest zoom that an agent can choose."""
        return 0.0, 1.0

    def with_random_gaze(self, actions: Any, rng: np.random.Generator) -> Any:
        """Return a batch of actions with moves and zooms drawn uniformly, decisions kept."""
        raise NotImplementedError(f"{type(self).__name__} does not define with_random_gaze")

    def toward(
        self, target: NDArray[np.float32], gaze: NDArray[np.float32], geometry: Geometry
    ) -> Any:
        """Return the actions that go on and come nearest to another gaze, a batch of B.

        :param target: float32 (B, 3)
        :param gaze: the present one, float32 (B, 3)
        """
        raise NotImplementedError(f"{type(self).__name__} does not define toward")

    def answering(self, actions: Any, lanes: NDArray[np.int64], classes: NDArray[np.int64]) -> Any:
        """Return a batch of actions in which some lanes answer instead of going on.

        :param actions: (B, ...), which stay as they are
        :param lanes: which lanes, int64 (n,)
        :param classes: what they answer, int64 (n,)
        """
        raise NotImplementedError(f"{type(self).__name__} does not define answering")

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
