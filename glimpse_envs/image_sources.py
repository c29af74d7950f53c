"""What the lanes of an environment show, and the reading of it by the sensor.

The simulation asks one thing of a kind of images: to show some on some lanes, to read them there,
and to give them for pictures. Whether lanes share what the sensor reads, or have their own, is
decided here alone.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.pyramid import Pyramid, level_of

#: bytes of images of a split that are prepared for the sensor together; what is prepared takes
#: several times as many
LARGEST_SHARED = 2**28

#: bytes of a mapped file that a row of pixels may bring into memory
_PAGE = 4096


class ImageSource(ABC):
    """What B lanes show, one image each. Lanes are named by their numbers, int64 (n,).

    Times are numbers of frames, from 0: where nothing moves all show the same.
    """

    @abstractmethod
    def reset(
        self, lanes: NDArray[np.int64], index: NDArray[np.int64], stream: NDArray[np.uint64]
    ) -> None:
        """Show other images on some lanes.

        :param lanes: int64 (n,)
        :param index: the images of the split, int64 (n,)
        :param stream: randomness of each, uint64 (n,)
        """

    @abstractmethod
    def read(
        self, lanes: NDArray[np.int64], gaze: NDArray[np.float32], times: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Return the glimpses of some lanes, uint8 (n, *glimpse_shape).

        :param lanes: int64 (n,)
        :param gaze: clamped, float32 (n, 3)
        :param times: of the frames that are read, int64 (n,)
        """

    @abstractmethod
    def images(self, times: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return what is shown to all lanes, uint8 (B, H, W, C).

        :param times: of the frames, int64 (B,)
        """

    @abstractmethod
    def image(self, lane: int, time: int) -> NDArray[np.uint8]:
        """Return what is shown to a lane, uint8 (H, W, C).

        :param time: of the frame
        """


class SharedImages(ImageSource):
    """The split's images as they are stored, prepared for the sensor once for all who show them.

    They are not pickled but found again.

    :param config: of the environment
    :param n_lanes: B
    """

    def __init__(self, config: GlimpseConfig, n_lanes: int) -> None:
        self.config = config
        self.index = np.zeros(n_lanes, np.int64)
        self.prepared = self._find_prepared()

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["prepared"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.prepared = self._find_prepared()

    def reset(
        self, lanes: NDArray[np.int64], index: NDArray[np.int64], stream: NDArray[np.uint64]
    ) -> None:
        """Show other images on some lanes."""
        self.index[lanes] = index

    def read(
        self, lanes: NDArray[np.int64], gaze: NDArray[np.float32], times: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Return the glimpses of some lanes, uint8 (n, *glimpse_shape)."""
        images = self.config.shown_split.images
        return self.config.sensor.read(images, self.index[lanes], gaze, self.prepared)

    def images(self, times: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return what is shown to all lanes, uint8 (B, H, W, C)."""
        return self.config.shown_split.images[self.index]

    def image(self, lane: int, time: int) -> NDArray[np.uint8]:
        """Return what is shown to a lane, uint8 (H, W, C)."""
        return self.config.shown_split.images[self.index[lane]]

    def _find_prepared(self) -> Any:
        sensor = self.config.sensor
        if sensor.prepared_as is None:
            return None
        return self.config.shown_split.derived(sensor.prepared_as, sensor.prepare)


class LargeImages(SharedImages):
    """The split's images, too large to be prepared as a whole, read from their pyramid.

    Augmentation that moves images moves the windows instead: no image is copied.

    :param config: of the environment
    :param n_lanes: B
    """

    def __init__(self, config: GlimpseConfig, n_lanes: int) -> None:
        super().__init__(config, n_lanes)
        self._stream = np.zeros(n_lanes, np.uint64)
        self._shifts = np.zeros((n_lanes, 2), np.int64)
        self._mirrored = np.zeros(n_lanes, bool)

    @staticmethod
    def can_show(config: GlimpseConfig) -> bool:
        """Whether it is the images that are shown, or the images moved, to a sensor that reads so.

        A sensor that reads beyond the border would see there what a shift has pushed out.
        """
        if config.scene.composed or not config.sensor.reads_pyramid:
            return False
        return not config.augmented or (
            config.augment.reach is not None and not config.sensor.padded
        )

    def reset(
        self, lanes: NDArray[np.int64], index: NDArray[np.int64], stream: NDArray[np.uint64]
    ) -> None:
        """Show other images on some lanes."""
        super().reset(lanes, index, stream)
        self._stream[lanes] = stream
        if self.config.augmented:
            self._shifts[lanes], self._mirrored[lanes] = self.config.augment.motion(stream)

    def read(
        self, lanes: NDArray[np.int64], gaze: NDArray[np.float32], times: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Return the glimpses of some lanes, uint8 (n, *glimpse_shape)."""
        config = self.config
        if config.augmented:
            height, width, _ = config.shape
            mirrored = self._mirrored[lanes]
            gaze = gaze.copy()
            if mirrored.any():  # from whole pixels, or ties would be rounded otherwise
                windows = config.geometry.sampled_windows(gaze[mirrored])
                gaze[mirrored, 0] = (windows[:, 0] + 0.5 * windows[:, 2]) / width
            gaze[:, :2] -= (self._shifts[lanes] / (width, height)).astype(np.float32)
            gaze[mirrored, 0] = 1.0 - gaze[mirrored, 0]
        glimpses = config.sensor.read_pyramid(self.prepared, self.index[lanes], gaze)
        if config.augmented:
            glimpses[mirrored] = glimpses[mirrored, :, ::-1]
        if config.shown_split.touched is not None:
            config.shown_split.touched(self._touched(gaze))
        return glimpses

    def _touched(self, gaze: NDArray[np.float32]) -> int:
        """Return how many bytes the glimpses of some gazes have brought into memory, about."""
        sensor, sides = self.config.sensor, self.config.geometry.windows(gaze)[:, 2]
        rows = sides / 2.0 ** level_of(sides / sensor.size, len(self.prepared))
        scales = 1 + round(math.log2(sensor.span))  # a wider one is read from a coarser level
        return scales * int(np.ceil(rows).sum()) * _PAGE

    def images(self, times: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return what is shown to all lanes, uint8 (B, H, W, C)."""
        return self._shown(slice(None))

    def image(self, lane: int, time: int) -> NDArray[np.uint8]:
        """Return what is shown to a lane, uint8 (H, W, C)."""
        return self._shown(slice(lane, lane + 1))[0]

    def _shown(self, lanes: slice) -> NDArray[np.uint8]:
        images = self.config.shown_split.images[self.index[lanes]]
        return self.config.augment(images, self._stream[lanes]) if self.config.augmented else images

    def _find_prepared(self) -> Pyramid:
        return self.config.shown_split.pyramid()


class ComposedImages(ImageSource):
    """A canvas a lane, composed and augmented anew for every episode, and read as it is.

    Too few glimpses are taken of each to prepare it for the sensor. Images of a split that is too
    large to be prepared as a whole are copied likewise, where they cannot be read as they are.

    :param config: of the environment
    :param n_lanes: B
    """

    def __init__(self, config: GlimpseConfig, n_lanes: int) -> None:
        self.config = config
        self.canvases = np.zeros((n_lanes, *config.shape), np.uint8)

    def reset(
        self, lanes: NDArray[np.int64], index: NDArray[np.int64], stream: NDArray[np.uint64]
    ) -> None:
        """Show other images on some lanes."""
        config = self.config
        images = config.scene.compose(config.shown_split.images, index, stream)
        if config.augmented:
            images = config.augment(images, stream)
        self.canvases[lanes] = images
        if config.shown_split.touched is not None:
            config.shown_split.touched(images.nbytes)

    def read(
        self, lanes: NDArray[np.int64], gaze: NDArray[np.float32], times: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Return the glimpses of some lanes, uint8 (n, *glimpse_shape)."""
        return self.config.sensor.read(self.canvases, lanes, gaze)

    def images(self, times: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return what is shown to all lanes, uint8 (B, H, W, C)."""
        return self.canvases

    def image(self, lane: int, time: int) -> NDArray[np.uint8]:
        """Return what is shown to a lane, uint8 (H, W, C)."""
        return self.canvases[lane]


class MovingImages(ImageSource):
    """A canvas a lane, of which every glimpse sees another frame.

    A canvas holds the frame that was asked for last, and is drawn anew where another one is wanted.

    :param config: of the environment
    :param n_lanes: B
    """

    def __init__(self, config: GlimpseConfig, n_lanes: int) -> None:
        self.config = config
        self.canvases = np.zeros((n_lanes, *config.shape), np.uint8)
        self.index = np.zeros(n_lanes, np.int64)
        self.stream = np.zeros(n_lanes, np.uint64)
        self.shown = np.full(n_lanes, -1, np.int64)  # which frame of it each canvas holds

    def reset(
        self, lanes: NDArray[np.int64], index: NDArray[np.int64], stream: NDArray[np.uint64]
    ) -> None:
        """Show other scenes on some lanes."""
        self.index[lanes], self.stream[lanes], self.shown[lanes] = index, stream, -1

    def read(
        self, lanes: NDArray[np.int64], gaze: NDArray[np.float32], times: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Return the glimpses of some lanes, uint8 (n, *glimpse_shape)."""
        self._show(lanes, times)
        return self.config.sensor.read(self.canvases, lanes, gaze)

    def images(self, times: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return what is shown to all lanes, uint8 (B, H, W, C)."""
        self._show(np.arange(len(self.canvases)), times)
        return self.canvases

    def image(self, lane: int, time: int) -> NDArray[np.uint8]:
        """Return what is shown to a lane, uint8 (H, W, C)."""
        self._show(np.array([lane]), np.array([time]))
        return self.canvases[lane]

    def _show(self, lanes: NDArray[np.int64], times: NDArray[np.int64]) -> None:
        """Bring the canvases of some lanes to the frames of these times."""
        other = self.shown[lanes] != times
        if not other.all():
            lanes, times = lanes[other], times[other]
        if not len(lanes):
            return
        config, images = self.config, self.config.shown_split.images
        index, stream = self.index[lanes], self.stream[lanes]
        if config.augmented:
            frames = config.scene.frames(images, index, stream, times)
            self.canvases[lanes] = config.augment(frames, stream)
        else:
            config.scene.draw(self.canvases, lanes, images, index, stream, times)
        self.shown[lanes] = times
        if config.shown_split.touched is not None:
            config.shown_split.touched(len(lanes) * self.canvases[0].nbytes)


def have_own_images(config: GlimpseConfig) -> bool:
    """Whether every lane keeps what it shows, instead of the split's images."""
    return not issubclass(_source_type(config), SharedImages)


def image_source(config: GlimpseConfig, n_lanes: int) -> ImageSource:
    """Return what so many lanes show."""
    return _source_type(config)(config, n_lanes)


def _source_type(config: GlimpseConfig) -> type[SharedImages | ComposedImages | MovingImages]:
    if config.scene.moves:
        return MovingImages
    large = config.shown_split.images.nbytes > LARGEST_SHARED
    if large and LargeImages.can_show(config):
        return LargeImages
    return ComposedImages if config.composed or large else SharedImages
