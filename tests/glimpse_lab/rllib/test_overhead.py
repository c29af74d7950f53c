"""The comparison of RLlib's costs with those of Stable-Baselines3, in short."""

from __future__ import annotations

import re

import pytest
from scripts import load_script, succeed

pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')

SCRIPT = "benchmarks/ray_overhead.py"


def test_all_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    # else of 15, and other work on this machine would starve runners
    monkeypatch.setenv("RAY_worker_niceness", "0")
    arguments = ["--env", "GlimpseDigits-Saccade-v0", "--seconds", 0.1]
    output = succeed(load_script(SCRIPT).main, *arguments, name=SCRIPT)
    for row in ("Stable-Baselines3", "RLlib, 0 runners", "RLlib, 1 runners", "RLlib, 2 runners"):
        assert re.search(rf"{row}\W+\d", output), output
    assert re.search(r"weights \d+ kB; rollouts \d+ bytes a timestep", output), output
