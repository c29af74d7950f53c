"""Images of their own proportions, each in the middle of a frame; all frames are of one size.

Gaze and observations are in fractions of the frame. The windows of a sensor that keeps inside the
image (``Crop``) keep inside each lane's own, and the fixations of the others lie on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.gaze import Geometry


@dataclass(frozen=True, eq=False, kw_only=True)
class LaneGeometry(Geometry):
    """The gazes that are possible on lanes whose images fill parts of frames of a size.

    Where a method takes gazes of all lanes (B, 3) or (B, n, 3), they are in the lanes' order.

    :param extents: height and width of each image of the split, pixels, int64 (N, 2)
    :param limits: of each lane's image: left, top, right and bottom in the frame, pixels, and the
        zoom of the largest window that lies inside of it; float64 (B, 5)
    """

    extents: NDArray[np.int64]
    limits: NDArray[np.float64]

    @property
    def _limits(self) -> NDArray[np.float64]:
        return self.limits

    def show(self, lanes: NDArray[np.int64], index: NDArray[np.int64]) -> None:
        """Note which images are shown on some lanes."""
        frame, extents = np.array([self.height, self.width]), self.extents[index]
        begin = (frame - extents) // 2
        self.limits[lanes, 1::-1], self.limits[lanes, 3:1:-1] = begin, begin + extents
        octaves = np.log(self.largest / self.finest)
        above = np.log(self.largest / extents.min(axis=1))
        self.limits[lanes, 4] = above / octaves if octaves > 0.0 else 0.0

    def of(self, lanes: NDArray[np.int64]) -> LaneGeometry:
        """Return the gazes that are possible on some lanes."""
        return replace(self, limits=self.limits[lanes])

    def to_frame(self, gaze: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return gazes (B, 3), whose fixations are fractions of an image, in its frame."""
        begin, length = self._in_frame()
        moved = np.array(gaze, np.float32)
        moved[:, :2] = begin + moved[:, :2] * length
        return moved

    def to_image(self, gaze: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return gazes (B, 3), whose fixations are fractions of a frame, in its image."""
        begin, length = self._in_frame()
        moved = np.array(gaze, np.float32)
        moved[:, :2] = (moved[:, :2] - begin) / length
        return moved

    def _in_frame(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where images begin, and how long they are, fractions of their frames, (B, 2)."""
        begin, end = self.limits[:, :2], self.limits[:, 2:4]
        frame = np.array([self.width, self.height])
        return begin / frame, (end - begin) / frame


def lane_geometry(frame: Geometry, extents: NDArray[np.int64], n_lanes: int) -> LaneGeometry:
    """Return the gazes that are possible on so many lanes, once they show something.

    :param frame: the gazes that are possible on a whole frame
    :param extents: height and width of each image of the split, pixels, int64 (N, 2)
    """
    limits = np.tile([0.0, 0.0, frame.width, frame.height, 0.0], (n_lanes, 1))
    return LaneGeometry(
        height=frame.height,
        width=frame.width,
        finest=frame.finest,
        padded=frame.padded,
        extents=extents,
        limits=limits,
    )


def smallest(extents: NDArray[np.int64]) -> tuple[int, int]:
    """Return height and width of the image with the shortest side.

    :param extents: of images, int64 (N, 2)
    """
    height, width = extents[extents.min(axis=1).argmin()]
    return int(height), int(width)
