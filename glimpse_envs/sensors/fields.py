"""Receptive fields of many sizes around the fixation: a fovea, or a lattice of one's own."""

from __future__ import annotations

import hashlib
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.arrays import read_only
from glimpse_envs.box_averages import box_averages
from glimpse_envs.components import check_integer, check_number, nearest
from glimpse_envs.receptive_fields import (
    LAYOUTS,
    Plan,
    doubled_at,
    reach,
    receptive_fields,
    seen_by,
)
from glimpse_envs.sensors.base import _AreaSensor, check_degrees

#: of a lattice: rows of squares, and pixels to the farthest and of the widest
MOST_ROWS, FARTHEST = 64, 1024


class _FieldSensor(_AreaSensor):
    """Receptive fields of several sizes around the fixation; beyond the image there are zeros."""

    padded = True
    reads_pyramid = False

    def receptive_fields(self) -> NDArray[np.int64]:
        """Return left, top and side of each, int64 (size, size, 3).

        Image pixels at zoom 1, from the upper left corner of the window (``size`` wide, the
        fixation in its middle); at another zoom all are as many times larger as the window.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define receptive_fields")

    @cached_property
    def span(self) -> float:
        """Width of what is read, in windows."""
        return 2.0 / self.size * reach(self.receptive_fields())

    @cached_property
    def seen_by(self) -> NDArray[np.int64]:
        """Which receptive field shows each pixel of the field at zoom 1, int64 (W, W).

        See ``receptive_fields.seen_by``.
        """
        return seen_by(self.receptive_fields())

    def picture(self, glimpse: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what a glimpse shows of each place, uint8 (W, W, C), W the field at zoom 1.

        Each place has the value of the receptive field in whose middle it lies most; 0 where there
        is none, as in the corners of a log-polar field.
        """
        seen = self.seen_by
        values = glimpse.reshape(-1, glimpse.shape[2])[seen]
        return np.where(seen[..., None] >= 0, values, np.uint8(0))

    def read(
        self,
        images: NDArray[np.uint8],
        rows: NDArray[np.int64],
        gaze: NDArray[np.float32],
        prepared: NDArray[np.uint32] | None = None,
    ) -> NDArray[np.uint8]:
        """Return glimpses of some images, uint8 (n, size, size, C)."""
        return box_averages(images, rows, gaze, self.size, self.receptive_fields(), prepared)


@dataclass(frozen=True, repr=False)
class Foveated(_FieldSensor):
    """Sharp in the middle, and the coarser the farther from the fixation, without steps.

    As many samples as a ``Crop`` of that size. In the fovea a sensor pixel is an image pixel (at
    zoom 1), and receptive fields beyond widen linearly with eccentricity, as in the visual cortex:
    formula and sources are in ``receptive_fields``. Beyond the image there are zeros.

    A glimpse has the shape of a crop, and no longer its geometry: in a ``"cartesian"`` one the
    periphery is drawn together, in a ``"log_polar"`` one rows are angles and columns rings.

    :param size: receptive fields along each side of the glimpse, 4 to 256
    :param layout: ``"cartesian"`` (concentric squares) or ``"log_polar"`` (rings)
    :param field: width of what is seen, in windows, up to 64; receptive fields are put on whole
        pixels, which may change it a little: ``span`` has what is read
    :param fovea: width of the fovea, sensor pixels; even where ``size`` is. None: about a third of
        ``size``
    :param pixels_per_degree: see ``Sensor``
    :raises ValueError: also for a field that needs no coarser receptive fields
    """

    size: int = 12
    layout: str = "cartesian"
    field: float = 4.0
    fovea: int | None = None
    _: KW_ONLY
    pixels_per_degree: float | None = None

    def __post_init__(self) -> None:
        check_integer(self, "size", low=4, high=256)
        if self.layout not in LAYOUTS:
            raise ValueError(
                f"got Foveated(layout={self.layout!r}); {nearest(self.layout, LAYOUTS)}"
            )
        check_number(self, "field", low=1.0, high=64.0)
        if self.fovea is not None:
            check_integer(self, "fovea", low=1, high=self.size - 2)
            if (self.size - self.fovea) % 2:
                raise ValueError(
                    f"got Foveated(size={self.size}, fovea={self.fovea}); wanted both even or both "
                    "odd, so that the fovea lies on whole pixels"
                )
        check_degrees(self)
        self.receptive_fields()

    @property
    def arrangement(self) -> str:
        """How receptive fields lie."""
        size, layout, field, fovea = self.plan
        return f"{layout} {size} x {size} over {field:g} windows, fovea {fovea}"

    @property
    def e2(self) -> float:
        """The eccentricity at which receptive fields are twice as wide as in the fovea.

        Degrees, or image pixels at zoom 1 without ``pixels_per_degree``.
        """
        return doubled_at(self.plan) / (self.pixels_per_degree or 1.0)

    def receptive_fields(self) -> NDArray[np.int64]:
        """Return left, top and side of each, int64 (size, size, 3)."""
        return receptive_fields(self.plan)

    @property
    def plan(self) -> Plan:
        """What the receptive fields follow from, the fovea's width among it."""
        fovea = self.fovea
        if fovea is None:
            odd = self.size % 2
            fovea = max(2 - odd, 2 * round((self.size / 3 - odd) / 2) + odd)
        return Plan(int(self.size), self.layout, float(self.field), int(fovea))


@dataclass(frozen=True, repr=False)
class Lattice(_FieldSensor):
    """Receptive fields wherever they are put: learnt ones, or of one's own.

    ``glimpse_lab.learned_sensor`` learns where they pay. As many samples as a ``Crop`` of that
    size; beyond the image there are zeros.

    :param squares: S rows of S receptive fields: left and top from the upper left corner of the
        window (S wide, the fixation in its middle), and side, whole image pixels at zoom 1
    :param pixels_per_degree: see ``Sensor``
    """

    squares: tuple[tuple[tuple[int, int, int], ...], ...] = ()
    _: KW_ONLY
    pixels_per_degree: float | None = None

    def __post_init__(self) -> None:
        try:
            given = np.asarray(self.squares)
        except ValueError:  # rows of different lengths
            given = np.zeros(0)
        whole = given.ndim == 3 and given.dtype.kind in "iu"
        if not whole or given.shape[0] != given.shape[1] or given.shape[2] != 3:
            raise ValueError(
                f"got Lattice of squares {self.squares!r:.80}; wanted S rows of S squares (left, "
                "top, side), integers"
            )
        if not 1 <= len(given) <= MOST_ROWS:
            raise ValueError(
                f"got Lattice of {len(given)} rows of squares; wanted 1 to {MOST_ROWS}"
            )
        ends = given.min(axis=(0, 1)), given.max(axis=(0, 1))
        if min(ends[0][:2]) < -FARTHEST or max(ends[1]) > FARTHEST or ends[0][2] < 1:
            raise ValueError(
                f"got Lattice of squares (left, top, side) from {ends[0].tolist()} to "
                f"{ends[1].tolist()}; wanted places within {FARTHEST} pixels, and sides from 1 to "
                "as many"
            )
        rows = tuple(tuple(map(tuple, row)) for row in given.tolist())
        object.__setattr__(self, "squares", rows)
        check_degrees(self)

    def __repr__(self) -> str:
        degrees = (
            f", pixels_per_degree={self.pixels_per_degree!r}" if self.pixels_per_degree else ""
        )
        return f"Lattice({self.arrangement}{degrees})"

    @property
    def size(self) -> int:
        """S, the side of the window at zoom 1, pixels."""
        return len(self.squares)

    @cached_property
    def arrangement(self) -> str:
        """How receptive fields lie, by a digest of all squares."""
        digest = hashlib.sha256(str(self.squares).encode()).hexdigest()[:12]
        return f"lattice {self.size} x {self.size} of squares {digest}"

    def receptive_fields(self) -> NDArray[np.int64]:
        """Return left, top and side of each, int64 (S, S, 3)."""
        return self._fields

    @cached_property
    def _fields(self) -> NDArray[np.int64]:
        return read_only(np.array(self.squares, np.int64))
