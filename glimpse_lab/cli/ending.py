"""How a command begins and ends: its words are checked, and every failure is one line."""

from __future__ import annotations

import _thread
import argparse
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from glimpse_lab.console import forgiving_console

LONGEST = 1_000  # characters of a message, which may repeat what it was given
FORESEEN = (ValueError, OSError, ImportError)  # ImportError: of an extra that is not installed


class Parser(argparse.ArgumentParser):
    """A parser of command lines that says in one line what is wrong, without the usage.

    :param description: shown by --help as it is
    :param settings: of ``argparse.ArgumentParser``
    """

    def __init__(self, description: str | None = None, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(description=description, **settings)

    def error(self, message: str) -> NoReturn:
        """End with the message."""
        self.exit(2, f"error: {one_line(message)} (--help tells all arguments)\n")


def add_machine_arguments(group: argparse._ArgumentGroup) -> None:
    """Add what all commands have: --device, --threads, --packages and --debug."""
    group.add_argument("--device", default="cpu", help="cpu, cuda or auto; default: %(default)s")
    group.add_argument(
        "--threads",
        type=threads,
        default=1,
        metavar="N",
        help="of PyTorch; more are slower on such small networks; default: %(default)s",
    )
    group.add_argument(
        "--packages",
        nargs="+",
        default=[],
        type=text,
        metavar="NAME",
        help="packages of your own whose parts, policies or callbacks are named",
    )
    group.add_argument("--debug", action="store_true", help="show the traceback of a failure, too")


def text(word: str) -> str:
    """Return a word of the command line that is not empty."""
    if not word.strip():
        raise argparse.ArgumentTypeError("got an empty text; leave the argument out, or fill it")
    return word


def path(word: str) -> Path:
    """Return a path of the command line that is not empty."""
    return Path(text(word))


def integer(low: int, high: int) -> Callable[[str], int]:
    """Return what reads an integer of a range from the command line."""

    def read(word: str) -> int:
        try:
            number = int(word)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"got {word!r}; wanted an integer, {low} to {high:,}")
        return number

    return read


def number(word: str) -> float:
    """Return a number of the command line, such as 2e5."""
    try:
        return float(word)
    except ValueError:
        message = f"got {word!r}; wanted a number, such as 20000 or 2e5"
        raise argparse.ArgumentTypeError(message) from None


def threads(word: str) -> int:
    """Return a number of threads, not more than this machine has cores."""
    number, cores = integer(1, 2**31)(word), os.cpu_count() or 1
    if number > cores:
        print(f"got --threads {number}; this machine has {cores}: {cores} taken", file=sys.stderr)
    return min(number, cores)


def one_line(error: object) -> str:
    """Return the message of an error in one line, its middle left out where it is very long.

    Its kind, where it says nothing.
    """
    words = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if len(words) > LONGEST:
        words = f"{words[: LONGEST // 2]} [...] {words[-LONGEST // 2 :]}"
    return words or type(error).__name__


def told(error: BaseException) -> str:
    """Return in one line why something failed; the kind, too, of what no one had foreseen."""
    if isinstance(error, FORESEEN):
        return one_line(error)
    return f"unexpected {type(error).__name__}: {one_line(error)}"


def carry_out(work: Callable[[], None], *, debug: bool, interrupted: str) -> None:
    """Do the work of a command; end the process with one line if it fails.

    The first Ctrl-C ends the work and the second its saving. More pass unheard, so that they do not
    cut off the last word, which is what the ``KeyboardInterrupt`` says.

    :param work: what the command does
    :param debug: let failures through, with their tracebacks
    :param interrupted: the last word where the ``KeyboardInterrupt`` says nothing
    :raises SystemExit: with status 1 after a failure, 130 after Ctrl-C
    """
    with forgiving_console(), _interrupted_at_most_twice():
        try:
            try:
                with _quiet_where_nobody_reads():
                    _tell_failures(work, debug)
            except KeyboardInterrupt as interrupt:
                _stop(interrupt, interrupted)
        except KeyboardInterrupt as second:  # while that was said
            _stop(second, interrupted)


@contextmanager
def _quiet_where_nobody_reads() -> Iterator[None]:
    """End without a word where the reader of the output has ended: ``... | head -1``."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        if not _nobody_reads():  # it was another pipe that broke
            _fail(told(error))
        # what is left to write goes nowhere, or the interpreter would tell of it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _nobody_reads() -> bool:
    """Whether the output is a pipe whose reader has ended."""
    try:
        output = sys.stdout.fileno()
    except (OSError, ValueError):  # it is no file
        return False
    if not hasattr(select, "poll"):  # as on Windows
        return False
    poll = select.poll()
    poll.register(output, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _tell_failures(work: Callable[[], None], debug: bool) -> None:
    try:
        work()
    except BrokenPipeError:
        raise
    except Exception as error:
        if debug:
            raise
        where = "" if isinstance(error, FORESEEN) else "; the same command with --debug shows where"
        _fail(told(error) + where)


@contextmanager
def _interrupted_at_most_twice() -> Iterator[None]:
    """Let Ctrl-C raise ``KeyboardInterrupt`` twice; after one, it is not heard any more at the end.

    One that comes while the interpreter is in a callback of its own (of a weak reference, say), out
    of which no exception gets, is heard a moment later. Elsewhere than in the main thread nothing
    changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = 0

    def interrupt(*_: object) -> None:
        nonlocal heard
        heard += 1
        if heard <= 2:
            raise KeyboardInterrupt

    def again(lost: sys.UnraisableHookArgs) -> None:
        nonlocal heard
        if lost.exc_type is not KeyboardInterrupt:
            tell(lost)
            return
        heard -= 1
        timer = threading.Timer(0.05, _thread.interrupt_main)
        timer.daemon = True
        timer.start()

    before, tell = signal.signal(signal.SIGINT, interrupt), sys.unraisablehook
    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = tell
        # the interpreter, while it ends, would be killed by one more
        # None: it was not Python that had set it
        usual = signal.default_int_handler if before is None else before
        signal.signal(signal.SIGINT, signal.SIG_IGN if heard else usual)


def _stop(interrupt: BaseException, otherwise: str) -> NoReturn:
    """Say the last word, which the interrupt may have from the one that it came upon."""
    said: BaseException | None = interrupt
    while said is not None and not (isinstance(said, KeyboardInterrupt) and str(said)):
        said = said.__context__
    if said is None:
        print(otherwise, file=sys.stderr)
    else:
        print(f"\n{said}")
    sys.stdout.flush()
    sys.exit(130)


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)
