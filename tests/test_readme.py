"""The README's Python examples run, in order, in one namespace."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_python_examples_run() -> None:
    namespace: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) >= 6
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    env = namespace["env"]  # the last one: a classifier of one's own answers
    env.reset(seed=0)
    for step in range(5):
        *_, terminated, _, info = env.step([0.1 * step, -0.1 * step])
    assert terminated and info["prediction"] >= 0
