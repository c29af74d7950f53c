"""What every memory of a glimpse classifier offers."""

from typing import ClassVar

import numpy as np
import torch as th
from numpy.typing import NDArray
from torch import nn

from glimpse_envs.core import Sequences
from policies.classifier.prefixes import Prefixes


class Memory(nn.Module):
    """From glimpses and their gazes to a hidden vector.

    Where a memory reads several views of the same, such as a canvas and its mirror image, hidden
    vectors are (n, views, hidden_size): the logits of all are averaged, and agents see the first.

    :ivar hidden_size: size of that vector
    :cvar takes_bfloat16: whether computing in bfloat16 pays
    :ivar reads_any_size: whether the same weights read images of any size
    """

    takes_bfloat16: ClassVar[bool] = False
    reads_any_size: bool = False
    hidden_size: int

    def start(self, n: int) -> NDArray:
        """Return what it holds before the first glimpse of n lanes, (n, ...)."""
        raise NotImplementedError

    def step(
        self, state: NDArray, glimpse: NDArray[np.uint8], gaze: NDArray[np.float32]
    ) -> tuple[NDArray, th.Tensor]:
        """Return the next state and the hidden vectors, float32 (n, hidden_size).

        :param state: (n, ...)
        :param glimpse: uint8 (n, h, w, C)
        :param gaze: float32 (n, 3)
        """
        raise NotImplementedError

    def follow(
        self, glimpses: th.Tensor, gaze: NDArray[np.float32], counts: NDArray[np.int64]
    ) -> th.Tensor:
        """Read whole episodes as :meth:`step` does, with gradients to the glimpses.

        :param glimpses: float32 (n, T, C, h, w) in [0, 255]
        :param gaze: float32 (n, T, 3), finite
        :param counts: how many of each row are read, int64 (n,), 1 to T
        :return: the hidden vectors after the last of them, float32 (n, hidden_size)
        """
        raise NotImplementedError

    def outputs(self, glimpses: th.Tensor, gaze: NDArray[np.float32]) -> th.Tensor:
        """Return the hidden vectors after every glimpse of whole episodes, with gradients.

        :param glimpses: uint8 (n, T, h, w, C)
        :param gaze: float32 (n, T, 3), finite
        :return: float32 (n, T, hidden_size)
        """
        raise NotImplementedError(f"{type(self).__name__} does not define outputs")

    def prefixes(self, batch: Sequences, early_weight: float, rng: np.random.Generator) -> Prefixes:
        """Return what a loss on some episodes is computed on.

        :param batch: n episodes
        :param early_weight: weight in the loss of every glimpse but an episode's last, which has 1
        :param rng: for memories that read some of the prefixes, drawn by their weights
        """
        raise NotImplementedError
