"""The first glimpses of episodes, and what they weigh in a classifier's loss."""

from typing import NamedTuple

import numpy as np
import torch as th
from numpy.typing import NDArray


class Prefixes(NamedTuple):
    """What a memory holds after some glimpses of some episodes: what a loss is computed on.

    :param hidden: float32 (M, hidden_size)
    :param rows: which episode, int64 (M,)
    :param counts: after how many glimpses, int64 (M,)
    :param weights: in the loss, float32 (M,), summing to 1 over all
    """

    hidden: th.Tensor
    rows: NDArray[np.int64]
    counts: NDArray[np.int64]
    weights: NDArray[np.float32]


def all_prefixes(
    counts: NDArray[np.int64], early_weight: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return rows, steps from 0, and weights of all glimpses of some episodes.

    :param counts: glimpses of each episode, int64 (n,)
    :param early_weight: weight of every glimpse but an episode's last, which has 1
    :return: int64 (M,), int64 (M,) and float32 (M,), which sum to 1
    """
    rows, steps = np.nonzero(np.arange(counts.max()) < counts[:, None])
    weights = np.where(steps == counts[rows] - 1, 1.0, early_weight)
    weights /= (1.0 + early_weight * (counts - 1))[rows] * len(counts)
    return rows, steps, weights.astype(np.float32)
