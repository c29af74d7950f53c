"""What every sensor offers, and those that average squares of the image."""

from __future__ import annotations

from dataclasses import fields
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.area_averages import averages, summed_area
from glimpse_envs.components import Component, check_integer, check_number
from glimpse_envs.gaze import Geometry
from glimpse_envs.pyramid import Pyramid
from glimpse_envs.pyramid_averages import averages_from_pyramid


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
        check_degrees(self)

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


def check_degrees(sensor: Sensor) -> None:
    """Raise a ValueError unless a sensor's ``pixels_per_degree`` is a positive number or None."""
    if sensor.pixels_per_degree is not None:
        check_number(sensor, "pixels_per_degree", low=1e-3)
