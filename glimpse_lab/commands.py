"""Commands that the scripts tell their users."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn


def command(script: str, *words: object, packages: Sequence[str] = ()) -> str:
    """Return how to call a script from the current folder, as the running one was called.

    :param script: "train.py" or "eval.py"; the console command where neither of them runs
    :param words: arguments
    :param packages: of the user's own, to be named again
    """
    running = Path(sys.argv[0])
    if running.parent.name == "cli":  # as a module
        call = ["python", "-m", f"glimpse_lab.cli.{Path(script).stem}"]
    elif running.name in ("train.py", "eval.py"):
        call = ["python", os.path.relpath(running.with_name(script))]
    else:
        call = [f"glimpse-{Path(script).stem}"]
    if packages:
        words = (*words, "--packages", *packages)
    return shlex.join([*call, *map(str, words)])


def stop() -> NoReturn:
    """End after Ctrl-C, where the same command goes on.

    :raises KeyboardInterrupt: which says so
    """
    go_on = command("train.py", *sys.argv[1:])
    raise KeyboardInterrupt(f"stopped. Go on with the same command:  {go_on}") from None
