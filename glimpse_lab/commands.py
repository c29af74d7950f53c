"""Commands that the scripts tell their users."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn


def command(script: str, *words: object, packages: Sequence[str] = ()) -> str:
    """Return how to call a script from the current folder.

    :param script: in the folder of the one that runs
    :param words: arguments
    :param packages: of the user's own, to be named again
    """
    path = os.path.relpath(Path(sys.argv[0]).with_name(script))
    words = (*words, *(["--packages", *packages] if packages else []))
    return shlex.join(["python", path, *map(str, words)])


def stop() -> NoReturn:
    """End after Ctrl-C, where the same command goes on."""
    print(f"\nstopped. Go on with the same command:  {command('train.py', *sys.argv[1:])}")
    sys.exit(130)
