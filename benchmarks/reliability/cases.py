"""What a case is: an input, what is to come of it, and the folders that it may touch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any


class Outcome(StrEnum):
    """What came of an input; all but the first two are bad."""

    MESSAGE = "clear message"
    WORKS = "works"
    TRACEBACK = "TRACEBACK"
    SILENT = "SILENT WRONG VALUE"
    OUTSIDE = "WROTE OUTSIDE"
    LEFT = "LEFT A RUN"
    REFUSED = "REFUSED"
    HANG = "HANG"
    CRASH = "CRASH"
    SKIPPED = "skipped"

    @property
    def bad(self) -> bool:
        """Whether something must be mended."""
        return self not in (Outcome.MESSAGE, Outcome.WORKS, Outcome.SKIPPED)


class WrongValueError(AssertionError):
    """A call that went through gave a wrong value."""


class RefusedError(Exception):
    """A command ended with one line of error."""


class UnclearError(Exception):
    """A command ended in another way."""


class SkippedError(Exception):
    """The input cannot be made on this system."""


@dataclass(frozen=True)
class Box:
    """The folders of one case.

    :param root: of all of them
    :param runs: folder of the trained runs that cases copy
    """

    root: Path
    assets: Path

    @property
    def work(self) -> Path:
        """The current folder, with the input in it."""
        return self.root / "work"

    @property
    def data(self) -> Path:
        """``GLIMPSE_DATA_DIR``."""
        return self.root / "data"

    @property
    def home(self) -> Path:
        """The user's home."""
        return self.root / "home"

    @property
    def outside(self) -> Path:
        """Where nothing may ever be written."""
        return self.root / "outside"

    def run(self, name: str = "run") -> Path:
        """Copy a trained run to ``runs/theirs`` and return its folder."""
        folder = self.work / "runs" / "theirs"
        if not folder.exists():
            shutil.copytree(self.assets / name, folder)
        return folder

    def text(self, name: str, content: str | bytes) -> Path:
        """Write a file of the input and return its path."""
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


def _nothing(box: Box) -> None:
    """Make no input."""


@dataclass(frozen=True)
class Case:
    """One input.

    :param name: the input in words
    :param wanted: "message", "value" or "either"
    :param do: what a user does; returns what was checked of the value, and raises a
        ``WrongValueError`` where it is wrong
    :param make: makes the input, before anything is watched
    :param may_write: names below the box that the call is meant to write to
    :param limit: seconds
    """

    name: str
    wanted: str
    do: Callable[[Box], Any]
    make: Callable[[Box], Any] = _nothing
    may_write: tuple[str, ...] = ()
    limit: float = 120.0
    area: str = ""

    def of(self, area: str) -> Case:
        """Return the case as one of an area."""
        return replace(self, area=area)


def refused(name: str, do: Callable[[Box], Any], *make: Callable[[Box], Any], **more: Any) -> Case:
    """Return a case that must end with a clear message."""
    return Case(name, "message", do, *make, **more)


def works(name: str, do: Callable[[Box], Any], *make: Callable[[Box], Any], **more: Any) -> Case:
    """Return a case that must go through, with the right value."""
    return Case(name, "value", do, *make, **more)


def either(name: str, do: Callable[[Box], Any], *make: Callable[[Box], Any], **more: Any) -> Case:
    """Return a case that may be refused, or go through with the right value."""
    return Case(name, "either", do, *make, **more)


def check(right: Any, what: str) -> str:
    """Return what was checked; raise a ``WrongValueError`` unless it is right."""
    if not right:
        raise WrongValueError(f"not so: {what}")
    return what


def symlink(link: Path, target: Any) -> None:
    """Make a symbolic link and its folder."""
    link.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(target, link)
