"""Folders of short films: one folder for each class, with clips of any of the usual kinds in it.

They lie as image folders do (:mod:`glimpse_envs.data.folders`): ``PATH/train/CLASS`` and
``PATH/test/CLASS``, or ``PATH/CLASS``. ffmpeg decodes them, which comes with imageio, once: they
are packed into a file in the data directory (:mod:`glimpse_envs.data.packed_images`).
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.data.datasets import SPLITS, DatasetError, ImageDataset
from glimpse_envs.data.directory import data_directory
from glimpse_envs.data.folder_layout import Kind, absolute_path, placed
from glimpse_envs.data.folders import LARGEST_IN_MEMORY, list_splits, packed_splits, three_splits
from glimpse_envs.data.packed_images import name_of, pack
from glimpse_envs.data.pictures import middle_square

EXTENSIONS = frozenset(".3gp .avi .flv .gif .m4v .mkv .mov .mp4 .mpeg .mpg .ogv .webm .wmv".split())
_KIND = Kind("clip", EXTENSIONS, EXTENSIONS)
_MOST_FRAMES = 10_000


class Reading(NamedTuple):
    """How all clips of a folder are read; see :func:`load_clips`."""

    size: int
    frames: int
    every: int


def load_clips(path: str | Path, size: int = 64, frames: int = 16, every: int = 1) -> ImageDataset:
    """Read a folder of clips; the sub-folders' sorted names are the classes.

    Of each clip the first ``frames`` frames are kept (or every second of them, and so on): of each
    its middle square, resized, antialiased, to ``size`` x ``size``, in colours. An image of the
    data set is a clip: its frames lie one below the other, (frames * size, size, 3).

    Of a clip with a variable frame rate each frame counts once, however long it is shown.

    All clips together take at most 1 GiB. They are decoded once, by several threads, into a file in
    the data directory, of which memory holds what is looked at. What was stopped goes on where it
    was.

    :param path: holds ``train`` and ``test`` with a folder for each class, or these folders
    :param size: side of the square frames, pixels
    :param frames: of each clip, at least 2
    :param every: take every so many frames of a file
    :raises DatasetError: if a folder is missing, there are fewer than two classes, a class has no
        clip, a file cannot be decoded or is too short, more than 1 GiB would be read, or the data
        directory has no room
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
    how = Reading(size, frames, every)
    shape = (frames * size, size, 3)
    try:
        listings = three_splits(folder.splits)
        files = [file for name in SPLITS for file in listings[name].files]
        packed = pack(
            files,
            shape,
            lambda file: _read(file, how),
            data_directory() / "packed",
            name_of(files, root, how),
            what="clips",
            smaller=False,
        )
        splits, digest = packed_splits(packed, listings)
        return ImageDataset(
            root.name, classes=folder.classes, digest=digest, frames=frames, **splits
        )
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


def _read(file: Path, how: Reading) -> NDArray[np.uint8]:
    """Return the frames of a clip, one below the other, uint8 (frames * size, size, 3)."""
    n = (how.frames - 1) * how.every + 1  # of the file
    with closing(_decoded(file, n)) as decoded:
        kept = [_resized(frame, how.size) for frame in itertools.islice(decoded, 0, n, how.every)]
    if len(kept) < how.frames:
        taken = "" if how.every == 1 else f" when every {how.every}th is taken"
        raise DatasetError(
            f"{file}: got {len(kept)} frames{taken}; wanted at least {how.frames}: the clip is too "
            "short, or its file was cut off; remove it, or ask for fewer frames: --set "
            f"env_kwargs.dataset.frames={max(2, len(kept))}"
        )
    return np.concatenate(kept)


def _decoded(file: Path, n: int) -> Iterator[NDArray[np.uint8]]:
    """Yield at most the first n frames of a file, uint8 (height, width, 3), one at a time."""
    import imageio_ffmpeg  # lazily: it looks for ffmpeg, which only this needs

    # Several files are decoded at once, so each by one thread. An absolute path begins with no "-".
    inputs, outputs = ["-threads", "1"], [*_each_frame_once(), "-frames:v", str(n)]
    frames = imageio_ffmpeg.read_frames(file.absolute(), input_params=inputs, output_params=outputs)
    try:
        with closing(frames):
            width, height = next(frames)["size"]
            for frame in frames:
                yield np.frombuffer(frame, np.uint8).reshape(height, width, 3)
    except Exception as error:  # ffmpeg fails in many ways, with its whole output for a message
        raise DatasetError(
            f"{file} cannot be read as a clip ({_last_words(error):.300}); replace it, or remove it"
        ) from error


@functools.cache
def _each_frame_once() -> list[str]:
    """Return the option by which ffmpeg repeats and drops no frame to keep a constant rate."""
    import imageio_ffmpeg

    version = re.match(r"n?(\d+)\.(\d+)", imageio_ffmpeg.get_ffmpeg_version())
    if version and tuple(map(int, version.groups())) < (5, 1):
        return ["-vsync", "0"]
    return ["-fps_mode", "passthrough"]  # others are of a date


def _last_words(error: Exception) -> str:
    """Return what ffmpeg said last of what went wrong; lines of its parts begin with "[PART @"."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [re.sub(r"^(\[[^]]*\] )+", "", line) for line in lines if line.startswith("[")]
    return "; ".join(said[-2:] or lines[-1:]) or type(error).__name__


def _resized(frame: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    from PIL import Image

    square = middle_square(Image.fromarray(frame))
    if square.size != (size, size):
        square = square.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(square)
