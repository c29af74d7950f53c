"""Data sets by name.

:func:`load_dataset` turns a name into a data set, once per process:

========================= ======================================================================
``"digits"``              scikit-learn's 1,797 handwritten digits, 16 x 16 x 1, no download
``"mnist"``               28 x 28 x 1, from ``mnist.npz`` in the data directory or downloaded
``"fashion_mnist"``       28 x 28 x 1, likewise
``"cifar10"``             32 x 32 x 3, likewise
``"NAME"``                arrays of your own, from ``NAME.npz`` in the data directory
``"folder:PATH"``         an image folder, see :mod:`glimpse_envs.data.folders`
``"clips:PATH"``          a folder of short films, see :mod:`glimpse_envs.data.clips`
========================= ======================================================================

The data directory is ``GLIMPSE_DATA_DIR``, or else a folder in the user's cache
(:func:`~glimpse_envs.data.directory.data_directory`). Whatever is wrong raises a
:class:`~glimpse_envs.data.datasets.DatasetError`.
"""

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from glimpse_envs.components import nearest
from glimpse_envs.data.clips import clip_arguments, load_clips
from glimpse_envs.data.datasets import DatasetError, ImageDataset
from glimpse_envs.data.directory import data_directory
from glimpse_envs.data.downloads import DOWNLOADS, load_digits, load_packed
from glimpse_envs.data.folders import folder_arguments, load_folder


def load_dataset(spec: ImageDataset | str | Mapping[str, Any]) -> ImageDataset:
    """The data set of a specification; loaded once per process and shared by all who ask.

    :param spec: a name of the table above; ``{"type": NAME, **arguments}``, where only "folder"
        and "clips" have arguments (``path``, ``size``, ``fit`` and ``background``, see
        :func:`glimpse_envs.data.folders.load_folder`; ``path``, ``size``, ``frames`` and ``every``,
        see :func:`glimpse_envs.data.clips.load_clips`); or an :class:`ImageDataset`, which is
        returned as it is
    :raises DatasetError: if the name is unknown, or its data are missing or broken
    """
    if isinstance(spec, ImageDataset):
        return spec
    name, arguments = _resolve(spec)
    return _load(name, tuple(sorted(arguments.items())), data_directory())


@functools.cache
def _load(name: str, arguments: tuple[tuple[str, Any], ...], directory: Path) -> ImageDataset:
    if name in _FOLDERS:
        dataset = _FOLDERS[name].load(**dict(arguments))
    elif name == "digits":
        dataset = load_digits()
    elif name in DOWNLOADS or name in _packed_names(directory):
        dataset = load_packed(name, directory)
    else:
        known = ["digits", "folder:PATH", "clips:PATH", *DOWNLOADS, *_packed_names(directory)]
        guess = f"did you mean 'folder:{name}'? " if os.path.isdir(name) else ""
        raise DatasetError(
            f"got data set {name!r}, and there is none; {guess}{nearest(name, set(known))}, and "
            f"NAME for each NAME.npz in {directory} (GLIMPSE_DATA_DIR)"
        )
    source = {"type": name, **dict(arguments)} if arguments else name
    return dataset.loaded_from(source, load_dataset)


def _resolve(spec: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the checked arguments, hashable, with nothing relative left in them."""
    if isinstance(spec, str):
        name, colon, path = spec.partition(":")
        spec = {"type": name, "path": path} if name in _FOLDERS and colon else {"type": spec}
    if not isinstance(spec, Mapping) or not isinstance(spec.get("type"), str):
        raise DatasetError(
            f"got data set {spec!r:.200}; wanted an ImageDataset, a name such as 'digits', or a "
            "dict such as {'type': 'folder', 'path': 'pictures', 'size': 32}"
        )
    arguments = {key: value for key, value in spec.items() if key != "type"}
    folder = _FOLDERS.get(spec["type"])
    allowed = set() if folder is None else folder.arguments
    if unknown := sorted(map(str, arguments.keys() - allowed)):
        raise DatasetError(
            f"data set {spec['type']!r} has no argument {unknown[0]!r}; "
            + (nearest(unknown[0], allowed) if allowed else "it takes none")
        )
    if folder is not None:
        arguments = folder.check(**arguments)
    return spec["type"], arguments


class _Folder(NamedTuple):
    """A kind of folder that data are read from.

    :param load: called with the arguments
    :param check: returns them checked, and hashable
    :param arguments: their names
    """

    load: Callable[..., ImageDataset]
    check: Callable[..., dict[str, Any]]
    arguments: frozenset[str]


_FOLDERS = {
    "folder": _Folder(
        load_folder, folder_arguments, frozenset({"path", "size", "fit", "background"})
    ),
    "clips": _Folder(load_clips, clip_arguments, frozenset({"path", "size", "frames", "every"})),
}


def _packed_names(directory: Path) -> list[str]:
    return sorted(path.stem for path in directory.glob("[!.]*.npz"))
