"""Seeds, sweeps and searches: each member of a group is trained in a process of its own."""

from __future__ import annotations

import csv
import json
import signal
from functools import partial
from pathlib import Path

import pytest
import yaml
from forks import ForkedScript
from scripts import call, fail, finish, lines, succeed, wait_until

from glimpse_lab.cli import train as training
from glimpse_lab.cli import train_commands
from glimpse_lab.runs import Run

ENV = "GlimpseDigits-MultiCat-v0"
#: an agent without a classifier: nothing is trained before it
TINY = ["--classifier", "none", "--n-envs", "32", "--no-video"]
TINY += ["--set", "n_steps=16", "batch_size=256", "n_epochs=1", "env_kwargs.budget=3"]
TINY += ["callback=[]"]

train = partial(succeed, training.main, *TINY)
train_fails = partial(fail, training.main, *TINY)


class ThisProcess:
    """Trains the members of a group one after the other, and imports nothing anew."""

    jobs = 1

    def __init__(self, *_: object) -> None:
        self.trained: list[Path] = []

    def begin(self, member: Run) -> str:
        """Train a member to its end."""
        succeed(training.main, "--no-video", "--resume", member.path)
        self.trained.append(member.path)
        return ""

    def ended(self) -> dict[Path, None]:
        """Return the members that have been trained since the last call."""
        trained, self.trained = self.trained, []
        return dict.fromkeys(trained)


def test_seeds_are_interrupted_resumed_and_averaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--runs", tmp_path, "--name", "many", "--seeds", "0-1"]
    arguments += ["--total-timesteps", "4096"]
    folder = tmp_path / ENV / "many"
    process = ForkedScript(training.main, *TINY, *arguments)
    wait_until(lambda: lines(folder / "seed0" / "progress.csv") >= 2, process)
    process.send_signal(signal.SIGINT)
    status, output, _ = finish(process)
    assert status == 130 and "stopped and saved" in output and "--seeds 0-1" in output
    saved = Run.open(folder / "seed0").saved_timesteps()
    assert 0 < saved < 4096 and not (folder / "seed1").exists()

    monkeypatch.setattr(train_commands, "Processes", ThisProcess)
    output = train(*arguments)
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
    assert "2 of 2 runs are finished already" in train(*arguments)
    assert (folder / "seed0" / "model.zip").stat().st_mtime == before
    message = train_fails(*arguments, "--set", "gamma=0.5")
    assert "recipe.gamma was 1.0, is 0.5" in message
    (folder / "config.yml").touch()
    wrong = ["--runs", tmp_path, "--name", "many", "--sweep-cost", "0", "1"]
    assert "is a single run" in train_fails(*wrong)


@pytest.mark.slow
def test_prices_are_swept_side_by_side_and_a_failure_is_said(tmp_path: Path) -> None:
    arguments = ["--runs", tmp_path, "--sweep-cost", "0", "0.05"]
    arguments += ["--total-timesteps", "256", "--jobs", "2"]
    output = train(*arguments)
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
    status, output, errors = call(training.main, *TINY, *arguments)
    assert status == 1 and "1 of 2 runs failed" in errors
    assert "cost=0/seed0: failed, exit status 1: error: " in output and "broken" in output
    assert len(json.loads((folder / "frontier.json").read_text())["rows"]) == 1


def test_a_search_is_interrupted_counted_on_and_its_recipe_trains(tmp_path: Path) -> None:
    arguments = ["--runs", tmp_path, "--name", "search", "--total-timesteps", "256"]
    folder = tmp_path / ENV / "search"
    process = ForkedScript(training.main, *TINY, *arguments, "--tune", 1000)
    wait_until(lambda: lines(folder / "trials.csv") >= 2, process)
    process.send_signal(signal.SIGINT)
    status, output, _ = finish(process)
    assert status == 130 and "--tune 1000" in output
    with (folder / "trials.csv").open() as file:
        done = len(list(csv.DictReader(file)))
    output = train(*arguments, "--tune", str(done + 1))
    with (folder / "trials.csv").open() as file:
        assert len(list(csv.DictReader(file))) == done + 1
    assert "validation accuracy" in output and (folder / "history.png").exists()

    python, script, *command = output.split("train with it:  ")[1].splitlines()[0].split()
    assert (python, Path(script).name) == ("python", "train.py")
    command += ["--runs", str(tmp_path), "--total-timesteps", "128", "--no-video"]
    succeed(training.main, *command)
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
        (["--tune", "0"], "1 to 1,000,000"),
        (["--tune-space", "x.yml"], "--tune N"),
        (["--tune", "1", "--tune-space", "nowhere.yml"], "cannot be read"),
        (["--jobs", "2"], "--jobs goes with"),
        (["--resume", "x", "--seeds", "0-1"], "leave out --n-envs, --set, --seeds"),
    ],
)
def test_wrong_arguments_get_a_message_and_leave_nothing(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    given = TINY[2:] if "--resume" in arguments else TINY
    assert message in fail(training.main, *given, "--runs", tmp_path / "runs", *arguments)
    assert not (tmp_path / "runs").exists()
