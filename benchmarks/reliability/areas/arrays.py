"""Data sets packed as NAME.npz, and arrays from Python."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from cases import Box, Case, check, refused, works

from glimpse_envs import ImageDataset, load_dataset, pack_dataset


class Trap:
    """Writes outside when it is unpickled."""

    def __init__(self, path: Any) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def arrays(**changes: Any) -> dict[str, Any]:
    """Return the arrays of a small data set with some of them changed, or left out by None."""
    rng = np.random.default_rng(0)
    made: dict[str, Any] = {
        "train_images": rng.integers(0, 256, (20, 8, 8, 1), dtype=np.uint8),
        "train_labels": np.arange(20) % 2,
        "test_images": rng.integers(0, 256, (6, 8, 8, 1), dtype=np.uint8),
        "test_labels": np.arange(6) % 2,
        "classes": np.array(["a", "b"]),
    }
    made |= changes
    return {key: value for key, value in made.items() if value is not None}


def packed(**changes: Any) -> Callable[[Box], Any]:
    """Return what writes ``mine.npz`` into the data directory."""
    return lambda box: np.savez(box.data / "mine.npz", **arrays(**changes))


def content(data: bytes) -> Callable[[Box], Any]:
    """Return what writes bytes as ``mine.npz``."""
    return lambda box: (box.data / "mine.npz").write_bytes(data)


def _load(box: Box) -> Any:
    return load_dataset("mine")


def _pickled(box: Box) -> None:
    np.savez(
        box.data / "mine.npz", **arrays(classes=np.array([Trap(box.outside / "x"), 1], object))
    )


def _bare_pickle(box: Box) -> None:
    (box.data / "mine.npz").write_bytes(pickle.dumps(Trap(box.outside / "x")))


def _member(name: str, data: bytes) -> Callable[[Box], None]:
    def make(box: Box) -> None:
        packed()(box)
        with zipfile.ZipFile(box.data / "mine.npz", "a") as file:
            file.writestr(name, data)

    return make


def _member_only(box: Box) -> None:
    with zipfile.ZipFile(box.data / "mine.npz", "a") as file:
        file.writestr("train_labels.npy", b"no array")


def _huge(box: Box) -> None:
    """Declare a terabyte."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000, 1000, 1), }"
    header += b" " * (117 - len(header)) + b"\n"
    npy = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    packed(train_images=None)(box)
    with zipfile.ZipFile(box.data / "mine.npz", "a") as file:
        file.writestr("train_images.npy", npy + b"\0" * 100)


def _zip_bomb(box: Box) -> None:
    """Compress 8 GB of zeros that are declared as they are."""
    shape = (1_000_000, 90, 90, 1)
    packed(train_images=None)(box)
    with zipfile.ZipFile(box.data / "mine.npz", "a", zipfile.ZIP_DEFLATED) as file:
        with file.open("train_images.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(
                member, {"descr": "|u1", "fortran_order": False, "shape": shape}
            )
            member.write(b"\0" * 2**20)


def _flipped(box: Box) -> None:
    packed()(box)
    file = box.data / "mine.npz"
    data = bytearray(file.read_bytes())
    data[400] ^= 1
    file.write_bytes(bytes(data))


def _values(box: Box) -> str:
    dataset = load_dataset("mine")
    whole = np.concatenate([dataset.train.images, dataset.validation.images])
    same = np.array_equal(np.sort(whole, axis=None), np.sort(arrays()["train_images"], axis=None))
    return check(
        same and np.array_equal(dataset.test.labels, arrays()["test_labels"]),
        "every pixel and label",
    )


IMAGES = arrays()["train_images"]
_CHANGES: dict[str, dict[str, Any]] = {
    "no test labels": {"test_labels": None},
    "no classes": {"classes": None},
    "images in [0, 1]": {"train_images": IMAGES / 255.0},
    "images of int64": {"train_images": IMAGES.astype(np.int64)},
    "images of booleans": {"train_images": IMAGES > 9},
    "images complex": {"train_images": IMAGES.astype(complex)},
    "images without a dimension": {"train_images": np.uint8(3)},
    "images of five dimensions": {"train_images": IMAGES[None]},
    "images flat": {"train_images": IMAGES.reshape(20, 64)},
    "images channels first": {
        "train_images": IMAGES.transpose(0, 3, 1, 2),
        "test_images": arrays()["test_images"].transpose(0, 3, 1, 2),
    },
    "no image": {"train_images": IMAGES[:0], "train_labels": np.zeros(0, int)},
    "no test image": {"test_images": IMAGES[:0], "test_labels": np.zeros(0, int)},
    "test of another size": {"test_images": arrays()["test_images"][:, :7]},
    "labels one short": {"train_labels": np.arange(19) % 2},
    "labels negative": {"train_labels": np.arange(20) % 2 - 1},
    "labels from 1": {"train_labels": np.arange(20) % 2 + 1, "test_labels": np.arange(6) % 2 + 1},
    "labels beyond the classes": {"test_labels": np.full(6, 7)},
    "labels of uint64 beyond int64": {"test_labels": np.full(6, 2**64 - 1, np.uint64)},
    "labels of floats": {"train_labels": np.arange(20) % 2 + 0.0},
    "labels one-hot": {"train_labels": np.eye(2, dtype=int)[np.arange(20) % 2]},
    "labels as text": {"train_labels": np.array(["a", "b"] * 10)},
    "labels NaN": {"train_labels": np.full(20, np.nan)},
    "labels as dates": {"train_labels": np.full(20, "2026-01-01", "datetime64[D]")},
    "one class": {
        "train_labels": np.zeros(20, int),
        "test_labels": np.zeros(6, int),
        "classes": np.array(["a"]),
    },
    "a class without an image": {"classes": np.array(["a", "b", "c"])},
    "two classes of one name": {"classes": np.array(["a", "a"])},
    "classes as numbers": {"classes": np.arange(2)},
    "classes of two dimensions": {"classes": np.array([["a", "b"]])},
    "one image of each class": {"train_images": IMAGES[:2], "train_labels": np.arange(2)},
}

CASES: list[Case] = [
    *(refused(name, _load, packed(**changes)) for name, changes in _CHANGES.items()),
    refused("pickled objects", _load, _pickled),
    refused("a pickle instead of an archive", _load, _bare_pickle),
    refused("an empty file", _load, content(b"")),
    refused("a text", _load, content(b"hello")),
    refused(
        "an archive that is cut off",
        _load,
        lambda box: (packed()(box), content((box.data / "mine.npz").read_bytes()[:-200])(box)),
    ),
    refused("one wrong bit", _load, _flipped),
    refused("a terabyte declared", _load, _huge),
    refused("eight gigabytes declared, one megabyte there", _load, _zip_bomb, limit=120),
    refused(
        "a member that is no array",
        _load,
        lambda box: (packed(train_labels=None)(box), _member_only(box)),
    ),
    refused("a folder named mine.npz", _load, lambda box: (box.data / "mine.npz").mkdir()),
    refused("a pipe named mine.npz", _load, lambda box: os.mkfifo(box.data / "mine.npz"), limit=20),
    refused("a name with a folder", lambda box: load_dataset("../data/mine"), packed()),
    refused("a name that is a number", lambda box: load_dataset(5)),
    refused("a specification without a type", lambda box: load_dataset({"path": "x"})),
    refused(
        "mnist of another shape",
        lambda box: load_dataset("mnist"),
        lambda box: np.savez(box.data / "mnist.npz", **arrays()),
    ),
    refused(
        "arrays: a ragged list",
        lambda box: ImageDataset.from_arrays([[1], [1, 2]], [0, 1], IMAGES, [0] * 20),
    ),
    refused("arrays: None", lambda box: ImageDataset.from_arrays(None, None, None, None)),
    refused("arrays: strings", lambda box: ImageDataset.from_arrays("train", "x", "test", "y")),
    refused("arrays: classes a number", lambda box: ImageDataset.from_arrays(**arrays(classes=5))),
    refused(
        "arrays: one class name too many",
        lambda box: ImageDataset.from_arrays(**arrays(classes=["a", "b", "c"])),
    ),
    refused(
        "arrays: a split of another name",
        lambda box: ImageDataset.from_arrays(**arrays()).split("dev"),
    ),
    refused("pack: another suffix", lambda box: pack_dataset("x.npy", **arrays())),
    refused(
        "pack: onto a folder",
        lambda box: pack_dataset(box.home / ".." / "work" / "d.npz", **arrays()),
        lambda box: (box.work / "d.npz").mkdir(),
    ),
    refused(
        "pack: floats", lambda box: pack_dataset("x.npz", **arrays(train_images=IMAGES / 255.0))
    ),
    works("ordinary arrays", _values, packed()),
    works("arrays in Fortran's order", _values, packed(train_images=np.asfortranarray(IMAGES))),
    works(
        "arrays without a channel",
        _values,
        packed(train_images=IMAGES[..., 0], test_images=arrays()["test_images"][..., 0]),
    ),
    works("labels of uint8", _values, packed(train_labels=(np.arange(20) % 2).astype(np.uint8))),
    works(
        "labels of big-endian integers",
        _values,
        packed(train_labels=(np.arange(20) % 2).astype(">i4")),
    ),
    works("a member too many", _values, _member("notes.txt", b"hello")),
    works("classes of bytes", _values, packed(classes=np.array([b"a", b"b"]))),
    works(
        "the file changed after it was written",
        lambda box: check(
            ImageDataset.from_arrays(**arrays()).digest
            != ImageDataset.from_arrays(**arrays(train_images=255 - IMAGES)).digest,
            "another digest",
        ),
    ),
]
