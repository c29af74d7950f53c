"""Images that do not fit into memory, or take long to decode: decoded once into a file, mapped.

The file is an array of NumPy (``np.load(file, mmap_mode="r")`` opens it), named after what was
decoded and how, so that a change of either packs anew. Beside it lies a file for each level of the
images' pyramid, where one is wanted. Packing that was stopped goes on where it was.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import mmap
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.data.contrast import Contrast, ContrastCount
from glimpse_envs.data.datasets import DatasetError
from glimpse_envs.files import replacing
from glimpse_envs.pyramid import Pyramid, fill, level_shapes

#: of the file's layout, in its name
_VERSION = 1
#: bytes of mapped images that are touched before their memory is given back
_TOUCHED = 2**28
#: images that are decoded together, by several threads
_TOGETHER = 64


class MappedFile:
    """An array in a file that is mapped, read-only.

    :param path: a file of ``np.save``
    :raises ValueError: for another file
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"{path} is an array of version {version}; wanted (1, 0)")
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self.array: NDArray = np.frombuffer(self._map, dtype, offset=file.tell()).reshape(shape)

    def give_back(self) -> None:
        """Give back the memory of what was read."""
        if hasattr(self._map, "madvise"):  # not on Windows
            self._map.madvise(mmap.MADV_DONTNEED)


class Packed:
    """What packing leaves, of which memory holds what was read lately.

    The system counts every page of a mapped file that was read as memory of the process, until
    another process needs it. Here they are given back after a while: to read them again costs
    little, since the system keeps them as long as it has room.

    :param files: the images, in the order of their files, then further levels of their pyramid
    :param sha256: of the images' bytes
    :param contrast: what there is to see on them
    """

    def __init__(self, files: list[MappedFile], sha256: str, contrast: Contrast) -> None:
        self.files, self.sha256, self.contrast = files, sha256, contrast
        self._touched = 0

    @property
    def levels(self) -> Pyramid:
        """The images and further levels of their pyramid, uint8 (N, H, W, C) and on."""
        return tuple(file.array for file in self.files)

    def touched(self, n_bytes: int) -> None:
        """Note that so many bytes were read, and now and then give back what they took.

        :param n_bytes: about as many
        """
        self._touched += n_bytes
        if self._touched >= _TOUCHED:
            self._touched = 0
            for file in self.files:
                file.give_back()


def pack(
    files: list[Path],
    shape: tuple[int, int, int],
    decode: Callable[[Path], NDArray[np.uint8]],
    folder: Path,
    name: str,
    *,
    what: str = "images",
    smaller: bool = True,
) -> Packed:
    """Return the images of files, decoded into one file if they were not before.

    Several threads decode.

    :param files: of the images
    :param shape: (H, W, C) of each
    :param decode: returns the image of a file, uint8 (H, W, C)
    :param folder: where it is kept
    :param name: that tells these images, decoded so, from others: see :func:`name_of`
    :param what: they are, for messages
    :param smaller: with the further levels of their pyramid
    :raises DatasetError: for a broken image, or a disk that is full
    """
    from filelock import FileLock  # lazily, as tqdm below: most data sets need neither

    path = folder / f"{name}.npy"
    n_bytes = len(files) * math.prod(shape)
    n_copied = n_bytes // 3 if smaller else 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock"):
            if not path.is_file() or not path.with_suffix(".json").is_file():
                _write(files, shape, decode, path, what, n_copied)
            levels = _levels_of(path, shape) if smaller else []
            if not all(level.is_file() for level in levels):
                _write_levels(path, levels)
        about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        mapped = [MappedFile(file) for file in (path, *levels)]
        return Packed(mapped, about["sha256"], Contrast(**about["contrast"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DatasetError):
            raise
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "is full" if full else f"cannot be used ({error})"
        raise DatasetError(
            f"{folder}, where {len(files):,} {what} of {shape} are packed, {why}: make room "
            f"({(n_bytes + n_copied) / 1e9:,.1f} GB in all; what was packed is kept), name another "
            "folder by GLIMPSE_DATA_DIR, or give a smaller size"
        ) from error


def name_of(files: list[Path], root: Path, how: Any) -> str:
    """Return a name for the images of files decoded in a way, 16 hexadecimal digits.

    :param files: of the images; each counts with its place below ``root``, size and time
    :param root: of the data
    :param how: they are decoded, anything whose ``repr`` tells
    """
    sha = hashlib.sha256(f"{_VERSION} {how!r}".encode())
    for file in files:
        about = file.stat()
        sha.update(os.fsencode(file.relative_to(root)))
        sha.update(f" {about.st_size} {about.st_mtime_ns}\n".encode())
    return sha.hexdigest()[:16]


def _write(
    files: list[Path],
    shape: tuple[int, int, int],
    decode: Callable[[Path], NDArray[np.uint8]],
    path: Path,
    what: str,
    n_copied: int,
) -> None:
    """Write the images and what is known of them, with room left for copies of so many bytes."""
    from tqdm import tqdm

    header, partial = _header((len(files), *shape)), path.with_suffix(".partial")
    n_bytes, sha, contrast = math.prod(shape), hashlib.sha256(), ContrastCount()
    done = max(0, partial.stat().st_size - len(header)) // n_bytes if partial.is_file() else 0
    free = shutil.disk_usage(path.parent).free
    if (len(files) - done) * n_bytes + n_copied > free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    # plain writing, not mapping: a full disk is then an error, and not the end of the process
    with partial.open("r+b" if done else "wb") as file:
        if not done:
            file.write(header)
        for image in _packed(file, len(header), done, shape):
            sha.update(image)
            contrast(image)
        file.truncate(len(header) + done * n_bytes)
        file.seek(0, os.SEEK_END)
        with tqdm(total=len(files), initial=done, desc=f"Packing {what}", unit="file") as bar:
            for image in _decoded(files[done:], decode):
                file.write(image)
                sha.update(image)
                contrast(image)
                bar.update()
        file.flush()
        os.fsync(file.fileno())
    with replacing(path.with_suffix(".json")) as temporary:
        about = {"sha256": sha.hexdigest(), "contrast": contrast.result()._asdict()}
        temporary.write_text(json.dumps(about), encoding="utf-8")
    os.replace(partial, path)


def _levels_of(path: Path, shape: tuple[int, int, int]) -> list[Path]:
    """Return the files of all levels but the first."""
    return [
        path.with_name(f"{path.stem}-{level}.npy")
        for level in range(1, len(level_shapes(*shape[:2])))
    ]


def _write_levels(path: Path, levels: list[Path]) -> None:
    """Make smaller copies of all images; what was stopped begins anew, as it takes little."""
    from tqdm import tqdm

    images = MappedFile(path)
    n, height, width, channels = images.array.shape
    shapes = [(*shape, channels) for shape in level_shapes(height, width)[1:]]
    with ExitStack() as stack:
        files = []
        for level, shape in zip(levels, shapes, strict=True):
            temporary = stack.enter_context(replacing(level))
            files.append(stack.enter_context(temporary.open("wb")))
            files[-1].write(_header((n, *shape)))
        copies = [np.empty(shape, np.uint8) for shape in shapes]
        for k, image in enumerate(tqdm(images.array, desc="Smaller copies", unit="image")):
            fill([image, *copies])
            for file, copy in zip(files, copies, strict=True):
                file.write(copy)
            if k % _TOGETHER == 0:
                images.give_back()


def _header(shape: tuple[int, ...]) -> bytes:
    header = BytesIO()
    about = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, about)
    return header.getvalue()


def _packed(
    file: Any, start: int, n: int, shape: tuple[int, int, int]
) -> Iterator[NDArray[np.uint8]]:
    """Go through the images that a file holds already."""
    file.seek(start)
    for _ in range(n):
        yield np.frombuffer(file.read(math.prod(shape)), np.uint8).reshape(shape)


def _decoded(
    files: list[Path], decode: Callable[[Path], NDArray[np.uint8]]
) -> Iterator[NDArray[np.uint8]]:
    """Go through the images of files; decoders let other threads run."""
    pool = ThreadPoolExecutor()
    try:
        for first in range(0, len(files), _TOGETHER):
            yield from pool.map(decode, files[first : first + _TOGETHER])
    finally:  # what was begun is not wanted any more
        pool.shutdown(cancel_futures=True)
