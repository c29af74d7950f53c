"""Gazes chosen by looking at pixels that were not looked at: references, not fair baselines."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import GlimpseCore
from glimpse_envs.metrics.information import entropy
from glimpse_envs.proportions import LaneGeometry
from glimpse_lab.evaluation.baselines import lattice


class OracleGaze(ABC):
    """A gaze that reads the image, or glimpses that it does not take, before each choice."""

    @abstractmethod
    def __call__(self, step: int, core: GlimpseCore, config: GlimpseConfig) -> NDArray[np.float32]:
        """Return the gaze of the next glimpse of all lanes, float32 (B, 3) in [0, 1].

        :param step: 0 for the first glimpse after the environment's own
        :param core: the lanes, at any moment of their episodes
        :param config: the environment of the agent that this gaze stands in for
        """

    @abstractmethod
    def reads(self, config: GlimpseConfig) -> int:
        """Return how many pixels it reads in an episode beside those of its glimpses."""


class SaliencyGaze(OracleGaze):
    """The finest window with the largest sum of the grey image's gradient magnitudes.

    What earlier windows showed counts no more (inhibition of return; Itti, Koch and Niebur, "A
    model of saliency-based visual attention for rapid scene analysis", PAMI 1998). The overview
    does not inhibit.
    """

    def __call__(self, step: int, core: GlimpseCore, config: GlimpseConfig) -> NDArray[np.float32]:
        """Return the next gaze of each lane, float32 (B, 3)."""
        grey = core.images().mean(axis=3, dtype=np.float32)  # (B, H, W)
        slopes = np.gradient(grey, axis=(1, 2))
        strength = np.hypot(*slopes)
        bounds = np.rint(core.geometry.bounds(core.n_lanes)).astype(np.int64)
        framed = isinstance(core.geometry, LaneGeometry)
        if framed:  # there is no edge where an image ends
            strength *= _inside(bounds + [1, 1, -1, -1], strength.shape)
        for t in range(step + 1):
            windows = _pixels(core.geometry.windows(core.history[:, t]))
            strength *= ~_inside(windows, strength.shape) | _whole(windows, bounds)
        table = np.zeros((len(grey), grey.shape[1] + 1, grey.shape[2] + 1))
        table[:, 1:, 1:] = strength.cumsum(axis=1).cumsum(axis=2)
        gazes = lattice(config)
        gazes = gazes[gazes[:, 2] == gazes[:, 2].max()]
        gazes = np.tile(gazes, (core.n_lanes, 1))
        if framed:  # each image has its own
            gazes = core.geometry.clamp(core.geometry.to_frame(gazes))
        left, top, right, bottom = _pixels(core.geometry.windows(gazes)).clip(0).T
        right, bottom = right.clip(max=grey.shape[2]), bottom.clip(max=grey.shape[1])
        lane = np.repeat(core.lanes, len(gazes) // core.n_lanes)
        sums = (
            table[lane, bottom, right] - table[lane, top, right]
            - table[lane, bottom, left] + table[lane, top, left]
        )  # fmt: skip
        best = sums.reshape(core.n_lanes, -1).argmax(axis=1)
        return gazes.reshape(core.n_lanes, -1, 3)[core.lanes, best]

    def reads(self, config: GlimpseConfig) -> int:
        """Return how many pixels it reads in an episode beside its samples."""
        return config.shape[0] * config.shape[1]


class UncertaintyGaze(OracleGaze):
    """The next glimpse after which the classifier's belief has the lowest entropy.

    It tries every gaze of a lattice (half a window apart, at every zoom that the agent reaches).
    """

    def __call__(self, step: int, core: GlimpseCore, config: GlimpseConfig) -> NDArray[np.float32]:
        """Return the next gaze of each lane, float32 (B, 3)."""
        gazes = lattice(config)
        best, lowest = np.zeros(core.n_lanes, np.int64), np.full(core.n_lanes, np.inf)
        for k, gaze in enumerate(gazes):
            uncertainty = entropy(core.lookahead(np.tile(gaze, (core.n_lanes, 1))))
            best[uncertainty < lowest] = k
            lowest = np.minimum(lowest, uncertainty)
        return gazes[best]

    def reads(self, config: GlimpseConfig) -> int:
        """Return how many pixels it reads in an episode beside its samples."""
        return len(lattice(config)) * config.sensor.samples * (config.budget - 1)


def _pixels(windows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return left, top, right and bottom in whole pixels, (n, 4), of windows (n, 3)."""
    left, top, side = windows.T
    return np.rint(np.stack([left, top, left + side, top + side], axis=1)).astype(np.int64)


def _inside(pixels: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which pixels of images (B, H, W) lie in each lane's window (B, 4)."""
    left, top, right, bottom = pixels.T[:, :, None]
    y, x = np.arange(shape[1]), np.arange(shape[2])
    rows, columns = (top <= y) & (y < bottom), (left <= x) & (x < right)
    return rows[:, :, None] & columns[:, None, :]


def _whole(pixels: NDArray[np.int64], bounds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which windows (B, 4) are as high or wide as the image: overviews, (B, 1, 1)."""
    sides, most = (corners[:, 2:] - corners[:, :2] for corners in (pixels, bounds))
    return (sides >= most).any(axis=1)[:, None, None]
