"""Functions called in processes of their own that have imported what is slow to import.

For what changes the whole process it runs in, as rl_zoo3 does, and for what is interrupted. A
server imports packages of others once; every call is a fork of it, which begins at once, imports
ours, and ends with all that it changed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts import ROOT, Finished

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "rl_zoo3.exp_manager",
        "matplotlib.backends.backend_agg",
        "numba",
        "optuna",
        "sb3_contrib",
        "scipy.ndimage",
        "sklearn.datasets",
        "torch._dynamo",
    ]
)


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


class ForkedScript:
    """A script in a process of its own, with what :class:`subprocess.Popen` has for its tests.

    :param main: such as that of ``glimpse_lab.cli.train``
    :param arguments: of its command line
    :param name: of the script
    :param place: the folder that it begins in
    """

    def __init__(
        self,
        main: Callable[[], None],
        *arguments: object,
        name: str = "train.py",
        place: Path = ROOT,
    ) -> None:
        self._folder = TemporaryDirectory()
        self._files = [Path(self._folder.name, stream) for stream in ("output", "errors")]
        for file in self._files:
            file.touch()  # to be read, if the process is killed before it opens them
        words = [str(ROOT / name), *map(str, arguments)]
        call = (_run_script, (main, words, place), *self._files)
        self._process = _FORKS.Process(target=_redirected, args=call)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit status, of a signal as a negative number; None until it has ended."""
        return self._process.exitcode

    @property
    def pid(self) -> int | None:
        """The number of the process."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, None until it has ended."""
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end; return what was written to both streams.

        :raises subprocess.TimeoutExpired: if it has not ended by then
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        output, errors = (file.read_text() for file in self._files)
        return output, errors


def _run_script(main: Callable[[], None], words: list[str], place: Path) -> None:
    os.chdir(place)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also below a shell's background
    sys.argv = words
    main()
