"""Gaze geometry: where a window lies, how it moves, and how much of the image it covered.

A gaze is float32 (x, y, zoom): x and y are the fixation in [0, 1] of the image (x to the right,
y downwards), zoom in [0, 1] is geometric: side = largest^(1 - zoom) * finest^zoom pixels, so 0 sees
the largest window (the image's shorter side) and 1 the finest (one sensor pixel per image pixel).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.compiled import kernel

#: pixels: a position or a side nearer than this to a whole number is one. Zoom is a float32, and a
#: side that is meant to be whole comes out within a few millionths of it.
_WHOLE = 1e-4


@dataclass(frozen=True)
class Geometry:
    """The gazes that are possible on an image of a given size with a given sensor.

    :param height: of the image, pixels
    :param width: of the image, pixels
    :param finest: side of the window at zoom 1, pixels (the sensor's own size)
    :param padded: the window may stick out of the image (only the fixation is kept inside)
    """

    height: int
    width: int
    finest: int
    padded: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.finest <= self.largest:
            raise ValueError(
                f"a sensor of {self.finest} x {self.finest} pixels does not fit an image of "
                f"{self.height} x {self.width}; take a smaller sensor or a larger image"
            )

    @property
    def largest(self) -> int:
        """Side of the window at zoom 0, pixels: the image's shorter side."""
        return min(self.height, self.width)

    @cached_property
    def zoom_step(self) -> float:
        """The difference of zoom of one step in or out.

        The fewest equal steps from 0 to 1 that at most halve or double the window's side (just
        that, where largest / finest is a power of two): equal, so that zooming in and out again
        comes back.
        """
        octaves = math.log2(self.largest / self.finest)
        return 1.0 / max(1, math.ceil(octaves - 1e-9))

    @cached_property
    def _scalars(self) -> tuple[float, float, float, bool]:
        return float(self.height), float(self.width), float(self.finest), self.padded

    @cached_property
    def _limits(self) -> NDArray[np.float64]:
        """Left, top, right and bottom of what may be looked at, pixels, and the least zoom, (1, 5).

        Of each lane where they differ, (B, 5).
        """
        return np.array([[0.0, 0.0, self.width, self.height, 0.0]])

    def show(
        self, lanes: NDArray[np.int64], index: NDArray[np.int64], stream: NDArray[np.uint64]
    ) -> None:
        """Note which images are shown on some lanes: nothing follows from it, but on frames.

        :param lanes: int64 (n,)
        :param index: the images of the split, int64 (n,)
        :param stream: randomness of each, uint64 (n,)
        """

    def bounds(self, n_lanes: int) -> NDArray[np.float64]:
        """Return left, top, right and bottom of what may be looked at, pixels, float64 (B, 4)."""
        return np.repeat(self._limits[:, :4], n_lanes, axis=0)

    def of(self, lanes: NDArray[np.int64]) -> Geometry:
        """Return the gazes that are possible on some lanes: of all the same, but on frames."""
        return self

    def to_frame(self, gaze: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return gazes (B, 3), whose fixations are fractions of an image, in its frame."""
        return gaze

    def to_image(self, gaze: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return gazes (B, 3), whose fixations are fractions of a frame, in its image."""
        return gaze

    def clamp(self, gaze: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the nearest gaze whose window lies inside the image, float32 (B, 3).

        :param gaze: (B, 3), any finite values
        """
        return self.shift(gaze, _stay(len(gaze)))

    def shift(self, gaze: NDArray[np.float32], step: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the clamped gaze after a relative step: first the zoom, then the fixation.

        :param gaze: float32 (B, 3)
        :param step: float32 (B, 3): sides of the new window to the right and downwards, and the
            difference of zoom
        """
        return _shift(np.asarray(gaze, np.float32), step, *self._scalars, self._limits)

    def after_each(
        self, gaze: NDArray[np.float32], steps: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the gaze after each of some relative steps, float32 (B, n, 3).

        :param gaze: float32 (B, 3)
        :param steps: as :meth:`shift` takes them, float32 (n, 3)
        """
        size, n = len(gaze), len(steps)
        after = self.shift(np.repeat(gaze, n, axis=0), np.tile(steps, (size, 1)))
        return after.reshape(size, n, 3)

    def nearest_step(
        self, gaze: NDArray[np.float32], steps: NDArray[np.float32], target: NDArray[np.float32]
    ) -> NDArray[np.int64]:
        """Return which of some relative steps comes nearest to another gaze, int64 (B,).

        Windows are the nearer, the less their corners differ.

        :param gaze: float32 (B, 3)
        :param steps: as :meth:`shift` takes them, float32 (n, 3)
        :param target: float32 (B, 3)
        """
        after = self.after_each(gaze, steps)
        reached = self.windows(after.reshape(-1, 3)).reshape(after.shape)
        wanted = self.windows(self.clamp(target))[:, None]
        ends = [windows[..., :2] + windows[..., 2:] for windows in (reached, wanted)]
        apart = np.abs(reached[..., :2] - wanted[..., :2]) + np.abs(ends[0] - ends[1])
        return apart.sum(axis=2).argmin(axis=1)

    def windows(self, gaze: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return left, top and side of each gaze's window in pixels, float64 (B, 3)."""
        return _windows(np.asarray(gaze, np.float32), *self._scalars[:3])

    def sampled_windows(self, gaze: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the windows as sensors read them, see ``sampled_window``, float64 (B, 3)."""
        return _sampled_windows(np.asarray(gaze, np.float32), *self._scalars[:3])

    def degrees(self, gaze: NDArray[np.float32], pixels_per_degree: float) -> NDArray[np.float32]:
        """Return the fixations in degrees of visual angle from the image's middle, (..., 2).

        To the right and downwards, float32. A degree is as many pixels everywhere, which holds for
        images of some tens of degrees at most.

        :param gaze: (..., 3)
        :param pixels_per_degree: image pixels
        """
        size = np.array([self.width, self.height], np.float64)
        return ((gaze[..., :2] - 0.5) * size / pixels_per_degree).astype(np.float32)

    def coverage(
        self, history: NDArray[np.float32], counts: NDArray[np.int64], span: float = 1.0
    ) -> NDArray[np.float32]:
        """Return the fraction of the image that the union of each lane's windows covers, (B,).

        :param history: float32 (B, T, 3), the gazes of an episode in order
        :param counts: int64 (B,), how many entries of each row count
        :param span: width of what the sensor reads, in windows (2 ^ (scales - 1) for a retina)
        """
        return _coverage(history, counts, span, *self._scalars[:3], self._limits)


def _stay(n: int) -> NDArray[np.float32]:
    return np.zeros((n, 3), np.float32)


@kernel(inline="always")
def _is_whole(pixels):
    return np.abs(pixels - np.floor(pixels + 0.5)) < _WHOLE


@kernel(inline="always")
def window_side(zoom: float, height: float, width: float, finest: float) -> float:
    """Return the side of the window at ``zoom``, pixels."""
    if zoom >= 1.0:
        return finest
    largest = min(height, width)
    side = largest * (finest / largest) ** float(zoom)
    return np.floor(side + 0.5) if _is_whole(side) else side


@kernel(inline="always")
def window_of(
    x: float, y: float, zoom: float, height: float, width: float, finest: float
) -> tuple[float, float, float]:
    """Return left, top and side of the window of a gaze, pixels."""
    side = window_side(zoom, height, width, finest)
    return float(x) * width - 0.5 * side, float(y) * height - 0.5 * side, side


@kernel(inline="always")
def sampled_window(
    x: float, y: float, zoom: float, height: float, width: float, finest: float
) -> tuple[float, float, float]:
    """Return left, top and side of the window as sensors read it.

    That of ``window_of``, but at the finest zoom at the nearest whole pixel, so that a glimpse is
    the image's own pixels.
    """
    left, top, side = window_of(x, y, zoom, height, width, finest)
    if side == finest:
        left, top = np.floor(left + 0.5), np.floor(top + 0.5)
    return left, top, side


@kernel(inline="always")
def has_whole_cells(left: float, top: float, cell: float) -> bool:
    """Tell whether glimpse pixels are whole image pixels, read without interpolation.

    They are ``cell`` wide, from that corner on; for arrays of windows, of each of them.
    """
    return _is_whole(left) & _is_whole(top) & (cell == np.floor(cell))


@kernel
def _shift(gaze, step, height, width, finest, padded, limits):
    """Shift and clamp; of n gazes for each lane those of a lane follow one another."""
    out = np.empty(gaze.shape, np.float32)
    for i in range(gaze.shape[0]):
        lane = i * limits.shape[0] // gaze.shape[0]
        least = np.float32(limits[lane, 4])
        zoom = min(max(gaze[i, 2] + step[i, 2], least), np.float32(1.0))
        side = window_side(zoom, height, width, finest)
        x = float(gaze[i, 0]) + float(step[i, 0]) * side / width
        y = float(gaze[i, 1]) + float(step[i, 1]) * side / height
        margin_x = 0.0 if padded else 0.5 * side / width
        margin_y = 0.0 if padded else 0.5 * side / height
        left, right = limits[lane, 0] / width, limits[lane, 2] / width
        top, bottom = limits[lane, 1] / height, limits[lane, 3] / height
        out[i, 0] = min(max(x, left + margin_x), right - margin_x)
        out[i, 1] = min(max(y, top + margin_y), bottom - margin_y)
        out[i, 2] = zoom
    return out


@kernel
def _windows(gaze, height, width, finest):
    out = np.empty(gaze.shape, np.float64)
    for i in range(gaze.shape[0]):
        out[i, 0], out[i, 1], out[i, 2] = window_of(
            gaze[i, 0], gaze[i, 1], gaze[i, 2], height, width, finest
        )
    return out


@kernel
def _sampled_windows(gaze, height, width, finest):
    out = np.empty(gaze.shape, np.float64)
    for i in range(gaze.shape[0]):
        out[i, 0], out[i, 1], out[i, 2] = sampled_window(
            gaze[i, 0], gaze[i, 1], gaze[i, 2], height, width, finest
        )
    return out


@kernel
def _coverage(history, counts, span, height, width, finest, limits):
    """Return the area of a union of rectangles, as a share of the image.

    A sweep over the strips between neighbouring left and right edges; in a strip the rectangles,
    ordered by top, merge into disjoint intervals.
    """
    out = np.empty(history.shape[0], np.float32)
    edges = np.empty(2 * history.shape[1])
    order = np.empty((history.shape[1], 4))  # top, bottom, left, right of each rectangle
    for i in range(history.shape[0]):
        n, lane = counts[i], i * limits.shape[0] // history.shape[0]
        first_x, first_y, last_x, last_y = limits[lane, :4]
        for t in range(n):
            x, y = float(history[i, t, 0]) * width, float(history[i, t, 1]) * height
            half = 0.5 * span * window_side(history[i, t, 2], height, width, finest)
            left, right = max(x - half, first_x), min(x + half, last_x)
            top, bottom = max(y - half, first_y), min(y + half, last_y)
            _insert(edges, 2 * t, left)
            _insert(edges, 2 * t + 1, right)
            k = t
            while k > 0 and order[k - 1, 0] > top:
                for m in range(4):  # an assignment of rows would take long to compile
                    order[k, m] = order[k - 1, m]
                k -= 1
            order[k, 0], order[k, 1], order[k, 2], order[k, 3] = top, bottom, left, right
        if n > 0 and _covers_all(order[:n], first_x, first_y, last_x, last_y):
            out[i] = 1.0
            continue
        area = 0.0
        for k in range(2 * n - 1):
            if edges[k + 1] > edges[k]:
                middle = 0.5 * (edges[k] + edges[k + 1])
                length, reached = 0.0, first_y
                for t in range(n):
                    if order[t, 2] < middle < order[t, 3] and order[t, 1] > reached:
                        length += order[t, 1] - max(order[t, 0], reached)
                        reached = order[t, 1]
                area += length * (edges[k + 1] - edges[k])
        out[i] = area / ((last_y - first_y) * (last_x - first_x))
    return out


@kernel
def _covers_all(windows, first_x, first_y, last_x, last_y):
    """Tell whether one window (top, bottom, left, right) is the whole image, as an overview is."""
    for t in range(windows.shape[0]):
        top, bottom, left, right = windows[t]
        if top <= first_y and left <= first_x and bottom >= last_y and right >= last_x:
            return True
    return False


@kernel(inline="always")
def _insert(ordered, n, value):
    """Insert a value into the first n entries, which are in order."""
    k = n
    while k > 0 and ordered[k - 1] > value:
        ordered[k] = ordered[k - 1]
        k -= 1
    ordered[k] = value
