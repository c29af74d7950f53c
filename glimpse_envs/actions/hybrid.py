"""Discrete and continuous parts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse_envs.actions.checks import integers, reals
from glimpse_envs.actions.scheme import GO_ON, ActionScheme, Move
from glimpse_envs.gaze import Geometry


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
        decision = integers(actions["decision"], (n,), 2, "decision")
        classes = integers(actions["class"], (n,), n_classes, "class")
        target = np.empty((n, 3), np.float32)
        target[:, :2] = reals(actions["move"], (n, 2), 0.0, "move")
        target[:, 2:] = reals(actions["zoom"], (n, 1), 0.0, "zoom")
        return Move(geometry.clamp(target), np.where(decision == 1, classes, GO_ON))

    def toward(
        self, target: NDArray[np.float32], gaze: NDArray[np.float32], geometry: Geometry
    ) -> dict[str, NDArray]:
        """Return the actions that go on at another gaze."""
        target = geometry.clamp(target)
        nothing = np.zeros(len(gaze), np.int64)
        return {
            "decision": nothing,
            "class": nothing,
            "move": target[:, :2],
            "zoom": target[:, 2:],
        }

    def answering(
        self, actions: Any, lanes: NDArray[np.int64], classes: NDArray[np.int64]
    ) -> dict[str, NDArray]:
        """Return the actions, in which some lanes answer."""
        decision, answers = np.array(actions["decision"]), np.array(actions["class"])
        decision[lanes], answers[lanes] = 1, classes
        return {**actions, "decision": decision, "class": answers}

    def with_random_gaze(self, actions: Any, rng: np.random.Generator) -> Any:
        """Return the actions with their moves and zooms drawn anew, answers kept."""
        n = len(actions["decision"])
        gaze = {"move": rng.random((n, 2), np.float32), "zoom": rng.random((n, 1), np.float32)}
        return actions | gaze
