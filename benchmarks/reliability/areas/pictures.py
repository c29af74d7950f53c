"""Folders of images, and what is not read of them."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cases import Box, Case, check, either, refused, symlink, works
from numpy.typing import NDArray
from PIL import Image

from areas.command_line import train
from glimpse_envs import ImageDataset, load_dataset

SIDE = 12


def grey(value: int, side: int = SIDE) -> NDArray[np.uint8]:
    """Return a square of one value with a dark and a bright pixel."""
    pixels = np.full((side, side), value, np.uint8)
    pixels[0, :2] = 0, 255
    return pixels


def ordinary(box: Box, n: int = 4, suffix: str = ".png") -> Path:
    """Write two classes of n images, dark and bright, and return the folder."""
    folder = box.work / "pictures"
    for name, value in (("dark", 40), ("light", 200)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for k in range(n):
            Image.fromarray(grey(value + k)).save(folder / name / f"{k}{suffix}")
    return folder


def with_file(name: str, content: bytes | Callable[[Path], Any]) -> Callable[[Box], None]:
    """Return what writes ordinary images and one more file."""

    def make(box: Box) -> None:
        path = ordinary(box) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        else:
            path.write_bytes(content)

    return make


def split(
    train_names: Sequence[str], test_names: Sequence[str], n: int = 4
) -> Callable[[Box], None]:
    """Return what writes classes below ``train`` and ``test``."""

    def make(box: Box) -> None:
        for part, names in (("train", train_names), ("test", test_names)):
            for k, name in enumerate(names):
                folder = box.work / "pictures" / part / name
                folder.mkdir(parents=True)
                for i in range(n):
                    Image.fromarray(grey(40 * k + i)).save(folder / f"{i}.png")

    return make


def load(box: Box, **arguments: Any) -> ImageDataset:
    """Load the folder."""
    return load_dataset({"type": "folder", "path": str(box.work / "pictures"), **arguments})


def images(dataset: ImageDataset) -> NDArray[np.uint8]:
    """Return the images of all splits."""
    return np.concatenate([dataset.split(n).images for n in ("train", "validation", "test")])


def labelled(dataset: ImageDataset) -> list[tuple[int, int]]:
    """Return label and middle value of all images, sorted."""
    found = []
    for name in ("train", "validation", "test"):
        part = dataset.split(name)
        middle = part.images[:, part.images.shape[1] // 2, part.images.shape[2] // 2, 0]
        found += zip(part.labels.tolist(), middle.tolist(), strict=True)
    return sorted(found)


ORDINARY = sorted((label, value + k) for label, value in ((0, 40), (1, 200)) for k in range(4))


def same_values(channels: int = 1, tolerance: int = 0) -> Callable[[Box], str]:
    """Return a check that the middle of every image has its value, under its label."""

    def do(box: Box) -> str:
        dataset = load(box)
        found = labelled(dataset)
        near = len(found) == len(ORDINARY) and all(
            label == other and abs(value - wanted) <= tolerance
            for (label, value), (other, wanted) in zip(found, ORDINARY, strict=True)
        )
        return check(
            near and dataset.image_shape[2] == channels, f"8 values, {channels} channels: {found}"
        )

    return do


def count(n: int, *classes: str) -> Callable[[Box], str]:
    """Return a check of the number of images and the classes."""

    def do(box: Box) -> str:
        dataset = load(box)
        found = len(images(dataset)), dataset.classes
        return check(found == (n, classes), f"{n} images of {classes}; got {found}")

    return do


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """Return a PNG file, whatever its header says."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def truncated(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-3000])


def flipped(path: Path) -> None:
    """Write a PNG with one wrong bit in the pixels."""
    Image.fromarray(grey(40)).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))


def told(box: Box) -> str:
    """Check that the ordinary images are read, and that a line says that something is not."""
    found = same_values()(box)
    said = (box.root / "log" / "err").read_text()
    return check("not read: 1" in said, f"{found}; said: {said}")


def _beside(box: Box) -> str:
    dataset = load(box)
    said = (box.root / "log" / "err").read_text()
    return check("b/, which is no split" in said and len(images(dataset)) == 12, said)


def _train_folder(*words: str) -> Callable[[Box], Any]:
    return train("--dataset", "folder:BOX/work/pictures", *words)


def _bomb(path: Path) -> None:
    path.write_bytes(png(60_000, 60_000, 8, 0, b"\0" * 1000))


def _loaded(box: Box) -> Any:
    return load(box)


CASES: list[Case] = [
    refused("0 bytes", _loaded, with_file("dark/x.png", b"")),
    refused("a text named .png", _loaded, with_file("dark/x.png", b"I am no picture\n")),
    refused("HTML named .jpg", _loaded, with_file("light/x.jpg", b"<html>404</html>")),
    refused("a truncated PNG", _loaded, with_file("dark/x.png", truncated)),
    refused("a truncated JPEG", _loaded, with_file("dark/x.jpg", truncated)),
    refused("a PNG with a wrong bit", _loaded, with_file("dark/x.png", flipped)),
    refused(
        "a PNG whose header alone is whole",
        _loaded,
        with_file("dark/x.png", png(12, 12, 8, 0, b"")),
    ),
    refused("a PNG of 0 x 0", _loaded, with_file("dark/x.png", png(0, 0, 8, 0, b"\0"))),
    refused("a decompression bomb", _loaded, with_file("dark/x.png", _bomb)),
    refused("2^31 - 1 columns", _loaded, with_file("dark/x.png", png(2**31 - 1, 1, 8, 0, b"\0"))),
    refused(
        "TIFF of floats",
        _loaded,
        with_file(
            "dark/x.tif", lambda p: Image.fromarray(np.full((12, 12), 0.5, np.float32)).save(p)
        ),
    ),
    refused(
        "negative pixels",
        _loaded,
        with_file("dark/x.tif", lambda p: Image.fromarray(np.full((12, 12), -5, np.int32)).save(p)),
    ),
    works("a pipe named .png", told, with_file("dark/x.png", os.mkfifo), limit=20),
    works(
        "a link to nowhere named .png",
        told,
        with_file("dark/x.png", lambda p: symlink(p, "nowhere")),
    ),
    works("a link to itself named .png", told, with_file("dark/x.png", lambda p: symlink(p, p))),
    works(
        "a link to /dev/zero named .png",
        told,
        with_file("dark/x.png", lambda p: symlink(p, "/dev/zero")),
        limit=20,
    ),
    works("a class that links to itself", told, with_file("loop", lambda p: symlink(p, p))),
    either(
        "a class with a link to its folder",
        count(8, "dark", "light"),
        with_file("dark/again", lambda p: symlink(p, ".")),
        limit=20,
    ),
    either(
        "a link to the folder itself as class",
        count(8, "dark", "light"),
        with_file("again", lambda p: symlink(p, ".")),
        limit=20,
    ),
    refused("no folder", _loaded),
    refused("an empty folder", _loaded, lambda box: (box.work / "pictures").mkdir()),
    refused("a file instead of the folder", _loaded, lambda box: box.text("pictures", "x")),
    refused(
        "images without classes",
        _loaded,
        lambda box: (
            (
                shutil.move(ordinary(box) / "dark", box.work / "other")
                and shutil.rmtree(box.work / "pictures")
            )
            or shutil.move(box.work / "other", box.work / "pictures")
        ),
    ),
    refused("one class", _loaded, lambda box: shutil.rmtree(ordinary(box) / "dark")),
    refused("one image of each class", _loaded, lambda box: ordinary(box, 1)),
    refused("an empty class", _loaded, with_file("empty", os.mkdir)),
    refused("a class of text files alone", _loaded, with_file("words/a.txt", b"hello")),
    refused("a class of test that train lacks", _loaded, split(["a", "b"], ["a", "c"])),
    refused("train without test", _loaded, split(["a", "b"], [])),
    refused("test alone", _loaded, split([], ["a", "b"])),
    works(
        "train and a class beside it",
        _beside,
        lambda box: (
            split(["a", "b"], ["a"])(box),
            shutil.copytree(box.work / "pictures/train/a", box.work / "pictures/b"),
        ),
    ),
    refused(
        "Train and train",
        _loaded,
        lambda box: (
            split(["a", "b"], ["a"])(box),
            shutil.copytree(box.work / "pictures/train", box.work / "pictures/Train"),
        ),
    ),
    refused("size 0", lambda box: load(box, size=0), ordinary),
    refused("size a text", lambda box: load(box, size="12"), ordinary),
    refused("size a million", lambda box: load(box, size=1_000_000), ordinary),
    refused("size true", lambda box: load(box, size=True), ordinary),
    refused("fit of another name", lambda box: load(box, fit="stretch"), ordinary),
    refused("background a colour", lambda box: load(box, background="#ff0000"), ordinary),
    refused("background a list", lambda box: load(box, background=[0]), ordinary),
    refused("an argument that is none", lambda box: load(box, sise=3), ordinary),
    refused(
        "a path of bytes",
        lambda box: load_dataset({"type": "folder", "path": b"pictures"}),
        ordinary,
    ),
    refused("a path with a null byte", lambda box: load_dataset("folder:a\0b")),
    refused("train.py on a broken image", _train_folder(), with_file("dark/x.png", b"")),
    refused(
        "train.py on one class", _train_folder(), lambda box: shutil.rmtree(ordinary(box) / "dark")
    ),
]
