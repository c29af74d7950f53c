"""Recorded episodes, glimpse by glimpse: where each looked, and what was believed then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.metrics.episodes import Episodes
from glimpse_envs.metrics.tracking import Tracking, tracking


@dataclass(frozen=True, eq=False)
class Scanpaths(Episodes):
    """Episodes with what happened at each glimpse; column t - 1 is glimpse t.

    Entries beyond an episode's last glimpse are NaN.

    :param gaze: float32 (N, budget, 3): x, y and zoom in [0, 1], see ``glimpse_envs.gaze``
    :param windows: float32 (N, budget, 3): left, top and side of the windows, image pixels
    :param seen: float32 (N, budget), fraction of the image that the windows so far cover
    :param beliefs: float32 (N, budget, K), the classifier's probabilities; K is 0 without one
    :param step_rewards: float32 (N, budget), of the action that followed the glimpse; NaN where the
        episode ended with it
    :param hidden: float32 (N, budget, D), the classifier's features; D is 0 unless recorded
    :param targets: float32 (N, budget, 4), where what an episode is about was at the glimpse: left,
        top, width and height, image pixels; (N, budget, 0), or None, where nothing moves
    :raises ValueError: also for shapes that do not agree, or for gaps
    """

    gaze: NDArray[np.float32]
    windows: NDArray[np.float32]
    seen: NDArray[np.float32]
    beliefs: NDArray[np.float32]
    step_rewards: NDArray[np.float32]
    hidden: NDArray[np.float32]
    targets: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        n, budget = self.answers.shape
        if self.targets is None:
            object.__setattr__(self, "targets", np.zeros((n, budget, 0), np.float32))
        elif self.targets.shape[2:] != (0,) and self.targets.shape[2:] != (4,):
            raise ValueError(f"got targets of shape {self.targets.shape}; wanted 4 or 0 at the end")
        for name, size in _BY_GLIMPSE.items():
            shape = getattr(self, name).shape
            if size is None:  # of any length
                size = shape[2:3] or ("any",)
            wanted = (n, budget, *size)
            if shape != wanted:
                raise ValueError(f"got {name} of shape {shape}; wanted {wanted}")
        taken = self.taken
        if not (np.isfinite(self.gaze).all(axis=2) == taken).all():
            raise ValueError("got gazes with gaps; wanted one for each glimpse, and NaN after them")

    @property
    def taken(self) -> NDArray[np.bool_]:
        """Which glimpses were taken, bool (N, budget)."""
        return np.arange(self.budget) < self.n_glimpses[:, None]

    @property
    def n_classes(self) -> int:
        """How many classes the belief is about, 0 without a classifier."""
        return self.beliefs.shape[2]

    @property
    def tracking(self) -> Tracking | None:
        """How well the gaze followed what moved; None where nothing did."""
        if not self.targets.shape[2]:
            return None
        return tracking(self.targets, self.windows, self.n_glimpses)

    @property
    def standing_beliefs(self) -> NDArray[np.float32]:
        """The belief after glimpse t or, if there were fewer, after the last, (N, budget, K)."""
        last = np.minimum(np.arange(self.budget), self.n_glimpses[:, None] - 1)
        return np.take_along_axis(self.beliefs, last[:, :, None], axis=1)


#: the shape of what there is for each glimpse; None is a vector of any length
_BY_GLIMPSE = {
    "gaze": (3,), "windows": (3,), "seen": (), "beliefs": None, "step_rewards": (), "hidden": None,
    "targets": None,
}  # fmt: skip
