"""Whether there is anything to see on images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_CONTRAST = 8  # grey levels of 255; an image of fewer shows nothing


class Contrast(NamedTuple):
    """What was found on some images.

    :ivar n_flat: images with fewer than ``LEAST_CONTRAST`` grey levels between their darkest and
        brightest value
    :ivar first_flat: the first of them; -1 for none
    :ivar all_alike: all images are equal
    """

    n_flat: int
    first_flat: int
    all_alike: bool


class ContrastCount:
    """Counts images without contrast, one image after the other."""

    def __init__(self) -> None:
        self._n, self._flat, self._first_flat = 0, 0, -1
        self._first: NDArray[np.uint8] | None = None
        self._all_alike = True

    def __call__(self, image: NDArray[np.uint8]) -> None:
        """Look at one more image, uint8 (H, W, C)."""
        if int(image.max()) - int(image.min()) < LEAST_CONTRAST:
            self._flat += 1
            if self._first_flat < 0:
                self._first_flat = self._n
        if self._first is None:
            self._first = image.copy()
        self._all_alike = self._all_alike and np.array_equal(image, self._first)
        self._n += 1

    def result(self) -> Contrast:
        """Return what was found."""
        return Contrast(self._flat, self._first_flat, self._all_alike)
