"""Functions called in processes of their own that have imported what is slow to import.

For what changes the whole process it runs in, as rl_zoo3 does. A server imports the packages once;
every call is a fork of it, which begins at once and ends with all that it changed.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts import ROOT, Finished

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["rl_zoo3.exp_manager", "torch._dynamo", "sklearn.datasets"])


def call_in_fork(function: Callable[..., None], *arguments: object) -> Finished:
    """Call a function of a module's top level in the top folder, in a new process."""
    with TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        process = _FORKS.Process(target=_redirected, args=(function, arguments, output, errors))
        process.start()
        process.join()
        return Finished(process.exitcode, output.read_text(), errors.read_text())


def _redirected(
    function: Callable[..., None], arguments: tuple[object, ...], output: Path, errors: Path
) -> None:
    os.chdir(ROOT)
    for stream, file in ((1, output), (2, errors)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream)
    function(*arguments)
