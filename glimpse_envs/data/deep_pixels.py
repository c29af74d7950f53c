"""Pixels of more than 8 bits, of which Pillow keeps all where they are grey, half in colours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

_NATIVE = "L" if sys.byteorder == "little" else "B"
_OTHER = {"B": "L", "L": "B"}


def is_deep(image: Image) -> bool:
    """Return whether an image of a file, not loaded yet, may have more than 8 bits a channel."""
    return image.mode.startswith("I") or _raw_mode(image) is not None


def is_deep_grey(image: Image) -> bool:
    """Return whether it is grey with transparency, which Pillow shows as colours."""
    return _raw_mode(image) == "LA;16B"


def deep_pixels(image: Image, file: Path) -> NDArray[np.integer]:
    """Return all bits of an image that :func:`is_deep`, upright, (H, W) or (H, W, channels).

    Pillow decodes colours of 16 bits to their upper byte. Decoded once more as if the bytes were in
    the other order, it is the lower one that is kept.

    :param image: opened, not loaded yet
    :param file: that it was opened from
    """
    from PIL import Image, ImageOps

    if (raw := _raw_mode(image)) is None:
        return np.asarray(ImageOps.exif_transpose(image))
    layout, order = raw.split(";16")
    with Image.open(file) as again:
        if layout == "LA":  # four bytes a pixel, as RGBA of 8 bits
            _decode_as(again, "RGBA")
            again._mode = "RGBA"
            parts = np.asarray(ImageOps.exif_transpose(again)).astype(np.uint16)
            return parts[..., 0::2] << 8 | parts[..., 1::2]
        _decode_as(again, f"{layout};16{_OTHER[_NATIVE if order == 'N' else order]}")
        upper, lower = (
            np.asarray(ImageOps.exif_transpose(each)).astype(np.uint16) for each in (image, again)
        )
    return upper << 8 | lower


def to_bytes(pixels: NDArray[np.integer], bits: int) -> Image:
    """Return an image of 8 bits: grey and colours scaled from ``bits``, transparency from 16.

    :param pixels: as :func:`deep_pixels` gives them
    """
    from PIL import Image

    n_colours = colours(pixels).shape[-1]
    scaled = pixels >> (bits - 8)
    if pixels.ndim == 3 and pixels.shape[-1] > n_colours:
        scaled[..., n_colours:] = pixels[..., n_colours:] >> 8
    return Image.fromarray(scaled.astype(np.uint8))


def colours(pixels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the pixels without their transparency, (H, W, 1 or 3)."""
    if pixels.ndim == 2:
        return pixels[..., None]
    return pixels[..., : 3 if pixels.shape[-1] >= 3 else 1]


def _raw_mode(image: Any) -> str | None:
    """Return how the colours of a file are laid out, such as "RGB;16B"; None for up to 8 bits."""
    for _, _, _, how in getattr(image, "tile", ()):
        raw = how[0] if isinstance(how, tuple) and how else how
        if isinstance(raw, str) and raw in _RAW_MODES:
            return raw
    return None


_RAW_MODES = {f"{layout};16{order}" for layout in ("RGB", "RGBA") for order in "BLN"} | {"LA;16B"}


def _decode_as(image: Any, raw: str) -> None:
    """Let an image decode its bytes in another layout."""
    image.tile = [
        (codec, extents, offset, (raw, *how[1:]) if isinstance(how, tuple) else raw)
        for codec, extents, offset, how in image.tile
    ]
