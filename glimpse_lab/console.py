"""Printing on consoles that have not all characters."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def forgiving_console() -> Iterator[None]:
    """Print "?" for what the console cannot print, where Python would raise an exception.

    After hours of training a name of a class, or of a folder, must not end it.
    """
    changed = []
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
            changed.append(stream)
    try:
        yield
    finally:
        for stream in changed:
            stream.reconfigure(errors="strict")
