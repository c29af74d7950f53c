"""Where the images of lanes lie in what they show: to train with and to measure by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.metrics.tracking import held, middles, offsets


class Targets:
    """Where the episodes' own images lie in what an environment shows, frame by frame.

    No observation tells it.

    :param config: of the environment
    """

    def __init__(self, config: GlimpseConfig) -> None:
        self.config = config

    def boxes(self, stream: NDArray[np.uint64], times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return left, top, width and height of the images in some frames, pixels, int64 (n, 4).

        :param stream: randomness of the episodes, uint64 (n,)
        :param times: of the frames, int64 (n,)
        :raises NotImplementedError: for a scene or augmentation that does not say so
        """
        config = self.config
        height, width, _ = config.dataset.image_shape
        corners = config.scene.places_at(height, width, stream, times)
        if config.augmented:
            corners = config.augment.moved(corners, (height, width), config.shape[1], stream)
        return np.concatenate([corners, np.tile([width, height], (len(stream), 1))], axis=1)

    def fixations(
        self, stream: NDArray[np.uint64], times: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the fixations of the images' middles, float32 (n, 2)."""
        height, width, _ = self.config.shape
        return (middles(self.boxes(stream, times)) / (width, height)).astype(np.float32)

    def offsets(
        self, stream: NDArray[np.uint64], times: NDArray[np.int64], gaze: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return how far the images are from windows: between the middles, in windows' sides.

        To the right and downwards, float32 (n, 2).

        :param gaze: of the windows, float32 (n, 3)
        """
        windows = self.config.geometry.windows(gaze)
        return offsets(self.boxes(stream, times), windows).astype(np.float32)

    def held(
        self,
        stream: NDArray[np.uint64],
        history: NDArray[np.float32],
        n_glimpses: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Return which glimpses of some episodes held the middle of their image, bool (n, T).

        :param history: gazes of each episode, float32 (n, T, 3)
        :param n_glimpses: how many of each were taken, int64 (n,)
        """
        n, most = history.shape[:2]
        boxes = self.boxes(np.repeat(stream, most), np.tile(np.arange(most), n))
        windows = self.config.geometry.windows(history.reshape(-1, 3))
        return held(boxes, windows).reshape(n, most) & (np.arange(most) < n_glimpses[:, None])
