"""Sensors: image and gaze in, glimpse out.

Every pixel of a glimpse is the exact average of a square of the image, whatever the zoom, without
aliasing: see ``area_averages`` and ``box_averages``.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, fields
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.area_averages import averages, averages_from_pyramid, summed_area
from glimpse_envs.box_averages import box_averages
from glimpse_envs.components import Component, check_integer, check_number, nearest
from glimpse_envs.gaze import Geometry
from glimpse_envs.pyramid import Pyramid
from glimpse_envs.receptive_fields import (
    LAYOUTS,
    Plan,
    doubled_at,
    reach,
    receptive_fields,
    seen_by,
)


class Sensor(Component):
    """What turns an image and a gaze into a glimpse.

    A sensor of one's own is a frozen dataclass that sets ``size``, the side in pixels of its window
    at zoom 1, and defines ``__call__``; ``glimpse_shape`` too, unless it is (size, size, C).
    ``prepare``, ``prepared_as`` and ``read`` are for sensors that read what they make of a data set
    once, such as a table, instead of its images.
    """

    size: int

    #: the sensor reads beyond the image's border (padding with zeros)
    padded: bool = False
    #: width of what is read, in windows: what coverage counts
    span: float = 1.0
    #: image pixels in a degree of visual angle; with it, infos and exports give degrees, too
    pixels_per_degree: float | None = None
    #: how a glimpse is arranged, in words, where it is not a square grid of its window (or several
    #: side by side, each of a window twice as wide): it cannot be painted in image coordinates
    arrangement: str | None = None

    #: the sensor reads images too large for that from a pyramid, by ``read_pyramid``
    reads_pyramid: ClassVar[bool] = False

    #: name under which sensors share what ``prepare`` makes of a data set; None: nothing is made
    prepared_as: ClassVar[str | None] = None

    def glimpse_shape(self, channels: int) -> tuple[int, int, int]:
        """Return the shape of a glimpse of an image with so many channels."""
        return (self.size, self.size, channels)

    @property
    def samples(self) -> int:
        """Return the number of sensor pixels that one glimpse reads (channels not counted)."""
        height, width, _ = self.glimpse_shape(1)
        return height * width

    def geometry(self, height: int, width: int) -> Geometry:
        """Return the gazes that are possible on an image of this size."""
        return Geometry(height, width, self.size, self.padded)

    def picture(self, glimpse: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a glimpse as people look at it: squares side by side, uint8 (S, k * S, C)."""
        return glimpse

    def __call__(self, images: NDArray[np.uint8], gaze: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the glimpses, uint8 (B, *glimpse_shape).

        :param images: uint8 (B, H, W, C)
        :param gaze: float32 (B, 3); an environment gives a clamped one
        """
        raise NotImplementedError(f"{type(self).__name__} does not define __call__")

    def prepare(self, images: NDArray[np.uint8]) -> NDArray:
        """Return what ``read`` reads faster than images, made once for images uint8 (N, H, W, C).

        Asked for where ``prepared_as`` has a name, of images that are shown again and again.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define prepare")

    def read(
        self,
        images: NDArray[np.uint8],
        rows: NDArray[np.int64],
        gaze: NDArray[np.float32],
        prepared: NDArray | None = None,
    ) -> NDArray[np.uint8]:
        """Return glimpses of some images, uint8 (n, *glimpse_shape).

        :param images: uint8 (N, H, W, C)
        :param rows: which of them, int64 (n,)
        :param gaze: clamped, float32 (n, 3)
        :param prepared: what ``prepare`` made of the images; None where nothing was made
        """
        return self(images[rows], gaze)

    def read_pyramid(
        self, levels: Pyramid, rows: NDArray[np.int64], gaze: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """Return glimpses of some images, uint8 (n, *glimpse_shape), as exact as the levels allow.

        Asked for where ``reads_pyramid``.

        :param levels: of the images, see :mod:`glimpse_envs.pyramid`
        :param rows: which of them, int64 (n,)
        :param gaze: float32 (n, 3); of an augmented image it may lie beyond what is possible
        """
        raise NotImplementedError(f"{type(self).__name__} does not define read_pyramid")


MOST_SCALES = 16
"""Of a retina: its widest window is then 32,768 times its finest one."""


class _AreaSensor(Sensor):
    """A square grid of area averages at one or several scales around the fixation."""

    scales: int = 1
    prepared_as = "summed_area"
    reads_pyramid = True

    def __post_init__(self) -> None:
        check_integer(self, "size", low=1)
        check_integer(self, "scales", low=1, high=MOST_SCALES)
        _check_degrees(self)

    def __repr__(self) -> str:
        """Return the arguments; degrees, which change no glimpse, only where there are some."""
        names = [part.name for part in fields(self) if part.init and part.repr]
        given = [name for name in names if name != "pixels_per_degree" or getattr(self, name)]
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in given)})"

    def __call__(self, images: NDArray[np.uint8], gaze: NDArray[np.float32]) -> NDArray[np.uint8]:
        images, gaze = np.asarray(images), np.asarray(gaze, np.float32)
        if images.ndim != 4 or images.dtype != np.uint8 or gaze.shape != (len(images), 3):
            raise ValueError(
                f"got images {images.dtype} {images.shape} and gaze {gaze.shape}; wanted images "
                "uint8 (B, H, W, C) and gaze (B, 3)"
            )
        geometry = self.geometry(*images.shape[1:3])
        return self.read(images, np.arange(len(images)), geometry.clamp(gaze))

    def prepare(self, images: NDArray[np.uint8]) -> NDArray[np.uint32]:
        """Return the summed-area tables, uint32 (N, H + 1, W + 1, C), first row and column 0."""
        return summed_area(images)

    def read(
        self,
        images: NDArray[np.uint8],
        rows: NDArray[np.int64],
        gaze: NDArray[np.float32],
        prepared: NDArray[np.uint32] | None = None,
    ) -> NDArray[np.uint8]:
        return averages(images, rows, gaze, self.size, self.scales, prepared)

    def read_pyramid(
        self, levels: Pyramid, rows: NDArray[np.int64], gaze: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        return averages_from_pyramid(levels, rows, gaze, self.size, self.scales)


@dataclass(frozen=True, repr=False)
class Crop(_AreaSensor):
    """A square window, area-averaged to ``size`` x ``size``; at zoom 1 the image's own pixels.

    The window always lies inside the image. At zoom 1 it is read at the nearest whole pixel.

    :param size: side of the glimpse, sensor pixels
    :param pixels_per_degree: see ``Sensor``
    """

    size: int = 8
    _: KW_ONLY
    pixels_per_degree: float | None = None


@dataclass(frozen=True, repr=False)
class Retina(_AreaSensor):
    """Concentric windows, each twice as wide, all averaged to ``size`` x ``size``.

    Beyond the image there are zeros. The scales lie side by side, finest first, in one image (size,
    scales * size, C). Source: the glimpse sensor of Mnih et al., "Recurrent models of visual
    attention", NIPS 2014.

    :param size: side of one scale, sensor pixels
    :param scales: number of windows
    :param pixels_per_degree: see ``Sensor``
    """

    size: int = 8
    scales: int = 3
    _: KW_ONLY
    pixels_per_degree: float | None = None
    padded = True

    @property
    def span(self) -> float:
        """Width of the widest window, in windows of the finest scale."""
        return 2.0 ** (self.scales - 1)

    def glimpse_shape(self, channels: int) -> tuple[int, int, int]:
        """Return (size, scales * size, channels)."""
        return (self.size, self.scales * self.size, channels)


@dataclass(frozen=True, repr=False)
class Foveated(_AreaSensor):
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
    padded = True
    reads_pyramid = False

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
        _check_degrees(self)
        self.receptive_fields()

    @property
    def span(self) -> float:
        """Width of what is read, in windows."""
        return 2.0 / self.size * reach(self.plan)

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
        """Return left, top and side of each, int64 (size, size, 3).

        Image pixels at zoom 1, from the upper left corner of the window (``size`` wide, the
        fixation in its middle); at another zoom all are as many times larger as the window.
        """
        return receptive_fields(self.plan)

    def picture(self, glimpse: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what a glimpse shows of each place, uint8 (W, W, C), W the field at zoom 1.

        Each place has the value of the receptive field in whose middle it lies most; 0 where there
        is none, as in the corners of a log-polar field.
        """
        seen = seen_by(self.plan)
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

    @property
    def plan(self) -> Plan:
        """What the receptive fields follow from, the fovea's width among it."""
        fovea = self.fovea
        if fovea is None:
            odd = self.size % 2
            fovea = max(2 - odd, 2 * round((self.size / 3 - odd) / 2) + odd)
        return Plan(int(self.size), self.layout, float(self.field), int(fovea))


def _check_degrees(sensor: Sensor) -> None:
    if sensor.pixels_per_degree is not None:
        check_number(sensor, "pixels_per_degree", low=1e-3)
