"""What is read from folders of images: formats of pixels, sizes and names of classes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cases import Box, Case, SkippedError, check, either, works
from PIL import Image

from areas.pictures import (
    ORDINARY,
    SIDE,
    count,
    grey,
    images,
    labelled,
    load,
    ordinary,
    png,
    same_values,
    split,
    with_file,
)


def all_files(save: Callable[[Path, int], Any], suffix: str = ".png") -> Callable[[Box], None]:
    """Return what writes every image by ``save(path, grey value)``."""

    def make(box: Box) -> None:
        for name, value in (("dark", 40), ("light", 200)):
            (box.work / "pictures" / name).mkdir(parents=True)
            for k in range(4):
                save(box.work / "pictures" / name / f"{k}{suffix}", value + k)

    return make


def deep_rgb(scale: int) -> Callable[[Path, int], Any]:
    """Return what saves RGB of 16 bits, the grey values times a scale."""

    def save(path: Path, value: int) -> None:
        pixels = np.repeat(grey(value).astype(">u2")[..., None] * scale, 3, axis=2).astype(">u2")
        rows = b"".join(b"\0" + row.tobytes() for row in pixels)
        path.write_bytes(png(SIDE, SIDE, 16, 2, rows))

    return save


def deep_alpha(path: Path, value: int) -> None:
    """Save grey with alpha, 16 bits each, of 8-bit values times 257."""
    pixels = np.stack([grey(value).astype(np.uint32) * 257, np.full((SIDE, SIDE), 65535)], axis=2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    path.write_bytes(png(SIDE, SIDE, 16, 4, rows))


def deep_grey(scale: int, dtype: Any = np.uint16) -> Callable[[Path, int], Any]:
    """Return what saves grey of 16 bits."""
    return lambda path, value: Image.fromarray(grey(value).astype(dtype) * scale).save(path)


def turned(path: Path, value: int) -> None:
    """Save a picture on its side whose EXIF says so: upright its top row is 0."""
    pixels = np.full((SIDE, SIDE), value, np.uint8)
    pixels[:4] = 0
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(pixels)).convert("RGB").save(path, exif=exif, quality=95)


def animated(path: Path, value: int) -> None:
    """Save an animation whose first frame counts."""
    frames = [Image.fromarray(grey(v)) for v in (value, 255 - value, 7)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def convert(mode: str) -> Callable[[Path, int], Any]:
    return lambda path, value: Image.fromarray(grey(value)).convert(mode).save(path)


def jpeg(path: Path, value: int) -> None:
    """Save a JPEG of one value."""
    Image.new("RGB", (SIDE, SIDE), (value,) * 3).save(path, quality=95)


def transparent(path: Path, value: int) -> None:
    """Save an image whose middle can be seen, and whose right half cannot."""
    alpha = np.full((SIDE, SIDE), 255, np.uint8)
    alpha[:, 9:] = 0
    picture = Image.fromarray(grey(value)).convert("RGBA")
    picture.putalpha(Image.fromarray(alpha))
    picture.save(path)


def odd_name(name: str | bytes) -> Callable[[Box], None]:
    """Return what gives a class another name."""

    def make(box: Box) -> None:
        folder = ordinary(box)
        try:
            os.rename(
                os.fsencode(folder / "light"), os.path.join(os.fsencode(folder), os.fsencode(name))
            )
        except OSError as error:
            raise SkippedError(f"this file system takes no such name ({error})") from error

    return make


def _odd_label(box: Box) -> str:
    dataset = load(box)
    printable = all(name.isprintable() and name.encode() for name in dataset.classes)
    return check(
        printable and len(images(dataset)) == 8,
        f"8 images, classes that can be printed: {dataset.classes}",
    )


def _mixed(box: Box) -> None:
    folder = ordinary(box)
    for k, size in enumerate([(5, 40), (40, 5), (1, 1), (300, 200)]):
        Image.new("L", size, 40 + k).save(folder / "dark" / f"{k}.png")


def _sizes(box: Box) -> str:
    dataset = load(box)
    side = round(float(np.median([5, 5, 1, 200, *[SIDE] * 4])))
    return check(dataset.image_shape == (side, side, 1), f"the median of the shorter sides, {side}")


def _upright(box: Box) -> str:
    found = images(load(box))
    return check(found[:, 1].max() < 30 and found[:, 8].min() > 20, "the dark rows are at the top")


def _twins(box: Box) -> None:
    split(["a", "b"], ["a", "b"])(box)
    shutil.copy(box.work / "pictures/train/a/0.png", box.work / "pictures/test/a/0.png")


CASES: list[Case] = [
    works("ordinary images", same_values(), ordinary),
    works("1 x 1 among others, and sides of 5 to 300", _sizes, _mixed),
    works(
        "1-bit",
        lambda box: check(set(np.unique(images(load(box)))) <= {0, 255}, "black and white"),
        all_files(convert("1")),
    ),
    works("palette", same_values(3, 1), all_files(convert("P"))),
    works("CMYK", same_values(3, 2), all_files(convert("CMYK"), ".tif")),
    works("YCbCr JPEG", same_values(3, 4), all_files(jpeg, ".jpg")),
    works("grey with alpha", same_values(), all_files(convert("LA"))),
    works(
        "alpha",
        lambda box: check((images(load(box))[:, 5, 10] == 255).all(), "white where nothing is"),
        all_files(transparent),
    ),
    works("16-bit grey, full range", same_values(), all_files(deep_grey(257))),
    works("16-bit grey of 8-bit values", same_values(), all_files(deep_grey(1))),
    works("16-bit grey of 12-bit values", same_values(), all_files(deep_grey(16))),
    works(
        "32-bit integers of 8-bit values", same_values(), all_files(deep_grey(1, np.int32), ".tif")
    ),
    works("16-bit RGB, full range", same_values(3), all_files(deep_rgb(257))),
    works("16-bit RGB of 8-bit values", same_values(3), all_files(deep_rgb(1))),
    works("16-bit RGB of 12-bit values", same_values(3), all_files(deep_rgb(16))),
    works(
        "16-bit grey with alpha, full range",
        lambda box: check(
            [v for _, v in labelled(load(box))] == [v for _, v in ORDINARY], "the values"
        ),
        all_files(deep_alpha),
    ),
    either(
        "animated GIF",
        lambda box: check(
            [v for _, v in labelled(load(box))] == [v for _, v in ORDINARY], "the first frame"
        ),
        all_files(animated, ".gif"),
    ),
    works("animated PNG", same_values(), all_files(animated, ".apng")),
    works("EXIF says that it lies on its side", _upright, all_files(turned, ".jpg")),
    works(
        "PNG named .jpg",
        same_values(),
        all_files(lambda path, value: Image.fromarray(grey(value)).save(path, "png"), ".jpg"),
    ),
    works(
        "suffix in capitals",
        same_values(),
        all_files(lambda path, value: Image.fromarray(grey(value)).save(path, "png"), ".PNG"),
    ),
    works("hidden files and folders", same_values(), with_file(".git/x.png", b"")),
    works(
        "Thumbs.db, .DS_Store and notes",
        same_values(),
        lambda box: [
            with_file(f"dark/{n}", b"x")(box)
            for n in ("Thumbs.db", ".DS_Store", "notes.txt", "._0.png")
        ],
    ),
    works(
        "folders within a class",
        count(9, "dark", "light"),
        with_file("dark/a/b/c.png", lambda p: Image.fromarray(grey(44)).save(p)),
    ),
    works(
        "the same image in train and test",
        lambda box: check(len(load(box).test) == 8, "8 images in test"),
        _twins,
    ),
    works("a test without one class", count(12, "a", "b"), split(["a", "b"], ["a"])),
    *(
        works(f"a class named {name!r}", _odd_label, odd_name(name))
        for name in (
            "two\nlines",
            "=cmd|calc!A0",
            "$(touch BOX)",
            "$HOME",
            "🦊",
            "a\tb",
            "%s%n",
            "{0}",
            "<b>",
            "\u202egnp",
            "con",
            "x" * 255,
            b"caf\xe9",
        )
    ),
    works(
        "classes that differ in case",
        count(12, "Dark", "dark", "light"),
        lambda box: shutil.copytree(ordinary(box) / "dark", box.work / "pictures" / "Dark"),
    ),
    works(
        "size of NumPy",
        lambda box: check(load(box, size=np.int64(6)).image_shape == (6, 6, 1), "6 x 6"),
        ordinary,
    ),
]
