"""Which files of an image folder belong to which split and class, and which are passed over."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from glimpse_envs.data.datasets import DatasetError
from glimpse_envs.data.pictures import EXTENSIONS, readable_extensions

#: names of the folders of each split, in any case of letters
SPLIT_FOLDERS = {
    "train": ("train",),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}
IGNORED = frozenset({"thumbs.db", "desktop.ini"})  # file managers leave them in every folder


class Listing(NamedTuple):
    """The image files of a split, sorted by class and name, and their labels."""

    files: list[Path]
    labels: np.ndarray  # int64 (N,)


class Layout(NamedTuple):
    """What lies in an image folder.

    :param classes: sorted names
    :param splits: "train", and "validation" and "test" where they have folders
    :param passed_over: a sentence on files that are not read, or ""
    """

    classes: list[str]
    splits: dict[str, Listing]
    passed_over: str


class Kind(NamedTuple):
    """What files of a folder are read.

    :param name: of one, for messages
    :param known: their extensions
    :param readable: those of them that can be read here
    """

    name: str
    known: frozenset[str]
    readable: set[str] | frozenset[str]


def absolute_path(path: object, scheme: str, what: str) -> str:
    """Return the path of a folder of data, absolute, links followed.

    :param scheme: such as "folder", and ``what`` such as "an image folder", for messages
    :raises DatasetError: if it is no path, or leads nowhere
    """
    if not isinstance(path, str | Path) or not str(path):
        raise DatasetError(f"got the path {path!r} of {what}; wanted '{scheme}:PATH'")
    try:
        return str(Path(path).expanduser().resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, no home, a null byte
        raise DatasetError(f"got the path {path!r} of {what} ({error})") from error


def placed(root: Path, error: DatasetError) -> DatasetError:
    """Return an error whose message tells the folder, as that of a file in it does already."""
    told = str(error)
    return error if told.startswith(str(root)) else DatasetError(f"{root}: {told}")


def list_folder(root: Path, kind: Kind | None = None) -> Layout:
    """Return the files of an image folder by split and class.

    :param kind: what files are read; None for images
    :raises DatasetError: if it is not laid out as it should be
    :raises OSError: if a folder cannot be read
    """
    if not root.is_dir():
        raise DatasetError(
            f"got {root}, and there is no such folder; wanted one that holds train/CLASS/* and "
            "test/CLASS/*, or CLASS/*"
        )
    lister = _Lister(kind or Kind("image", EXTENSIONS, readable_extensions()))
    folders = _split_folders(root)
    if not folders:
        classes = _class_names(root)
        lister.pass_over_files(root)
        splits = {"train": lister.list(root, classes)}
        return Layout(classes, splits, lister.passed_over())
    classes = _class_names(folders["train"])
    lister.pass_over_files(root)
    for name in sorted(set(_sub_folders(root)) - {folder.name for folder in folders.values()}):
        lister.not_read[f"{name}/, which is no split"] += 1
    splits = {}
    for split, folder in folders.items():
        if unknown := sorted(set(_sub_folders(folder)) - set(classes)):
            raise DatasetError(
                f"{folder / unknown[0]}: there is no such class in {folders['train']}; add it "
                "there, or remove it"
            )
        lister.pass_over_files(folder)
        splits[split] = lister.list(folder, classes)
    return Layout(classes, splits, lister.passed_over())


class _Lister:
    """Finds the images of classes, and counts what it passes over."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.readable = kind, kind.readable
        self.not_read: Counter[str] = Counter()

    def list(self, root: Path, classes: list[str]) -> Listing:
        """Return the images of the classes that have a folder in ``root``."""
        files, labels = [], []
        for label, name in enumerate(classes):
            if not (root / name).is_dir():
                continue
            before = self.not_read.copy()
            found = self._images(root / name)
            if not found:
                here = _sentence(self.not_read - before)
                kinds = " ".join(sorted(self.readable))
                raise DatasetError(
                    f"{root / name}: the class has no {self.kind.name} ({kinds})"
                    f"{here and f', {here}'}; add some, or remove the folder"
                )
            files += found
            labels += [label] * len(found)
        return Listing(files, np.array(labels))

    def pass_over_files(self, folder: Path) -> None:
        """Count the images, and links to nothing, beside the folders of classes."""
        for file in folder.iterdir():
            wanted = file.suffix.lower() in self.kind.known or file.is_symlink()
            if wanted and not file.is_dir() and not _hidden(file):
                self.not_read[f"{file.suffix or file.name} outside of a class"] += 1

    def passed_over(self) -> str:
        """Return a sentence on what was passed over."""
        return _sentence(self.not_read)

    def _images(self, folder: Path) -> list[Path]:
        """Return the images in a class's folder and its sub-folders, each folder once."""
        found, seen = [], set()
        for place, names, files in os.walk(folder, followlinks=True, onerror=_raise):
            names[:] = sorted(name for name in names if not name.startswith("."))
            if (real := os.path.realpath(place)) in seen:  # a link to a folder above it
                names.clear()
                continue
            seen.add(real)
            found += [Path(place, name) for name in files if self._is_image(Path(place, name))]
        return sorted(found)

    def _is_image(self, file: Path) -> bool:
        if _hidden(file):
            return False
        extension = file.suffix.lower()
        if extension in self.readable and file.is_file():
            return True
        if extension in self.readable:
            self.not_read[f"{extension} that is a broken link or no file"] += 1
        elif extension in self.kind.known:
            install = "; pip install pillow-heif" if extension in (".heic", ".heif") else ""
            self.not_read[f"{extension} (Pillow has no reader for it{install})"] += 1
        else:
            self.not_read[f"{extension or file.name} (no known kind of {self.kind.name})"] += 1
        return False


def _split_folders(root: Path) -> dict[str, Path]:
    """Return the folders of splits that hold class folders."""
    found: dict[str, Path] = {}
    for split, names in SPLIT_FOLDERS.items():
        folders = [name for name in _sub_folders(root) if name.lower() in names]
        folders = [name for name in folders if _sub_folders(root / name)]
        if len(folders) > 1:
            raise DatasetError(
                f"{root}: got {' and '.join(folders)}; wanted one folder for {split}: rename one"
            )
        if folders:
            found[split] = root / folders[0]
    if found and not {"train", "test"} <= found.keys():
        names = " and ".join(f"{folder.name}/" for folder in found.values())
        has = "has" if len(found) == 1 else "have"
        raise DatasetError(
            f"{root}: {names} {has} class folders, but its counterpart has none; wanted "
            "train/CLASS/* and test/CLASS/*"
        )
    return found


def _sub_folders(root: Path) -> list[str]:
    return sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _class_names(root: Path) -> list[str]:
    classes = _sub_folders(root)
    here = Path(os.path.realpath(root))
    for name in classes:
        if here.is_relative_to(os.path.realpath(root / name)):
            raise DatasetError(
                f"{root / name}: a class that is a link to the folder it lies in; remove the link"
            )
    if len(classes) < 2:
        raise DatasetError(
            f"{root}: got {len(classes)} folders of classes ({', '.join(classes) or 'none'}); "
            "wanted at least two, one for each class, with images in them"
        )
    return classes


def _hidden(file: Path) -> bool:
    return file.name.startswith(".") or file.name.lower() in IGNORED


def _sentence(not_read: Counter[str]) -> str:
    kinds = [f"{count} {kind}" for kind, count in sorted(not_read.items())]
    return f"not read: {', '.join(kinds)}" if kinds else ""


def _raise(error: OSError) -> None:
    raise error
