"""Data sets that come ready-made: packed ``NAME.npz`` files, downloads, scikit-learn's digits.

A packed file holds ``train_images`` and ``test_images`` (uint8, N x H x W x C or N x H x W),
``train_labels`` and ``test_labels`` (integers, N) and ``classes`` (strings, K).
:func:`pack_dataset` writes one of your own arrays; what torchvision downloads is packed likewise,
so that it is downloaded once and read fast.
"""

import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from glimpse_envs.data.datasets import DatasetError, ImageDataset, split_by_class
from glimpse_envs.files import replacing

KEYS = ("train_images", "train_labels", "test_images", "test_labels", "classes")
SOCKET_TIMEOUT = 20.0  # seconds without an answer, after which a server is given up


class Download(NamedTuple):
    """A data set that torchvision can download: its class there, and what it must look like."""

    torchvision: str
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]


_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_THINGS = (
    "airplane", "automobile", "bird", "cat", "deer",
    "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

DOWNLOADS = {
    "mnist": Download("MNIST", (28, 28, 1), tuple("0123456789")),
    "fashion_mnist": Download("FashionMNIST", (28, 28, 1), _CLOTHES),
    "cifar10": Download("CIFAR10", (32, 32, 3), _THINGS),
}


def load_digits() -> ImageDataset:
    """scikit-learn's handwritten digits, enlarged from 8 x 8 to 16 x 16 (bicubic, clipped).

    Grey levels 0..16 become 0..255. Test is a fixed 20 % of each class.

    Source: https://archive.ics.uci.edu/dataset/80 (its test part), by way of scikit-learn.
    """
    from PIL import Image
    from sklearn import datasets

    digits = datasets.load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # (N, 8, 8)
    enlarged = [Image.fromarray(g).resize((16, 16), Image.Resampling.BICUBIC) for g in grey]
    images, labels = np.stack(enlarged), digits.target
    train, test = split_by_class(labels)
    return ImageDataset.from_arrays(
        images[train], labels[train], images[test], labels[test], name="digits"
    )


def load_packed(name: str, directory: Path) -> ImageDataset:
    """The data set of ``directory / "NAME.npz"``; one of :data:`DOWNLOADS` is fetched if missing.

    :raises DatasetError: if the download fails, or the file is broken
    """
    path = directory / f"{name}.npz"
    if name in DOWNLOADS and not path.is_file():
        _download(name, path)
    try:
        dataset = ImageDataset.from_arrays(**_read(path), name=name)
        if name in DOWNLOADS and dataset.image_shape != DOWNLOADS[name].image_shape:
            raise DatasetError(
                f"got images {dataset.image_shape}; wanted {DOWNLOADS[name].image_shape}"
            )
    except DatasetError as error:
        mend = "write it anew with glimpse_envs.pack_dataset"
        if name in DOWNLOADS:
            mend = "replace it by a whole copy, or delete it and it is downloaded"
        raise DatasetError(f"{path}: {error}; {mend}") from error
    return dataset


def pack_dataset(
    path: str | Path,
    *,
    train_images: ArrayLike,
    train_labels: ArrayLike,
    test_images: ArrayLike,
    test_labels: ArrayLike,
    classes: Sequence[str] | None = None,
) -> Path:
    """Write a data set of your own; saved as ``NAME.npz`` in the data directory, NAME loads it.

    The file appears whole or not at all: it is written under a temporary name and renamed.

    :param path: ends in ".npz"; its folder is made if missing, a file there is replaced
    :param train_images: the arrays and classes of
        :meth:`~glimpse_envs.data.datasets.ImageDataset.from_arrays`
    :return: the path
    :raises DatasetError: if the arrays are not what a data set needs, or the disk is full
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise DatasetError(f"got {path.name!r} for a packed data set; wanted NAME.npz")
    dataset = ImageDataset.from_arrays(
        train_images, train_labels, test_images, test_labels, classes=classes, name=path.stem
    )
    label_type = np.min_scalar_type(dataset.n_classes - 1)
    arrays = {
        "train_images": np.asarray(train_images),
        "train_labels": np.asarray(train_labels, dtype=label_type),
        "test_images": np.asarray(test_images),
        "test_labels": np.asarray(test_labels, dtype=label_type),
        "classes": np.array(dataset.classes),
    }
    try:
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)
    except OSError as error:
        megabytes = sum(array.nbytes for array in arrays.values()) / 1e6
        raise DatasetError(
            f"{path} could not be written ({error}); it needs {megabytes:.0f} MB: make room, or "
            "choose another folder (GLIMPSE_DATA_DIR)"
        ) from error
    return path


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DatasetError("got no regular file")
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in KEYS if key not in file]
            arrays = {key: file[key] for key in KEYS if key in file}
    # Zip, zlib, npy header: a broken file fails in a dozen ways, in as many types of exception.
    except Exception as error:
        raise DatasetError(
            f"got no readable npz file with {', '.join(KEYS)} ({_one_line(error)})"
        ) from error
    if missing:
        raise DatasetError(f"{', '.join(missing)} missing; wanted {', '.join(KEYS)}")
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a member that is no npy file comes as its bytes
            raise DatasetError(f"got no array in {key}; wanted one as numpy.savez writes it")
    if arrays["classes"].ndim != 1 or arrays["classes"].dtype.kind not in "US":
        classes = arrays["classes"]
        raise DatasetError(f"got classes {classes.dtype} {classes.shape}; wanted strings (K,)")
    arrays["classes"] = arrays["classes"].astype(str)
    return arrays


def _download(name: str, path: Path) -> None:
    from http.client import HTTPException

    from torchvision import datasets

    torchvision_class, image_shape, classes = DOWNLOADS[name]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            _socket_timeout(SOCKET_TIMEOUT),
            tempfile.TemporaryDirectory(prefix=f".{name}-", dir=path.parent) as folder,
        ):
            fetch = getattr(datasets, torchvision_class)
            train = fetch(folder, train=True, download=True)
            test = fetch(folder, train=False, download=True)
    except (OSError, RuntimeError, EOFError, HTTPException) as error:
        shape = "(N, {}, {}, {})".format(*image_shape)
        raise DatasetError(
            f"data set {name!r}: there is no {path}, and the download failed "
            f"({_one_line(error)}); do one of these:\n"
            f"- set GLIMPSE_DATA_DIR to a folder that holds {path.name};\n"
            "- choose data that need no download: dataset digits, or folder:PATH with images in "
            'PATH/CLASS/ (--dataset digits, or gymnasium.make(id, dataset="digits"));\n'
            f"- write {path} from arrays of yours with glimpse_envs.pack_dataset: "
            f"train_images and test_images (uint8 {shape}), train_labels and test_labels "
            "(integers (N,)), classes (strings)"
        ) from None  # the chain of a failed download is long, and its end is in the message
    pack_dataset(
        path,
        train_images=np.asarray(train.data),
        train_labels=np.asarray(train.targets),
        test_images=np.asarray(test.data),
        test_labels=np.asarray(test.targets),
        classes=classes,
    )


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Without a limit, a network that swallows packets would hold a download for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
