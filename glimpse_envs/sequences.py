"""What episodes showed, for those who learn from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Sequences(NamedTuple):
    """The glimpses of n episodes.

    :param glimpses: uint8 (n, budget, *glimpse_shape)
    :param gaze: where they were taken, float32 (n, budget, 3)
    :param counts: how many of each row there are, int64 (n,), 1 to budget
    :param labels: true classes, int64 (n,)
    """

    glimpses: NDArray[np.uint8]
    gaze: NDArray[np.float32]
    counts: NDArray[np.int64]
    labels: NDArray[np.int64]
