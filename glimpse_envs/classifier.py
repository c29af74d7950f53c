"""What the simulation asks of a classifier that watches the glimpses.

A classifier is any object with these attributes; the simulation keeps each lane's state and calls
the classifier once a step for all lanes that took a glimpse. One object serves many environments:
give it a `__deepcopy__` that returns itself, since Gymnasium copies the arguments of `make`.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class Reading(NamedTuple):
    """What a classifier makes of one more glimpse of n lanes.

    :param state: what it remembers, float32 (n, *state_shape)
    :param belief: class probabilities, float32 (n, n_classes), rows sum to 1
    :param hidden: features that a policy may observe, float32 (n, hidden_size)
    """

    state: NDArray[np.float32]
    belief: NDArray[np.float32]
    hidden: NDArray[np.float32]


@runtime_checkable
class GlimpseClassifier(Protocol):
    """A classifier of glimpse sequences, batched over lanes.

    :ivar n_classes: number of classes, as in the data set
    :ivar hidden_size: number of features that a policy may observe (0 for none)
    """

    n_classes: int
    hidden_size: int

    def start(self, n: int) -> NDArray[np.float32]:
        """Return the state before the first glimpse, float32 (n, *state_shape)."""
        ...

    def update(
        self, state: NDArray[np.float32], glimpse: NDArray[np.uint8], gaze: NDArray[np.float32]
    ) -> Reading:
        """Return the reading after one more glimpse.

        :param state: float32 (n, *state_shape)
        :param glimpse: uint8 (n, *glimpse_shape)
        :param gaze: where it was taken, float32 (n, 3)
        """
        ...
