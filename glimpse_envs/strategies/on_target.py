"""A gaze that knows where the image lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.components import check_number
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.strategies.base import ScriptedGaze, reachable_zooms

if TYPE_CHECKING:
    from glimpse_envs.core import GlimpseCore


@dataclass(frozen=True)
class OnTarget(ScriptedGaze):
    """The image on its canvas, wherever it lies: a gaze to learn from, which no agent could have.

    Where it moves: where the next glimpse will find it.

    The window is the one nearest to the image in size of those that an agent reaches. Off by some
    of its side, it teaches a classifier, and an agent that clones it, to be content with less.

    :param jitter: largest distance from there in x and in y, sides of the window
    """

    schemeless = True

    jitter: float = 0.0

    def __post_init__(self) -> None:
        check_number(self, "jitter", low=0.0)

    def __call__(
        self, step: int, gaze: NDArray[np.float32], config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Nothing is known here of where images lie."""
        raise ValueError("OnTarget looks where the images lie: call look() with the lanes")

    def look(
        self, step: int, core: GlimpseCore, config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the gaze of the next glimpse of all lanes, float32 (B, 3)."""
        left, top, width, height = core.targets(ahead=1).T
        zooms = reachable_zooms(config)
        middle = np.full((len(zooms), 3), 0.5, np.float32)
        middle[:, 2] = zooms
        sides = config.geometry.windows(middle)[:, 2] * config.sensor.span
        chosen = np.abs(np.log(sides / max(width[0], height[0]))).argmin()
        gaze = np.empty((core.n_lanes, 3), np.float32)
        gaze[:, 0] = (left + 0.5 * width) / config.shape[1]
        gaze[:, 1] = (top + 0.5 * height) / config.shape[0]
        gaze[:, 2] = zooms[chosen]
        if self.jitter:
            off = rng.uniform(-self.jitter, self.jitter, (core.n_lanes, 2)) * sides[chosen]
            gaze[:, :2] += off / (config.shape[1], config.shape[0])
        return config.geometry.clamp(gaze.clip(0.0, 1.0))
