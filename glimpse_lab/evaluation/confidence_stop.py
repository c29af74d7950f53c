"""A scan that stops when the classifier is sure enough: what a policy that stops has to beat."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.metrics.scanpaths import Scanpaths


def threshold_for(paths: Scanpaths, n_glimpses: float) -> float:
    """Return the confidence at which to stop, so that episodes take so many glimpses on average.

    Labels are not read.

    :param paths: episodes of all glimpses, with beliefs, of other images than those to measure on
    :param n_glimpses: the mean that is wanted
    """
    confidence = _confidence(paths)
    low, high = 0.0, 1.0 + 1e-6
    for _ in range(40):  # the mean rises with the threshold
        middle = 0.5 * (low + high)
        if _counts(confidence, middle).mean() > n_glimpses:
            high = middle
        else:
            low = middle
    return low


def stopped(paths: Scanpaths, threshold: float) -> Scanpaths:
    """Return the episodes as far as the first glimpse after which the confidence is that high.

    :param paths: episodes of all glimpses, with beliefs
    :param threshold: of the likeliest class's probability
    """
    counts = _counts(_confidence(paths), threshold)
    rows, last = np.arange(len(counts)), counts - 1
    beyond = np.arange(paths.budget) >= counts[:, None]
    answers = np.where(beyond, paths.answers[rows, last][:, None], paths.answers)

    def cut(values: NDArray[np.float32]) -> NDArray[np.float32]:
        shape = beyond.shape + (1,) * (values.ndim - 2)
        return np.where(beyond.reshape(shape), np.float32(np.nan), values)

    names = ("gaze", "windows", "seen", "beliefs", "step_rewards", "hidden")
    return replace(
        paths,
        **{name: cut(getattr(paths, name)) for name in names},
        answers=answers,
        predictions=answers[:, -1],
        n_glimpses=counts,
        samples=paths.samples * counts // paths.n_glimpses,  # each glimpse has as many
        coverage=paths.seen[rows, last],
    )


def _confidence(paths: Scanpaths) -> NDArray[np.float32]:
    if not paths.n_classes or (paths.n_glimpses < paths.budget).any():
        raise ValueError(
            f"got episodes of {paths.n_glimpses.min()} to {paths.n_glimpses.max()} glimpses and "
            f"beliefs in {paths.n_classes} classes; wanted beliefs, and all {paths.budget} glimpses"
        )
    return paths.beliefs.max(axis=2)


def _counts(confidence: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """Return after how many glimpses episodes stop, the last at the latest, int64 (N,)."""
    sure = confidence >= threshold
    sure[:, -1] = True
    return sure.argmax(axis=1) + 1
