"""Noise, blur, occlusion and translation of pictures, at stated strengths."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_BATCH = 500  # pictures; as float32 they take four times their room
_GREY = 128
_DIRECTIONS = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)])

_Apply = Callable[[NDArray[np.uint8], float, np.random.Generator], NDArray]


@dataclass(frozen=True)
class Corruption:
    """A kind of corruption.

    :param unit: what a strength is a number of
    :param severities: the usual strengths, ascending
    :param apply: from pictures uint8 (n, H, W, C), a strength and draws to corrupted pictures, of
        any numeric type
    :param below: strengths are above 0 and below this
    """

    unit: str
    severities: tuple[float, ...]
    apply: _Apply
    below: float = np.inf


def _noise(
    pictures: NDArray[np.uint8], sigma: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    return pictures + np.float32(sigma) * rng.standard_normal(pictures.shape, np.float32)


def _blur(
    pictures: NDArray[np.uint8], sigma: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    return ndimage.gaussian_filter(
        pictures.astype(np.float32), (0.0, sigma, sigma, 0.0), mode="nearest"
    )


def _occlusion(
    pictures: NDArray[np.uint8], share: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    n, height, width, _ = pictures.shape
    side = _pixels(pictures, share)
    rows, columns = (
        _within(np.floor(rng.random(n) * (length - side + 1)), side, length)
        for length in (height, width)
    )
    covered = rows[:, :, None] & columns[:, None, :]
    return np.where(covered[..., None], np.uint8(_GREY), pictures)


def _within(start: NDArray[np.float64], side: int, length: int) -> NDArray[np.bool_]:
    place = np.arange(length) - start[:, None]
    return (place >= 0) & (place < side)


def _translation(
    pictures: NDArray[np.uint8], share: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    distance = _pixels(pictures, share)
    chosen = rng.integers(len(_DIRECTIONS), size=len(pictures))
    moved = np.empty_like(pictures)
    for k, (y, x) in enumerate(_DIRECTIONS * distance):
        moved[chosen == k] = ndimage.shift(
            pictures[chosen == k], (0, y, x, 0), order=0, mode="constant", cval=0
        )
    return moved


def _pixels(pictures: NDArray[np.uint8], share: float) -> int:
    return max(1, round(share * min(pictures.shape[1:3])))


#: by name. Noise is Gaussian, of grey levels of 255; blur a Gaussian filter; occlusion a grey
#: square at a random place; translation goes in one of 8 directions (diagonally by as much along
#: both axes) and is filled with zeros. "Of the side": of the shorter one, in whole pixels
CORRUPTIONS = {
    "noise": Corruption("grey levels (sd)", (8, 16, 32, 64), _noise),
    "blur": Corruption("pixels (sd)", (0.5, 1.0, 1.5, 2.0), _blur),
    "occlusion": Corruption(
        "of the side",
        (0.2, 0.3, 0.4, 0.5),
        _occlusion,
        below=1.0,
    ),
    "translation": Corruption(
        "of the side",
        (0.06, 0.12, 0.18, 0.25),
        _translation,
        below=1.0,
    ),
}


def corrupt(
    pictures: NDArray[np.uint8], name: str, severity: float, *, seed: int = 0
) -> NDArray[np.uint8]:
    """Return corrupted copies of pictures.

    The same seed draws the same noise, directions and (relative) places at all severities.

    :param pictures: uint8 (n, H, W, C)
    :param name: one of ``CORRUPTIONS``
    :param severity: in its unit, above 0; shares of the side below 1, and at least one pixel
    :param seed: of noise, places and directions
    :raises ValueError: for an unknown name, another type, or a severity out of range
    """
    if name not in CORRUPTIONS:
        raise ValueError(f"got corruption {name!r}; wanted one of {', '.join(CORRUPTIONS)}")
    if pictures.dtype != np.uint8 or pictures.ndim != 4:
        raise ValueError(
            f"got pictures {pictures.dtype} {pictures.shape}; wanted uint8 (n, H, W, C)"
        )
    corruption = CORRUPTIONS[name]
    if not 0.0 < severity < corruption.below:
        raise ValueError(
            f"got {name} of {severity}; wanted above 0 and below {corruption.below} "
            f"({corruption.unit})"
        )
    rng = np.random.default_rng([seed, list(CORRUPTIONS).index(name)])
    result = np.empty_like(pictures)
    for start in range(0, len(pictures), _BATCH):
        some = slice(start, start + _BATCH)
        corrupted = corruption.apply(pictures[some], severity, rng)
        result[some] = np.clip(np.rint(corrupted), 0, 255).astype(np.uint8)
    return result
