"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = re.compile(r"\..+\.glimpse-tmp-(\d+)(\.[^.]*)?", re.DOTALL)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside ``path``, renamed to it at the end, or removed after an error.

    Missing folders are made; the suffix is kept, since many writers go by it.

    :raises NotADirectoryError: where a file is in the place of a folder
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(
            f"{path} cannot be written: a file is where {path.parent} should be; choose another "
            "name"
        ) from error
    temporary = path.with_name(f".{path.stem}.glimpse-tmp-{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Return whether a name is one that :func:`replacing` gives."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of :func:`replacing` that killed processes left in a folder.

    Those of processes that run, and whatever else the folder holds, stay.
    """
    for file in folder.glob(".*"):
        made = _TEMPORARY.fullmatch(file.name)
        if made and file.is_file() and not _runs_beside(int(made[1])):
            file.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Check that files can be written into a folder, or that it can be made; leave nothing.

    :raises OSError: if not; the message says so
    """
    there = next(
        place for place in (folder.absolute(), *folder.absolute().parents) if place.exists()
    )
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise OSError(f"{folder} cannot be written to ({error.strerror or error})") from error


def _runs_beside(pid: int) -> bool:
    """Return whether another process of this number runs."""
    if pid == os.getpid() or os.name != "posix":  # elsewhere the question would end it
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
