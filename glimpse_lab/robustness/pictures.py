"""Given pictures in the place of what an environment would show: for attacks and corruptions."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import GlimpseCore
from glimpse_envs.scenes import Scene

_LANES = 500


@dataclass(frozen=True)
class _Pictures(Scene):
    """One given picture for each of some images, whatever the images themselves are.

    :param pictures: uint8 (n, H, W, C)
    :param index: whose place they take, ascending, int64 (n,)
    """

    composed: ClassVar[bool] = True
    keeps_places: ClassVar[bool] = True

    pictures: NDArray[np.uint8] = field(repr=False, compare=False)
    index: NDArray[np.int64] = field(repr=False, compare=False)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        return self.pictures.shape[1:3]

    def compose(
        self, images: NDArray[np.uint8], index: NDArray[np.int64], keys: NDArray[np.uint64]
    ) -> NDArray[np.uint8]:
        places = np.searchsorted(self.index, index).clip(0, len(self.index) - 1)
        if not np.array_equal(self.index[places], index):
            raise ValueError("asked for images without a picture; wanted some of the given index")
        return self.pictures[places]


def shown(
    config: GlimpseConfig, pictures: NDArray[np.uint8], index: NDArray[np.int64]
) -> GlimpseConfig:
    """Return the environment that shows pictures in the place of some of its images.

    All else stays: labels, and where the first glimpse of each image looks. Nothing is augmented.

    :param config: the environment, of the validation or test split
    :param pictures: what is shown, uint8 (n, H, W, C) as large as what it showed before
    :param index: of which images, ascending, int64 (n,)
    :raises ValueError: for other shapes or types, or the train split
    """
    wanted = (len(index), *config.shape)
    if pictures.dtype != np.uint8 or pictures.shape != wanted or (np.diff(index) <= 0).any():
        raise ValueError(
            f"got pictures {pictures.dtype} {pictures.shape} of images {index}; wanted uint8 "
            f"{wanted}, and ascending numbers of images"
        )
    _check_split(config)
    return replace(config, scene=_Pictures(pictures, index), augment=None)


def compose(config: GlimpseConfig, index: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return what an environment shows of some images, canvas and clutter included.

    :param config: the environment, of the validation or test split
    :param index: numbers of images, int64 (n,)
    :return: uint8 (n, H, W, C)
    :raises ValueError: for the train split, whose scenes are drawn anew for every episode, and for
        scenes that move
    """
    _check_split(config)
    if config.scene.moves:
        raise ValueError(
            f"got the scene {config.scene}, which moves; wanted one that stands still: one picture "
            "of each image is disturbed"
        )
    if not config.composed:
        return config.shown_split.images[index]
    pictures = np.empty((len(index), *config.shape), np.uint8)
    for start in range(0, len(index), _LANES):
        some = index[start : start + _LANES]
        core = GlimpseCore(replace(config, augment=None), len(some))
        core.seed_all(0)
        core.reset(core.lanes, some)
        pictures[start : start + _LANES] = core.images()
    return pictures


def _check_split(config: GlimpseConfig) -> None:
    if config.split == "train":
        raise ValueError(
            "got the train split, which shows another scene in every episode; wanted split "
            "'validation' or 'test'"
        )
