"""Seeds, sweeps and searches as a user runs them: subprocesses on a tiny budget."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from glimpse_lab.cli import train
from glimpse_lab.runs import Run

ROOT = Path(__file__).parents[1]
ENV = "GlimpseDigits-MultiCat-v0"
#: an agent without a classifier: nothing is trained before it
TINY = ["--classifier", "none", "--n-envs", "32", "--no-video"]
TINY += ["--set", "n_steps=16", "batch_size=256", "n_epochs=1", "env_kwargs.budget=3"]


def start(runs: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "train.py"), *TINY, "--runs", str(runs)]
    command += map(str, arguments)
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for a process; return what it printed."""
    output, errors = process.communicate(timeout=240)
    assert process.returncode == code, output + errors
    assert "Traceback" not in errors, errors
    return output + errors


def call(runs: Path, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Call ``train.py`` in this process, sooner than in one of its own."""
    monkeypatch.setattr(sys, "argv", [train.__file__, *TINY, "--runs", str(runs), *arguments])
    train.main()


def wait_for(file: Path, lines: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if file.exists() and file.read_text().count("\n") >= lines:
            return
        time.sleep(0.05)
    process.kill()
    raise AssertionError("".join(process.communicate()))


def test_seeds_are_interrupted_resumed_and_averaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--name", "many", "--seeds", "0-1", "--total-timesteps", "8192"]
    folder = tmp_path / ENV / "many"
    process = start(tmp_path, *arguments)
    wait_for(folder / "seed0" / "progress.csv", 3, process)
    process.send_signal(signal.SIGINT)
    output = finish(process, code=130)
    assert "stopped and saved" in output and "--seeds 0-1" in output
    saved = Run.open(folder / "seed0").saved_timesteps()
    assert 0 < saved < 8192 and not (folder / "seed1").exists()

    output = finish(start(tmp_path, *arguments))
    assert "seed0: going on" in output and "seed1: training" in output
    summary = json.loads((folder / "seeds.json").read_text())
    accuracies = [
        json.loads((folder / f"seed{seed}" / "metrics.json").read_text())["accuracy"]
        for seed in (0, 1)
    ]
    assert summary["n_seeds"] == 2 and summary["seeds"] == [0, 1]
    assert summary["accuracy"]["mean"] == pytest.approx(sum(accuracies) / 2)
    assert f"{100 * summary['accuracy']['mean']:.2f} %" in output
    assert Run.open(folder / "seed1").config.seed == 1

    before = (folder / "seed0" / "model.zip").stat().st_mtime
    capfd.readouterr()
    call(tmp_path, *arguments, monkeypatch=monkeypatch)
    assert "2 of 2 runs are finished already" in capfd.readouterr().out
    assert (folder / "seed0" / "model.zip").stat().st_mtime == before
    with pytest.raises(SystemExit, match=r"recipe\.gamma was 1\.0, is 0\.5"):
        call(tmp_path, *arguments, "--set", "gamma=0.5", monkeypatch=monkeypatch)
    with pytest.raises(SystemExit, match="is a single run"):
        wrong = ["--runs", str(folder.parents[1]), "--name", "many", "--sweep-cost", "0", "1"]
        (folder / "config.yml").touch()
        call(tmp_path, *wrong, monkeypatch=monkeypatch)


def test_prices_are_swept_side_by_side_and_a_failure_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--sweep-cost", "0", "0.05", "--total-timesteps", "256", "--jobs", "2"]
    call(tmp_path, *arguments, monkeypatch=monkeypatch)
    output = capfd.readouterr().out
    (folder,) = (tmp_path / ENV).iterdir()
    assert folder.name.startswith("sweep-cost-")  # found again by the same command
    rows = json.loads((folder / "frontier.json").read_text())["rows"]
    assert [row["value"] for row in rows] == [0.0, 0.05]
    assert {"frontier.csv", "frontier.png"} <= {file.name for file in folder.iterdir()}
    assert "95 % interval" in output and "frontier.png" in output
    for label, price in (("cost=0", 0.0), ("cost=0.05", 0.05)):
        run = folder / label / "seed0"
        reward = yaml.safe_load((run / "config.yml").read_text())["env_kwargs"]["reward"]
        assert reward["terms"] == ["Terminal", {"type": "GlimpseCost", "cost": price}]
        assert "accuracy" in (run / "output.log").read_text()

    broken = folder / "cost=0" / "seed0"
    (broken / "metrics.json").unlink()
    (broken / "model.zip").write_bytes(b"no zip")
    with pytest.raises(SystemExit, match="1 of 2 runs failed"):
        call(tmp_path, *arguments, monkeypatch=monkeypatch)
    output = capfd.readouterr().out
    assert "cost=0/seed0: failed, exit status 1: error: " in output and "broken" in output
    assert len(json.loads((folder / "frontier.json").read_text())["rows"]) == 1


def test_a_search_is_interrupted_counted_on_and_its_recipe_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--name", "search", "--total-timesteps", "256"]
    folder = tmp_path / ENV / "search"
    process = start(tmp_path, *arguments, "--tune", 1000)
    wait_for(folder / "trials.csv", 2, process)
    process.send_signal(signal.SIGINT)
    assert "--tune 1000" in finish(process, code=130)
    with (folder / "trials.csv").open() as file:
        done = len(list(csv.DictReader(file)))
    call(tmp_path, *arguments, "--tune", str(done + 1), monkeypatch=monkeypatch)
    output = capfd.readouterr().out
    with (folder / "trials.csv").open() as file:
        assert len(list(csv.DictReader(file))) == done + 1
    assert "validation accuracy" in output and (folder / "history.png").exists()

    python, script, *command = output.split("train with it:  ")[1].splitlines()[0].split()
    assert (python, Path(script).name) == ("python", "train.py")
    command += ["--runs", str(tmp_path), "--total-timesteps", "128", "--no-video"]
    monkeypatch.setattr(sys, "argv", [train.__file__, *command])
    train.main()
    (metrics,) = tmp_path.rglob("metrics.json")
    assert json.loads(metrics.read_text())["timesteps"] >= 128


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "4-0"], "smaller end"),
        (["--seeds", "0-1", "--seed", "1"], "--seeds or --seed"),
        (["--sweep-cost", "0"], "at least two"),
        (["--sweep", "env_kwargs.budget"], "wanted KEY=VALUE,VALUE"),
        (["--sweep", "env_kwargs.budget=0,2"], "budget"),
        (["--sweep", "gama=0.9,1"], "did you mean 'gamma'"),
        (["--sweep", "gamma=0.9,1", "--sweep-cost", "0", "1"], "not both"),
        (["--tune", "2", "--seeds", "0-1"], "--tune goes with neither"),
        (["--tune", "0"], "at least 1 trial"),
        (["--tune-space", "x.yml"], "--tune N"),
        (["--tune", "1", "--tune-space", "nowhere.yml"], "cannot be read"),
        (["--jobs", "2"], "--jobs goes with"),
        (["--resume", "x", "--seeds", "0-1"], "leave out --n-envs, --set, --seeds"),
    ],
)
def test_wrong_arguments_get_a_message_and_leave_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = TINY[2:] if "--resume" in arguments else TINY
    monkeypatch.setattr(
        sys, "argv", [train.__file__, *given, "--runs", str(tmp_path / "runs"), *arguments]
    )
    with pytest.raises((ValueError, SystemExit)) as caught:
        train.main()
    assert message in str(caught.value) + capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
