"""Labelled images in three splits.

:mod:`glimpse_envs.data.loaders`` makes them by name, :meth:``ImageDataset.from_arrays` of your own
    arrays.
Whatever is wrong with data raises a :class:`DatasetError`.
"""

import functools
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from glimpse_envs.arrays import read_only
from glimpse_envs.components import is_integer, nearest
from glimpse_envs.pyramid import Pyramid, pyramid
from glimpse_envs.text import readable

SPLITS = ("train", "validation", "test")
VALIDATION_FRACTION = 0.1
TEST_FRACTION = 0.2  # of data that come without a test split
SPLIT_SEED = 0  # fixed: every run and every machine sees the same splits


class DatasetError(ValueError):
    """Data are missing or broken; the message says what came, what was wanted and what to do."""


class _Shared:
    """``copy.copy`` and ``copy.deepcopy`` of it are the object itself."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


@dataclass(frozen=True, eq=False, repr=False)
class Split(_Shared):
    """Images and their labels, read-only.

    Arrays that have the right layout already are not copied: leave them unchanged.

    :param images: uint8 (N, H, W, C), or (N, H, W), which gets one channel
    :param labels: any integer dtype, (N,); kept as int64
    :param touched: called with the number of bytes of images that were read, by those who read
        many: for images that lie in a mapped file
    :param levels: the images and ever smaller copies of them, see :mod:`glimpse_envs.pyramid`; None
        to make them when they are asked for
    :param extents: height and width of each image, which lies in the middle of a frame of (H, W)
        and is all that is looked at, see :mod:`glimpse_envs.proportions`; int64 (N, 2). None where
        images fill their frames
    :raises DatasetError: if a shape or dtype is wrong, or there is no image
    """

    images: np.ndarray
    labels: np.ndarray
    touched: Callable[[int], None] | None = None
    levels: Pyramid | None = None
    extents: np.ndarray | None = None
    _memo: dict[str, np.ndarray] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        images = _checked_images(np.asarray(self.images))
        labels = _checked_labels(np.asarray(self.labels), len(images))
        object.__setattr__(self, "images", read_only(images))
        object.__setattr__(self, "labels", read_only(labels))
        if self.extents is not None:
            extents = _checked_extents(np.asarray(self.extents), images.shape)
            object.__setattr__(self, "extents", read_only(extents))

    def __len__(self) -> int:
        return len(self.images)

    def derived(self, key: str, build: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """What ``build`` makes of all images, read-only and computed once per split and key.

        All environments of a process share a data set, and so share, say, one summed-area table.

        :param key: names what is derived; later calls with it ignore ``build``
        :param build: called with ``images``
        """
        if key not in self._memo:
            self._memo[key] = read_only(build(self.images))
        return self._memo[key]

    def pyramid(self) -> Pyramid:
        """The images and ever smaller copies of them, made once per split."""
        if self.levels is None:
            object.__setattr__(self, "levels", tuple(map(read_only, pyramid(self.images))))
        return self.levels

    def __reduce__(self) -> tuple[Any, ...]:
        # What is derived can be derived again, and unpickled arrays must be made read-only anew.
        # What lay in a mapped file is unpickled into memory.
        return Split, (self.images, self.labels, None, None, self.extents)


class ImageDataset(_Shared):
    """Images in three splits, and the names of their classes.

    Shared, never copied: ``copy.copy`` and ``copy.deepcopy`` return the data set itself. One that
    was loaded by name is pickled as that name, one made of a user's arrays with its arrays.

    :param name: for reports
    :param train: images to learn from; holds every class
    :param validation: images to choose by
    :param test: images for the final evaluation alone
    :param classes: K >= 2 names, that of label k at k
    :param digest: hexadecimal digits that tell these images and labels from others, where they are
        known; None to compute them
    :param frames: of each image, which is a clip then: so many frames one below the other, which
        environments show one after the other
    :raises DatasetError: if image shapes differ, or labels and classes do not match, or
        ``frames`` is no integer from 1 that divides the images' height
    """

    def __init__(
        self,
        name: str,
        *,
        train: Split,
        validation: Split,
        test: Split,
        classes: Iterable[str],
        digest: str | None = None,
        frames: int = 1,
    ) -> None:
        self.name, self.frames = readable(name), _checked_frames(frames)
        self.train = train
        self.validation = validation
        self.test = test
        if isinstance(classes, str) or not isinstance(classes, Iterable):
            raise DatasetError(f"got classes={classes!r:.80}; wanted a list of names")
        self.classes = tuple(readable(str(c)) for c in classes)
        self.source: str | dict[str, Any] | None = None
        self._loader: Callable[[Any], ImageDataset] | None = None
        if digest is not None:
            self.__dict__["digest"] = digest  # in the place of the cached property
        self._check()

    @classmethod
    def from_arrays(
        cls,
        train_images: ArrayLike,
        train_labels: ArrayLike,
        test_images: ArrayLike,
        test_labels: ArrayLike,
        *,
        classes: Sequence[str] | None = None,
        name: str = "custom",
    ) -> Self:
        """A data set of your own arrays.

        The validation split is cut from train: 10 %, at least one image, by a permutation with a
        fixed seed, so the same arrays always give the same splits. Of every class at least one
        image stays in train.

        :param train_images: uint8 (N, H, W, C) or (N, H, W), in [0, 255]
        :param train_labels: integers (N,), in [0, K), with every class
        :param test_images: as ``train_images``, of the same image shape
        :param test_labels: as ``train_labels``, but classes may be missing
        :param classes: K names; default: "0", "1", ...
        :raises DatasetError: if an array is not as described
        """
        whole = _named_split("train", train_images, train_labels)
        test = _named_split("test", test_images, test_labels)
        if classes is None:
            classes = [str(k) for k in range(np.unique(whole.labels).size)]
        train, validation = (_rows(whole, rows) for rows in cut_validation(whole.labels))
        return cls(name, train=train, validation=validation, test=test, classes=classes)

    def in_frames(self) -> "ImageDataset":
        """Return the same images with their bars; where there are none, the data set itself."""
        splits = {name: self.split(name) for name in SPLITS}
        if all(split.extents is None for split in splits.values()):
            return self
        whole = {name: replace(split, extents=None) for name, split in splits.items()}
        return ImageDataset(self.name, **whole, classes=self.classes, frames=self.frames)

    @property
    def n_classes(self) -> int:
        """K, the number of classes."""
        return len(self.classes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every image."""
        return self.train.images.shape[1:]

    @functools.cached_property
    def digest(self) -> str:
        """16 hexadecimal digits of a SHA-256 of all images and labels."""
        sha = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            sha.update(str(split.images.shape).encode())
            sha.update(split.images)
            sha.update(split.labels)
            if split.extents is not None:
                sha.update(split.extents)
        return sha.hexdigest()[:16]

    def split(self, name: str) -> Split:
        """The split of that name.

        :param name: "train", "validation" or "test"
        :raises DatasetError: for any other name
        """
        if not isinstance(name, str) or name not in SPLITS:
            raise DatasetError(f"got split {name!r}; {nearest(name, SPLITS)}")
        return getattr(self, name)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.split(name))} {name}" for name in SPLITS)
        shape = _by(self.image_shape)
        return f"ImageDataset({self.name!r}, {shape}, {self.n_classes} classes: {counts})"

    def loaded_from(
        self, source: str | dict[str, Any], loader: "Callable[[Any], ImageDataset]"
    ) -> Self:
        """Note that ``loader(source)`` makes this data set again, and pickle it as that call."""
        self.source, self._loader = source, loader
        return self

    def __reduce_ex__(self, protocol: int) -> Any:
        if self._loader is not None:
            return self._loader, (self.source,)
        return super().__reduce_ex__(protocol)

    def _check(self) -> None:
        if self.n_classes < 2 or len(set(self.classes)) < self.n_classes:
            raise DatasetError(
                f"got {self.n_classes} classes ({', '.join(self.classes[:20])}); wanted at least "
                "two, of different names"
            )
        for name in SPLITS:
            split = self.split(name)
            if split.images.shape[1:] != self.image_shape:
                raise DatasetError(
                    f"{name}: got images {_by(split.images.shape[1:])}; wanted "
                    f"{_by(self.image_shape)}, as in train: bring all images to one shape"
                )
            lowest, highest = split.labels.min(), split.labels.max()
            if lowest < 0 or highest >= self.n_classes:
                raise DatasetError(
                    f"{name}: got labels in {lowest}..{highest}; wanted 0..{self.n_classes - 1} "
                    f"for {self.n_classes} classes: number the classes from 0, without gaps"
                )
        if self.image_shape[0] % self.frames:
            raise DatasetError(
                f"got images {_by(self.image_shape)} of {self.frames} frames each; wanted equal "
                "frames, one below the other"
            )
        absent = np.setdiff1d(np.arange(self.n_classes), self.train.labels)
        if absent.size:
            raise DatasetError(
                f"train: got no image of class {self.classes[absent[0]]!r} (label {absent[0]}); "
                "wanted at least one of every class: add images, or drop the class"
            )


def split_by_class(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices (train, test): a fixed random 20 % of each class is test, at least one image.

    :param labels: int (N,), each at least twice
    """
    rng = np.random.default_rng(SPLIT_SEED)
    test = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        test.append(members[: max(1, round(TEST_FRACTION * len(members)))])
    test_indices = np.sort(np.concatenate(test))
    return np.setdiff1d(np.arange(len(labels)), test_indices), test_indices


def cut_validation(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices (train, validation) of what came as train.

    See :meth:`ImageDataset.from_arrays`.

    :param labels: int (N,)
    :raises DatasetError: if there is nothing to cut
    """
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    # The first of each class in this order stays in train; validation is cut from the others.
    _, first = np.unique(labels[order], return_index=True)
    count = max(1, round(VALIDATION_FRACTION * len(labels)))
    validation = np.sort(np.delete(order, first)[:count])
    if not validation.size:
        raise DatasetError(
            f"train: got {len(labels)} images, one of each class, which leaves none for "
            "validation; add images"
        )
    return np.setdiff1d(np.arange(len(labels)), validation), validation


def _named_split(name: str, images: ArrayLike, labels: ArrayLike) -> Split:
    try:
        return Split(np.asarray(images), np.asarray(labels))
    except ValueError as error:  # also numpy's, for a ragged list
        raise DatasetError(f"{name}: {error}") from None


def _rows(split: Split, indices: np.ndarray) -> Split:
    extents = None if split.extents is None else split.extents[indices]
    return Split(split.images[indices], split.labels[indices], extents=extents)


def _checked_frames(frames: Any) -> int:
    if not is_integer(frames) or frames < 1:
        raise DatasetError(
            f"got frames={frames!r:.80}; wanted an integer from 1: how many frames of a clip lie "
            "one below the other in each image, or 1 for images that stand still"
        )
    return int(frames)


def _checked_images(images: np.ndarray) -> np.ndarray:
    if images.dtype != np.uint8:
        raise DatasetError(
            f"got images {images.dtype}; wanted uint8 in 0..255: convert them by "
            "(255 * images).round().astype(np.uint8) if they lie in [0, 1]"
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or 0 in images.shape:
        raise DatasetError(f"got images {images.shape}; wanted (N, H, W, C), non-empty")
    if images.shape[1] <= 4 < images.shape[3]:
        raise DatasetError(
            f"got images {images.shape}, which look channels-first; wanted (N, H, W, C): "
            "images.transpose(0, 2, 3, 1)"
        )
    return images


def _checked_labels(labels: np.ndarray, n_images: int) -> np.ndarray:
    if not np.issubdtype(labels.dtype, np.integer):
        raise DatasetError(f"got labels {labels.dtype}; wanted integers: labels.astype(np.int64)")
    if labels.shape != (n_images,):
        raise DatasetError(f"got labels {labels.shape}; wanted ({n_images},), one per image")
    return labels.astype(np.int64, copy=False)


def _checked_extents(extents: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    integers = np.issubdtype(extents.dtype, np.integer)
    if not integers or extents.shape != (shape[0], 2):
        raise DatasetError(
            f"got extents {extents.dtype} {extents.shape}; wanted integers ({shape[0]}, 2), height "
            "and width of each image"
        )
    if extents.min() < 1 or (extents > shape[1:3]).any():
        raise DatasetError(
            f"got extents from {extents.min(axis=0)} to {extents.max(axis=0)}; wanted heights and "
            f"widths of at least 1, within frames of {_by(shape[1:3])}"
        )
    return extents.astype(np.int64, copy=False)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
