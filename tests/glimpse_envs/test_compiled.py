"""Kernels give the same numbers when Python runs them, as under a debugger."""

import os
import subprocess
import sys

import pytest

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
print(canvases.tolist())
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


@pytest.mark.parametrize("script", [EPISODE, CANVAS], ids=["episode", "canvas"])
def test_without_compilation_the_numbers_are_the_same(script):
    compiled = printed(script)
    assert len(compiled) > 100
    assert printed(script, NUMBA_DISABLE_JIT="1") == compiled
