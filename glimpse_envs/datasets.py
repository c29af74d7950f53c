"""Labelled images and where they come from.

:func:`load_dataset` turns a short specification into an :class:`ImageDataset`, once per process:

========================= ======================================================================
``"digits"``              scikit-learn's 1,797 handwritten digits, 16 x 16 x 1, no download
``"mnist"``               28 x 28 x 1, from ``mnist.npz`` in the data directory or downloaded
``"fashion_mnist"``       28 x 28 x 1, likewise
``"cifar10"``             32 x 32 x 3, likewise
``"NAME"``                arrays of your own, from ``NAME.npz`` in the data directory
``"folder:PATH"``         an image folder, see :mod:`glimpse_envs.folders`
========================= ======================================================================

The data directory is ``GLIMPSE_DATA_DIR``, or else a folder in the user's cache
(:func:`data_directory`). Whatever is wrong with data raises a :class:`DatasetError`.
"""

import difflib
import functools
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

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
    :raises DatasetError: if a shape or dtype is wrong, or there is no image
    """

    images: np.ndarray
    labels: np.ndarray
    _memo: dict[str, np.ndarray] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        images = _checked_images(np.asarray(self.images))
        labels = _checked_labels(np.asarray(self.labels), len(images))
        object.__setattr__(self, "images", _read_only(images))
        object.__setattr__(self, "labels", _read_only(labels))

    def __len__(self) -> int:
        return len(self.images)

    def derived(self, key: str, build: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """What ``build`` makes of all images, read-only and computed once per split and key.

        All environments of a process share a data set, and so share, say, one summed-area table.

        :param key: names what is derived; later calls with it ignore ``build``
        :param build: called with ``images``
        """
        if key not in self._memo:
            self._memo[key] = _read_only(build(self.images))
        return self._memo[key]

    def __reduce__(self) -> tuple[Any, ...]:
        # What is derived can be derived again, and unpickled arrays must be made read-only anew.
        return Split, (self.images, self.labels)


class ImageDataset(_Shared):
    """Images in three splits, and the names of their classes.

    Shared, never copied: ``copy.copy`` and ``copy.deepcopy`` return the data set itself. One that
    :func:`load_dataset` made is pickled as that call, one made of a user's arrays with its arrays.

    :param name: for reports
    :param train: images to learn from; holds every class
    :param validation: images to choose by
    :param test: images for the final evaluation alone
    :param classes: K >= 2 names, that of label k at k
    :param source: the specification from which :func:`load_dataset` makes this data set again,
        None for arrays that exist only here
    :raises DatasetError: if image shapes differ, or labels and classes do not match
    """

    def __init__(
        self,
        name: str,
        *,
        train: Split,
        validation: Split,
        test: Split,
        classes: Iterable[str],
        source: str | dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.train = train
        self.validation = validation
        self.test = test
        self.classes = tuple(str(c) for c in classes)
        self.source = source
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
        train, validation = _cut_validation(whole)
        return cls(name, train=train, validation=validation, test=test, classes=classes)

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
        """The first 16 hexadecimal digits of the SHA-256 of all images and labels."""
        sha = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            sha.update(str(split.images.shape).encode())
            sha.update(split.images)
            sha.update(split.labels)
        return sha.hexdigest()[:16]

    def split(self, name: str) -> Split:
        """The split of that name.

        :param name: "train", "validation" or "test"
        :raises DatasetError: for any other name
        """
        if name not in SPLITS:
            raise DatasetError(f"No split {name!r}.{_nearest(name, SPLITS)} There are {SPLITS}.")
        return getattr(self, name)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.split(name))} {name}" for name in SPLITS)
        shape = _by(self.image_shape)
        return f"ImageDataset({self.name!r}, {shape}, {self.n_classes} classes: {counts})"

    def __reduce_ex__(self, protocol: int) -> Any:
        if self.source is not None:
            return load_dataset, (self.source,)
        return super().__reduce_ex__(protocol)

    def _check(self) -> None:
        if self.n_classes < 2 or len(set(self.classes)) < self.n_classes:
            raise DatasetError(
                f"Classes must be at least two different names, got {self.n_classes}: "
                f"{', '.join(self.classes[:20])}."
            )
        for name in SPLITS:
            split = self.split(name)
            if split.images.shape[1:] != self.image_shape:
                raise DatasetError(
                    f"{name}: images are {_by(split.images.shape[1:])}, those of train "
                    f"{_by(self.image_shape)}. Bring all images to one shape."
                )
            lowest, highest = split.labels.min(), split.labels.max()
            if lowest < 0 or highest >= self.n_classes:
                raise DatasetError(
                    f"{name}: labels must be in 0..{self.n_classes - 1} ({self.n_classes} "
                    f"classes), got {lowest}..{highest}. Number the classes from 0, without gaps."
                )
        absent = np.setdiff1d(np.arange(self.n_classes), self.train.labels)
        if absent.size:
            raise DatasetError(
                f"train: there is no image of class {self.classes[absent[0]]!r} (label "
                f"{absent[0]}). Every class needs one: add images or drop the class."
            )


def load_dataset(spec: ImageDataset | str | Mapping[str, Any]) -> ImageDataset:
    """The data set of a specification; loaded once per process and shared by all who ask.

    :param spec: a name of the table above; ``{"type": NAME, **arguments}``, where only "folder"
        has arguments (``path`` and ``size``, see :func:`glimpse_envs.folders.load_folder`); or an
        :class:`ImageDataset`, which is returned as it is
    :raises DatasetError: if the name is unknown, or its data are missing or broken
    """
    if isinstance(spec, ImageDataset):
        return spec
    name, arguments = _resolve(spec)
    return _load(name, tuple(sorted(arguments.items())), data_directory())


def data_directory() -> Path:
    """``GLIMPSE_DATA_DIR``, or else ``glimpse_envs`` in the user's cache; it may not exist yet."""
    if chosen := os.environ.get("GLIMPSE_DATA_DIR"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        cache = "~/Library/Caches"
    elif sys.platform == "win32":
        cache = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    else:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "glimpse_envs"


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


@functools.cache
def _load(name: str, arguments: tuple[tuple[str, Any], ...], directory: Path) -> ImageDataset:
    # Imported here because the loaders build on the classes of this module.
    from glimpse_envs.downloads import DOWNLOADS, load_digits, load_packed
    from glimpse_envs.folders import load_folder

    if name == "folder":
        dataset = load_folder(**dict(arguments))
    elif name == "digits":
        dataset = load_digits()
    elif name in DOWNLOADS or name in _packed_names(directory):
        dataset = load_packed(name, directory)
    else:
        known = ["digits", "folder:PATH", *DOWNLOADS, *_packed_names(directory)]
        guess = f" Did you mean 'folder:{name}'?" if Path(name).is_dir() else _nearest(name, known)
        raise DatasetError(
            f"There is no data set {name!r}.{guess} Known are {', '.join(dict.fromkeys(known))}, "
            f"and NAME for each NAME.npz in {directory} (GLIMPSE_DATA_DIR)."
        )
    dataset.source = {"type": name, **dict(arguments)} if arguments else name
    return dataset


def _resolve(spec: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the checked arguments, hashable, with nothing relative left in them."""
    if isinstance(spec, str):
        name, colon, path = spec.partition(":")
        spec = {"type": name, "path": path} if name == "folder" and colon else {"type": spec}
    if not isinstance(spec, Mapping) or not isinstance(spec.get("type"), str):
        raise DatasetError(
            "A data set is given by an ImageDataset, a name such as 'digits', or a dict such as "
            f"{{'type': 'folder', 'path': 'pictures', 'size': 32}}; got {spec!r}."
        )
    arguments = {key: value for key, value in spec.items() if key != "type"}
    allowed = {"path", "size"} if spec["type"] == "folder" else set()
    if unknown := sorted(map(str, arguments.keys() - allowed)):
        raise DatasetError(
            f"Data set {spec['type']!r} has no argument {unknown[0]!r}."
            f"{_nearest(unknown[0], allowed)} It takes {', '.join(sorted(allowed)) or 'none'}."
        )
    if spec["type"] == "folder":
        from glimpse_envs.folders import folder_arguments

        arguments = folder_arguments(**arguments)
    return spec["type"], arguments


def _packed_names(directory: Path) -> list[str]:
    return sorted(path.stem for path in directory.glob("*.npz"))


def _nearest(word: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def _named_split(name: str, images: ArrayLike, labels: ArrayLike) -> Split:
    try:
        return Split(np.asarray(images), np.asarray(labels))
    except ValueError as error:  # also numpy's, for a ragged list
        raise DatasetError(f"{name}: {error}") from None


def _cut_validation(whole: Split) -> tuple[Split, Split]:
    order = np.random.default_rng(SPLIT_SEED).permutation(len(whole))
    # The first of each class in this order stays in train; validation is cut from the others.
    _, first = np.unique(whole.labels[order], return_index=True)
    count = max(1, round(VALIDATION_FRACTION * len(whole)))
    validation = np.sort(np.delete(order, first)[:count])
    if not validation.size:
        raise DatasetError(
            f"train: {len(whole)} images, one of each class, leave none for validation. Add images."
        )
    train = np.setdiff1d(np.arange(len(whole)), validation)
    return _rows(whole, train), _rows(whole, validation)


def _rows(split: Split, indices: np.ndarray) -> Split:
    return Split(split.images[indices], split.labels[indices])


def _checked_images(images: np.ndarray) -> np.ndarray:
    if images.dtype != np.uint8:
        raise DatasetError(
            f"images must be uint8 in 0..255, got {images.dtype}. Convert them: "
            "(255 * images).round().astype(np.uint8) if they lie in [0, 1]."
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or 0 in images.shape:
        raise DatasetError(f"images must be a non-empty (N, H, W, C) array, got {images.shape}.")
    if images.shape[1] <= 4 < images.shape[3]:
        raise DatasetError(
            f"images {images.shape} look channels-first, wanted is (N, H, W, C): "
            "images.transpose(0, 2, 3, 1)."
        )
    return images


def _checked_labels(labels: np.ndarray, n_images: int) -> np.ndarray:
    if not np.issubdtype(labels.dtype, np.integer):
        raise DatasetError(f"labels must be integers, got {labels.dtype}: labels.astype(np.int64).")
    if labels.shape != (n_images,):
        raise DatasetError(f"labels must be ({n_images},), one per image, got {labels.shape}.")
    return labels.astype(np.int64, copy=False)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = np.ascontiguousarray(array).view()  # the flag of a caller's own array stays as it is
    view.flags.writeable = False
    return view


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
