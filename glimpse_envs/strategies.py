"""Scripted gazes: what a learned gaze has to beat, and what a classifier starts with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse_envs.actions import Anywhere
from glimpse_envs.classifier import GlimpseClassifier, Reading
from glimpse_envs.components import Component, check_integer, check_number, resolve
from glimpse_envs.config import GlimpseConfig

if TYPE_CHECKING:
    from glimpse_envs.core import GlimpseCore


class ScriptedGaze(Component):
    """Where to look next, whatever the image shows.

    :cvar schemeless: agents of any scheme that reach the same zooms would be given the same gazes
    :cvar absolute: gazes are places in the image, whatever the present one: of an image in a frame
        (:mod:`glimpse_envs.proportions`) they are fractions of the image
    """

    schemeless: ClassVar[bool] = False
    absolute: ClassVar[bool] = False

    def __call__(
        self, step: int, gaze: NDArray[np.float32], config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the gaze of a glimpse, float32 (n, 3) in [0, 1]; the environment clamps it.

        :param step: 0 for the first glimpse after the environment's own
        :param gaze: the present one, float32 (n, 3)
        :param config: the environment of the agent that this gaze stands in for
        :param rng: for random draws
        """
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")

    def look(
        self, step: int, core: GlimpseCore, config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the gaze of the next glimpse of all lanes, float32 (B, 3) in [0, 1].

        Gazes that need more than the present one override it.

        :param step: as of the call
        :param core: the lanes, which have all taken as many glimpses
        :param config: as of the call
        :param rng: as of the call
        """
        if not self.absolute:
            return self(step, core.gaze, config, rng).clip(0.0, 1.0)
        present = core.geometry.to_image(core.gaze)
        return core.geometry.to_frame(self(step, present, config, rng).clip(0.0, 1.0))

    def identity(self, config: GlimpseConfig) -> str:
        """Return what tells the gazes it gives from those of others, image and sensor aside."""
        if self.schemeless:
            return f"{self} of zooms {reachable_zooms(config).tolist()}"
        return f"{self} of {config.scheme}"


def _check_zoom(strategy: Uniform | Centre) -> None:
    if strategy.zoom is not None:
        check_number(strategy, "zoom", low=0.0, high=1.0)


@dataclass(frozen=True)
class Uniform(ScriptedGaze):
    """Uniformly random windows that lie inside the image (a retina: whose middle does).

    :param zoom: of all of them; None to draw it, too, from the zooms that steps reach
    """

    schemeless = absolute = True

    zoom: float | None = None

    def __post_init__(self) -> None:
        _check_zoom(self)

    def __call__(
        self, step: int, gaze: NDArray[np.float32], config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the next gaze of each lane, float32 (B, 3)."""
        n = len(gaze)
        zooms = reachable_zooms(config) if self.zoom is None else np.float32([self.zoom])
        # the fixations nearest to two corners span those that need no clamping
        corners = np.zeros((2, n, 3), np.float32)
        corners[1, :, :2] = 1.0
        corners[:, :, 2] = rng.choice(zooms, n)
        low, high = (config.geometry.clamp(corner) for corner in corners)
        low[:, :2] += rng.random((n, 2), np.float32) * (high - low)[:, :2]
        return low


@dataclass(frozen=True)
class Walk(ScriptedGaze):
    """Uniformly random moves and zooms of the agent's own action scheme, which never answers."""

    def __call__(
        self, step: int, gaze: NDArray[np.float32], config: GlimpseConfig, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the next gaze of each lane, float32 (B, 3)."""

        def nothing(space: spaces.Space) -> Any:
            if isinstance(space, spaces.Dict):
                return {name: nothing(part) for name, part in space.items()}
            return np.zeros((len(gaze), *space.shape), space.dtype)

        actions = config.scheme.with_random_gaze(nothing(config.action_space), rng)
        n_classes = config.dataset.n_classes
        return config.scheme.decode(actions, gaze, config.geometry, n_classes).gaze


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


@dataclass(frozen=True)
class Centre(ScriptedGaze):
    """The middle of the image, again and again.

    :param zoom: None for the finest
    """

    schemeless = absolute = True

    zoom: float | None = None

    def __post_init__(self) -> None:
        _check_zoom(self)

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
        if core.geometry is config.geometry or self.anywhere:
            return super().look(step, core, config, rng)
        # of an image smaller than its frame a window lies elsewhere than its tile, and tells it not
        tile = np.full(core.n_lanes, step % self.side**2)
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


def _one_each(options: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return one of the options (n, B, 3) for each lane, drawn with equal probability."""
    chosen = rng.integers(len(options), size=options.shape[1])
    return options[chosen, np.arange(options.shape[1])]


class Blind:
    """A classifier that sees nothing, for environments that are only asked for their glimpses.

    :param n_classes: as in the data set
    """

    hidden_size = 0

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes

    def start(self, n: int) -> NDArray[np.float32]:
        """Return an empty state for n lanes."""
        return np.zeros((n, 0), np.float32)

    def update(
        self, state: NDArray[np.float32], glimpse: NDArray[np.uint8], gaze: NDArray[np.float32]
    ) -> Reading:
        """Return a reading that believes nothing."""
        belief = np.full((len(state), self.n_classes), 1.0 / self.n_classes, np.float32)
        return Reading(state, belief, state)


def scripted(config: GlimpseConfig, classifier: GlimpseClassifier | None = None) -> GlimpseConfig:
    """Return the same environment with the gaze itself as action and the classifier answering.

    With a budget of one glimpse the first is the last, no gaze is chosen, and any action ends the
    episode.

    :param classifier: None for the environment's own, or a blind one if it has none
    """
    classifier = classifier or config.classifier or Blind(config.dataset.n_classes)
    close = config.scheme.start_zoom("centre")
    return replace(
        config,
        scheme=Anywhere(close),
        reward="Terminal",
        classifier=classifier,
        observe_classifier_features=False,
        observe_history=False,
    )


def reachable_zooms(config: GlimpseConfig) -> NDArray[np.float32]:
    """Return the zooms that an agent reaches by whole steps, float32 (Z,), ascending."""
    low, high = config.scheme.zooms()
    steps = round(1.0 / config.geometry.zoom_step)
    ladder = np.linspace(0.0, 1.0, steps + 1, dtype=np.float32)
    inside = ladder[(ladder >= low) & (ladder <= high)]
    return np.union1d(inside, np.asarray([low, high], np.float32)).astype(np.float32)
