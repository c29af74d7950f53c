"""How well a gaze follows what moves: time on target, distance, and gain of the pursuit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: of a window's side; a gaze is a float32, and may be a little off a border that it is meant for
_HALF = 0.5 + 1e-4


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """How well the gaze followed the target: the object that an episode is about.

    :param on_target: share of the glimpses whose window holds the middle of the target (of a
        retina, that of its first scale), the first glimpse of each episode left out, which the
        environment takes
    :param on_target_ci95: low and high, 95 % interval (Student's t over the episodes); None for one
    :param distance: mean distance of the windows' middles from that of the target, image pixels,
        over the same glimpses
    :param gain: of the pursuit: gaze velocity over target velocity, along the target's direction:
        1 keeps up with it, 0 is independent of it. The mean over all steps from one glimpse to the
        next, weighted by the square of the target's speed, so that hardly moving targets do not
        count for much; None where none moved, or no step was taken
    :param by_glimpse: share on target of each glimpse, t = 1 .. budget, over the episodes that took
        it; None where none did
    """

    on_target: float
    on_target_ci95: tuple[float, float] | None
    distance: float
    gain: float | None
    by_glimpse: tuple[float | None, ...]


def middles(boxes: NDArray) -> NDArray[np.float64]:
    """Return the middles of boxes (left, top, width, height), pixels, float64 (..., 2)."""
    return boxes[..., :2] + 0.5 * boxes[..., 2:]


def offsets(boxes: NDArray, windows: NDArray) -> NDArray[np.float64]:
    """Return how far boxes are from windows: between the middles, in windows' sides, (..., 2).

    :param boxes: left, top, width and height, pixels, (..., 4)
    :param windows: left, top and side, pixels, (..., 3)
    """
    side = windows[..., 2:]
    return (middles(boxes) - windows[..., :2] - 0.5 * side) / side


def within(offsets: NDArray) -> NDArray[np.bool_]:
    """Return whether such offsets (..., 2) are those of a middle inside the window, bool (...)."""
    return (np.abs(offsets) <= _HALF).all(axis=-1)


def held(boxes: NDArray, windows: NDArray) -> NDArray[np.bool_]:
    """Return which windows hold the middle of a box, bool (...).

    :param boxes: left, top, width and height, pixels, (..., 4)
    :param windows: left, top and side, pixels, (..., 3)
    """
    return within(offsets(boxes, windows))


def tracking(boxes: NDArray, windows: NDArray, n_glimpses: NDArray[np.int64]) -> Tracking | None:
    """Return how well gazes followed targets; None where no episode has a second glimpse.

    :param boxes: of the targets at each glimpse: left, top, width and height, pixels, (N, T, 4)
    :param windows: of the glimpses: left, top and side, pixels, (N, T, 3)
    :param n_glimpses: how many of each episode were taken, int64 (N,)
    """
    taken = np.arange(boxes.shape[1]) < n_glimpses[:, None]
    chosen = taken.copy()
    chosen[:, 0] = False
    if not chosen.any():
        return None
    on_target = held(boxes, windows) & taken
    place = middles(boxes.astype(np.float64))
    gaze = windows[..., :2].astype(np.float64) + 0.5 * windows[..., 2:]
    distance = np.hypot(*np.moveaxis(gaze - place, -1, 0))
    moved, looked = np.diff(place, axis=1), np.diff(gaze, axis=1)  # (N, T - 1, 2)
    steps = chosen[:, 1:]
    along, speeds = (moved * looked).sum(axis=2)[steps], (moved**2).sum(axis=2)[steps]
    counts = taken.sum(axis=0)
    shares = [
        float(hits / count) if count else None
        for hits, count in zip(on_target.sum(axis=0), counts, strict=True)
    ]
    rows = chosen.any(axis=1)
    by_episode = (on_target & chosen)[rows].sum(axis=1) / chosen[rows].sum(axis=1)
    return Tracking(
        on_target=float(on_target[chosen].mean()),
        on_target_ci95=_interval(by_episode),
        distance=float(distance[chosen].mean()),
        gain=float(along.sum() / speeds.sum()) if speeds.sum() > 0 else None,
        by_glimpse=tuple(shares),
    )


def _interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean (Student's t), within [0, 1]; None for one value."""
    if len(values) < 2:
        return None
    from scipy.stats import t  # lazily: it takes a second to import

    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return max(0.0, float(values.mean() - half)), min(1.0, float(values.mean() + half))
