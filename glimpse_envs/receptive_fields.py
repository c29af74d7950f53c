"""Where the receptive fields of a foveated sensor lie, and how large they are.

A receptive field is a square that is averaged. Lengths are in sensor pixels of the fovea, which at
zoom 1 are the image's pixels; eccentricity is the distance from the fixation. Receptive fields are
of whole pixels, so what follows holds of their sides and places to within a pixel.

Along a radius, receptive fields are one pixel wide out to the fovea's border f, and from there on
their width grows linearly with the eccentricity e,

    width(e) = 1 + (e - f) / k,

so that the magnification, receptive fields for each pixel, is M(e) = k / (e - f + k). It is the
inverse-linear law of the primate's visual cortex: Schwartz, "Spatial mapping in the
primate sensory projection: analytic structure and relevance to perception", Biological Cybernetics
25 (1977), who derives it from a complex logarithm; Rovamo and Virsu, "An estimation and application
of the human cortical magnification factor", Experimental Brain Research 37 (1979); Horton and Hoyt,
"The representation of the visual field in human striate cortex", Archives of Ophthalmology 109
(1991). The flat centre keeps the image's own pixels. Receptive field number u from the fixation
then begins at e(u) = u in the fovea and at f + k (exp((u - f) / k) - 1) beyond.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LAYOUTS = ("cartesian", "log_polar")

_SLOWEST = 1e6  # a growth that is none


@dataclass(frozen=True)
class Magnification:
    """How widths of receptive fields grow along a radius.

    :param fovea: f, half the width of the fovea
    :param growth: k, how far beyond the fovea's border widths have doubled
    """

    fovea: float
    growth: float

    def width(self, eccentricity: ArrayLike) -> NDArray[np.float64]:
        """Return the width of receptive fields at an eccentricity."""
        beyond = np.maximum(np.asarray(eccentricity, np.float64) - self.fovea, 0.0)
        return 1.0 + beyond / self.growth

    def beginning(self, number: ArrayLike) -> NDArray[np.float64]:
        """Return at which eccentricity receptive field ``number`` from the fixation begins."""
        number = np.asarray(number, np.float64)
        beyond = np.maximum(number - self.fovea, 0.0)
        return np.minimum(number, self.fovea) + self.growth * np.expm1(beyond / self.growth)


class Plan(NamedTuple):
    """What the receptive fields follow from.

    :param size: receptive fields along each side of a glimpse
    :param layout: one of ``LAYOUTS``
    :param field: width of what is seen, windows (``size`` sensor pixels each)
    :param fovea: width of the fovea, sensor pixels
    """

    size: int
    layout: str
    field: float
    fovea: int

    @property
    def half(self) -> float:
        """Half the width of what is to be seen, sensor pixels."""
        return 0.5 * self.size * self.field


@functools.lru_cache(maxsize=64)
def magnification(plan: Plan) -> Magnification:
    """Return the magnification with which the receptive fields fill the field.

    :raises ValueError: for a field that is filled without any growth
    """

    def law(log_growth: float) -> Magnification:
        return Magnification(0.5 * plan.fovea, math.exp(log_growth))

    slow, fast = math.log(_SLOWEST), math.log(plan.size / 60.0)
    least = _filled(plan, law(slow))
    if least >= plan.half:
        raise ValueError(
            f"got field={plan.field:g}; wanted more than {least * 2.0 / plan.size:.3g} windows, "
            f"which {plan.size} x {plan.size} receptive fields ({plan.layout}) fill without growing"
        )
    for _ in range(60):  # the slower the growth, the less is filled
        between = 0.5 * (slow + fast)
        if _filled(plan, law(between)) > plan.half:
            fast = between
        else:
            slow = between
    return law(slow)


@functools.lru_cache(maxsize=64)
def receptive_fields(plan: Plan) -> NDArray[np.int64]:
    """Return left, top and side of each receptive field, int64 (size, size, 3).

    In sensor pixels from the upper left corner of the window, in whose middle the fixation lies.

    ``cartesian``: rows and columns as in an image. The receptive fields lie on concentric squares,
    as many on each as on the squares of an image, and eccentricity is the distance along the longer
    axis. Each is as wide as its square's ring, so that they touch from ring to ring, and touch or
    overlap along a ring.

    ``log_polar``: rows are angles (the first to the right, then clockwise), columns are rings
    (the innermost first). Each is as wide as its ring or as the distance to the next angle,
    whichever is more.

    The array is shared and cannot be written to.
    """
    size, law = plan.size, magnification(plan)
    if plan.layout == "cartesian":
        place = np.arange(size) - 0.5 * (size - 1)
        x, y = np.meshgrid(place, place)
        ring = np.maximum(np.abs(x), np.abs(y))
        middles, sides = _square_rings(size, law)
        number = np.ceil(ring).astype(int) - 1 + size % 2
        stretched = np.divide(middles[number], ring, out=np.ones_like(ring), where=ring > 0.0)
        x, y, side = x * stretched, y * stretched, sides[number]
    else:
        middles, sides = _polar_rings(size, law)
        angle = 2.0 * np.pi / size * np.arange(size)[:, None]
        x, y = middles * np.cos(angle), middles * np.sin(angle)
        side = np.broadcast_to(np.ceil(sides - 1e-9), x.shape)
    left, top = (_begin(middle, side, 0.5 * (size % 2)) + 0.5 * size for middle in (x, y))
    fields = np.stack([left, top, side], axis=2).astype(np.int64)
    fields.flags.writeable = False
    return fields


def seen_by(fields: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which receptive field shows each pixel of the field, int64 (W, W).

    W is the field's width in sensor pixels. Of those that cover a pixel it is the one in whose
    middle it lies most, measured by its side; -1 where none does. They are numbered row by row.

    :param fields: left, top and side of each, int64 (size, size, 3)
    """
    size = len(fields)
    low = math.floor(0.5 * size - reach(fields))
    pixels = np.arange(low, size - low) + 0.5
    fields = fields.reshape(-1, 3)
    half, side = 0.5 * fields[:, 2], fields[:, 2]
    across = np.abs(pixels[:, None] - fields[:, 0] - half) / side  # (W, size ** 2)
    down = np.abs(pixels[:, None] - fields[:, 1] - half) / side
    chosen = np.empty((len(pixels), len(pixels)), np.int64)
    for row in range(len(pixels)):
        away = np.maximum(across, down[row])
        nearest = away.argmin(axis=1)
        covered = away[np.arange(len(pixels)), nearest] < 0.5
        chosen[row] = np.where(covered, nearest, -1)
    chosen.flags.writeable = False
    return chosen


def eccentricities(plan: Plan) -> NDArray[np.float64]:
    """Return how far from the fixation the middles of receptive fields lie, (size, size).

    Of a cartesian layout along the longer axis, of a log-polar one in a straight line.
    """
    fields = receptive_fields(plan)
    x, y = (fields[..., k] + 0.5 * fields[..., 2] - 0.5 * plan.size for k in (0, 1))
    if plan.layout == "cartesian":
        return np.maximum(np.abs(x), np.abs(y))
    return np.hypot(x, y)


def doubled_at(plan: Plan) -> float:
    """Return at which eccentricity receptive fields are twice as wide as in the fovea."""
    law = magnification(plan)
    along = law.fovea + law.growth
    return along if plan.layout == "cartesian" else min(along, plan.size / np.pi)


def reach(fields: NDArray[np.int64]) -> float:
    """Return how far from the fixation receptive fields reach along an axis, sensor pixels.

    :param fields: left, top and side of each, int64 (size, size, 3)
    """
    half = 0.5 * len(fields)
    begin, end = fields[..., :2].min() - half, (fields[..., :2] + fields[..., 2:]).max() - half
    return float(max(-begin, end))


def _filled(plan: Plan, law: Magnification) -> float:
    """Return how far the receptive fields of a magnification reach, not yet on whole pixels."""
    cartesian = plan.layout == "cartesian"
    middles, sides = (_square_rings if cartesian else _polar_rings)(plan.size, law)
    return float(middles[-1] + 0.5 * sides[-1])


def _square_rings(size: int, law: Magnification) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middles of the square rings, innermost first, and their whole widths.

    An odd size has a pixel in its middle, which is the first ring.
    """
    n, border = (size + 1) // 2, 0.5 * (size % 2)
    middles, widths = np.zeros(n), np.ones(n)
    # the width at a ring's inner border, times this, is the width of the ring
    step = law.growth * math.expm1(1.0 / law.growth)
    for k in range(size % 2, n):
        if border >= law.fovea:
            widths[k] = math.floor(step * float(law.width(border)) + 0.5)
        middles[k] = border + 0.5 * widths[k]
        border += widths[k]
    return middles, widths


def _polar_rings(size: int, law: Magnification) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middles of the rings, innermost first, and the sides of their receptive fields."""
    borders = law.beginning(np.arange(size + 1))
    middles = 0.5 * (borders[1:] + borders[:-1])
    return middles, np.maximum(np.diff(borders), 2.0 * np.pi / size * middles)


def _begin(
    middle: NDArray[np.float64], side: NDArray[np.float64], off: float
) -> NDArray[np.float64]:
    """Return where squares begin: on borders of pixels, equally on both sides of the fixation.

    :param off: how far borders of pixels lie from whole numbers, as seen from the fixation
    """
    begin = np.floor(np.abs(middle) - 0.5 * side - off + 0.5) + off
    return np.where(middle < 0.0, -(begin + side), begin)
