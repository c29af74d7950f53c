"""Images of their own proportions, each in the middle of a frame; all frames are of one size.

Gaze and observations are in fractions of the frame. Where the bars beside an image are of an odd
width, it lies half a pixel to the left or above the middle. The windows of a sensor that keeps
inside the image (``Crop``) keep inside each lane's own, and the fixations of the others lie on it.
Smaller copies of large images (:mod:`glimpse_envs.pyramid`) mix bars into their outermost pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.gaze import Geometry


class Motion(Protocol):
    """An augmentation that is a motion, see ``glimpse_envs.data.augmentation``."""

    def motion(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return how images move, int64 (n, 2), and which are mirrored before, bool (n,)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LaneGeometry(Geometry):
    """The gazes that are possible on lanes whose images fill parts of frames of a size.

    Where a method takes gazes of all lanes (B, 3) or (B, n, 3), they are in the lanes' order.

    :param extents: height and width of each image of the split, pixels, int64 (N, 2)
    :param augment: that moves and mirrors frames, and images with them; None for none
    :param limits: of what is shown of each lane's image: left, top, right and bottom in the frame,
        pixels, and the zoom of the largest window that lies inside of it; float64 (B, 5)
    """

    extents: NDArray[np.int64]
    augment: Motion | None
    limits: NDArray[np.float64]

    @property
    def _limits(self) -> NDArray[np.float64]:
        return self.limits

    def show(
        self, lanes: NDArray[np.int64], index: NDArray[np.int64], stream: NDArray[np.uint64]
    ) -> None:
        """Note which images are shown on some lanes, and how they are moved."""
        frame, extents = np.array([self.width, self.height]), self.extents[index, ::-1]
        begin = (frame - extents) // 2
        if self.augment is not None:
            shifts, mirrored = self.augment.motion(stream)
            begin[mirrored, 0] = self.width - begin[mirrored, 0] - extents[mirrored, 0]
            begin += shifts
        shown = begin.clip(0), np.minimum(begin + extents, frame)
        self.limits[lanes, :2], self.limits[lanes, 2:4] = shown
        octaves = np.log(self.largest / self.finest)
        above = np.log(self.largest / (shown[1] - shown[0]).min(axis=1))
        self.limits[lanes, 4] = above / octaves if octaves > 0.0 else 0.0

    def bounds(self, n_lanes: int) -> NDArray[np.float64]:
        """Return left, top, right and bottom of what may be looked at, pixels, float64 (B, 4)."""
        return self.limits[:, :4]

    def of(self, lanes: NDArray[np.int64]) -> LaneGeometry:
        """Return the gazes that are possible on some lanes."""
        return replace(self, limits=self.limits[lanes])

    def shift(self, gaze: NDArray[np.float32], step: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the clamped gaze after a relative step, float32 (B, 3).

        :raises ValueError: for gazes of other lanes than all: see :meth:`of`
        """
        self._check(len(gaze))
        return super().shift(gaze, step)

    def coverage(
        self, history: NDArray[np.float32], counts: NDArray[np.int64], span: float = 1.0
    ) -> NDArray[np.float32]:
        """Return the fraction of each lane's image that the union of its windows covers, (B,).

        :raises ValueError: for another number of lanes
        """
        self._check(len(history))
        return super().coverage(history, counts, span)

    def _check(self, n: int) -> None:
        if n % max(1, len(self.limits)):
            raise ValueError(f"got gazes {n}; wanted as many for each of {len(self.limits)} lanes")

    def to_frame(self, gaze: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return gazes (B, 3), whose fixations are fractions of an image, in its frame."""
        begin, length = self._in_frame(len(gaze))
        moved = np.array(gaze, np.float32)
        moved[:, :2] = begin + moved[:, :2] * length
        return moved

    def to_image(self, gaze: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return gazes (B, 3), whose fixations are fractions of a frame, in its image."""
        begin, length = self._in_frame(len(gaze))
        moved = np.array(gaze, np.float32)
        moved[:, :2] = (moved[:, :2] - begin) / length
        return moved

    def _in_frame(self, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where images begin, and how long they are, fractions of their frames, (n, 2)."""
        limits = np.repeat(self.limits, n // max(1, len(self.limits)), axis=0)
        frame = np.array([self.width, self.height])
        return limits[:, :2] / frame, (limits[:, 2:4] - limits[:, :2]) / frame


def lane_geometry(
    frame: Geometry, extents: NDArray[np.int64], augment: Motion | None, n_lanes: int
) -> LaneGeometry:
    """Return the gazes that are possible on so many lanes, once they show something.

    :param frame: the gazes that are possible on a whole frame
    :param extents: height and width of each image of the split, pixels, int64 (N, 2)
    :param augment: that moves frames, or None
    """
    limits = np.tile([0.0, 0.0, frame.width, frame.height, 0.0], (n_lanes, 1))
    return LaneGeometry(
        height=frame.height,
        width=frame.width,
        finest=frame.finest,
        padded=frame.padded,
        extents=extents,
        augment=augment,
        limits=limits,
    )


def least_side(extents: NDArray[np.int64], frame: tuple[int, int], shift: int) -> int:
    """Return the shortest side of what is shown of images that are moved by so much, pixels.

    :param extents: height and width of the images, int64 (N, 2)
    :param frame: height and width
    :param shift: at most, pixels
    """
    lost = np.maximum(0, shift - (np.array(frame) - extents) // 2)
    return int((extents - lost).min())
