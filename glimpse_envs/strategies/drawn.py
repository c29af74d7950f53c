"""Gazes that are drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse_envs.components import resolve
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.gaze import Geometry
from glimpse_envs.strategies.base import ScriptedGaze, check_zoom, reachable_zooms

if TYPE_CHECKING:
    from glimpse_envs.core import GlimpseCore


class _InBounds(ScriptedGaze):
    """A gaze that depends on what may be looked at, which can differ from lane to lane."""

    def __call__(
        self, step: int, gaze: NDArray[np.float32], config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the next gaze of each lane, float32 (B, 3)."""
        return self._next(gaze, config.geometry, config, rng)

    def look(
        self, step: int, core: GlimpseCore, config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the gaze of the next glimpse of all lanes, float32 (B, 3)."""
        return self._next(core.gaze, core.geometry, config, rng).clip(0.0, 1.0)

    def _next(
        self,
        gaze: NDArray[np.float32],
        geometry: Geometry,
        config: GlimpseConfig,
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        raise NotImplementedError


@dataclass(frozen=True)
class Uniform(_InBounds):
    """Uniformly random windows that lie inside the image (a retina: whose middle does).

    :param zoom: of all of them; None to draw it, too, from the zooms that steps reach
    """

    schemeless = True

    zoom: float | None = None

    def __post_init__(self) -> None:
        check_zoom(self)

    def _next(
        self,
        gaze: NDArray[np.float32],
        geometry: Geometry,
        config: GlimpseConfig,
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        n = len(gaze)
        zooms = reachable_zooms(config) if self.zoom is None else np.float32([self.zoom])
        # the fixations nearest to two corners span those that need no clamping
        corners = np.zeros((2, n, 3), np.float32)
        corners[1, :, :2] = 1.0
        corners[:, :, 2] = rng.choice(zooms, n)
        low, high = (geometry.clamp(corner) for corner in corners)
        low[:, :2] += rng.random((n, 2), np.float32) * (high - low)[:, :2]
        return low


@dataclass(frozen=True)
class Walk(_InBounds):
    """Uniformly random moves and zooms of the agent's own action scheme, which never answers."""

    def _next(
        self,
        gaze: NDArray[np.float32],
        geometry: Geometry,
        config: GlimpseConfig,
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        def nothing(space: spaces.Space) -> Any:
            if isinstance(space, spaces.Dict):
                return {name: nothing(part) for name, part in space.items()}
            return np.zeros((len(gaze), *space.shape), space.dtype)

        actions = config.scheme.with_random_gaze(nothing(config.action_space), rng)
        n_classes = config.dataset.n_classes
        return config.scheme.decode(actions, gaze, geometry, n_classes).gaze


@dataclass(frozen=True)
class Mixture(ScriptedGaze):
    """Each lane follows one of several strategies at each step, drawn with equal probability.

    :param strategies: as objects, names or dicts
    """

    strategies: tuple[Any, ...] = (Uniform(), Walk())

    def __post_init__(self) -> None:
        strategies = tuple(resolve(strategy, ScriptedGaze) for strategy in self.strategies)
        if not strategies:
            raise ValueError("got Mixture of nothing; wanted at least one strategy")
        object.__setattr__(self, "strategies", strategies)

    def __call__(
        self, step: int, gaze: NDArray[np.float32], config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the next gaze of each lane, float32 (B, 3)."""
        options = np.stack([strategy(step, gaze, config, rng) for strategy in self.strategies])
        return _one_each(options, rng)

    def look(
        self, step: int, core: GlimpseCore, config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the gaze of the next glimpse of all lanes, float32 (B, 3)."""
        options = [strategy.look(step, core, config, rng) for strategy in self.strategies]
        return _one_each(np.stack(options), rng)

    def identity(self, config: GlimpseConfig) -> str:
        """Return text that tells this gaze from others, for caches."""
        return " or ".join(strategy.identity(config) for strategy in self.strategies)


@dataclass(frozen=True)
class Glance(ScriptedGaze):
    """An overview, unless the environment itself begins with one, then random finest windows."""

    schemeless = absolute = True

    def __call__(
        self, step: int, gaze: NDArray[np.float32], config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the next gaze of each lane, float32 (B, 3)."""
        low, high = (float(zoom) for zoom in reachable_zooms(config)[[0, -1]])
        if step == 0 and config.start != "overview":
            return np.full((len(gaze), 3), (0.5, 0.5, low), np.float32)
        return Uniform(high)(step, gaze, config, rng)

    def look(
        self, step: int, core: GlimpseCore, config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the gaze of the next glimpse of all lanes, float32 (B, 3)."""
        if step == 0 and config.start != "overview":
            return super().look(step, core, config, rng)
        return Uniform(float(reachable_zooms(config)[-1])).look(step, core, config, rng)


def _one_each(options: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return one of the options (n, B, 3) for each lane, drawn with equal probability."""
    chosen = rng.integers(len(options), size=options.shape[1])
    return options[chosen, np.arange(options.shape[1])]
