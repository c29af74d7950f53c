"""A training in a process of its own, watched from outside by the progress bars that it draws.

Nothing is put into the training: it draws its bars on a terminal that this process reads, twice a
second at most, and the newest numbers tell how far it is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

#: parts of a training's life, in their order; "start" lasts until the first bar
PHASES = ("start", "pretraining", "training", "evaluation")

_BARS = {"classifier": "pretraining", "training": "training", "evaluating": "evaluation"}
_SCALES = {"": 1, "k": 1_000, "M": 1_000_000}
_COUNT = r"(\d+(?:\.\d+)?)([kM]?)"
_BAR = re.compile(rf"^({'|'.join(_BARS)})\b[^|]*\|[^|]*\|\s*{_COUNT}/{_COUNT}\s")
_COLUMNS = 200  # enough for whole bars


class Progress(NamedTuple):
    """What a bar showed; later progress compares as larger.

    :param phase: index into ``PHASES``
    :param done: episodes of the pretraining, timesteps of the training (three digits of them),
        or images of the evaluation
    """

    phase: int
    done: float

    @property
    def name(self) -> str:
        """The name of the phase."""
        return PHASES[self.phase]


START = Progress(0, 0.0)


class Bar(NamedTuple):
    """One drawing of a progress bar.

    :param progress: that it shows
    :param total: where it ends
    """

    progress: Progress
    total: float


def read_bar(line: str) -> Bar | None:
    """Return what a line of the terminal shows; None where it is no bar of a training."""
    found = _BAR.match(line.strip())
    if found is None:
        return None
    name, done, done_scale, total, total_scale = found.groups()
    phase = PHASES.index(_BARS[name])
    return Bar(
        Progress(phase, float(done) * _SCALES[done_scale]), float(total) * _SCALES[total_scale]
    )


class Watched:
    """A running ``train.py``.

    :param arguments: of its command line
    :param log: where its output is added to, bars and all
    :param environment: variables beside those of this process
    :ivar began: when it was started, seconds since the epoch
    :ivar seen: when each new progress was seen, seconds since the epoch, with its bar
    """

    def __init__(
        self, arguments: Sequence[object], log: Path, environment: Mapping[str, str]
    ) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, _COLUMNS, 0, 0))
        self.seen: list[tuple[float, Bar]] = []
        self.began = time.time()
        try:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "train.py"), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                env={**os.environ, **environment},
                process_group=0,  # Ctrl-C is for the benchmark, which ends what it started
                # in the background of a shell this process may be deaf to Ctrl-C; the training
                # is not
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        finally:
            os.close(theirs)
        self._reader = threading.Thread(target=self._read, args=(ours, log), daemon=True)
        self._reader.start()

    def _read(self, terminal: int, log: Path) -> None:
        rest = ""
        with log.open("ab") as kept:
            while data := _read_some(terminal):
                kept.write(data)
                *lines, rest = re.split(r"[\r\n]", rest + data.decode(errors="replace"))
                # a bar that is being drawn ends without a line's end
                for line in (*lines, rest):
                    bar = read_bar(line)
                    if bar is not None and (not self.seen or self.seen[-1][1] != bar):
                        self.seen.append((time.time(), bar))
        os.close(terminal)

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self.seen[-1][1].progress if self.seen else START

    @property
    def share(self) -> float:
        """How much of its phase is done, in [0, 1]; 0 before the first bar."""
        return self.seen[-1][1].progress.done / self.seen[-1][1].total if self.seen else 0.0

    @property
    def first(self) -> tuple[float, Progress] | None:
        """When it drew its first bar, and the progress on it; None before."""
        return (self.seen[0][0], self.seen[0][1].progress) if self.seen else None

    def entered(self, phase: str) -> float | None:
        """Return when a phase or a later one began, seconds since the epoch; None before it."""
        index = PHASES.index(phase)
        if index == 0:
            return self.began
        times = [when for when, bar in self.seen if bar.progress.phase >= index]
        return times[0] if times else None

    def running(self) -> bool:
        """Return whether it runs."""
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> float:
        """Send a signal.

        :return: when, seconds since the epoch
        """
        when = time.time()
        self._process.send_signal(number)
        return when

    def wait(self, seconds: float) -> int:
        """Wait for the end, and for the last of the output.

        :return: the exit status; below 0 for the number of the signal that ended it
        :raises TimeoutError: if it still runs
        """
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"the training did not end within {seconds:.0f} s") from error
        self._reader.join(seconds)
        return status

    def end(self) -> None:
        """Kill it, if it still runs."""
        if self.running():
            self._process.kill()
            self._process.wait()


def _read_some(terminal: int) -> bytes:
    """Return what a terminal holds; nothing once the other side has closed it."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError as error:
        if error.errno != errno.EIO:  # how Linux tells the end
            raise
        return b""
