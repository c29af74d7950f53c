"""Augmentation of the training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.compiled import kernel
from glimpse_envs.components import Component, check_integer
from glimpse_envs.randomness import draw_below

# numbers of an episode's draws; scenes count their own from 0
_SHIFT_X, _SHIFT_Y = 1 << 41, (1 << 41) + 1

FILLS = ("reflect", "zeros")


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

    @property
    def reach(self) -> int | None:
        """How far it moves images in x or in y at most, pixels; None where it does not only that.

        A number says that it moves and mirrors images and does nothing else, and that zeros come in
        at the borders: windows can then be moved in the place of large images.
        """
        return None

    def motion(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return how images move: to the right and downwards, int64 (n, 2), mirrored before, (n,).

        Asked for where ``reach`` is a number.

        :param keys: as the call takes them
        """
        raise NotImplementedError(f"{type(self).__name__} does not define motion")

    def moved(
        self,
        corners: NDArray[np.int64],
        size: tuple[int, int],
        width: int,
        keys: NDArray[np.uint64],
    ) -> NDArray[np.int64]:
        """Return where parts of the images lie in the augmented ones: left and top, int64 (n, 2).

        :param corners: left and top of one part in each image, int64 (n, 2)
        :param size: height and width of these parts
        :param width: of the images
        :param keys: as the call takes them
        """
        raise NotImplementedError(f"{type(self).__name__} does not define moved")


@dataclass(frozen=True)
class ShiftFlip(Augmentation):
    """A random shift and a random mirror image.

    Which of the two mirror images is shown is the lowest bit of an episode's stream, so that who
    gives the streams can let them alternate.

    :param shift: largest shift in x and in y, pixels
    :param flip: mirror half of the images left to right (wrong for digits and letters)
    :param fill: what comes in at the borders: ``"zeros"``, or the image itself, reflected
    """

    shift: int = 2
    flip: bool = False
    fill: str = "zeros"

    def __post_init__(self) -> None:
        check_integer(self, "shift", low=0)
        if not isinstance(self.flip, bool):
            raise ValueError(f"got ShiftFlip(flip={self.flip!r}); wanted true or false")
        if self.fill not in FILLS:
            raise ValueError(f"got ShiftFlip(fill={self.fill!r}); wanted one of {', '.join(FILLS)}")

    def check_shape(self, height: int, width: int) -> None:
        """Raise a ValueError where a shift could leave nothing of an image."""
        if self.shift >= min(height, width):
            raise ValueError(
                f"got ShiftFlip(shift={self.shift}) for images of {height} x {width}; wanted a "
                "shift smaller than their sides"
            )

    def __call__(self, images: NDArray[np.uint8], keys: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Return the images shifted and mirrored, each by its own draws."""
        if self.fill == "reflect" and self.shift >= min(images.shape[1:3]):
            raise ValueError(
                f"got {self} for images of {images.shape[1]} x {images.shape[2]}; a reflected "
                "shift must be smaller than they are"
            )
        out = np.zeros_like(images)
        _augment(images, keys, self.shift, self.flip, self.fill == "reflect", out)
        return out

    @property
    def reach(self) -> int | None:
        """The largest shift, where zeros come in at the borders."""
        return self.shift if self.fill == "zeros" else None

    def motion(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return shifts to the right and downwards, int64 (n, 2), and which are mirrored before."""
        shifts, mirrored = np.empty((len(keys), 2), np.int64), np.empty(len(keys), np.bool_)
        _motion(keys, self.shift, self.flip, shifts, mirrored)
        return shifts, mirrored

    def moved(
        self,
        corners: NDArray[np.int64],
        size: tuple[int, int],
        width: int,
        keys: NDArray[np.uint64],
    ) -> NDArray[np.int64]:
        """Return where parts of the images lie in the augmented ones, int64 (n, 2)."""
        moved = np.empty_like(corners)
        _move(corners, size[1], width, keys, self.shift, self.flip, moved)
        return moved


@kernel(inline="always")
def _drawn(key, shift, flip):
    """Return the shift to the right and downwards, and whether the image is mirrored before it."""
    dx = draw_below(key, _SHIFT_X, 2 * shift + 1) - shift
    dy = draw_below(key, _SHIFT_Y, 2 * shift + 1) - shift
    return dx, dy, flip and key & np.uint64(1) == 1


@kernel
def _motion(keys, shift, flip, shifts, mirrored):
    for i in range(keys.shape[0]):
        shifts[i, 0], shifts[i, 1], mirrored[i] = _drawn(keys[i], shift, flip)


@kernel
def _move(corners, part, width, keys, shift, flip, moved):
    for i in range(corners.shape[0]):
        dx, dy, mirror = _drawn(keys[i], shift, flip)
        left = width - part - corners[i, 0] if mirror else corners[i, 0]
        moved[i, 0], moved[i, 1] = left + dx, corners[i, 1] + dy


@kernel
def _augment(images, keys, shift, flip, reflect, out):
    _, height, width, channels = images.shape
    for i in range(images.shape[0]):
        dx, dy, mirror = _drawn(keys[i], shift, flip)
        for y in range(height):
            row = y - dy
            if not 0 <= row < height:
                if not reflect:
                    continue
                row = _reflected(row, height)
            for x in range(width):
                column = x - dx
                if not 0 <= column < width:
                    if not reflect:
                        continue
                    column = _reflected(column, width)
                if mirror:
                    column = width - 1 - column
                for c in range(channels):
                    out[i, y, x, c] = images[i, row, column, c]


@kernel(inline="always")
def _reflected(place, size):
    """Return the place inside that lies as far from the border's pixel as one outside does."""
    return -place if place < 0 else 2 * (size - 1) - place
