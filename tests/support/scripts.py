"""``train.py``, ``eval.py`` and others as a user calls them: in this process, or in one of its own.

A process spends seconds on importing PyTorch before it begins, so :func:`call` is what most tests
take; :func:`start` is for those whose subject is the process: signals, kills, tracebacks.
``forks.ForkedScript`` is a process of its own, too, which does not import PyTorch anew.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from forks import ForkedScript

ROOT = Path(__file__).parents[2]


class Finished(NamedTuple):
    """How a script ended."""

    status: int
    output: str
    errors: str


def call(main: Callable[[], None], *arguments: object, name: str = "train.py") -> Finished:
    """Call a script's ``main`` in this process.

    :param main: such as that of ``glimpse_lab.cli.train``
    :param arguments: of its command line
    :param name: of the script, which it tells its user in commands
    :return: as of a process: what ``sys.exit`` is given is printed to the errors
    """
    output, errors, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(ROOT / name), *map(str, arguments)])
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
                if isinstance(end.code, str):
                    print(end.code, file=sys.stderr)
    return Finished(status, output.getvalue(), errors.getvalue())


def succeed(main: Callable[[], None], *arguments: object, name: str = "train.py") -> str:
    """Call a script that must succeed; return what it printed."""
    status, output, errors = call(main, *arguments, name=name)
    assert status == 0, output + errors
    return output


def fail(main: Callable[[], None], *arguments: object, name: str = "train.py") -> str:
    """Call a script that must end with a message; return the message."""
    status, output, errors = call(main, *arguments, name=name)
    assert status != 0 and "error: " in errors, output + errors
    return errors


def load_script(path: str) -> ModuleType:
    """Import a script that lies in no package, such as ``benchmarks/robustness.py``."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses ask for it
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return module


def start(script: str, *arguments: object, **settings: object) -> subprocess.Popen[str]:
    """Start a script of the top folder, or of one below it, in a process of its own.

    It hears Ctrl-C even where the tests run in a shell's background, which is deaf to it.
    """
    return subprocess.Popen(
        [sys.executable, str(ROOT / script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **settings,
    )


def finish(process: subprocess.Popen[str] | ForkedScript, timeout: float = 300.0) -> Finished:
    """Wait for the end of a process, which must not be a traceback; kill it if it does not end."""
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError("".join(process.communicate())) from None
    assert "Traceback" not in errors, errors
    return Finished(process.returncode, output, errors)


def wait_until(
    reached: Callable[[], bool],
    process: subprocess.Popen[str] | ForkedScript,
    timeout: float = 300.0,
) -> None:
    """Wait until a running process has come so far; kill it, and fail, if it does not."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and process.poll() is None:
        if reached():
            return
        time.sleep(0.05)
    process.kill()
    raise AssertionError("".join(process.communicate()))


def lines(file: Path) -> int:
    """Return how many lines a file has so far; 0 where there is none."""
    return file.read_text().count("\n") if file.exists() else 0
