"""How commands end."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import time
import weakref
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from glimpse_lab.cli import ending
from glimpse_lab.cli.ending import carry_out, number, one_line
from glimpse_lab.console import forgiving_console


def raising(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("a\n  b\n"), "error: a b"),
        (OSError(28, "No space left on device"), "error: [Errno 28] No space left on device"),
        (ModuleNotFoundError("No module named 'x'"), "error: No module named 'x'"),
        (KeyError("x"), "error: unexpected KeyError: 'x'; the same command with --debug"),
        (MemoryError(), "error: unexpected MemoryError: MemoryError; the same"),
        (ZeroDivisionError(), "error: unexpected ZeroDivisionError"),
    ],
)
def test_a_failure_is_one_line(
    error: Exception, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        carry_out(lambda: raising(error), debug=False, interrupted="")
    errors = capsys.readouterr().err
    assert end.value.code == 1 and errors.startswith(message) and errors.count("\n") == 1
    with pytest.raises(type(error)):
        carry_out(lambda: raising(error), debug=True, interrupted="")


def test_a_very_long_message_keeps_its_ends() -> None:
    told = one_line(ValueError(f"got --name {'x' * 10_000}; wanted a plain name"))
    assert len(told) < 1_100 and "[...]" in told
    assert told.startswith("got --name x") and told.endswith("x; wanted a plain name")


def test_ctrl_c_is_told_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        carry_out(lambda: raising(KeyboardInterrupt()), debug=False, interrupted="stopped")
    assert end.value.code == 130 and capsys.readouterr().err == "stopped\n"


def test_a_message_of_nothing_is_the_kind_of_error() -> None:
    assert one_line(EOFError()) == "EOFError" and one_line(" a \n\n b") == "a b"


def test_a_console_that_lacks_characters_gets_others(monkeypatch: pytest.MonkeyPatch) -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", console)
    with forgiving_console():
        print("caf\xe9 \udce9 猫")
    console.flush()
    assert console.buffer.getvalue() == b"caf? ? ?\n" and console.errors == "strict"
    with pytest.raises(UnicodeEncodeError):
        print("caf\xe9")


def test_a_command_whose_reader_has_ended_ends_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        with pytest.raises(SystemExit) as end:
            carry_out(lambda: print("x" * 100_000), debug=False, interrupted="")
        monkeypatch.undo()
    assert end.value.code == 1 and capsys.readouterr().err == ""


def test_another_pipe_that_breaks_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        carry_out(lambda: raising(BrokenPipeError("ffmpeg")), debug=False, interrupted="")
    assert capsys.readouterr().err == "error: ffmpeg\n"


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """What Ctrl-C does is put back after the test."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_is_heard_twice_and_the_last_word_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    heard = 0

    def work() -> None:
        nonlocal heard
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            heard += 1
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                heard += 1
                signal.raise_signal(signal.SIGINT)
        raise KeyboardInterrupt("stopped at 7")

    with pytest.raises(SystemExit) as end:
        carry_out(work, debug=False, interrupted="stopped")
    assert end.value.code == 130 and heard == 2
    assert capsys.readouterr().out == "\nstopped at 7\n"
    signal.raise_signal(signal.SIGINT)  # as while the interpreter ends


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_while_the_last_word_is_said_cuts_nothing_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("stopped at 7") from None

    stop, called = ending._stop, []

    def interrupted(*args: Any) -> NoReturn:
        called.append(1)
        if len(called) == 1:
            signal.raise_signal(signal.SIGINT)
        stop(*args)

    monkeypatch.setattr(ending, "_stop", interrupted)
    with pytest.raises(SystemExit) as end:
        carry_out(work, debug=False, interrupted="stopped")
    assert end.value.code == 130 and len(called) == 2
    assert capsys.readouterr().out == "\nstopped at 7\n"


def test_ctrl_c_in_a_callback_of_the_interpreter_is_heard_a_moment_later() -> None:
    class Thing:
        pass

    def work() -> None:
        thing = Thing()
        reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
        del thing  # what is raised in the callback is lost
        assert reference() is None
        for _ in range(1000):
            time.sleep(0.01)
        raise AssertionError("it was not heard")

    with pytest.raises(SystemExit) as stopped:
        carry_out(work, debug=False, interrupted="stopped")
    assert stopped.value.code == 130


def test_a_number_of_the_command_line() -> None:
    assert number("2e5") == 200_000
    with pytest.raises(argparse.ArgumentTypeError, match=r"got '2k'; wanted a number, such as"):
        number("2k")
