"""Folders of short films: one folder for each class, with clips of any of the usual kinds in it.

They lie as image folders do (:mod:`glimpse_envs.data.folders`): ``PATH/train/CLASS`` and
``PATH/test/CLASS``, or ``PATH/CLASS``. ffmpeg decodes them, which comes with imageio.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.data.datasets import SPLITS, DatasetError, ImageDataset, Split
from glimpse_envs.data.folder_layout import Kind, absolute_path, placed
from glimpse_envs.data.folders import LARGEST_IN_MEMORY, list_splits, three_splits
from glimpse_envs.data.pictures import middle_square

EXTENSIONS = frozenset(".3gp .avi .flv .gif .m4v .mkv .mov .mp4 .mpeg .mpg .ogv .webm .wmv".split())
_KIND = Kind("clip", EXTENSIONS, EXTENSIONS)
_MOST_FRAMES = 10_000
_MANY = 50  # clips, from where on reading takes long enough for a progress bar


def load_clips(path: str | Path, size: int = 64, frames: int = 16, every: int = 1) -> ImageDataset:
    """Read a folder of clips; the sub-folders' sorted names are the classes.

    Of each clip the first ``frames`` frames are kept (or every second of them, and so on): of each
    its middle square, resized, antialiased, to ``size`` x ``size``, in colours. An image of the
    data set is a clip: its frames lie one below the other, (frames * size, size, 3).

    All clips together lie in memory, and take at most 1 GiB; while they are read, a frame more.

    :param path: holds ``train`` and ``test`` with a folder for each class, or these folders
    :param size: side of the square frames, pixels
    :param frames: of each clip, at least 2
    :param every: take every so many frames of a file
    :raises DatasetError: if a folder is missing, there are fewer than two classes, a class has no
        clip, a file cannot be decoded or is too short, or more than 1 GiB would be read
    """
    root = Path(path)
    try:
        folder = list_splits(root, _KIND)
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError up to Python 3.12
        raise DatasetError(
            f"{root} cannot be read ({error}); check its permissions and links"
        ) from error
    n_clips = sum(len(listing.files) for listing in folder.splits.values())
    n_bytes = n_clips * frames * size * size * 3
    if n_bytes > LARGEST_IN_MEMORY:
        raise DatasetError(
            f"{root}: {n_clips} clips of {frames} frames of {size} x {size} take "
            f"{n_bytes / 2**30:.1f} GiB; wanted at most {LARGEST_IN_MEMORY / 2**30:.0f}: take a "
            "smaller size or fewer frames, such as {'type': 'clips', 'path': ..., 'size': 32}"
        )
    try:
        splits = three_splits(folder.splits)
    except DatasetError as error:
        raise placed(root, error) from error
    files = [file for name in SPLITS for file in splits[name].files]
    strips = np.empty((n_clips, frames * size, size, 3), np.uint8)
    for strip, file in zip(strips, _progress(files), strict=True):
        strip[:] = _read(file, size, frames, every)
    parts, begin = {}, 0
    for name in SPLITS:
        labels = splits[name].labels
        parts[name] = Split(strips[begin : begin + len(labels)], labels)
        begin += len(labels)
    try:
        return ImageDataset(root.name, classes=folder.classes, frames=frames, **parts)
    except DatasetError as error:
        raise placed(root, error) from error


def clip_arguments(
    path: str | Path = "", size: int = 64, frames: int = 16, every: int = 1
) -> dict[str, Any]:
    """Return the arguments of :func:`load_clips`, checked, the path absolute.

    :raises DatasetError: if one is of the wrong kind
    """
    arguments: dict[str, Any] = {"path": absolute_path(path, "clips", "a folder of clips")}
    ranges = {
        "size": (size, 1, 4096),
        "frames": (frames, 2, _MOST_FRAMES),
        "every": (every, 1, 1000),
    }
    for name, (value, low, high) in ranges.items():
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or not low <= value <= high:
            raise DatasetError(f"got {name}={value!r}; wanted an integer from {low} to {high:,}")
        arguments[name] = int(value)
    return arguments


def _read(file: Path, size: int, frames: int, every: int) -> NDArray[np.uint8]:
    """Return the frames of a clip, one below the other, uint8 (frames * size, size, 3)."""
    with closing(_decoded(file)) as decoded:
        wanted = itertools.islice(decoded, 0, (frames - 1) * every + 1, every)
        kept = [_resized(frame, size) for frame in wanted]
    if len(kept) < frames:
        taken = "" if every == 1 else f" when every {every}th is taken"
        raise DatasetError(
            f"{file}: got {len(kept)} frames{taken}; wanted at least {frames}: the clip is too "
            "short, or its file was cut off; remove it, or ask for fewer frames"
        )
    return np.concatenate(kept)


def _decoded(file: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a file, uint8 (height, width, 3), one at a time."""
    import imageio.v2 as imageio  # lazily: it looks for ffmpeg, which only this needs

    try:
        with closing(imageio.get_reader(file, format="FFMPEG")) as reader:
            yield from reader
    except GeneratorExit:
        raise
    except Exception as error:  # ffmpeg fails in many ways, with its whole output for a message
        said = [line.strip() for line in str(error).splitlines() if file.name in line]
        why = said[-1] if said else type(error).__name__
        raise DatasetError(
            f"{file} cannot be read as a clip ({why:.300}); replace it, or remove it"
        ) from error


def _resized(frame: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    from PIL import Image

    square = middle_square(Image.fromarray(frame))
    if square.size != (size, size):
        square = square.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(square)


def _progress(files: list[Path]) -> Iterator[Path]:
    from tqdm import tqdm  # writes to stderr

    return iter(tqdm(files, desc="Reading clips", unit="file", disable=len(files) < _MANY))
