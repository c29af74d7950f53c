"""The observation space: a Dict whose small glimpses also the stock policies of SB3 can read."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatten_space
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

NATURE_CNN = 36
"""Pixels a side that the convolutions of SB3's ``NatureCNN`` need."""


class _LowerBound(np.ndarray):
    """The bound -1 of bytes, which ``VecFrameStack`` cannot repeat for a Box of its own."""

    def __array_function__(self, function: Any, *arguments: Any) -> Any:
        """Refuse ``numpy.repeat``, by which SB3 stacks frames."""
        if function is np.repeat:
            raise ValueError(
                f"got VecFrameStack around glimpses of {self.shape[0]} x {self.shape[1]}; wanted "
                f"at least {NATURE_CNN} pixels a side: leave it out, and let the agent see all its "
                "glimpses by observe_history=True"
            )
        return super().__array_function__(function, *arguments)


class SmallImage(spaces.Box):
    """Bytes of a picture that is too small for ``NatureCNN``: Box(0, 255, (H, W, C), uint8).

    SB3 takes for an image what has bounds 0 and 255, and sends it through ``NatureCNN``. Here
    ``low`` is -1, which is a bound of bytes, too: so the picture is flattened instead. In all else
    (members, samples, equality, batches) this is the Box of ``image``.

    :param shape: height, width and channels
    :ivar image: the Box with the tight bounds
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.image = spaces.Box(0, 255, shape, np.uint8)
        super().__init__(0, 255, shape, np.uint8)
        self.low = np.full(shape, -1, np.int16).view(_LowerBound)

    @property
    def np_random(self) -> np.random.Generator:
        """The generator of ``image``."""
        return self.image.np_random

    def seed(self, seed: int | None = None) -> Any:
        """Seed the generator of ``image``."""
        return self.image.seed(seed)

    def sample(self, mask: None = None, probability: None = None) -> NDArray[np.uint8]:
        """Return a sample of ``image``."""
        return self.image.sample(mask, probability)

    def __repr__(self) -> str:
        return repr(self.image)

    def __eq__(self, other: object) -> bool:
        return self.image == (other.image if isinstance(other, SmallImage) else other)

    __hash__ = None  # type: ignore[assignment]  # as for all spaces


class ObservationSpace(spaces.Dict):
    """A Dict that shows its small images as images to whoever asks for them by name.

    SB3 lays out its networks by what is in ``spaces``, and scales bytes to [0, 1] by what
    ``space[key]`` says. Thus the stock ``MultiInputPolicy`` of every algorithm gets small glimpses
    flattened and scaled, without a policy, a wrapper or a copy of the pixels as floats.
    """

    def __getitem__(self, key: str) -> spaces.Space:
        space = super().__getitem__(key)
        return space.image if isinstance(space, SmallImage) else space


def image_space(shape: tuple[int, int, int]) -> spaces.Box:
    """Return the space of pictures (H, W, C), uint8, for an ``ObservationSpace``."""
    if min(shape[:2]) < NATURE_CNN:
        return SmallImage(shape)
    return spaces.Box(0, 255, shape, np.uint8)


@flatten_space.register
def _(space: SmallImage) -> spaces.Box:
    return flatten_space(space.image)


@batch_space.register
def _(space: SmallImage, n: int = 1) -> spaces.Box:
    return batch_space(space.image, n)
