"""The scripts with a classifier as a user runs them: subprocesses on a tiny budget."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from glimpse_lab.cli import train
from policies.classifier.model import TorchClassifier, read_file

ROOT = Path(__file__).parents[1]
ENV_ID, SACCADE = "GlimpseDigits-MultiCat-v0", "GlimpseDigits-Saccade-v0"
TRAINING = {"pretraining": 128, "batch_size": 32, "random_share": 0.5}
RECIPE = {
    "n_envs": 8,
    "n_timesteps": 256,
    "n_steps": 16,
    "batch_size": 64,
    "n_epochs": 1,
    "env_kwargs": {
        "scene": "Plain",
        "budget": 4,
        "classifier": {"type": "canvas", "width": 8},
        "observe_classifier_features": True,
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recipes of both algorithms, runs, and a data directory."""
    folder = tmp_path_factory.mktemp("classifiers")
    (folder / "data").mkdir()
    policies = {"ppo_lstm": "GlimpseLstmPolicy", "ppo": "GlimpsePolicy"}
    for algorithm, policy in policies.items():
        callback = [{"policies.CoTrainingCallback": TRAINING}]
        callback += ["policies.PackedSequences"] * (algorithm == "ppo_lstm")
        recipe = {**RECIPE, "policy": f"policies.{policy}", "callback": callback}
        (folder / f"{algorithm}.yml").write_text(yaml.safe_dump({"default": recipe}))
    return folder


def start(folder: Path, script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / script), *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "GLIMPSE_DATA_DIR": str(folder / "data")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, script: str, *arguments: object) -> tuple[int, str, str]:
    """The exit status, the output and the errors of a script."""
    process = start(folder, script, *arguments)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def trained(folder: Path, name: str, *arguments: object, algorithm: str = "ppo_lstm") -> Path:
    """Train a run and return its directory."""
    given = ["--recipe", f"{algorithm}.yml", "--runs", "runs", "--name", name, "--no-video"]
    status, _, errors = run(folder, "train.py", *given, *arguments)
    assert status == 0, errors
    (path,) = (folder / "runs").glob(f"*/{name}")
    return path


def evaluate(folder: Path, path: Path) -> dict:
    status, output, errors = run(folder, "eval.py", path, "--quick", "--json")
    assert status == 0, errors
    return json.loads(output)


@pytest.fixture(scope="module")
def cotrained(folder: Path) -> Path:
    return trained(folder, "cotrained", "--classifier", "cotrained")


def callbacks(path: Path) -> dict:
    """The recipe's callbacks of a run with their arguments."""
    entries = yaml.safe_load((path / "config.yml").read_text())["recipe"]["callback"]
    return dict(next(iter(e.items())) if isinstance(e, dict) else (e, None) for e in entries)


def test_a_cotrained_classifier_is_trained_beside_the_agent(cotrained: Path, folder: Path) -> None:
    assert {"model.zip", "metrics.json"} <= {p.name for p in cotrained.iterdir()}
    assert "classifier/loss" in (cotrained / "progress.csv").read_text().splitlines()[0]
    wanted = {**TRAINING, "frozen": False}
    assert callbacks(cotrained)["policies.CoTrainingCallback"] == wanted
    (warm,) = (folder / "data" / "classifiers").glob("*.pt")
    kept, now = TorchClassifier.load(warm), TorchClassifier.load(cotrained / "model.zip")
    assert kept.specification() == now.specification() and kept.digest() != now.digest()


def test_eval_reads_model_and_classifier_from_the_folder(cotrained: Path, folder: Path) -> None:
    before = json.loads((cotrained / "metrics.json").read_text())
    after = evaluate(folder, cotrained)
    for key in ("accuracy", "accuracy_by_glimpse", "mean_samples", "baselines"):
        assert after[key] == before[key]
    assert after["n_images"] == 359


def test_a_run_that_has_trained_is_not_begun_anew(cotrained: Path, folder: Path) -> None:
    path = Path(shutil.copytree(cotrained, folder / "without model"))
    (path / "model.zip").unlink()
    for script, arguments in (("train.py", ["--resume", path]), ("eval.py", [path])):
        status, _, errors = run(folder, script, *arguments)
        assert status == 1 and "Traceback" not in errors
        assert ("its model.zip is gone" if script == "train.py" else "no model.zip") in errors


def test_a_frozen_classifier_is_that_of_its_pretraining(folder: Path) -> None:
    path = trained(folder, "frozen", "--classifier", "frozen")
    assert callbacks(path)["policies.CoTrainingCallback"]["frozen"] is True
    own = TorchClassifier.load(path / "model.zip").digest()
    kept = (folder / "data" / "classifiers").glob("*.pt")
    assert own in {TorchClassifier.load(file).digest() for file in kept}
    assert "classifier/loss" not in (path / "progress.csv").read_text()


def test_a_file_is_used_as_it_is(cotrained: Path, folder: Path) -> None:
    path = trained(folder, "file", "--classifier", cotrained / "model.zip")
    assert list(callbacks(path)) == ["policies.PackedSequences"]
    digests = {read_file(p / "model.zip")["digest"] for p in (path, cotrained)}
    assert len(digests) == 1


def test_no_classifier_takes_all_of_it_away(folder: Path) -> None:
    path = trained(folder, "none", "--classifier", "none", algorithm="ppo")
    assert callbacks(path) == {}
    kwargs = yaml.safe_load((path / "config.yml").read_text())["env_kwargs"]
    assert kwargs["classifier"] is None and kwargs["observe_classifier_features"] is False
    assert evaluate(folder, path)["n_images"] == 359


def test_saccades_are_trained_with_a_classifier(folder: Path) -> None:
    path = trained(folder, "saccades", "--env", SACCADE, algorithm="ppo")
    metrics = json.loads((path / "metrics.json").read_text())
    assert metrics["mean_glimpses"] == 4 and metrics["unanswered"] == 0
    assert 0.0 < metrics["accuracy"] < 1.0
    assert metrics["env_kwargs"]["classifier"]["type"] == "canvas"


def test_a_pretraining_stopped_by_ctrl_c_is_saved_and_goes_on(folder: Path) -> None:
    arguments = ["--recipe", "ppo.yml", "--runs", "runs", "--name", "stopped", "--no-video"]
    endless = {**TRAINING, "pretraining": 10**9}
    callback = f"callback=[{{policies.CoTrainingCallback: {json.dumps(endless)}}}]"
    process, shown = start(folder, "train.py", *arguments, "--set", callback), ""
    try:
        while "classifier:" not in shown and process.poll() is None:
            shown += process.stderr.read(1)
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in errors, errors
    path = folder / "runs" / ENV_ID / "stopped"
    assert "--resume" in output and (path / "model.zip").exists()
    pretrained = read_file(path / "model.zip")["extras"]["pretrained"]
    assert pretrained % 32 == 0
    config = yaml.safe_load((path / "config.yml").read_text())
    training = {**TRAINING, "pretraining": pretrained + 64}  # so that it ends
    config["recipe"]["callback"] = {"policies.CoTrainingCallback": training}
    (path / "config.yml").write_text(yaml.safe_dump(config))
    status, _, errors = run(folder, "train.py", "--resume", path, "--no-video")
    assert status == 0, errors
    assert read_file(path / "model.zip")["extras"]["pretrained"] == pretrained + 64
    assert json.loads((path / "metrics.json").read_text())["timesteps"] >= 256


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classifier", "nowhere.pt"], "there is no such file"),
        (["--classifier", "cotrained", "--set", "env_kwargs.classifier.wdth=1"], "wdth"),
    ],
)
def test_a_wrong_classifier_gets_a_message_and_leaves_nothing(
    arguments: list[str], message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["train.py", "--recipe", folder / "ppo.yml", "--runs", folder / "others", *arguments]
    monkeypatch.setattr(sys, "argv", list(map(str, given)))
    with pytest.raises(SystemExit, match=message):
        train.main()
    assert not (folder / "others").exists()


def test_a_resumed_run_keeps_its_classifier(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train.parse_arguments(["--resume", "--classifier", "none"])
    assert "leave out --classifier" in capsys.readouterr().err
