"""What a training has cost: over resumes, and where its pretraining was made by another run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import made_runs
import pytest

from glimpse_lab import core_seconds
from glimpse_lab.core_seconds import FILE, CoreSeconds, CoreTimer
from glimpse_lab.evaluation.exact import evaluate_run
from glimpse_lab.runs import Run, RunError
from glimpse_lab.training import learn, make, restore
from policies import Imitation

TRAINING = {"pretraining": 64, "batch_size": 16, "epochs": 1.0, "bfloat16": False}


def make_run(path: Path, seed: int = 3) -> Run:
    overrides = {
        "callback": {"policies.CoTrainingCallback": TRAINING},
        "env_kwargs": {"budget": 2, "classifier": {"type": "feedforward", "hidden_size": 8}},
        "policy_kwargs": {},
        "n_timesteps": 64,
    }
    return made_runs.make_run(path, "ppo_lstm.yml", overrides, seed=seed)


def train(run: Run) -> CoreSeconds:
    """Train a run on to its timesteps, as a process of its own would; return the cost so far."""
    model, callbacks = make(run, "cpu")
    restore(run, model, callbacks)
    learn(run, model, callbacks, go_on="")
    return CoreSeconds.read(run.path)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("GLIMPSE_DATA_DIR", str(tmp_path / "data"))
    return make_run(tmp_path / "run")


def test_seconds_add_up_over_resumes(run: Run) -> None:
    begin = time.process_time()
    first = train(run)
    second = train(Run.open(run.path).extended(128))
    spent = time.process_time() - begin
    assert first.pretraining == second.pretraining > 0.0
    assert 0.0 < first.training < second.training
    assert second.pretraining + second.training < spent


def test_imitation_is_training_of_the_agent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(core_seconds, "time", SimpleNamespace(process_time=lambda: clock[0]))
    monkeypatch.setattr(
        Imitation, "_on_training_start", lambda _: clock.__setitem__(0, clock[0] + 100.0)
    )
    model, callbacks = make(run, "cpu")
    learn(run, model, [*callbacks, Imitation(gaze="Grid")], go_on="")
    assert CoreSeconds.read(run.path).training == 100.0


def test_a_finished_training_that_is_resumed_costs_no_more(run: Run) -> None:
    first = train(run)
    assert train(Run.open(run.path)) == first


def test_a_pretraining_that_another_run_made_has_the_cost_that_it_had_there(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = train(run)
    second = train(make_run(tmp_path / "second"))
    assert "was trained before with these settings" in capsys.readouterr().out
    assert second.pretraining == pytest.approx(first.pretraining) and second.training > 0.0


def test_parts_before_that_are_not_known_are_not_made_up(run: Run) -> None:
    train(run)
    (run.path / FILE).unlink()
    assert CoreSeconds.read(run.path) is None
    later = train(Run.open(run.path).extended(128))
    assert later.training is None and later.pretraining > 0.0  # the checkpoint tells the latter


def test_the_evaluation_tells_them(run: Run) -> None:
    cost = train(run)
    agent = run.load()
    assert evaluate_run(run, agent.model, run.evaluation_config("test")).result.core_seconds == cost


def test_time_that_is_slept_away_is_none_of_a_core() -> None:
    timer = CoreTimer(5.0)
    assert timer.seconds == 5.0
    timer._on_training_start()
    time.sleep(0.3)
    assert 5.0 <= timer.seconds < 5.2


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", "no", '{"pretraining": -1.0, "training": 1.0}', '{"pretraining": true}'],
)
def test_a_broken_file_is_said(content: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(RunError, match=r"core_seconds\.json is broken .* remove it"):
        CoreSeconds.read(tmp_path)


def test_what_is_not_known_is_null(tmp_path: Path) -> None:
    CoreSeconds(pretraining=1.5).write(tmp_path)
    assert json.loads((tmp_path / FILE).read_text()) == {"pretraining": 1.5, "training": None}
    assert CoreSeconds.read(tmp_path) == CoreSeconds(pretraining=1.5)
