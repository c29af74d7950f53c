"""What every simulation of lanes has: streams of random episodes, and what its faces call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from glimpse_envs.randomness import episode_keys, integers

Observation = dict[str, NDArray]

MOST_LANES = 100_000

_IMAGE = 1 << 40
"""Number of the draw of an episode's image; scenes count their own from 0."""


class Step(NamedTuple):
    """What a step of all lanes gives.

    :param observation: (B, ...) each; for lanes that ended, the last one of the episode
    :param reward: float32 (B,)
    :param ended: bool (B,)
    """

    observation: Observation
    reward: NDArray[np.float32]
    ended: NDArray[np.bool_]


class Lanes:
    """Lanes of one environment, stepped together. Lanes that ended are reset by the caller.

    State, one row a lane: ``episodes`` begun so far less one, int64; ``index``, image of the split,
    int64. A lane's episodes depend on its seed alone.

    :param n_lanes: number of lanes, B
    :param n_images: of the split
    :param scene_seed: where it is given, an episode depends on its image and this seed alone, not
        on the lane and the number of the episode
    """

    def __init__(self, n_lanes: int, n_images: int, scene_seed: int | None) -> None:
        integer = isinstance(n_lanes, int) and not isinstance(n_lanes, bool)
        if not integer or not 1 <= n_lanes <= MOST_LANES:
            raise ValueError(f"got {n_lanes!r} lanes; wanted an integer from 1 to {MOST_LANES}")
        self.n_lanes, self.n_images, self._scene_seed = n_lanes, n_images, scene_seed
        self.lanes = np.arange(n_lanes)
        self.keys = np.zeros(n_lanes, np.uint64)
        self.episodes = np.full(n_lanes, -1, np.int64)
        self.index = np.zeros(n_lanes, np.int64)

    def seed(self, lane: int, np_random: np.random.Generator) -> None:
        """Start a lane's stream of episodes anew, from one draw of a generator."""
        self.keys[lane] = np_random.integers(2**64, dtype=np.uint64)
        self.episodes[lane] = -1

    def seed_all(self, seed: int | None) -> None:
        """Seed lane i as a single environment would be by ``reset(seed=seed + i)``."""
        for lane in range(self.n_lanes):
            self.seed(lane, seeding.np_random(None if seed is None else seed + lane)[0])

    def reset(
        self, lanes: NDArray[np.int64], index: NDArray[np.int64] | None = None
    ) -> Observation:
        """Begin the next episode of ``lanes`` (n,), and return their first observation.

        :param index: images to show, int64 (n,); None for random ones
        """
        raise NotImplementedError(f"{type(self).__name__} does not define reset")

    def step(self, actions: Any) -> Step:
        """Carry out one action of every lane.

        :param actions: a batch of the action space, (B, ...)
        :raises ValueError: for actions outside the action space
        """
        raise NotImplementedError(f"{type(self).__name__} does not define step")

    def infos(self) -> dict[str, NDArray]:
        """Return what the infos say of every lane at every step, (B, ...) each."""
        raise NotImplementedError(f"{type(self).__name__} does not define infos")

    def summary(self, lanes: NDArray[np.int64]) -> dict[str, list]:
        """Return what the infos say at the end of the episodes of ``lanes``, a list of n each."""
        raise NotImplementedError(f"{type(self).__name__} does not define summary")

    def draw(self, lane: int) -> NDArray[np.uint8]:
        """Return a drawing of a lane, uint8 (height, width, 3)."""
        raise NotImplementedError(f"{type(self).__name__} does not define draw")

    def begin(
        self,
        lanes: NDArray[np.int64],
        index: NDArray[np.int64] | None,
        stream: NDArray[np.uint64] | None = None,
    ) -> NDArray[np.uint64]:
        """Count a new episode of ``lanes`` (n,), and note its image in ``index``.

        :param index: images to show, int64 (n,); None for random ones
        :param stream: randomness of each episode, uint64 (n,); None for the next of each lane.
            Where there is a scene seed it draws the image alone
        :return: the stream that what is shown is drawn from, uint64 (n,)
        """
        self.episodes[lanes] += 1
        if stream is None:
            stream = episode_keys(self.keys[lanes], self.episodes[lanes])
        if index is None:
            index = integers(stream, _IMAGE, self.n_images)
        self.index[lanes] = index
        if self._scene_seed is None:
            return stream
        return episode_keys(np.full(len(lanes), self._scene_seed, np.uint64), index)
