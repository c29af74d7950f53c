"""Glimpse sequences to train a classifier with: kept of rollouts, or along a given gaze."""

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import GlimpseCore, Sequences
from glimpse_envs.strategies import Blind, ScriptedGaze, scripted


class SequenceStore:
    """The newest episodes, up to a number of them; older ones make room.

    :param capacity: number of episodes
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"got a store of {capacity} episodes; wanted at least 1")
        self.capacity = capacity
        self.total = 0  # episodes that were ever added
        self._kept: Sequences | None = None

    def __len__(self) -> int:
        return min(self.total, self.capacity)

    def add(self, episodes: Sequences) -> None:
        """Keep episodes, in the place of the oldest.

        :param episodes: n of them; of more than the capacity the last ones are kept
        """
        if self._kept is None:
            self._kept = Sequences._make(
                np.zeros((self.capacity, *array.shape[1:]), array.dtype) for array in episodes
            )
        n = len(episodes.labels)
        places = (self.total + np.arange(n))[-self.capacity :] % self.capacity
        for kept, array in zip(self._kept, episodes, strict=True):
            kept[places] = array[-self.capacity :]
        self.total += n

    def sample(self, n: int, rng: np.random.Generator) -> Sequences:
        """Return n episodes of those that are kept.

        :param n: how many
        :param rng: draws them, with replacement
        """
        if self._kept is None:
            raise ValueError("the store is empty: add episodes first")
        rows = rng.integers(len(self), size=n)
        return take(self._kept, rows)


def take(episodes: Sequences, rows: NDArray[np.int64] | slice) -> Sequences:
    """Return some of the episodes.

    :param episodes: n of them
    :param rows: which
    """
    return Sequences._make(array[rows] for array in episodes)


def join(parts: list[Sequences]) -> Sequences:
    """Return the episodes of all parts, one after the other."""
    return Sequences._make(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


class Collector:
    """Plays episodes along a scripted gaze.

    :param config: the environment; its classifier is not asked
    :param strategy: the gaze after the environment's own first glimpse
    :param seed: of images, scenes and gaze
    :param lanes: episodes collected together
    """

    def __init__(
        self, config: GlimpseConfig, strategy: ScriptedGaze, seed: int | list[int], lanes: int = 512
    ) -> None:
        self.config, self.strategy = config, strategy
        self.rng = np.random.default_rng(seed)
        self.core = GlimpseCore(scripted(config, Blind(config.dataset.n_classes)), lanes)
        # not lanes seeded by the seed itself: an agent's environment of that seed has those
        self.core.seed_all(int(self.rng.integers(2**31)))
        self._parts: list[Sequences] = []
        self.core.record(self._parts.append)
        self.core.reset(self.core.lanes)

    def collect(self, n: int) -> Sequences:
        """Return n episodes of as many glimpses as the budget allows.

        :param n: how many
        """
        core = self.core
        while sum(len(part.labels) for part in self._parts) < n:
            for step in range(core.config.budget - 1):
                core.step(self.strategy(step, core.gaze, self.config, self.rng).clip(0.0, 1.0))
            core.reset(core.lanes)
        collected = join(self._parts)
        self._parts[:] = [take(collected, slice(n, None))]  # for the next time
        return take(collected, slice(n))
