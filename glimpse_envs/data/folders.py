"""Image folders: one folder for each class, with image files of any of the usual kinds in it.

Either ``PATH/train/CLASS`` and ``PATH/test/CLASS``, or ``PATH/CLASS``, of which a fixed random
20 % of each class is test (drawn from the sorted file names). Beside ``train`` and ``test`` a
folder ``val``, ``valid`` or ``validation`` is the validation split; without one it is cut from
train. The images of a class may lie in folders of its folder. Hidden files and folders are passed
over; of other files that are not read one line on stderr says which and why.
"""

from __future__ import annotations

import hashlib
import math
import os
import statistics
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glimpse_envs.components import nearest
from glimpse_envs.data.contrast import LEAST_CONTRAST, Contrast, ContrastCount
from glimpse_envs.data.datasets import (
    SPLITS,
    DatasetError,
    ImageDataset,
    Split,
    cut_validation,
    split_by_class,
)
from glimpse_envs.data.directory import data_directory
from glimpse_envs.data.folder_layout import Kind, Listing, absolute_path, list_folder, placed
from glimpse_envs.data.packed_images import Packed, name_of, pack
from glimpse_envs.data.pictures import (
    BACKGROUNDS,
    FITS,
    Header,
    Reading,
    depth_of,
    progress,
    read_header,
    read_image,
    read_images,
)
from glimpse_envs.text import path_text, readable

LARGEST_DEFAULT_SIZE = 256  # pixels; glimpses seldom need more
#: bytes of pixels; more of them are packed into a file
LARGEST_IN_MEMORY = 2**30


class Folder(NamedTuple):
    """The files of an image folder.

    :param classes: sorted
    :param splits: "train" and "test", and "validation" if it has a folder
    """

    classes: list[str]
    splits: dict[str, Listing]


def load_folder(
    path: str | Path, size: int | None = None, fit: str = "crop", background: str = "white"
) -> ImageDataset:
    """Read an image folder; the sub-folders' sorted names are the classes.

    If all images have one size and ``size`` is None, they are kept as they are. Otherwise they are
    made square: by default the middle square of each is resized, antialiased, to ``size`` x
    ``size``, which is the median of the images' shorter sides, at most 256.

    Where all files are greyscale, C = 1; otherwise all become RGB. EXIF orientation is obeyed, and
    of an animation the first frame is taken. What is transparent shows the background. Pixels of
    more than 8 bits are scaled alike in the whole data set: by the fewest bits, 8, 10, 12, 14 or
    16, that hold its largest pixel. What is done is said in a line on stderr; images without
    contrast, or all alike, are a warning.

    Images of more than 1 GiB in all are packed into a file in the data directory, of which memory
    holds what is looked at.

    :param path: holds ``train`` and ``test`` with a folder for each class, or these folders
    :param size: side of the square images in pixels, or None
    :param fit: "crop" takes the middle square, "letterbox" the whole image with bars beside it, and
        "keep" keeps each image's proportions: it lies in a frame as if letterboxed, and the gaze
        stays on it, see :mod:`glimpse_envs.proportions`. With these two the longer side becomes
        ``size``, by default the median of all longer sides, at most 256
    :param background: "white" or "black", of transparent images and of the bars of "letterbox"
    :raises DatasetError: if a folder is missing, there are fewer than two classes, a class has no
        image, test has a class that train lacks, or a file cannot be read
    """
    root = Path(path)
    try:
        folder = list_splits(root)
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError up to Python 3.12
        raise DatasetError(
            f"{root} cannot be read ({error}); check its permissions and links"
        ) from error
    files = [file for listing in folder.splits.values() for file in listing.files]
    headers = [read_header(file) for file in progress(files, "headers")]
    deep = [file for file, header in zip(files, headers, strict=True) if header.deep]
    shape = _common_shape(headers, size, fit)
    how = Reading(shape, fit, background, depth_of(deep) if deep else 8)
    _say(root, _what_is_done(headers, how))
    try:
        listings = three_splits(folder.splits)
        read = _in_memory if len(files) * math.prod(shape) <= LARGEST_IN_MEMORY else _packed
        splits, contrast, digest = read(root, listings, how)
        if how.keeps_proportions and any(header.height != header.width for header in headers):
            by_file = dict(zip(files, headers, strict=True))
            splits, digest = _framed(splits, digest, listings, by_file, how)
        in_order = [file for name in SPLITS for file in listings[name].files]
        _warn_of_contrast(root, in_order, contrast)
        return ImageDataset(root.name, classes=folder.classes, digest=digest, **splits)
    except DatasetError as error:
        raise placed(root, error) from error


def folder_arguments(
    path: str | Path = "",
    size: int | None = None,
    fit: str = "crop",
    background: str = "white",
) -> dict[str, Any]:
    """The arguments of :func:`load_folder`, checked, the path absolute, defaults left out.

    :raises DatasetError: if one is of the wrong kind
    """
    arguments: dict[str, Any] = {"path": absolute_path(path, "folder", "an image folder")}
    if size is not None:
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
            raise DatasetError(
                f"got {size!r} as the size of images; wanted a positive int, or None"
            )
        arguments["size"] = int(size)
    for name, value, choices in (("fit", fit, FITS), ("background", background, BACKGROUNDS)):
        if not isinstance(value, str) or value not in choices:
            raise DatasetError(f"got {name}={value!r}; {nearest(value, choices)}")
        if value != next(iter(choices)):
            arguments[name] = value
    return arguments


def list_splits(root: Path, kind: Kind | None = None) -> Folder:
    """Return the files of a folder; without a folder for test it is drawn from train.

    :param kind: of files; None for images
    :raises DatasetError: if it is not laid out as it should be
    :raises OSError: if a folder cannot be read
    """
    classes, splits, passed_over = list_folder(root, kind)
    _say(root, passed_over)
    if "test" not in splits:
        train = splits["train"]
        first, counts = np.unique(train.labels, return_index=True, return_counts=True)[1:]
        if counts.min() < 2:
            file = train.files[first[counts.argmin()]]
            what = "image" if kind is None else kind.name
            raise DatasetError(
                f"{file.parent}: one {what} ({file.name}) cannot be split into train and test; add "
                "some, or make folders train/CLASS/ and test/CLASS/"
            )
        for name, rows in zip(("train", "test"), split_by_class(train.labels), strict=True):
            splits[name] = Listing([train.files[row] for row in rows], train.labels[rows])
    return Folder(classes, splits)


def three_splits(splits: dict[str, Listing]) -> dict[str, Listing]:
    """Return the files of all splits; without a folder of its own validation is cut from train."""
    if "validation" in splits:
        return splits
    files, labels = splits["train"]
    parts = zip(("train", "validation"), cut_validation(labels), strict=True)
    cut = {name: Listing([files[row] for row in rows], labels[rows]) for name, rows in parts}
    return {**splits, **cut}


def _in_memory(
    root: Path, listings: dict[str, Listing], how: Reading
) -> tuple[dict[str, Split], Contrast, None]:
    """Return the splits, what there is to see on them, and no digest."""
    splits, count = {}, ContrastCount()
    for name in SPLITS:
        images = read_images(listings[name].files, how)
        splits[name] = Split(images, listings[name].labels)
        for image in images:
            count(image)
    return splits, count.result(), None


def _packed(
    root: Path, listings: dict[str, Listing], how: Reading
) -> tuple[dict[str, Split], Contrast, str]:
    """Return the splits as parts of one file, what there is to see on them, and a digest."""
    files = [file for name in SPLITS for file in listings[name].files]
    folder = data_directory() / "packed"
    packed = pack(
        files, how.shape, lambda file: read_image(file, how), folder, name_of(files, root, how)
    )
    splits, digest = packed_splits(packed, listings)
    return splits, packed.contrast, digest


def _framed(
    splits: dict[str, Split],
    digest: str | None,
    listings: dict[str, Listing],
    headers: dict[Path, Header],
    how: Reading,
) -> tuple[dict[str, Split], str | None]:
    """Return the splits with what each image fills of its frame, and their digest."""
    framed, sha = {}, hashlib.sha256(f"{digest}".encode())
    for name, split in splits.items():
        read = [headers[file] for file in listings[name].files]
        extents = np.array([how.extents(header.height, header.width) for header in read])
        framed[name] = replace(split, extents=extents)
        sha.update(framed[name].extents)
    return framed, None if digest is None else sha.hexdigest()[:16]


def packed_splits(packed: Packed, listings: dict[str, Listing]) -> tuple[dict[str, Split], str]:
    """Return the splits as parts of what was packed, one after the other, and a digest.

    :param packed: the images of the files of all splits, in their order
    :param listings: by split
    """
    splits, begin, sha = {}, 0, hashlib.sha256(packed.sha256.encode())
    for name in SPLITS:
        labels = listings[name].labels
        levels = tuple(level[begin : begin + len(labels)] for level in packed.levels)
        images = levels[0]
        # one level may be a pyramid that lacks the others, which is made where it is asked for
        pyramid = levels if len(levels) > 1 else None
        splits[name] = Split(images, labels, packed.touched, pyramid)
        sha.update(f"{images.shape}".encode())
        sha.update(labels)
        begin += len(labels)
    return splits, sha.hexdigest()[:16]


def _common_shape(headers: list[Header], size: int | None, fit: str) -> tuple[int, int, int]:
    """(H, W, C) that all images are brought to."""
    channels = 1 if all(header.grey for header in headers) else 3
    sizes = {(header.height, header.width) for header in headers}
    if size is None and len(sizes) == 1:
        return *sizes.pop(), channels
    if size is None:
        side = min if fit == "crop" else max
        median = statistics.median(side(header.height, header.width) for header in headers)
        size = min(LARGEST_DEFAULT_SIZE, round(median))
    return size, size, channels


def _resized(headers: list[Header], how: Reading) -> list[Header]:
    """Return the images that are not of the shape that all are brought to."""
    return [header for header in headers if (header.height, header.width) != how.shape[:2]]


def _what_is_done(headers: list[Header], how: Reading) -> str:
    height, width, _ = how.shape
    other = _resized(headers, how)
    oblong = sum(header.height != header.width for header in other)
    done = []
    if how.keeps_proportions:
        scaled = sum(max(header.height, header.width) != height for header in headers)
        if scaled:
            done.append(f"the longer side of {scaled} images becomes {height}, their shapes stay")
    elif other:
        done.append(f"{len(other)} images are resized to {height} x {width}")
    if oblong and how.fit == "crop":
        done.append(f"{oblong} are cropped to their middle square (fit='keep' keeps all of them)")
    elif oblong and how.fit == "letterbox":
        done.append(f"{oblong} get {how.background} bars")
    if transparent := sum(header.transparent for header in headers):
        done.append(f"{transparent} with transparency are laid on {how.background}")
    if deep := sum(header.deep for header in headers):
        done.append(f"{deep} of more than 8 bits are scaled from {how.bits} bits")
    return "; ".join(done)


def _warn_of_contrast(root: Path, files: list[Path], contrast: Contrast) -> None:
    if contrast.all_alike:
        warnings.warn(
            f"{path_text(root)}: all {len(files)} images are alike, such as "
            f"{path_text(files[0])}; there is nothing to "
            "tell their classes by",
            stacklevel=3,
        )
    elif contrast.n_flat:
        warnings.warn(
            f"{path_text(root)}: {contrast.n_flat} of {len(files)} images have no contrast (fewer "
            f"than {LEAST_CONTRAST} of 255 grey levels), such as "
            f"{path_text(files[contrast.first_flat])}; look at them, or "
            "try background='black' for white drawings on transparent ground",
            stacklevel=3,
        )


def _say(root: Path, text: str) -> None:
    if text:
        print(readable(f"{os.fspath(root)}: {text}"), file=sys.stderr)
