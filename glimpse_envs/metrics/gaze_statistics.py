"""Statistics of where an agent looked, and of how much that depends on the image.

The first glimpse is the environment's (``start``), no agent chose it: it is left out unless asked
for. Maps are arrays (bins, bins) whose rows run downwards over the image's height and whose columns
run to the right over its width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.metrics.information import entropy_bits, information_bits
from glimpse_envs.metrics.scanpaths import Scanpaths

_STILL = 1e-6  # a shift of less, in image widths, is rounding: float32 holds 7 digits
_CELLS = 9  # odd, and no multiple of 2: neither the middle nor halves, quarters.. are borders
_STUCK = 0.9  # share of the fixations in one place from which on a gaze counts as stuck


class Saccades(NamedTuple):
    """The S shifts from each glimpse to the next, image by image, float64 (S,) each.

    :param amplitude: between the fixations, in image widths; 0 where only the zoom changed
    :param direction: radians in (-pi, pi], 0 to the right and counter-clockwise, so upwards is
        +pi/2 though y runs downwards; NaN where the amplitude is 0
    :param zoom_change: positive is closer
    """

    amplitude: NDArray[np.float64]
    direction: NDArray[np.float64]
    zoom_change: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SaccadeSummary:
    """The saccades in numbers, None where there is no saccade.

    :param mean_amplitude: in image widths, as is the median
    :param share_still: share with amplitude 0
    :param mean_direction: radians, of those that moved
    :param direction_strength: length of the mean unit vector, 0 (all around) to 1 (all in one
        direction)
    :param share_in: share that zoomed in
    :param share_out: share that zoomed out
    :param mean_zoom_change: positive is closer
    """

    n_saccades: int
    mean_amplitude: float | None
    median_amplitude: float | None
    share_still: float | None
    share_in: float | None
    share_out: float | None
    mean_zoom_change: float | None
    mean_direction: float | None
    direction_strength: float | None


@dataclass(frozen=True, kw_only=True)
class GlimpseDependence:
    """The gaze of glimpse t, over the images that took it; None without images.

    :param n_glimpses: t; the first is the environment's
    :param gaze_bits: entropy of the gaze
    :param class_bits: information about the true class, 0 to the classes' entropy
    :param commonest_share: of the images whose gaze lies in the commonest cell
    :param commonest: mean gaze x, y, zoom there
    """

    n_glimpses: int
    n_images: int
    gaze_bits: float | None
    class_bits: float | None
    commonest_share: float | None
    commonest: tuple[float, float, float] | None


@dataclass(frozen=True, kw_only=True)
class GazeDependence:
    """How much the gaze depends on the image, in bits.

    :param cells: along each side of the image
    :param zoom_levels: equal parts of the zooms
    :param label_bits: entropy of the true classes
    :param by_glimpse: for t = 1 .. budget
    :param path_bits: entropy of all chosen gazes of an episode together, where it stops included
    :param length_bits: of the number of glimpses alone
    :param path_bits_given_length: the rest: 0 for a fixed sequence that stops sooner or later
    :param distinct_paths: how many different ones there are among the images
    :param distinct_paths_in_1000: how many among 1000 of the images on average (all images if they
        are fewer), for comparisons between splits of different sizes
    """

    n_images: int
    cells: int
    zoom_levels: int
    label_bits: float
    by_glimpse: tuple[GlimpseDependence, ...]
    path_bits: float
    length_bits: float
    path_bits_given_length: float
    distinct_paths: int
    distinct_paths_in_1000: float

    @property
    def is_lower_bound(self) -> bool:
        """Whether the paths may hold more bits: n images show log2 n at most."""
        return self.path_bits > math.log2(self.n_images) - 1.0


@dataclass(frozen=True, kw_only=True)
class Collapse:
    """Whether the gaze is stuck in one place of the image, whatever is shown.

    :param collapsed: whether one square of the image holds more than ``threshold`` of all chosen
        fixations
    :param share: of the fixations in the square that holds most of them; None without fixations
    :param place: x and y, mean of the fixations there; None without fixations
    :param zoom: their mean zoom; None without fixations
    :param n_fixations: that the agent chose
    """

    collapsed: bool
    share: float | None
    place: tuple[float, float] | None
    zoom: float | None
    n_fixations: int
    threshold: float


def fixation_map(
    paths: Scanpaths, bins: int = 32, label: int | None = None, first: bool = False
) -> NDArray[np.float64]:
    """Return the share of the fixations that fall into each part of the image, (bins, bins).

    The shares sum to 1. Without any fixation (all answered after the first glimpse, or no image of
    the class) all are 0.

    :param bins: parts along each side, at least 1
    :param label: only the images of this class; None for all
    :param first: with the first glimpse, which the environment took: with the start ``overview`` or
        ``centre`` it lies in the middle for every image, and would hide what the agent chose
    :raises ValueError: fewer bins, or a negative label
    """
    rows = _rows(paths, bins, label, first)
    x, y = _places(paths.gaze[..., 0][rows], bins), _places(paths.gaze[..., 1][rows], bins)
    counts = np.bincount(y * bins + x, minlength=bins * bins).reshape(bins, bins)
    return counts / max(1, len(x))


def area_seen(
    paths: Scanpaths, bins: int = 32, label: int | None = None, first: bool = False
) -> NDArray[np.float64]:
    """Return in how many windows each part of the image lay, mean per image, (bins, bins).

    A part that a window covers by half counts half. The windows are those of the gaze; a retina's
    coarser scales see more.

    :param bins: parts along each side, at least 1
    :param label: only the images of this class; None for all. Without any image all is 0
    :param first: with the first glimpse, which the environment took: as an overview it covers all
    :raises ValueError: fewer bins, a negative label, or windows that do not fit the gaze
    """
    rows = _rows(paths, bins, label, first)
    height, width = image_size(paths)
    left, top, side = (paths.windows[..., k][rows].astype(np.float64) for k in range(3))
    across = _overlap(left / width, (left + side) / width, bins)  # (F, bins)
    down = _overlap(top / height, (top + side) / height, bins)
    n_images = len(paths.labels) if label is None else int((paths.labels == label).sum())
    return down.T @ across / max(1, n_images)


def saccades(paths: Scanpaths) -> Saccades:
    """Return the shifts from each glimpse to the next.

    The shift from the first glimpse to the second is one of them: the agent chose where it went.

    :raises ValueError: windows that do not fit the gaze
    """
    height, width = image_size(paths)
    steps = np.diff(paths.gaze.astype(np.float64), axis=1)
    x, y, zoom = np.moveaxis(steps[paths.taken[:, 1:]], 1, 0)
    up = -y * height / width
    amplitude = np.hypot(x, up)
    amplitude[amplitude < _STILL] = 0.0
    # + 0.0 turns -0.0 into 0.0: arctan2(-0.0, -1) would be -pi, a second name for the left
    direction = np.where(amplitude > 0, np.arctan2(up + 0.0, x), np.nan)
    return Saccades(amplitude, direction, zoom)


def saccade_summary(paths: Scanpaths) -> SaccadeSummary:
    """Return the saccades in numbers.

    :raises ValueError: windows that do not fit the gaze
    """
    amplitude, direction, zoom = saccades(paths)
    moved = direction[amplitude > 0]
    mean = np.exp(1j * moved).mean() if len(moved) else None
    return SaccadeSummary(
        n_saccades=len(amplitude),
        mean_amplitude=_mean(amplitude),
        median_amplitude=float(np.median(amplitude)) if len(amplitude) else None,
        share_still=_mean(amplitude == 0),
        share_in=_mean(zoom > _STILL),
        share_out=_mean(zoom < -_STILL),
        mean_zoom_change=_mean(zoom),
        mean_direction=None if mean is None else float(np.angle(mean)),
        direction_strength=None if mean is None else float(abs(mean)),
    )


def _mean(values: NDArray) -> float | None:
    return float(values.mean()) if len(values) else None


def gaze_dependence(paths: Scanpaths, cells: int = _CELLS, zoom_levels: int = 8) -> GazeDependence:
    """Tell how much the gaze depends on the image, and what it tells about the class, in bits.

    An agent that acts deterministically looks where the image makes it look. The mutual information
    between the image and the t-th gaze is then the entropy of that gaze over the images: 0 bits is
    one fixed sequence for all of them. This holds for deterministic gaze only: where moves are
    drawn, the entropy counts the dice too. With a random start a part of it is due to the start:
    compare with glimpse 1. Gazes are told apart as far as they lie in different cells; n images can
    show little more than log2 n bits, so values near that are lower bounds.

    :param cells: along each side of the image, at least 1; ``entropy_bits`` and
        ``information_bits`` say how the numbers are corrected for their finite count
    :param zoom_levels: equal parts of the zooms from 0 to 1, at least 1
    :raises ValueError: fewer cells or levels
    """
    if cells < 1 or zoom_levels < 1:
        raise ValueError(f"got cells={cells}, zoom_levels={zoom_levels}; wanted at least 1 of each")
    taken = paths.taken
    symbols = np.full(taken.shape, -1, np.int64)  # (N, budget), -1 where no glimpse was taken
    x, y, zoom = np.moveaxis(paths.gaze[taken], 1, 0)
    symbols[taken] = (_places(y, cells) * cells + _places(x, cells)) * zoom_levels + _places(
        zoom, zoom_levels
    )
    kinds = np.zeros(len(symbols), np.int64)  # the path so far, as a number
    n_symbols = cells * cells * zoom_levels + 1
    for column in symbols[:, 1:].T:
        _, kinds = np.unique(kinds * n_symbols + column + 1, return_inverse=True)
    path_bits, length_bits = entropy_bits(kinds), entropy_bits(paths.n_glimpses)
    counts = np.bincount(kinds)
    return GazeDependence(
        n_images=len(symbols),
        cells=cells,
        zoom_levels=zoom_levels,
        label_bits=entropy_bits(paths.labels),
        by_glimpse=tuple(_dependence(paths, symbols, t) for t in range(paths.budget)),
        path_bits=path_bits,
        length_bits=length_bits,
        path_bits_given_length=max(0.0, path_bits - length_bits),
        distinct_paths=len(counts),
        distinct_paths_in_1000=_rarefied(counts, 1000),
    )


def collapse(paths: Scanpaths, cells: int = _CELLS, threshold: float = _STUCK) -> Collapse:
    """Tell whether the gaze is stuck in one place of the image, whatever is shown.

    :param cells: the place is a square of 1 / cells of the image's sides; it is tried in steps of
        half a square, so that no border divides a heap of fixations
    :param threshold: share of the fixations beyond which it is stuck, 0 to 1
    :raises ValueError: fewer than 2 cells, or another threshold
    """
    if cells < 2 or not 0 <= threshold <= 1:
        raise ValueError(
            f"got cells={cells}, threshold={threshold}; wanted 2 cells at least, and a threshold "
            "from 0 to 1"
        )
    chosen = paths.gaze[_rows(paths, cells, None, False)].astype(np.float64)  # (F, 3)
    share = place = zoom = None
    if len(chosen):
        halves = 2 * cells
        x, y = _places(chosen[:, 0], halves), _places(chosen[:, 1], halves)
        counts = np.bincount(y * halves + x, minlength=halves * halves).reshape(halves, halves)
        squares = counts[:-1, :-1] + counts[:-1, 1:] + counts[1:, :-1] + counts[1:, 1:]
        row, column = divmod(int(squares.argmax()), halves - 1)
        inside = ((x - column) // 2 == 0) & ((y - row) // 2 == 0)
        share = float(inside.mean())
        x_mean, y_mean, zoom = chosen[inside].mean(axis=0).tolist()
        place = (x_mean, y_mean)
    return Collapse(
        collapsed=share is not None and share > threshold,
        share=share,
        place=place,
        zoom=zoom,
        n_fixations=len(chosen),
        threshold=threshold,
    )


def image_size(paths: Scanpaths) -> tuple[int, int]:
    """Return height and width of the images, found from where the windows of the gaze lie.

    Of images that keep their proportions it is the frame that they lie in.

    :raises ValueError: windows that do not fit the gaze
    """
    gaze = paths.gaze[paths.taken].astype(np.float64)
    windows = paths.windows[paths.taken].astype(np.float64)
    x, y = gaze[:, 0], gaze[:, 1]
    across, down = windows[:, 0] + windows[:, 2] / 2, windows[:, 1] + windows[:, 2] / 2
    # across = x * width and down = y * height; where nobody left an edge, that is 0 = 0
    width, height = _slope(across, x), _slope(down, y)
    width, height = width or paths.pixels // max(1, height), height or paths.pixels // max(1, width)
    off = max(np.abs(across - x * width).max(), np.abs(down - y * height).max())
    if height * width < paths.pixels or not off < 0.01:
        raise ValueError(
            f"got windows whose middles differ by {off:.3g} pixels from the gaze on images of "
            f"{height} x {width}, and {paths.pixels} pixels in each image; wanted the windows of "
            "the gaze"
        )
    return height, width


def _slope(pixels: NDArray[np.float64], fractions: NDArray[np.float64]) -> int:
    """Return how many pixels 1 stands for, the nearest whole number, by least squares."""
    return round(float((pixels * fractions).sum() / max((fractions**2).sum(), 1e-30)))


def _rows(paths: Scanpaths, bins: int, label: int | None, first: bool) -> NDArray[np.bool_]:
    """Return which glimpses are meant, (N, budget)."""
    if bins < 1 or (label is not None and label < 0):
        raise ValueError(f"got bins={bins}, label={label}; wanted bins >= 1 and a class from 0")
    rows = paths.taken.copy()
    rows[:, 0] &= first
    if label is not None:
        rows &= (paths.labels == label)[:, None]
    return rows


def _dependence(paths: Scanpaths, symbols: NDArray[np.int64], t: int) -> GlimpseDependence:
    """Return what ``gaze_dependence`` tells about glimpse t + 1."""
    rows = paths.taken[:, t]
    if not rows.any():
        return GlimpseDependence(
            n_glimpses=t + 1,
            n_images=0,
            gaze_bits=None,
            class_bits=None,
            commonest_share=None,
            commonest=None,
        )
    gaze = symbols[rows, t]
    found, counts = np.unique(gaze, return_counts=True)
    inside = gaze == found[counts.argmax()]
    return GlimpseDependence(
        n_glimpses=t + 1,
        n_images=int(rows.sum()),
        gaze_bits=entropy_bits(gaze),
        class_bits=information_bits(gaze, paths.labels[rows]),
        commonest_share=float(inside.mean()),
        commonest=tuple(paths.gaze[rows, t][inside].mean(axis=0, dtype=np.float64).tolist()),
    )


def _rarefied(counts: NDArray[np.int64], draws: int) -> float:
    """Return how many kinds are expected among ``draws`` individuals, drawn without replacement.

    A kind with c of all n is missed with probability C(n - c, draws) / C(n, draws) (Hurlbert, "The
    nonconcept of species diversity", Ecology 52, 1971).
    """
    n = int(counts.sum())
    if n <= draws:
        return float(len(counts))

    def ways(m: int) -> float:  # log of C(m, draws)
        return math.lgamma(m + 1) - math.lgamma(draws + 1) - math.lgamma(m - draws + 1)

    found = 0.0
    for count, kinds in zip(*np.unique(counts, return_counts=True), strict=True):
        rest = n - int(count)
        missed = math.exp(ways(rest) - ways(n)) if rest >= draws else 0.0
        found += float(kinds) * (1.0 - missed)
    return found


def _places(values: NDArray[np.floating], bins: int) -> NDArray[np.int64]:
    """Return the bins of values in [0, 1]; what lies on a border but for rounding is above it."""
    return np.floor(values.astype(np.float64) * bins + 1e-4).astype(np.int64).clip(0, bins - 1)


def _overlap(low: NDArray[np.float64], high: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Return the share of each bin of [0, 1] that lies in the spans, (F, bins)."""
    edges = np.arange(bins + 1) / bins
    inside = np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1])
    return (inside * bins).clip(0.0, 1.0)
