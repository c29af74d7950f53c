"""What every scripted gaze offers, and the environment that it is played in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.actions import Anywhere
from glimpse_envs.classifier import GlimpseClassifier, Reading
from glimpse_envs.components import Component, check_number
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


def check_zoom(strategy: Any) -> None:
    """Raise a ValueError unless a strategy's ``zoom`` is one, or None."""
    if strategy.zoom is not None:
        check_number(strategy, "zoom", low=0.0, high=1.0)
