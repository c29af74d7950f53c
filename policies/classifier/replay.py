"""Glimpse sequences to train a classifier with: kept of rollouts, or along a given gaze."""

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import GlimpseCore, Sequences
from glimpse_envs.randomness import integers
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
    """Plays episodes along a scripted gaze, pass by pass over the images in random order.

    An image is mirrored, if it is at all, in every other pass (Jordan 2024, "94 % on CIFAR-10 in
    3.29 seconds").

    :param config: the environment; its classifier is not asked
    :param strategy: the gaze after the environment's own first glimpse
    :param seed: of images, scenes and gaze
    :param lanes: episodes collected together
    :param begun: episodes that were collected before
    """

    def __init__(
        self,
        config: GlimpseConfig,
        strategy: ScriptedGaze,
        seed: int | list[int],
        lanes: int = 512,
        *,
        begun: int = 0,
    ) -> None:
        self.config, self.strategy = config, strategy
        self._n_images = len(config.shown_split)
        self._passes = begun // self._n_images
        self._order = np.zeros(0, np.int64)
        self.rng = np.random.default_rng(seed)
        self.core = GlimpseCore(scripted(config, Blind(config.dataset.n_classes)), lanes)
        self._parts: list[Sequences] = []
        self.core.record(self._parts.append)
        self._reset()

    def collect(self, n: int) -> Sequences:
        """Return n episodes of as many glimpses as the budget allows.

        :param n: how many
        """
        core = self.core
        while sum(len(part.labels) for part in self._parts) < n:
            for step in range(core.config.budget - 1):
                core.step(self.strategy.look(step, core, self.config, self.rng))
            self._reset()
        collected = join(self._parts)
        self._parts[:] = [take(collected, slice(n, None))]  # for the next time
        return take(collected, slice(n))

    def _reset(self) -> None:
        """Begin the next episodes."""
        core = self.core
        index = np.empty(core.n_lanes, np.int64)
        mirrored = np.empty(core.n_lanes, np.uint64)
        n_done = 0
        while n_done < core.n_lanes:
            if not len(self._order):
                self._order = self.rng.permutation(self._n_images)
                self._passes += 1
            taken, self._order = np.split(self._order, [core.n_lanes - n_done])
            rows = slice(n_done, n_done + len(taken))
            index[rows] = taken
            mirrored[rows] = (_parity(taken) + self._passes) % 2
            n_done += len(taken)
        stream = self.rng.integers(2**64, size=core.n_lanes, dtype=np.uint64)
        core.reset(core.lanes, index, stream & ~np.uint64(1) | mirrored)


def _parity(index: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a fixed random bit of each image, so that half of them begin mirrored."""
    return integers(index.astype(np.uint64), 0, 2).astype(np.uint64)
