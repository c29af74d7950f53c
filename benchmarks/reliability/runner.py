"""Runs cases, each in a fork of a process that has imported everything, and judges them."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
from cases import Box, Case, Outcome, RefusedError, SkippedError, UnclearError, WrongValueError

ROOT = Path(__file__).resolve().parents[2]
OURS = tuple(str(ROOT / name) + os.sep for name in ("glimpse_envs", "policies", "glimpse_lab"))
FORESEEN = (ValueError, OSError, ImportError, gym.error.Error)
MEMORY = 12 * 2**30  # bytes of addresses; a case that wants more gets a MemoryError
LONGEST = 2_000  # characters of a message that is still read
#: what a call may change: runs, trained classifiers, temporary files, caches of other libraries
FREE = ("tmp", "work/runs", "work/comparison", "data/classifiers", "home/.cache", "log")


class Row(NamedTuple):
    """One line of the table."""

    area: str
    input: str
    expectation: str
    outcome: Outcome
    message: str


def run(case: Case, assets: Path) -> Row:
    """Carry out one case in a process of its own."""
    root = Path(tempfile.mkdtemp(prefix="case-"))
    box = Box(root, assets)
    for name in ("work", "data", "home", "outside", "tmp", "log"):
        (root / name).mkdir()
    child = os.fork()
    if not child:
        _in_child(case, box)
    try:
        outcome, message = _wait(child, case.limit, root / "log" / "result.json")
    finally:
        _remove(root)
    message = message.replace(str(root), "BOX").replace(str(ROOT), "REPOSITORY")
    return Row(case.area, case.name, case.wanted, outcome, " ".join(message.split())[:400])


def _in_child(case: Case, box: Box) -> None:
    """Judge the case, write what came of it, and end."""
    status = 1
    try:
        os.setsid()
        _enter(box)
        outcome, message = judge(case, box)
        file = box.root / "log" / "result.json"
        file.write_text(json.dumps([outcome, message.encode(errors="replace").decode()]))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _enter(box: Box) -> None:
    """Make the box the world of this process."""
    for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        os.environ.pop(name, None)
    os.environ |= {
        "HOME": str(box.home),
        "GLIMPSE_DATA_DIR": str(box.data),
        "TMPDIR": str(box.root / "tmp"),
        "MPLCONFIGDIR": str(box.root / "tmp"),
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "offline",
    }
    tempfile.tempdir = None
    os.chdir(box.work)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.flush()
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(box.root / "log" / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)


def _wait(child: int, limit: float, result: Path) -> tuple[Outcome, str]:
    """Wait for a process; kill it with all that it started when its time is over."""
    end = time.monotonic() + limit
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return Outcome.HANG, f"more than {limit:g} s"
        time.sleep(0.005)
    if os.WIFSIGNALED(status):
        return Outcome.CRASH, signal.Signals(os.WTERMSIG(status)).name
    if not result.exists():
        errors = result.with_name("err").read_text(errors="replace")
        return Outcome.CRASH, f"ended without a result: {errors[-300:]}"
    outcome, message = json.loads(result.read_text())
    return Outcome(outcome), message


def judge(case: Case, box: Box) -> tuple[Outcome, str]:
    """Return what came of a case, and in which words."""
    try:
        case.make(box)
    except SkippedError as error:
        return Outcome.SKIPPED, str(error)
    before = snapshot(box.root, case.may_write)
    runs = set((box.work / "runs").glob("*/*"))
    outcome, message = _carry_out(case, box)
    after = snapshot(box.root, case.may_write)
    changed = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
    if changed:
        return Outcome.OUTSIDE, f"{', '.join(changed)} ({outcome}: {message})"
    left = set((box.work / "runs").glob("*/*")) - runs
    if outcome is Outcome.MESSAGE and left:
        return Outcome.LEFT, f"{', '.join(path.name for path in left)} ({message})"
    return outcome, message


def _carry_out(case: Case, box: Box) -> tuple[Outcome, str]:
    try:
        value = case.do(box)
    except WrongValueError as error:
        return Outcome.SILENT, str(error)
    except SkippedError as error:
        return Outcome.SKIPPED, str(error)
    except RefusedError as error:
        return _after_message(case, str(error))
    except UnclearError as error:
        return Outcome.TRACEBACK, str(error)
    except BaseException as error:
        message = f"{type(error).__name__}: {error}"
        if is_clear(error):
            return _after_message(case, message)
        places = traceback.extract_tb(error.__traceback__)[-3:]
        where = " > ".join(f"{Path(place.filename).name}:{place.lineno}" for place in places)
        return Outcome.TRACEBACK, f"{message} [{where}]"
    if case.wanted == "message":
        return Outcome.SILENT, f"nothing was said; got {value!r}"
    if not isinstance(value, str):
        return Outcome.SILENT, f"the case checks nothing: {value!r}"
    return Outcome.WORKS, value


def _after_message(case: Case, message: str) -> tuple[Outcome, str]:
    return (Outcome.REFUSED if case.wanted == "value" else Outcome.MESSAGE), message


def is_clear(error: BaseException) -> bool:
    """Return whether an exception is a message that somebody meant.

    It is of a kind that a caller expects, says something, and was raised by this software, by
    Gymnasium in its own words, or by Python for arguments that a function does not take.
    """
    frames = traceback.extract_tb(error.__traceback__)
    inner = frames[-1].filename
    if isinstance(error, TypeError):  # "got an unexpected keyword argument"
        return any(words in str(error) for words in ("keyword argument", "required positional"))
    ours = inner.startswith(OURS) or isinstance(error, gym.error.Error)
    return isinstance(error, FORESEEN) and ours and 15 <= len(str(error)) <= LONGEST


def snapshot(root: Path, may_write: tuple[str, ...] = ()) -> dict[str, str]:
    """Return what all files and folders hold that a call must leave alone."""
    free = tuple(str(root / name) for name in (*FREE, *may_write))
    found = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in free]
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            if path not in free:
                found[os.path.relpath(path, root)] = _state(path)
    return found


def _state(path: str) -> str:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(path)
    if stat.S_ISREG(status.st_mode) and status.st_size < 2**24:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return f"{stat.S_IFMT(status.st_mode)} {status.st_size if stat.S_ISREG(status.st_mode) else ''}"


def _remove(root: Path) -> None:
    for folder, _, _ in os.walk(root):
        os.chmod(folder, 0o700)
    shutil.rmtree(root, ignore_errors=True)


def command(main: Callable[[], None], box: Box, name: str, *words: str) -> tuple[str, str]:
    """Call a script's ``main`` as its user does; return what it printed, output and errors.

    :raises RefusedError: if it ended with one line of error
    :raises UnclearError: if it ended in another way
    """
    logs = box.root / "log" / "out", box.root / "log" / "err"
    before = [log.stat().st_size for log in logs]
    sys.argv = [str(ROOT / name), *(word.replace("BOX", str(box.root)) for word in words)]
    status: Any = 0
    try:
        main()
    except SystemExit as end:
        status = end.code or 0
    except BaseException as error:
        raise UnclearError(f"{type(error).__name__}: {error}") from error
    sys.stdout.flush(), sys.stderr.flush()
    output, errors = (
        log.read_bytes()[start:].decode(errors="replace")
        for log, start in zip(logs, before, strict=True)
    )
    if status:
        check_ending(status, errors)
    return output, errors


def check_ending(status: Any, errors: str) -> None:
    """Raise a ``RefusedError`` for a failure told in one line, or else an ``UnclearError``."""
    if isinstance(status, str):  # that sys.exit was given, and prints
        errors, status = errors + status, 1
    lines = [line for line in errors.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("error: ")]
    meant = len(told) == 1 and lines[-1] == told[0] and not told[0].startswith("error: unexpected ")
    if status not in (1, 2) or not meant or "Traceback" in errors or len(told[0]) > LONGEST:
        raise UnclearError(f"status {status}: {errors[-600:]}")
    raise RefusedError(told[0])
