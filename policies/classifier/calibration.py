"""A belief that is as sure as it is right: one temperature for each number of glimpses.

Guo et al. 2017, "On calibration of modern neural networks". Rewards and stopping read the belief,
so that they read the calibrated one.
"""

import numpy as np
import torch as th
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from glimpse_envs.core import Sequences
from policies.classifier.model import N_TEMPERATURES, TorchClassifier

#: temperatures are sought from 1 / 20 to 20
_LARGEST = 20.0
#: episodes that a temperature is fitted on, at least
_FEWEST = 100
#: bytes of states and glimpses that are read together, at most
_CHUNK_BYTES = 2**25


def calibrate(classifier: TorchClassifier, episodes: Sequences) -> None:
    """Fit the temperatures to the cross-entropy after each glimpse of some episodes.

    For numbers of glimpses that fewer than a hundred episodes have, the temperature of the number
    before is taken, from 1 on: so few tell too little.

    :param classifier: whose temperatures are set
    :param episodes: of images that it was not trained on
    """
    temperatures = np.ones(N_TEMPERATURES, np.float32)
    classifier.temperatures.fill_(1.0)
    logits = _logits(classifier, episodes)
    for t in range(min(episodes.counts.max(), N_TEMPERATURES)):
        rows = episodes.counts > t
        if rows.sum() < _FEWEST:
            break
        temperatures[t:] = _fit(logits[rows, t], episodes.labels[rows])
    classifier.temperatures.copy_(th.as_tensor(temperatures))


def _logits(classifier: TorchClassifier, episodes: Sequences) -> NDArray[np.float32]:
    """Return log-beliefs after each glimpse, (n, T, K), 0 after an episode's last."""
    n, length = episodes.gaze.shape[:2]
    logits = np.zeros((n, length, classifier.n_classes), np.float32)
    each = classifier.start(1).nbytes + episodes.glimpses[0, 0].nbytes
    size = max(1, min(1024, _CHUNK_BYTES // each))
    for begin in range(0, n, size):
        chunk = np.arange(begin, min(begin + size, n))
        state = classifier.start(len(chunk))
        for t in range(episodes.counts[chunk].max()):
            inside = (episodes.counts[chunk] > t).nonzero()[0]
            rows = chunk[inside]
            gaze = np.ascontiguousarray(episodes.gaze[rows, t])
            reading = classifier.update(state[inside], episodes.glimpses[rows, t], gaze)
            state[inside] = reading.state
            logits[rows, t] = np.log(np.maximum(reading.belief, np.finfo(np.float32).tiny))
    return logits


def _fit(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the temperature of the smallest cross-entropy."""
    logits = logits.astype(np.float64)
    rows = np.arange(len(labels))

    def cross_entropy(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean()

    end = np.log(_LARGEST)
    return float(np.exp(minimize_scalar(cross_entropy, bounds=(-end, end), method="bounded").x))
