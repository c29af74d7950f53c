"""Kernels give the same numbers when Python runs them, as under a debugger."""

import contextlib
import errno
import io
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glimpse_envs import compiled
from glimpse_envs.compiled import kernel

EPISODE = """
import warnings
import gymnasium
import numpy as np
import glimpse_envs

warnings.simplefilter("error")
for sensor in ("Crop", {"type": "Retina", "size": 4, "scales": 2}):
    env = gymnasium.make("GlimpseDigits-MultiCat-v0", sensor=sensor, augment="ShiftFlip")
    moves = [[0, 2, 0], [3, 2, 0], [1, 1, 0], [6, 2, 4]]
    steps = [env.reset(seed=0)] + [env.step(np.array(move)) for move in moves]
    print([step[0]["glimpse"].sum() for step in steps], [step[-1] for step in steps])
"""
CANVAS = """
import numpy as np
import torch as th
from policies.classifier.canvas import CanvasLayout

layout, rng = CanvasLayout(12, 10, 1, 4, 2, 4, 1.0, 1.0, interpolate=True), np.random.default_rng(0)
glimpses = rng.integers(0, 256, (2, 3, 4, 8, 1), dtype=np.uint8)
gaze, counts = rng.random((2, 3, 3), np.float32), np.array([3, 1])
canvases = layout.empty(2)
layout.paint(canvases, glimpses, gaze, counts)
print(canvases.tolist(), layout.painted(glimpses, gaze, counts, 8).tolist())
print(layout.planes(canvases, th.device("cpu")).tolist())
print(layout.gather(th.as_tensor(glimpses).permute(0, 1, 4, 2, 3).double(), gaze, counts).tolist())
"""


def printed(script: str, **variables: str) -> str:
    """What a script prints in a process with these environment variables."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def printed_here(script: str) -> str:
    """What a script prints in this process, which has imported what is slow to import."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), warnings.catch_warnings():
        exec(script, {})
    return output.getvalue()


@pytest.mark.slow
def test_without_compilation_the_numbers_are_the_same() -> None:
    compiled = [printed_here(EPISODE), printed_here(CANVAS)]
    assert min(map(len, compiled)) > 100
    assert printed(EPISODE + CANVAS, NUMBA_DISABLE_JIT="1") == "".join(compiled)


KERNEL = """
from glimpse_envs import compiled
from glimpse_envs.compiled import kernel

@kernel
def twice(x):
    return 2 * x

print(twice(21), twice(0.5), "compiled", sum(twice.stats.cache_misses.values()))
"""


@pytest.fixture
def small_kernel(tmp_path: Path) -> str:
    """A script that runs a kernel of two types, whose cache is found by the script's file."""
    script = tmp_path / "kernel.py"
    script.write_text(KERNEL)
    return f"import runpy; runpy.run_path({str(script)!r})"


@pytest.fixture
def small_cache(small_kernel: str, tmp_path: Path) -> Callable[[], str]:
    """Run a kernel in a new process with a cache in ``tmp_path``; the first run fills it."""
    folder = str(tmp_path / "cache")
    assert printed(small_kernel, NUMBA_CACHE_DIR=folder) == "42 1.0 compiled 2\n"
    return lambda: printed(small_kernel, NUMBA_CACHE_DIR=folder)


def break_files(folder: Path, pattern: str, damage: Callable[[bytes], bytes]) -> None:
    """Damage all files of a cache whose names fit a pattern."""
    broken = list(folder.rglob(pattern))
    assert broken
    for file in broken:
        file.write_bytes(damage(file.read_bytes()))


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("*.nbi", lambda data: b""),
        ("*.nbi", lambda data: data[: len(data) // 2]),
        ("*.nbi", lambda data: data[:-1]),
        ("*.nbi", lambda data: b"not a pickle"),
        ("*.nbc", lambda data: b""),
        ("*.nbc", lambda data: data[: len(data) // 3]),
        ("*.nbc", lambda data: bytes(len(data))),
        ("*.nb*", lambda data: data[:20]),
    ],
)
def test_a_cache_that_was_cut_short_is_written_anew(
    small_kernel: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pattern: str,
    damage: Callable[[bytes], bytes],
) -> None:
    """A kernel that is made anew reads the files anew, without a new process."""
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path / "cache"))
    assert printed_here(small_kernel) == "42 1.0 compiled 2\n"
    assert printed_here(small_kernel) == "42 1.0 compiled 0\n"
    break_files(tmp_path / "cache", pattern, damage)
    assert printed_here(small_kernel).startswith("42 1.0 compiled")
    assert printed_here(small_kernel) == "42 1.0 compiled 0\n"


@pytest.mark.slow
def test_the_next_process_writes_a_cache_anew(
    small_cache: Callable[[], str], tmp_path: Path
) -> None:
    break_files(tmp_path / "cache", "*.nb*", lambda data: data[:20])
    assert small_cache().startswith("42 1.0 compiled")
    assert small_cache() == "42 1.0 compiled 0\n"


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_broken_cache_that_cannot_be_written_is_passed_over(small_cache, tmp_path):
    for file in (tmp_path / "cache").rglob("*.nb*"):
        file.write_bytes(b"")
        file.parent.chmod(0o555)
    assert small_cache() == "42 1.0 compiled 2\n"


@pytest.mark.slow
def test_an_import_survives_a_cache_of_which_every_file_is_cut_short(tmp_path):
    whole = printed(EPISODE, NUMBA_CACHE_DIR=str(tmp_path))
    for file in tmp_path.rglob("*.nb*"):
        file.write_bytes(file.read_bytes()[:20])
    assert printed(EPISODE, NUMBA_CACHE_DIR=str(tmp_path)) == whole


def test_a_full_disk_costs_only_the_cache(monkeypatch):
    def no_room(self: Any, name: str, data: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def twice(x: int) -> int:
        return 2 * x

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._save_data", no_room)
    assert kernel(twice)(21) == 42


def test_a_full_disk_is_said_once_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    compiled._say_once.cache_clear()
    monkeypatch.setattr(compiled.FunctionCache, "save_overload", full)
    for _ in range(2):
        kernel(lambda x: x + 1)(1)
    said = capsys.readouterr().err
    assert said.count("No space left on device") == 1 and "NUMBA_CACHE_DIR" in said
