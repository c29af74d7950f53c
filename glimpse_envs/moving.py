"""Scenes that move while the agent looks: a frame for each glimpse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.compiled import kernel
from glimpse_envs.components import check_integer, check_number
from glimpse_envs.data.datasets import ImageDataset
from glimpse_envs.randomness import draw, draw_below
from glimpse_envs.scenes import Plain, Scene, check_blend, check_fits

_DRAWS = 5  # of an object: its image, place in x and in y, direction, speed


class MovingScene(Scene):
    """A scene of which every glimpse sees another frame.

    Frame 0 is that of an episode's first glimpse, and each further glimpse is taken of the next
    one. A frame depends on image, random stream and its number alone, so that earlier frames can be
    shown again in any order.
    """

    moves: ClassVar[bool] = True

    def frames(
        self,
        images: NDArray[np.uint8],
        index: NDArray[np.int64],
        keys: NDArray[np.uint64],
        times: NDArray[np.int64],
    ) -> NDArray[np.uint8]:
        """Return one frame of each of n scenes, uint8 (n, height, width, C).

        :param images: the split's images, uint8 (N, H, W, C)
        :param index: the images that the scenes are about, int64 (n,)
        :param keys: one random stream each, uint64 (n,)
        :param times: numbers of the frames, from 0, int64 (n,)
        """
        raise NotImplementedError(f"{type(self).__name__} does not define frames")

    def draw(
        self,
        canvases: NDArray[np.uint8],
        lanes: NDArray[np.int64],
        images: NDArray[np.uint8],
        index: NDArray[np.int64],
        keys: NDArray[np.uint64],
        times: NDArray[np.int64],
    ) -> None:
        """Draw frames over what some canvases show, in place.

        A scene may be faster than its ``frames``, which are copied here.

        :param canvases: uint8 (B, height, width, C)
        :param lanes: which of them, int64 (n,)
        :param images: as ``frames`` takes them; ``index``, ``keys`` and ``times`` likewise
        """
        canvases[lanes] = self.frames(images, index, keys, times)

    def compose(
        self, images: NDArray[np.uint8], index: NDArray[np.int64], keys: NDArray[np.uint64]
    ) -> NDArray[np.uint8]:
        """Return the first frames, uint8 (n, height, width, C)."""
        return self.frames(images, index, keys, np.zeros(len(index), np.int64))

    def places(self, height: int, width: int, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return left and top of the named images in the first frames, int64 (n, 2)."""
        return self.places_at(height, width, keys, np.zeros(len(keys), np.int64))

    def places_at(
        self, height: int, width: int, keys: NDArray[np.uint64], times: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return left and top of the named images in some frames, int64 (n, 2)."""
        raise NotImplementedError(f"{type(self).__name__} does not define places_at")


@dataclass(frozen=True)
class MovingCanvas(MovingScene):
    """Images that move straight ahead on a black canvas and bounce off its borders.

    One of them is the episode's own, whose class is its label: the named one. The others, drawn
    from all others of the split, distract from it. What tells it from them is the first fixation,
    where an environment has ``start="target"``, as the flash of the targets does in multiple-object
    tracking (Pylyshyn and Storm, "Tracking multiple independent targets", Spatial Vision 1988).

    Source: Moving MNIST of Srivastava, Mansimov and Salakhutdinov, "Unsupervised learning of video
    representations using LSTMs", ICML 2015: two digits on 64 x 64, each with a random place and
    direction, a bounce at the border, and the brighter pixel where they meet. Here each has a speed
    of its own, too, which it keeps.

    :param side: side of the square canvas, pixels
    :param objects: how many images move there, the named one included
    :param slowest: lowest speed, pixels from one frame to the next
    :param fastest: highest speed; speeds are drawn uniformly between the two
    :param blend: where images meet: "max" (the brighter pixel wins, right for bright strokes on
        black) or "paste" (the named one covers the others, right for photographs)
    """

    side: int = 64
    objects: int = 2
    slowest: float = 2.0
    fastest: float = 5.0
    blend: str = "max"

    def __post_init__(self) -> None:
        check_integer(self, "side", low=1)
        check_integer(self, "objects", low=1, high=1000)
        check_number(self, "slowest", low=0.0, high=4096.0)
        check_number(self, "fastest", low=0.0, high=4096.0)
        if self.slowest > self.fastest:
            raise ValueError(
                f"got MovingCanvas(slowest={self.slowest:g}, fastest={self.fastest:g}); wanted "
                "slowest at most as large as fastest"
            )
        check_blend(self.blend)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of what is shown."""
        check_fits(self.side, height, width)
        return self.side, self.side

    def frames(
        self,
        images: NDArray[np.uint8],
        index: NDArray[np.int64],
        keys: NDArray[np.uint64],
        times: NDArray[np.int64],
    ) -> NDArray[np.uint8]:
        """Return one frame of each of n scenes, uint8 (n, side, side, C)."""
        canvases = np.empty((len(index), self.side, self.side, images.shape[3]), np.uint8)
        self.draw(canvases, np.arange(len(index)), images, index, keys, times)
        return canvases

    def draw(
        self,
        canvases: NDArray[np.uint8],
        lanes: NDArray[np.int64],
        images: NDArray[np.uint8],
        index: NDArray[np.int64],
        keys: NDArray[np.uint64],
        times: NDArray[np.int64],
    ) -> None:
        """Draw frames over what some canvases show, in place."""
        if self.objects > 1 and len(images) < 2:
            raise ValueError(
                "got a split of one image, and several objects, of which the others show other "
                "images: add some, or take objects=1"
            )
        channels = images.shape[3]
        rows, image_rows = (a.reshape(*a.shape[:2], -1) for a in (canvases, images))
        _draw(
            rows, lanes, image_rows, index, keys, times, channels,
            self.objects, float(self.slowest), float(self.fastest), self.blend == "paste",
        )  # fmt: skip

    def places_at(
        self, height: int, width: int, keys: NDArray[np.uint64], times: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return left and top of the named images in some frames, int64 (n, 2)."""
        places = np.empty((len(keys), 2), np.int64)
        columns, rows = float(self.side - width), float(self.side - height)
        _places_at(keys, times, columns, rows, float(self.slowest), float(self.fastest), places)
        return places


@dataclass(frozen=True)
class Clips(MovingScene):
    """The frames of the data set's clips, one after the other; the last one once a clip has ended.

    Where a data set has clips, environments take it in the place of ``Plain``.

    :param length: frames of each clip, which lie one below the other in the data set
    """

    length: int = 16

    def __post_init__(self) -> None:
        check_integer(self, "length", low=1)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of a frame of such clips."""
        return height // self.length, width

    def frames(
        self,
        images: NDArray[np.uint8],
        index: NDArray[np.int64],
        keys: NDArray[np.uint64],
        times: NDArray[np.int64],
    ) -> NDArray[np.uint8]:
        """Return one frame of each of n clips, uint8 (n, height, width, C)."""
        n, height, width, channels = images.shape
        clips = images.reshape(n, self.length, height // self.length, width, channels)
        return clips[index, np.minimum(times, self.length - 1)]


def scene_of(scene: Scene, dataset: ImageDataset) -> Scene:
    """Return what shows a data set: clips as they are, where it has clips, else the scene given.

    :raises ValueError: for another scene with clips, or clips of other lengths
    """
    n = dataset.frames
    if n > 1 and type(scene) is Plain:
        return Clips(n)
    if n != (scene.length if isinstance(scene, Clips) else 1):
        what = f"clips of {n} frames" if n > 1 else "images that stand still"
        raise ValueError(
            f"got data set {dataset.name!r}, which has {what}, and the scene {scene}; wanted "
            + ('"Plain", which shows clips as they are' if n > 1 else "a scene of images")
        )
    return scene


@kernel(inline="always")
def _uniform(key, number):
    """Return draw ``number`` of a stream, float64 in [0, 1)."""
    return float(draw(key, number) >> np.uint64(11)) * 2.0**-53


@kernel(inline="always")
def _bounced(place, span):
    """Return where something is that has gone straight to a place, in a room from 0 to ``span``."""
    if span <= 0.0:
        return 0
    place = place % (2.0 * span)
    if place > span:
        place = 2.0 * span - place
    return int(np.floor(place + 0.5))


@kernel(inline="always")
def _corner(key, k, time, columns, rows, slowest, fastest):
    """Return left and top of object k of a stream at a time, whole pixels."""
    number = _DRAWS * k
    x = _uniform(key, number + 1) * columns
    y = _uniform(key, number + 2) * rows
    direction = 2.0 * np.pi * _uniform(key, number + 3)
    gone = (slowest + (fastest - slowest) * _uniform(key, number + 4)) * float(time)
    left = _bounced(x + gone * np.cos(direction), columns)
    top = _bounced(y + gone * np.sin(direction), rows)
    return left, top


@kernel
def _places_at(keys, times, columns, rows, slowest, fastest, places):
    for i in range(keys.shape[0]):
        places[i, 0], places[i, 1] = _corner(keys[i], 0, times[i], columns, rows, slowest, fastest)


@kernel
def _draw(
    canvases, lanes, images, index, keys, times, channels, objects, slowest, fastest, paste
):  # fmt: skip
    """Draw the objects of each lane, the named one last.

    Rows are given as they lie in memory, (width * channels,): the inner loops are long ones then.
    """
    n_images, height, length = images.shape
    columns = float((canvases.shape[2] - length) // channels)
    rows = float(canvases.shape[1] - height)
    for i in range(lanes.shape[0]):
        canvas, key = canvases[lanes[i]], keys[i]
        for y in range(canvas.shape[0]):
            for x in range(canvas.shape[1]):
                canvas[y, x] = 0
        for k in range(objects - 1, -1, -1):
            shown = index[i]
            if k > 0:
                shown = draw_below(key, _DRAWS * k, n_images - 1)
                shown += shown >= index[i]  # never the named image itself
            left, top = _corner(key, k, times[i], columns, rows, slowest, fastest)
            begin, image = left * channels, images[shown]
            for y in range(height):
                if paste:
                    for x in range(length):
                        canvas[top + y, begin + x] = image[y, x]
                else:
                    for x in range(length):
                        canvas[top + y, begin + x] = max(canvas[top + y, begin + x], image[y, x])
