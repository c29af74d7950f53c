"""The examples on a tiny budget."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from scripts import load_script, succeed


def run(script: str, *arguments: object) -> str:
    """Run an example that must succeed; return what it printed."""
    path = f"examples/{script}"
    return succeed(load_script(path).main, *arguments, name=path)


def test_the_single_file_loop_trains() -> None:
    output = run("cleanrl_ppo.py", "--total-timesteps", 2048, "--num-envs", 32)
    lines = re.findall(r"([\d,]+) steps  accuracy (\d\.\d+)  glimpses (\d\.\d+)", output)
    assert lines[-1][0] == "2,048" and len(lines) == 4
    assert all(1.0 <= float(glimpses) <= 4.0 for *_, glimpses in lines)


@pytest.mark.slow
def test_the_single_file_loop_learns() -> None:
    output = run("cleanrl_ppo.py", "--total-timesteps", 200_000)
    accuracies = [float(found) for found in re.findall(r"accuracy (\d\.\d+)", output)]
    assert accuracies[0] < 0.2 and accuracies[-1] > 0.7


@pytest.mark.skipif(
    importlib.util.find_spec("torchrl") is None,
    reason='needs TorchRL, which the test extra leaves out: pip install -e ".[torchrl]"',
)
def test_torchrl_rolls_out_and_trains() -> None:
    output = run("torchrl_rollout.py", "--total-timesteps", 4096)
    assert re.search(r"one episode: \d+ steps, reward [01]", output)
    assert len(re.findall(r"steps  accuracy \d\.\d+", output)) == 2


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason='needs Ray, which the test extra leaves out: pip install -e ".[ray]"',
)
def test_rllib_trains_saves_and_goes_on(tmp_path: Path) -> None:
    tiny = ["--env", "GlimpseDigits-MultiCat-v0", "--lanes", 32, "--runs", tmp_path]
    tiny += ["--trunk", "gru", "--name", "tiny", "--total-timesteps", 1000, "--set"]
    tiny += ["callback.CoTrainingCallback.pretraining=256", "n_steps=16", "batch_size=256"]
    output = run("rllib_ppo.py", *tiny)
    steps = re.findall(r"([\d,]+) steps  accuracy \d\.\d+", output)
    assert len(steps) == 2 and re.search(r"accuracy +\d+\.\d+ %", output)
    folder = tmp_path / "GlimpseDigits-MultiCat-v0" / "tiny"
    assert {"metrics.json", "model.zip"} <= {file.name for file in folder.iterdir()}
    again = run("rllib_ppo.py", "--resume", folder, "--total-timesteps", 1500)
    assert len(re.findall(r"steps  accuracy", again)) == 1
