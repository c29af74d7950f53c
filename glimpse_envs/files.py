"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = re.compile(r"\..+\.glimpse-tmp-(\d+)(?:-(\w+))?(\.[^.]*)?", re.DOTALL)
#: this machine in a file's name: machines may share a disk, and their processes have equal numbers
_HERE = re.sub(r"\W", "_", socket.gethostname(), flags=re.ASCII)[:32]
#: seconds after which no process of another machine still writes
_ABANDONED = 3600.0


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
    temporary = path.with_name(f".{path.stem}.glimpse-tmp-{os.getpid()}-{_HERE}{path.suffix}")
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

    Those of processes that run, here or on another machine that sees the folder, and whatever else
    it holds, stay; of another machine those that were not written to for an hour go.
    """
    for file in folder.glob(".*"):
        made = _TEMPORARY.fullmatch(file.name)
        if not made or not file.is_file():
            continue
        here = made[2] in (None, _HERE)
        in_use = _runs_beside(int(made[1])) if here else _age(file) < _ABANDONED
        if not in_use:
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


def _age(file: Path) -> float:
    """Return the seconds since a file was written to; 0 for one that is gone."""
    try:
        return time.time() - file.stat().st_mtime
    except FileNotFoundError:  # its process has just renamed it
        return 0.0
