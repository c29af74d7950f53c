"""The benchmark of kills: what it reads, draws, checks and judges."""

from __future__ import annotations

import csv
import importlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scripts import ROOT, call, succeed
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from glimpse_lab.cli import train

FOLDER = ROOT / "benchmarks" / "reliability"
NAMES = ("watching", "schedule", "intact", "summary", "kills")
TINY = ["--total-timesteps", 256, "--set", "callback.CoTrainingCallback.pretraining=256"]
TINY += ["callback.Imitation.episodes=64", "n_envs=8", "n_steps=8", "batch_size=32"]
TINY += ["env_kwargs.classifier={type: canvas, width: 4}"]


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, ModuleType]]:
    """The benchmark's modules by name, which are found beside its script alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield {name: importlib.import_module(name) for name in NAMES}
        for name in NAMES:
            sys.modules.pop(name)


# ---- what is read of a terminal ----


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (
            "classifier:  19%|#9   | 3840/19968 [00:01<00:04, 3.2k images/s]",
            ("pretraining", 3840, 19968),
        ),
        ("training:   0%|    | 0.00/100k [00:00<?, ? steps/s]", ("training", 0, 100_000)),
        (
            "\x1b[Atraining:  96%|####| 96.1k/100k [02:02<00:04, accuracy 0.4]",
            None,  # of another bar's place on the screen
        ),
        (
            "training:  96%|####| 96.1k/1.2M [02:02<00:04, accuracy 0.4]",
            ("training", 96_100, 1_200_000),
        ),
        (
            "evaluating on test:  50%|##   | 359/718 [00:00<00:00, 1 images/s]",
            ("evaluation", 359, 718),
        ),
        ("training:  96%|####| 96.1k/10", None),  # drawn in part
        ("run directory: training:", None),
    ],
)
def test_a_bar_tells_phase_and_progress(
    line: str, wanted: tuple | None, modules: dict[str, ModuleType]
) -> None:
    watching = modules["watching"]
    bar = watching.read_bar(line)
    assert wanted == (bar and (bar.progress.name, bar.progress.done, bar.total))


# ---- when kills come ----


def test_kills_are_spread_over_phases_signals_and_runs(modules: dict[str, ModuleType]) -> None:
    runs = modules["schedule"].draw(20, 3, seed=0)
    kills = [kill for run in runs for kill in run]
    assert sorted(len(run) for run in runs) == [6, 7, 7]
    phases = [kill.phase for kill in kills]
    assert [phases.count(p) for p in modules["watching"].PHASES] == [4, 6, 6, 4]
    numbers = [kill.number for kill in kills]
    assert numbers.count(signal.SIGKILL) == 12 and numbers.count(signal.SIGINT) == 4
    assert runs == modules["schedule"].draw(20, 3, seed=0)
    assert runs != modules["schedule"].draw(20, 3, seed=1)
    for run in runs:
        order = [(modules["watching"].PHASES.index(k.phase), k.share) for k in run]
        later = [place for place in order if place[0] > 0]
        assert later == sorted(later)


# ---- what they cost ----


def row(modules: dict[str, ModuleType], **changes: Any) -> dict[str, Any]:
    progress = modules["watching"].Progress
    usual = {"seed": 0, "kill": 1, "signal": "SIGKILL", "phase": "training", "lost_seconds": 3.0}
    usual |= {"at": progress(2, 5_000.0), "saved": progress(2, 4_096.0)}
    usual |= {"resumed_at": progress(2, 4_100.0), "starting_seconds": 5.0, "restart_seconds": 6.0}
    return {**usual, **changes}


def runs_of(unbroken: list[float], killed: list[float | None]) -> list[dict[str, Any]]:
    kinds = [("unbroken", unbroken), ("killed", killed)]
    return [
        {"kind": kind, "seed": seed, "accuracy": accuracy}
        for kind, values in kinds
        for seed, accuracy in enumerate(values)
    ]


def test_what_is_as_promised_passes_and_what_is_not_is_said(
    modules: dict[str, ModuleType],
) -> None:
    verdict, progress = modules["summary"].verdict, modules["watching"].Progress
    runs = runs_of([0.5, 0.52, 0.54], [0.45, 0.6, 0.52])
    assert verdict([row(modules)], runs) == []
    for changes, words in [
        ({"lost_seconds": 20.1}, "lost 20.1 s"),
        ({"resumed_at": None}, "nothing went on"),
        ({"resumed_at": progress(2, 2_050.0)}, "began at"),
        ({"resumed_at": progress(1, 4_100.0)}, "began at"),
    ]:
        (wrong,) = verdict([row(modules, **changes)], runs)
        assert words in wrong
    for killed in ([0.52, 0.63], [0.52, 0.41], [0.52, None]):
        (wrong,) = verdict([row(modules)], runs_of([0.5, 0.52, 0.54], killed))
        assert "seed 1" in wrong
    assert verdict([row(modules)], runs_of([0.5], [0.5]))


def test_the_interval_of_a_further_seed_is_students(modules: dict[str, ModuleType]) -> None:
    # t of 2 degrees of freedom is 4.3027; the standard deviation is 0.02
    low, high = modules["summary"].next_seed([0.5, 0.52, 0.54])
    assert (low, high) == pytest.approx((0.52 - 0.09937, 0.52 + 0.09937), abs=1e-5)


def test_a_row_tells_what_has_to_be_done_again(
    tmp_path: Path, modules: dict[str, ModuleType]
) -> None:
    progress, summary = modules["watching"].Progress, modules["summary"]
    assert summary.lost(progress(2, 900.0), progress(2, 1_000.0)) == 0.0
    assert summary.lost(progress(3, 359.0), progress(3, 0.0)) == 359.0
    assert summary.lost(progress(2, 900.0), progress(1, 512.0)) == 900.0
    assert summary.lost(progress(1, 900.0), progress(2, 0.0)) == 0.0
    file = tmp_path / "kills.csv"
    summary.write_csv(file, [row(modules), row(modules, resumed_at=None)])
    first, second = csv.DictReader(file.open())
    assert (first["at"], first["saved_phase"], first["lost"]) == ("5000", "training", "900")
    assert first["unit"] == "timesteps" and second["lost"] == second["resumed_at"] == ""
    assert "| training | 1 | 3.0 s | 3.0 s | 900 timesteps | 6.0 s |" in summary.phase_table(
        [row(modules)]
    )


# ---- whether a directory is whole ----


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run directory and its data directory."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLIMPSE_DATA_DIR", str(folder / "data"))
        succeed(train.main, "--runs", folder, "--name", "x", *TINY)
    return folder / "GlimpseDigits-MultiCat-v0" / "x", folder / "data"


def test_damage_of_a_finished_run_is_seen(
    finished: tuple[Path, Path], modules: dict[str, ModuleType]
) -> None:
    path, data = finished
    flaws = modules["intact"].flaws
    assert flaws(path, data) == []

    for name in ("metrics.json", "video.gif", "model.zip"):
        (path / name).rename(path.parent / name)
        assert any(name in flaw for flaw in flaws(path, data))
        (path.parent / name).rename(path / name)
    for folder in (path, data / "classifiers"):
        left = folder / ".model.glimpse-tmp-123.zip"
        left.touch()
        assert flaws(path, data) == [f"{left} is left over"]
        left.unlink()

    table = path / "progress.csv"
    before = table.read_text()
    lines = before.splitlines(keepends=True)
    table.write_text("".join([*lines, lines[-1]]))
    assert any("timesteps after" in flaw for flaw in flaws(path, data))
    table.write_text(before[:-20])
    assert any("cells" in flaw for flaw in flaws(path, data))
    table.write_text("".join(lines[:-1]))
    assert any("of no row" in flaw for flaw in flaws(path, data))
    table.write_text(before)

    lost_branch = EventFileWriter(str(path))
    value = Summary.Value(tag="rollout/accuracy", simple_value=0.5)
    lost_branch.add_event(Event(step=128, summary=Summary(value=[value])))
    lost_branch.close()
    assert any("repeated" in flaw for flaw in flaws(path, data))
    for file in sorted(path.glob("events.*"))[1:]:
        file.unlink()
    assert flaws(path, data) == []


# ---- as a whole ----


def test_a_folder_that_holds_something_is_left_alone(
    tmp_path: Path, modules: dict[str, ModuleType]
) -> None:
    (tmp_path / "x").touch()
    finished = call(modules["kills"].main, "--out", tmp_path, name="benchmarks/kills.py")
    assert finished.status == 2 and "not empty" in finished.errors


@pytest.mark.slow
def test_kills_of_short_trainings_are_measured(tmp_path: Path) -> None:
    script = FOLDER / "kills.py"
    command = [sys.executable, script, "--out", tmp_path / "out", "--seeds", 0, 1, "--kills", 5]
    command += ["--timesteps", 8_000, "--pretraining", 6_000]
    subprocess.run([str(word) for word in command], check=True, timeout=1_800)
    rows = list(csv.DictReader((tmp_path / "out" / "kills.csv").open()))
    assert len(rows) == 5 and all(row["resumed_at"] for row in rows)
    assert len(list(csv.DictReader((tmp_path / "out" / "runs.csv").open()))) == 4
