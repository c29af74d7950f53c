"""Sensors: image and gaze in, glimpse out.

A glimpse of both sensors is the exact box average of its window, whatever the zoom, without
aliasing: see ``area_averages``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.area_averages import averages, summed_area
from glimpse_envs.components import Component, check_integer
from glimpse_envs.gaze import Geometry


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


MOST_SCALES = 16
"""Of a retina: its widest window is then 32,768 times its finest one."""


class _AreaSensor(Sensor):
    """A square grid of area averages at one or several scales around the fixation."""

    scales: int = 1
    prepared_as = "summed_area"

    def __post_init__(self) -> None:
        check_integer(self, "size", low=1)
        check_integer(self, "scales", low=1, high=MOST_SCALES)

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


@dataclass(frozen=True)
class Crop(_AreaSensor):
    """A square window, area-averaged to ``size`` x ``size``; at zoom 1 the image's own pixels.

    The window always lies inside the image. At zoom 1 it is read at the nearest whole pixel.

    :param size: side of the glimpse, sensor pixels
    """

    size: int = 8


@dataclass(frozen=True)
class Retina(_AreaSensor):
    """Concentric windows, each twice as wide, all averaged to ``size`` x ``size``.

    Beyond the image there are zeros. The scales lie side by side, finest first, in one image (size,
    scales * size, C). Source: the glimpse sensor of Mnih et al., "Recurrent models of visual
    attention", NIPS 2014.

    :param size: side of one scale, sensor pixels
    :param scales: number of windows
    """

    size: int = 8
    scales: int = 3
    padded = True

    @property
    def span(self) -> float:
        """Width of the widest window, in windows of the finest scale."""
        return 2.0 ** (self.scales - 1)

    def glimpse_shape(self, channels: int) -> tuple[int, int, int]:
        """Return (size, scales * size, channels)."""
        return (self.size, self.scales * self.size, channels)
