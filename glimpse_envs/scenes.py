"""Scenes: what is shown of a data set, from the plain image to a cluttered canvas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.arrays import read_only
from glimpse_envs.compiled import kernel
from glimpse_envs.components import Component, check_integer
from glimpse_envs.randomness import draw_below


def check_blend(blend: str) -> None:
    """Raise a ValueError unless it says how an image meets what lies below it."""
    if blend not in ("max", "paste"):
        raise ValueError(f"got blend={blend!r}; wanted 'max' or 'paste'")


def check_fits(side: int, height: int, width: int) -> None:
    """Raise a ValueError unless images of this size fit a square canvas."""
    if max(height, width) > side:
        raise ValueError(
            f"images of {height} x {width} do not fit a canvas of side {side}; take a larger side"
        )


class Scene(Component):
    """What turns an image of the data set into what is shown.

    :cvar composed: the scene draws something of its own for every episode; otherwise it shows the
        data set's images as they are, which all lanes then share
    :cvar keeps_places: what is shown lies where the data set's images lie in their arrays, so that
        those of proportions of their own keep them
    :cvar moves: every glimpse sees another frame; such scenes are below
        :class:`~glimpse_envs.moving.MovingScene`
    """

    composed: ClassVar[bool] = True
    keeps_places: ClassVar[bool] = False
    moves: ClassVar[bool] = False

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of what is shown of images of this size.

        :raises ValueError: when the images do not fit
        """
        raise NotImplementedError(f"{type(self).__name__} does not define shape")

    def compose(
        self, images: NDArray[np.uint8], index: NDArray[np.int64], keys: NDArray[np.uint64]
    ) -> NDArray[np.uint8]:
        """Return what is shown, uint8 (n, height, width, C).

        :param images: the split's images, uint8 (N, H, W, C)
        :param index: the images to show, int64 (n,)
        :param keys: one random stream each, uint64 (n,): equal keys give equal scenes
        """
        raise NotImplementedError(f"{type(self).__name__} does not define compose")

    def places(self, height: int, width: int, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return left and top of the images in what ``compose`` shows of them, int64 (n, 2).

        :param height: of the images, pixels
        :param width: likewise
        :param keys: as ``compose`` takes them
        """
        raise NotImplementedError(f"{type(self).__name__} does not define places")

    def places_at(
        self, height: int, width: int, keys: NDArray[np.uint64], times: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return left and top of the images in some frames of what is shown, int64 (n, 2).

        :param height: of the images, pixels; ``width`` and ``keys`` as ``places`` takes them
        :param times: numbers of the frames, from 0, int64 (n,); where nothing moves all are alike
        """
        return self.places(height, width, keys)


@dataclass(frozen=True)
class Plain(Scene):
    """The data set's images as they are."""

    composed = False
    keeps_places = True

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of what is shown."""
        return height, width

    def compose(
        self, images: NDArray[np.uint8], index: NDArray[np.int64], keys: NDArray[np.uint64]
    ) -> NDArray[np.uint8]:
        """Return what is shown of the images ``index``, uint8 (n, H, W, C)."""
        return images[index]

    def places(self, height: int, width: int, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return left and top of the images in what is shown, int64 (n, 2)."""
        return np.zeros((len(keys), 2), np.int64)


@dataclass(frozen=True)
class ClutteredCanvas(Scene):
    """The image at a uniformly random place of a larger black canvas with pieces of other images.

    Source: the cluttered translated MNIST of Mnih et al., "Recurrent models of visual attention",
    NIPS 2014: side 60 with 4 pieces of 8 x 8, side 100 with 8. Pieces are cut at a random place of
    random images of the split and put at random places.

    :param side: side of the square canvas, pixels
    :param pieces: number of pieces of other images
    :param piece: side of a piece, pixels
    :param blend: how the image meets the pieces: "max" (the brighter pixel wins, right for bright
        strokes on black) or "paste" (the image covers them, right for photographs)
    """

    side: int = 60
    pieces: int = 4
    piece: int = 8
    blend: str = "max"

    def __post_init__(self) -> None:
        check_integer(self, "side", low=1)
        check_integer(self, "pieces", low=0)
        check_integer(self, "piece", low=1)
        if self.pieces > 10_000:
            raise ValueError(f"got pieces={self.pieces}; wanted at most 10,000")
        check_blend(self.blend)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of what is shown."""
        check_fits(self.side, height, width)
        if self.pieces and self.piece > min(height, width):
            raise ValueError(
                f"pieces of {self.piece} x {self.piece} cannot be cut from images of "
                f"{height} x {width}; take a smaller piece"
            )
        return self.side, self.side

    def compose(
        self, images: NDArray[np.uint8], index: NDArray[np.int64], keys: NDArray[np.uint64]
    ) -> NDArray[np.uint8]:
        """Return what is shown of the images ``index``, uint8 (n, H, W, C)."""
        if self.pieces and len(images) < 2:
            raise ValueError(
                "got a split of one image; pieces are cut from other images: add some, or take "
                "pieces=0"
            )
        canvas = np.zeros((len(index), self.side, self.side, images.shape[3]), np.uint8)
        images, paste = read_only(images), self.blend == "paste"
        _compose(canvas, images, index, keys, self.pieces, self.piece, paste)
        return canvas

    def places(self, height: int, width: int, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return left and top of the images in what is shown, int64 (n, 2)."""
        places = np.empty((len(keys), 2), np.int64)
        _places(keys, self.side - width + 1, self.side - height + 1, places)
        return places


@dataclass(frozen=True)
class TranslatedCanvas(Scene):
    """The image at a uniformly random place of a larger black canvas.

    Source: the translated MNIST of Mnih et al., "Recurrent models of visual attention", NIPS 2014.

    :param side: side of the square canvas, pixels
    """

    side: int = 60

    def __post_init__(self) -> None:
        check_integer(self, "side", low=1)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of what is shown."""
        return ClutteredCanvas(self.side, pieces=0).shape(height, width)

    def compose(
        self, images: NDArray[np.uint8], index: NDArray[np.int64], keys: NDArray[np.uint64]
    ) -> NDArray[np.uint8]:
        """Return what is shown of the images ``index``, uint8 (n, H, W, C)."""
        return ClutteredCanvas(self.side, pieces=0).compose(images, index, keys)

    def places(self, height: int, width: int, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return left and top of the images in what is shown, int64 (n, 2)."""
        return ClutteredCanvas(self.side, pieces=0).places(height, width, keys)


@kernel
def scatter_pieces(canvas, images, index, keys, pieces, piece, paste):
    """Draw pieces of other images on the canvases (n, side, side, C), five draws of a stream each.

    Draws 0 and 1 are left to what lies among the pieces.
    """
    n_images, height, width, _ = images.shape
    side = canvas.shape[1]
    for i in range(index.shape[0]):
        key = keys[i]
        for p in range(pieces):
            number = 2 + 5 * p
            other = draw_below(key, number, n_images - 1)
            other += other >= index[i]  # never a piece of the image itself
            y = draw_below(key, number + 1, height - piece + 1)
            x = draw_below(key, number + 2, width - piece + 1)
            top = draw_below(key, number + 3, side - piece + 1)
            left = draw_below(key, number + 4, side - piece + 1)
            cut = images[other, y : y + piece, x : x + piece]
            _blend(canvas[i, top : top + piece, left : left + piece], cut, paste)


@kernel
def _compose(canvas, images, index, keys, pieces, piece, paste):
    """Draw the canvases.

    Draw 0 and 1 of a stream place the image: the same image lies at the same place whatever the
    number of pieces.
    """
    scatter_pieces(canvas, images, index, keys, pieces, piece, paste)
    _, height, width, _ = images.shape
    side = canvas.shape[1]
    for i in range(index.shape[0]):
        left, top = _place(keys[i], side - width + 1, side - height + 1)
        _blend(canvas[i, top : top + height, left : left + width], images[index[i]], paste)


@kernel(inline="always")
def _place(key, columns, rows):
    return draw_below(key, 1, columns), draw_below(key, 0, rows)


@kernel
def _places(keys, columns, rows, places):
    for i in range(keys.shape[0]):
        places[i, 0], places[i, 1] = _place(keys[i], columns, rows)


@kernel
def _blend(target, image, paste):
    for y in range(target.shape[0]):
        for x in range(target.shape[1]):
            for c in range(target.shape[2]):
                if paste or image[y, x, c] > target[y, x, c]:
                    target[y, x, c] = image[y, x, c]
