"""Augmentation of the training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.compiled import kernel
from glimpse_envs.components import Component, check_integer
from glimpse_envs.randomness import draw_below

# numbers of an episode's draws; scenes count their own from 0
_SHIFT_X, _SHIFT_Y, _FLIP = 1 << 41, (1 << 41) + 1, (1 << 41) + 2


class Augmentation(Component):
    """What varies the training images.

    It is applied to what the scene shows, anew for every episode, on the train split alone;
    validation and test images are shown as they are.
    """

    def check_shape(self, height: int, width: int) -> None:
        """Raise a ValueError for images that are too small for it; by default none is."""

    def __call__(self, images: NDArray[np.uint8], keys: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Return the augmented images, uint8 (n, H, W, C).

        :param images: uint8 (n, H, W, C)
        :param keys: one random stream each, uint64 (n,)
        """
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")


@dataclass(frozen=True)
class ShiftFlip(Augmentation):
    """A random shift, filled with zeros, and a random mirror image.

    :param shift: largest shift in x and in y, pixels
    :param flip: mirror half of the images left to right (wrong for digits and letters)
    """

    shift: int = 2
    flip: bool = False

    def __post_init__(self) -> None:
        check_integer(self, "shift", low=0)
        if not isinstance(self.flip, bool):
            raise ValueError(f"got ShiftFlip(flip={self.flip!r}); wanted true or false")

    def check_shape(self, height: int, width: int) -> None:
        """Raise a ValueError where a shift could leave nothing of an image."""
        if self.shift >= min(height, width):
            raise ValueError(
                f"got ShiftFlip(shift={self.shift}) for images of {height} x {width}; wanted a "
                "shift smaller than their sides"
            )

    def __call__(self, images: NDArray[np.uint8], keys: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Return the images shifted and mirrored, each by its own draws."""
        out = np.zeros_like(images)
        _augment(images, keys, self.shift, self.flip, out)
        return out


@kernel
def _augment(images, keys, shift, flip, out):
    _, height, width, channels = images.shape
    for i in range(images.shape[0]):
        dx = draw_below(keys[i], _SHIFT_X, 2 * shift + 1) - shift
        dy = draw_below(keys[i], _SHIFT_Y, 2 * shift + 1) - shift
        mirror = flip and draw_below(keys[i], _FLIP, 2) == 1
        for y in range(max(0, dy), min(height, height + dy)):
            for x in range(max(0, dx), min(width, width + dx)):
                source = x - dx
                if mirror:
                    source = width - 1 - source
                for c in range(channels):
                    out[i, y, x, c] = images[i, y - dy, source, c]
