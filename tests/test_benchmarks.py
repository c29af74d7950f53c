"""The benchmarks that train: on a tiny budget, with the embedded data."""

import csv
import re
import shutil
from types import ModuleType

import pytest
import yaml
from made_runs import make_run
from scripts import ROOT, load_script, succeed

from benchmarks.results.adding import add
from benchmarks.results.reading import read
from glimpse_lab.cli import train
from glimpse_lab.evaluation.external_results import equally_trained
from glimpse_lab.evaluation.result import BaselineKind, Evaluation, TrainedBaselines
from glimpse_lab.evaluation.storage import read_result
from policies.classifier.model import TorchClassifier


def benchmark(name: str, *arguments: object) -> str:
    """Run a benchmark that must succeed; return what it printed."""
    path = f"benchmarks/{name}.py"
    return succeed(load_script(path).main, *arguments, name=path)


@pytest.fixture
def saccades(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_script("benchmarks/saccader_table.py")
    monkeypatch.setattr(module, "ENV_ID", "GlimpseDigits-Saccade-v0")
    monkeypatch.setattr(module, "EVALUATED", 50)
    return module


def test_the_table_runs_both_binary_rewards_with_all_settings(saccades):
    jobs = list(saccades.jobs([0, 1], 100, 1.0))
    assert len(jobs) == 2 * 2 * len(saccades.PUBLISHED)
    for reward in ("Terminal", "PerStep"):
        assert len([job for job in jobs if job["name"] == reward]) == 2 * 2 * 4


@pytest.mark.parametrize("classifier", ["feed-forward", "recurrent"])
@pytest.mark.parametrize("name", ["random gaze", "InverseCrossEntropy"])
def test_a_row_of_the_table_is_trained_and_evaluated(saccades, name, classifier):
    gamma, rate = (None, None) if name == "random gaze" else (0.9, 1e-3)
    job = {"name": name, "gamma": gamma, "learning_rate": rate, "classifier": classifier}
    row = saccades.run({**job, "seed": 0, "episodes": 512, "epochs": 1.0})
    assert 0.0 <= row["train"] <= 1.0 and 0.0 <= row["test"] <= 1.0 and row["coverage"] > 0.0


def test_the_table_gives_means_beside_the_published_figures(saccades):
    row = {"name": "PerStep", "gamma": 0.9, "learning_rate": 1e-3, "classifier": "recurrent"}
    rows = [{**row, "train": 0.9, "test": 0.8}, {**row, "train": 0.94, "test": 0.84}]
    lines = saccades.table(rows).splitlines()
    assert "| PerStep | 0.9 | 0.001 |  | 83/77 | 92.0/82.0 (80.0 to 84.0) | 92/92 |" in lines


def test_baselines_are_trained_as_long_as_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("GLIMPSE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    recipe = yaml.safe_load((ROOT / "hyperparams" / "ppo.yml").read_text())
    recipe = recipe["GlimpseDigits-MultiCat-v0"]
    recipe["env_kwargs"]["classifier"] = {"type": "canvas", "width": 4}
    training, imitation = (next(iter(entry.values())) for entry in recipe["callback"])
    training.update(pretraining=256, epochs=1, batch_size=32)
    imitation.update(episodes=64)
    recipe.update(n_timesteps=1024, n_envs=16)
    (tmp_path / "ppo.yml").write_text(yaml.safe_dump({"default": recipe}))
    arguments = ["--recipe", "ppo.yml", "--name", "tiny", "--no-video"]
    succeed(train.main, *arguments)
    run = tmp_path / "runs" / train.DEFAULT_ENV / "tiny"
    assert "| random |" in benchmark("gaze_baselines", run, "--only", "random")
    kept = read_result(run / "baselines.json", TrainedBaselines)
    assert kept.updates > 0 and set(kept.baselines) == {"random"}
    measured = read_result(run / "metrics.json", Evaluation)
    assert kept.learned.accuracy == pytest.approx(measured.accuracy)
    ((name, baseline),) = equally_trained(run, measured).items()
    assert name == "random (equally trained)" and baseline.kind is BaselineKind.EQUALLY_TRAINED
    assert baseline.matched_budget is not None
    # and all of it fits the tables of results
    tables = tmp_path / "results"
    shutil.copytree(ROOT / "results", tables)
    add(tables, [run], group="tiny", command="python train.py --recipe ppo.yml", baselines=True)
    results = read(tables)
    (row,) = (row for row in results.runs("agents") if row.group == "tiny")
    assert float(row.accuracy) == pytest.approx(measured.accuracy, abs=5e-4)
    assert row.core_minutes is not None and row.budget == measured.budget
    (gaze,) = (row for row in results.gazes if row.run == "tiny-s0")
    assert float(gaze.accuracy) == pytest.approx(baseline.accuracy, abs=5e-4)


def test_baselines_of_a_frozen_classifier_are_pretrained_along_their_gaze(tmp_path, monkeypatch):
    monkeypatch.setenv("GLIMPSE_DATA_DIR", str(tmp_path))
    training = {"pretraining": 256, "frozen": True, "batch_size": 32, "gaze": "OnTarget"}
    settings = {"env_kwargs.classifier": {"type": "canvas", "width": 4, "frame": 16}}
    settings |= {"callback": [{"policies.CoTrainingCallback": training}], "env_kwargs.budget": 3}
    path = tmp_path / "run"
    run = make_run(path, "reward_alone/ppo_lstm.yml", settings)
    run.save_model(run.config.make_model(run.make_env(), "cpu"))
    whole = "{type: canvas, width: 4}"
    output = benchmark("gaze_baselines", path, "--only", "grid", "--classifier", whole)
    assert "256 episodes of pretraining, then 0 updates" in output and "| grid |" in output
    made = [TorchClassifier.load(file) for file in (tmp_path / "classifiers").glob("*.pt")]
    assert [classifier.settings for classifier in made] == [{"width": 4}]
    kept = read_result(path / "baselines.json", TrainedBaselines)
    assert kept.updates == 0 and kept.baselines["grid"].mean_glimpses == 3.0


def test_statistics_and_a_frame_are_timed(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    lines = benchmark("statistics_speed", "--images", 60, "--seconds", 0.01).splitlines()
    assert lines[0].split() == ["60", "scanpaths", "milliseconds"]
    times = {name: float(value) for name, value in (line.rsplit(maxsplit=1) for line in lines[1:])}
    assert len(times) == 11 and {"by_glimpse", "gaze_dependence", "collapse"} < times.keys()
    assert times["one frame"] > 0.0
    single = sum(times.values()) - times["all statistics"] - times["one frame"]
    assert times["all statistics"] == pytest.approx(single, abs=0.1) and single > 0.0


@pytest.mark.slow
def test_kinds_of_memory_are_compared_and_not_trained_twice(tmp_path, monkeypatch):
    module = load_script("benchmarks/classifier_parts.py")
    monkeypatch.setattr(module, "BATCH", 8)
    monkeypatch.setattr(module, "WIDTH", 4)
    out, kinds = tmp_path / "kinds.csv", ["canvas", "rcn"]
    given = ["--data", "digits", "--seconds", 0.2, "--out", out, "--kinds", *kinds, "--seeds"]
    lines = succeed(module.main, *given, 0).splitlines()
    assert lines[0].startswith("| variant | images |") and "to canvas" in lines[0]
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {kind}" for kind in kinds]
    first = out.read_text()
    rows = list(csv.DictReader(first.splitlines()))
    assert [row["variant"] for row in rows] == kinds
    assert all(0 <= float(row["glimpse_5"]) <= 100 and int(row["images"]) > 0 for row in rows)
    succeed(module.main, *given, 0, 1)
    assert out.read_text().startswith(first)
    assert len(out.read_text().splitlines()) == 1 + 4
    change = succeed(module.main, *given, 0, 1).splitlines()[3].split(" | ")[4]
    assert re.fullmatch(r"[+-].* \(.* to .*\)", change)


def test_the_reward_of_inverse_action_modelling_is_measured():
    env_id = "GlimpseInverseDigits-v0"
    printed = benchmark("inverse_reward", "--env", env_id, "--images", 40)
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| ")]
    names = [row[0].removeprefix("| ") for row in rows]
    rewards = rows[names.index("rotate")][1:6]
    assert [float(reward) for reward in rewards] == sorted(map(float, rewards), reverse=True)
    assert int(rows[names.index("grid of 41")][1].removesuffix(" %")) >= 90
    assert "actions a second" in printed


def test_a_step_of_a_scene_that_moves_is_timed_beside_one_that_stands_still():
    lines = benchmark("moving_speed", "--lanes", 4, "--steps", 3).splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        "GlimpseMovingMNIST-Pursuit-v0",
        "GlimpseMovingCIFAR-Pursuit-v0",
    ]
    assert all(float(line.split()[-2]) > 0.0 for line in lines)
