"""A small classifier of glimpses in numpy."""

import numpy as np
from numpy.typing import NDArray

from glimpse_envs import Reading


class NumpyClassifier:
    """The softmax of the running mean of a fixed random projection of glimpse and gaze.

    Each lane is computed by itself, so that its numbers do not depend on the lanes beside it.
    """

    def __init__(self, n_classes: int = 10, hidden_size: int = 5, seed: int = 0) -> None:
        self.n_classes, self.hidden_size, self.seed = n_classes, hidden_size, seed
        self.calls: list[int] = []  # rows of every update

    def start(self, n: int) -> NDArray[np.float32]:
        return np.zeros((n, 1 + self.n_classes), np.float32)  # glimpses so far, sum of the logits

    def update(
        self, state: NDArray[np.float32], glimpse: NDArray[np.uint8], gaze: NDArray[np.float32]
    ) -> Reading:
        self.calls.append(len(state))
        state = np.array(state)
        belief = np.empty((len(state), self.n_classes), np.float32)
        for lane in range(len(state)):
            features = np.append(glimpse[lane].ravel() / 255.0 - 0.5, gaze[lane])
            logits = features @ self._weights(features.size)
            state[lane, 0] += 1.0
            state[lane, 1:] += logits.astype(np.float32)
            scores = np.exp(state[lane, 1:] / state[lane, 0])
            belief[lane] = scores / scores.sum()
        return Reading(state, belief, state[:, 1 : 1 + self.hidden_size])

    def _weights(self, n: int) -> NDArray[np.float64]:
        return np.random.default_rng([self.seed, n]).normal(size=(n, self.n_classes))
