"""``train.py`` and ``eval.py`` with each choice of a classifier, on a tiny budget."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from scripts import call, fail, succeed

from glimpse_lab.cli import eval as evaluation
from glimpse_lab.cli import train as training
from policies.classifier import pretraining
from policies.classifier.model import TorchClassifier, read_file
from policies.classifier.trainer import pretrain

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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder: recipes of both algorithms, runs, and a data directory."""
    folder = tmp_path_factory.mktemp("classifiers")
    (folder / "data").mkdir()
    policies = {"ppo_lstm": "GlimpseLstmPolicy", "ppo": "GlimpsePolicy"}
    for algorithm, policy in policies.items():
        callback = [{"policies.CoTrainingCallback": TRAINING}]
        if algorithm == "ppo_lstm":
            callback.append("policies.PackedSequences")
        recipe = {**RECIPE, "policy": f"policies.{policy}", "callback": callback}
        (folder / f"{algorithm}.yml").write_text(yaml.safe_dump({"default": recipe}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLIMPSE_DATA_DIR", str(folder / "data"))
        patch.chdir(folder)
        yield folder


def train(folder: Path, name: str, *arguments: object, algorithm: str = "ppo_lstm") -> Path:
    """Train a run and return its directory."""
    given = ["--recipe", f"{algorithm}.yml", "--runs", "runs", "--name", name, "--no-video"]
    succeed(training.main, *given, *arguments)
    (path,) = (folder / "runs").glob(f"*/{name}")
    return path


def evaluate(path: Path) -> dict:
    return json.loads(succeed(evaluation.main, path, "--quick", "--json", name="eval.py"))


@pytest.fixture(scope="module")
def cotrained(folder: Path) -> Path:
    return train(folder, "cotrained", "--classifier", "cotrained")


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


def test_eval_reads_model_and_classifier_from_the_folder(cotrained: Path, tmp_path: Path) -> None:
    before = json.loads((cotrained / "metrics.json").read_text())
    after = evaluate(cotrained)
    for key in ("accuracy", "accuracy_by_glimpse", "mean_samples", "baselines"):
        assert after[key] == before[key]
    assert after["n_images"] == 359


def test_a_run_that_has_trained_is_not_begun_anew(cotrained: Path, tmp_path: Path) -> None:
    path = shutil.copytree(cotrained, tmp_path / "without model")
    (path / "model.zip").unlink()
    assert "its model.zip is gone" in fail(training.main, "--resume", path)
    assert "no model.zip" in fail(evaluation.main, path, name="eval.py")


def test_a_frozen_classifier_is_that_of_its_pretraining(folder: Path) -> None:
    path = train(folder, "frozen", "--classifier", "frozen")
    assert callbacks(path)["policies.CoTrainingCallback"]["frozen"] is True
    own = TorchClassifier.load(path / "model.zip").digest()
    kept = (folder / "data" / "classifiers").glob("*.pt")
    assert own in {TorchClassifier.load(file).digest() for file in kept}
    assert "classifier/loss" not in (path / "progress.csv").read_text()


def test_a_file_is_used_as_it_is(cotrained: Path, folder: Path) -> None:
    path = train(folder, "file", "--classifier", cotrained / "model.zip")
    assert list(callbacks(path)) == ["policies.PackedSequences"]
    digests = {read_file(p / "model.zip")["digest"] for p in (path, cotrained)}
    assert len(digests) == 1


def test_no_classifier_takes_all_of_it_away(folder: Path) -> None:
    path = train(folder, "none", "--classifier", "none", algorithm="ppo")
    assert callbacks(path) == {}
    kwargs = yaml.safe_load((path / "config.yml").read_text())["env_kwargs"]
    assert kwargs["classifier"] is None and kwargs["observe_classifier_features"] is False
    assert evaluate(path)["n_images"] == 359


def test_saccades_are_trained_with_a_classifier(folder: Path) -> None:
    path = train(folder, "saccades", "--env", SACCADE, algorithm="ppo")
    metrics = json.loads((path / "metrics.json").read_text())
    assert metrics["mean_glimpses"] == 4 and metrics["unanswered"] == 0
    assert 0.0 < metrics["accuracy"] < 1.0
    assert metrics["env_kwargs"]["classifier"]["type"] == "canvas"


def test_a_pretraining_stopped_by_ctrl_c_is_saved_and_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: object, **settings: object) -> Iterator[int]:
        yield from itertools.islice(pretrain(*arguments, **settings), 3)
        raise KeyboardInterrupt

    settings = json.dumps({**TRAINING, "pretraining": 160})  # others were not made before
    given = ["--recipe", "ppo.yml", "--runs", "runs", "--name", "stopped", "--no-video"]
    given += ["--set", f"callback=[{{policies.CoTrainingCallback: {settings}}}]"]
    with monkeypatch.context() as patch:
        patch.setattr(pretraining, "pretrain", stopped)
        status, output, errors = call(training.main, *given)
    assert status == 130, errors
    path = folder / "runs" / ENV_ID / "stopped"
    assert f"--resume {path.relative_to(folder)}" in output and (path / "model.zip").exists()
    assert read_file(path / "model.zip")["extras"]["pretrained"] == 96
    succeed(training.main, "--resume", path, "--no-video")
    assert read_file(path / "model.zip")["extras"]["pretrained"] == 160
    assert json.loads((path / "metrics.json").read_text())["timesteps"] >= 256


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classifier", "nowhere.pt"], "there is no such file"),
        (["--classifier", "cotrained", "--set", "env_kwargs.classifier.wdth=1"], "wdth"),
    ],
)
def test_a_wrong_classifier_gets_a_message_and_leaves_nothing(
    arguments: list[str], message: str, folder: Path
) -> None:
    assert message in fail(
        training.main, "--recipe", "ppo.yml", "--runs", folder / "others", *arguments
    )
    assert not (folder / "others").exists()


def test_a_resumed_run_keeps_its_classifier(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        training.parse_arguments(["--resume", "--classifier", "none"])
    assert "leave out --classifier" in capsys.readouterr().err
