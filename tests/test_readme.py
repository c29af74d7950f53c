"""The README's Python examples run, each by itself."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def line_of(code: str) -> str:
    """Name an example by where it begins."""
    before, _, _ = README.partition(code)
    return f"line {before.count(chr(10)) + 1}"


def run(code: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Run an example as a module of its own; return its names."""
    module = ModuleType("readme_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # its dataclasses ask for it
    exec(compile(code, "README.md", "exec"), vars(module))
    return vars(module)


@pytest.mark.parametrize("code", BLOCKS, ids=line_of)
def test_an_example_runs_by_itself(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(code, monkeypatch)


def test_there_are_examples_and_the_last_one_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(BLOCKS) >= 6
    env = run(BLOCKS[-1], monkeypatch)["env"]  # a classifier of one's own answers
    env.reset(seed=0)
    for step in range(5):
        *_, terminated, _, info = env.step([0.1 * step, -0.1 * step])
    assert terminated and info["prediction"] >= 0
