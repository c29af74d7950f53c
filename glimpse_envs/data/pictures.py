"""Image files: which can be read, and how their pixels become bytes of one shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.data.datasets import DatasetError
from glimpse_envs.data.deep_pixels import (
    colours,
    deep_pixels,
    is_deep,
    is_deep_grey,
    to_bytes,
)

if TYPE_CHECKING:
    from PIL.Image import Image

#: what photographs and drawings are kept in; Pillow reads most of them wherever it is installed
EXTENSIONS = frozenset(
    ".apng .avif .bmp .gif .heic .heif .j2k .jfif .jp2 .jpe .jpeg .jpg .jpx .mpo .pbm .pgm .png "
    ".pnm .ppm .qoi .tga .tif .tiff .webp".split()
)
FITS = ("crop", "letterbox", "keep")
BACKGROUNDS = {"white": 255, "black": 0}
MANY_FILES = 2000  # from here on reading takes long enough for a progress bar
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
DEPTHS = (8, 10, 12, 14, 16)  # bits of the pixels that cameras and scanners make
EXIF_ORIENTATION = 0x0112


class Header(NamedTuple):
    """What a file says of its image before the pixels are decoded.

    :param width: of the upright image
    :param height: of the upright image
    :param grey: it has no colours
    :param deep: its pixels may have more than 8 bits a channel
    :param transparent: parts of it may be transparent
    """

    width: int
    height: int
    grey: bool
    deep: bool
    transparent: bool


class Reading(NamedTuple):
    """How all files of a folder are read.

    :param shape: height, width and channels of the images
    :param fit: "crop", "letterbox" or "keep", for images of another shape
    :param background: "white" or "black"
    :param bits: of the pixels of images that may have more than 8
    """

    shape: tuple[int, int, int]
    fit: str
    background: str
    bits: int

    @property
    def keeps_proportions(self) -> bool:
        """Whether images keep their proportions, in the middle of frames of the shape."""
        return self.fit == "keep" and self.shape[0] == self.shape[1]

    def extents(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width that an image has in its frame: its longer side is the frame's.

        :param height: of the upright image
        :param width: likewise
        """
        side, longer = self.shape[0], max(height, width)
        return max(1, round(side * height / longer)), max(1, round(side * width / longer))


def readable_extensions() -> set[str]:
    """Return those of ``EXTENSIONS`` that the installed Pillow reads, with its plug-ins."""
    from PIL import Image

    try:
        from pillow_heif import register_heif_opener  # of the package pillow-heif, where it is
    except Exception:  # there is none, or its library does not load
        pass
    else:
        register_heif_opener()
    return {
        extension
        for extension, kind in Image.registered_extensions().items()
        if extension in EXTENSIONS and kind in Image.OPEN
    }


def read_header(file: Path) -> Header:
    """Return what a file says of its image.

    :raises DatasetError: for a file that is broken, or has floats for pixels
    """
    with _opened(file) as image:
        if image.mode == "F":
            raise ValueError("floating-point pixels have no known range; save 8 or 16 bits")
        deep, deep_grey = is_deep(image), is_deep_grey(image)  # before anything loads the pixels
        width, height = image.size
        if image.getexif().get(EXIF_ORIENTATION, 1) >= 5:  # lies on its side
            width, height = height, width
        return Header(
            width,
            height,
            image.mode in GREY_MODES or deep_grey,
            deep,
            image.has_transparency_data,
        )


def depth_of(files: Iterable[Path]) -> int:
    """Return the fewest bits, 8, 10, 12, 14, 16 or more, that hold the largest of all pixels.

    :param files: images that may have more than 8 bits a channel; transparency does not count
    :raises DatasetError: for a broken file, or one with negative pixels
    """
    largest = 0
    for file in files:
        with _opened(file) as image:
            pixels = colours(deep_pixels(image, file))
            if pixels.min() < 0:
                raise ValueError("negative pixels; save 8 or 16 bits without sign")
            largest = max(largest, int(pixels.max()))
    return next((bits for bits in DEPTHS if largest < 1 << bits), largest.bit_length())


def read_images(files: list[Path], how: Reading) -> NDArray[np.uint8]:
    """Return the images, uint8 (N, *shape).

    :raises DatasetError: for a broken file, or more than fits into memory
    """
    try:
        images = np.empty((len(files), *how.shape), dtype=np.uint8)
    except (MemoryError, ValueError) as error:
        raise DatasetError(
            f"got {len(files)} images to be read as {how.shape}; they do not fit into memory; give "
            "a smaller size: {'type': 'folder', 'path': ..., 'size': 64}"
        ) from error
    for index, file in enumerate(progress(files, "images")):
        images[index] = read_image(file, how)
    return images


def read_image(file: Path, how: Reading) -> NDArray[np.uint8]:
    """Return the image of a file, uint8 of ``how.shape``.

    :raises DatasetError: for a broken image
    """
    with _opened(file) as image:
        return _pixels(image, file, how)


def progress(files: list[Path], what: str) -> Iterable[Path]:
    """Go through files, with a progress bar if there are many."""
    from tqdm import tqdm  # writes to stderr

    return tqdm(files, desc=f"Reading {what}", unit="file", disable=len(files) < MANY_FILES)


@contextmanager
def _opened(file: Path) -> Iterator[Image]:
    """The image of a file; any exception within the block means that the file is broken."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            yield image
    # Each format's decoder fails in ways of its own: OSError, SyntaxError, struct.error, ...
    except Exception as error:
        raise DatasetError(
            f"{file} cannot be read as an image ({type(error).__name__}: {error}); replace it, or "
            "remove it"
        ) from error


def _pixels(image: Image, file: Path, how: Reading) -> NDArray[np.uint8]:
    """uint8 of the shape wanted: upright, opaque, cropped or padded, and resized."""
    from PIL import Image, ImageOps

    height, width, channels = how.shape
    if is_deep(image):  # Pillow's own conversion would clip to 255, or drop the lower bits
        image = to_bytes(deep_pixels(image, file), how.bits)
    else:
        image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, how.background)
        image = Image.alpha_composite(ground, image)
    image = image.convert("L" if channels == 1 else "RGB")
    if how.keeps_proportions:
        return _framed(image, how)
    if image.size != (width, height):
        square = middle_square(image) if how.fit == "crop" else _padded(image, how.background)
        image = square.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(how.shape)


def _framed(image: Image, how: Reading) -> NDArray[np.uint8]:
    """Return an image in its frame, zeros around it: what sensors read beyond an image."""
    from PIL import Image

    height, width = how.extents(image.height, image.width)
    frame = np.zeros(how.shape, np.uint8)
    top, left = (how.shape[0] - height) // 2, (how.shape[1] - width) // 2
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    frame[top : top + height, left : left + width] = pixels.reshape(height, width, how.shape[2])
    return frame


def middle_square(image: Image) -> Image:
    """Return the middle square of an image."""
    # Cropped first: ImageOps.fit would let the resampling reach beyond the square's edge.
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _padded(image: Image, background: str) -> Image:
    from PIL import Image

    side = max(image.size)
    square = Image.new(image.mode, (side, side), background)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
