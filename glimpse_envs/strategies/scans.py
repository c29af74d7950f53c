"""Gazes that are the same for every image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.components import check_integer
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.proportions import LaneGeometry
from glimpse_envs.strategies.base import ScriptedGaze, check_zoom, reachable_zooms

if TYPE_CHECKING:
    from glimpse_envs.core import GlimpseCore


@dataclass(frozen=True)
class Centre(ScriptedGaze):
    """The middle of the image, again and again.

    :param zoom: None for the finest
    """

    schemeless = absolute = True

    zoom: float | None = None

    def __post_init__(self) -> None:
        check_zoom(self)

    def __call__(
        self, step: int, gaze: NDArray[np.float32], config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the next gaze of each lane, float32 (B, 3)."""
        zoom = reachable_zooms(config)[-1] if self.zoom is None else self.zoom
        return np.full((len(gaze), 3), (0.5, 0.5, zoom), np.float32)


@dataclass(frozen=True)
class Stay(ScriptedGaze):
    """Where the gaze is, again and again."""

    schemeless = True

    def __call__(
        self, step: int, gaze: NDArray[np.float32], config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the next gaze of each lane, float32 (B, 3)."""
        return gaze.copy()


@dataclass(frozen=True)
class Grid(ScriptedGaze):
    """Tiles of the image row by row, from the start again after the last.

    :param side: tiles along each side; windows as large as a tile where the sensor zooms so far
    :param anywhere: begin at a random tile, not at the first
    """

    schemeless = absolute = True

    side: int = 2
    anywhere: bool = False

    def __post_init__(self) -> None:
        check_integer(self, "side", low=1)

    def __call__(
        self, step: int, gaze: NDArray[np.float32], config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the next gaze of each lane, float32 (B, 3)."""
        if step == 0 and self.anywhere:
            return self._gazes(rng.integers(self.side**2, size=len(gaze)), config)
        if step == 0:
            return self._gazes(np.zeros(len(gaze), np.int64), config)
        first, between, _ = self._layout(config)
        place = np.rint((gaze[:, :2] - first) / np.maximum(between, 1e-6)).astype(np.int64)
        column, row = place.clip(0, self.side - 1).T
        return self._gazes((row * self.side + column + 1) % self.side**2, config)

    def look(
        self, step: int, core: GlimpseCore, config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the gaze of the next glimpse of all lanes, float32 (B, 3)."""
        if not isinstance(core.geometry, LaneGeometry):
            return super().look(step, core, config, rng)
        # of an image smaller than its frame a window lies elsewhere than its tile, and tells it not
        first = core.index + core.episodes if self.anywhere else np.zeros(core.n_lanes, np.int64)
        tile = (first + step) % self.side**2
        return core.geometry.to_frame(self._gazes(tile, config))

    def _gazes(self, tile: NDArray[np.int64], config: GlimpseConfig) -> NDArray[np.float32]:
        """Return the gazes of some tiles, float32 (B, 3)."""
        first, between, zoom = self._layout(config)
        row, column = np.divmod(tile, self.side)
        target = np.empty((len(tile), 3), np.float32)
        target[:, 0], target[:, 1] = first[0] + column * between[0], first[1] + row * between[1]
        target[:, 2] = zoom
        return target

    def _layout(
        self, config: GlimpseConfig
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], np.float32]:
        """Return the first tile's fixation, how far tiles are apart, (2,) each, and their zoom."""
        low, high = reachable_zooms(config)[[0, -1]]
        largest, finest = config.geometry.largest, config.geometry.finest
        window = max(largest / self.side, finest)
        zoom = np.log(largest / window) / np.log(largest / finest) if largest > finest else 1.0
        # windows larger than a tile touch the image's borders, and lie evenly between
        corner = np.float32([[0.5 / self.side, 0.5 / self.side, np.clip(zoom, low, high)]])
        first = config.geometry.clamp(corner)[0, :2]
        return first, (1.0 - 2.0 * first) / max(1, self.side - 1), corner[0, 2]


@dataclass(frozen=True)
class Fixed(ScriptedGaze):
    """The same gazes for every image, from the start again after the last.

    :param gazes: x, y, zoom each, in [0, 1]
    """

    schemeless = absolute = True

    gazes: tuple[tuple[float, float, float], ...] = ()

    def __post_init__(self) -> None:
        gazes = np.asarray(self.gazes, np.float32)
        if gazes.ndim != 2 or gazes.shape[1] != 3 or not ((gazes >= 0) & (gazes <= 1)).all():
            raise ValueError(
                f"got Fixed(gazes={self.gazes!r}); wanted at least one (x, y, zoom), each in [0, 1]"
            )
        object.__setattr__(self, "gazes", tuple(map(tuple, gazes.tolist())))

    def __call__(
        self, step: int, gaze: NDArray[np.float32], config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the next gaze of each lane, float32 (B, 3)."""
        return np.tile(np.asarray(self.gazes[step % len(self.gazes)], np.float32), (len(gaze), 1))
