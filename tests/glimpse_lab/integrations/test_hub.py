"""Agents on the hub: what is uploaded, and that it plays alike when it comes back.

Everything runs for real up to the network: ``create_repo``, ``upload_folder`` and
``snapshot_download`` of huggingface_hub are replaced by a folder.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from made_runs import ENV_ID as ENV
from made_runs import make_run

from glimpse_lab.evaluation.exact import evaluate_run
from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.evaluation.rollout import evaluate
from glimpse_lab.evaluation.storage import read_result
from glimpse_lab.integrations import hub as our_hub
from glimpse_lab.integrations.hub import Package, load, model_name, package, pull, push
from glimpse_lab.report.run_files import write_film, write_report
from glimpse_lab.report.verdict import verdict
from glimpse_lab.runs import Run, RunError
from policies import CoTrainingCallback

huggingface_hub = pytest.importorskip("huggingface_hub", reason='pip install -e ".[hub]"')


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a classifier, trained a little, evaluated and filmed as train.py does."""
    classifier = {"type": "canvas", "width": 4}
    folder = tmp_path_factory.mktemp("runs") / "run"
    run = make_run(folder, "ppo.yml", {"env_kwargs.classifier": classifier})
    model = run.config.make_model(run.make_env(), "cpu")
    cotraining = CoTrainingCallback(pretraining=64, batch_size=16)
    run.save_model(model.learn(64, callback=cotraining), cotraining.state())
    config = run.evaluation_config("test")
    result, paths = evaluate_run(run, model, config)
    write_report(run, config, paths, result)
    write_film(run, model, run.evaluation_config("test"), n_images=2)
    return run


def copy_of(run: Run, folder: Path) -> Path:
    return Path(shutil.copytree(run.path, folder))


def actions(run: Run) -> tuple[np.ndarray, np.ndarray]:
    paths = evaluate(run.load().model, run.evaluation_config("test"), index=50)
    return paths.predictions, paths.gaze


def test_a_packaged_run_comes_back_and_acts_alike(trained: Run, tmp_path: Path) -> None:
    package(trained.path, tmp_path / "out")
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {
        *("ppo-GlimpseDigits-MultiCat-v0.zip", "config.yml"),
        *("results.json", "replay.mp4", "README.md"),
    }
    back = load(tmp_path / "out")
    assert isinstance(back, Package) and back.classifier.digest() == trained.classifier.digest()
    for ours, theirs in zip(actions(trained), actions(back), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_name_is_that_of_huggingface_sb3(trained: Run) -> None:
    huggingface_sb3 = pytest.importorskip("huggingface_sb3", reason='pip install -e ".[zoo]"')
    name = huggingface_sb3.ModelName("ppo", huggingface_sb3.EnvironmentName(ENV))
    assert model_name(trained) == name


def test_the_card_says_what_was_measured(trained: Run, tmp_path: Path) -> None:
    package(trained.path, tmp_path / "out")
    measured = json.loads((trained.path / "metrics.json").read_text())
    card = huggingface_hub.ModelCard.load(tmp_path / "out" / "README.md")
    figures = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert figures == {key: measured[key] for key in ("mean_reward", "accuracy", "mean_glimpses")}
    assert card.data.library_name == "stable-baselines3" and ENV in card.data.tags
    assert f"{100 * measured['accuracy']:.2f} %" in card.text
    told = verdict(read_result(trained.path / "metrics.json", Evaluation))
    assert told in card.text  # whether the gaze helped
    assert "UncertaintyReduction" in card.text  # settings that differ from those of the id
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["n_eval_episodes"] == measured["n_images"] and results["is_deterministic"]
    assert results["mean_reward"] == measured["mean_reward"]


def test_no_path_of_this_computer_is_uploaded(trained: Run, tmp_path: Path) -> None:
    folder = copy_of(trained, tmp_path / "run")
    for name, read, write in (
        ("config.yml", yaml.safe_load, yaml.safe_dump),
        ("metrics.json", json.loads, json.dumps),
    ):
        content = read((folder / name).read_text())
        content["env_kwargs"] |= {
            "classifier": {"type": "file", "path": str(tmp_path / "secret" / "c.pt")},
            "dataset": f"folder:{tmp_path}/secret/pictures",
        }
        (folder / name).write_text(write(content))
    package(folder, tmp_path / "out")
    for name in ("config.yml", "results.json", "README.md"):
        assert str(tmp_path) not in (tmp_path / "out" / name).read_text()
    kwargs = Package.open(tmp_path / "out").config.env_kwargs
    assert kwargs["dataset"] == "folder:pictures"


def test_what_is_not_finished_is_not_packaged(trained: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not empty"):
        package(trained.path, trained.path)
    folder = copy_of(trained, tmp_path / "run")
    (folder / "video.mp4").unlink()
    with pytest.raises(RunError, match="--video 9"):
        package(folder, tmp_path / "out")
    metrics = json.loads((folder / "metrics.json").read_text()) | {"timesteps": 1}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(RunError, match="measured at 1 timesteps, the model has 64"):
        package(folder, tmp_path / "out")
    (folder / "metrics.json").unlink()
    with pytest.raises(RunError, match=r"eval\.py"):
        package(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub as a folder."""
    folder = tmp_path / "hub"

    def create_repo(self, repo_id: str, **kwargs) -> str:
        (folder / repo_id).mkdir(parents=True, exist_ok=True)
        return f"https://huggingface.co/{repo_id}"

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
        shutil.copytree(folder_path, folder / repo_id, dirs_exist_ok=True)

    def snapshot_download(repo_id: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        if not (folder / repo_id).is_dir():
            raise huggingface_hub.errors.LocalEntryNotFoundError(f"no {repo_id}")
        return str(folder / repo_id)

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return folder


def test_pushed_and_pulled_it_is_a_run_directory_again(
    trained: Run, remote: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    our_hub.main(["push", str(trained.path), "--repo", "me/digits"])
    assert "uploaded to https://huggingface.co/me/digits" in capsys.readouterr().out
    assert (remote / "me" / "digits" / "README.md").exists()
    our_hub.main(["pull", "me/digits", str(tmp_path / "pulled")])
    assert f"python eval.py {tmp_path / 'pulled'}" in capsys.readouterr().out
    pulled = Run.open(tmp_path / "pulled")
    for ours, theirs in zip(actions(trained), actions(pulled), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(actions(pulled), actions(load("me/digits")), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(RunError, match="not empty"):
        pull("me/digits", tmp_path / "pulled")


def test_what_is_not_there_is_said(trained: Run, remote: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="got 'me/nothing', which is no folder here"):
        load("me/nothing")
    push(trained.path, "me/digits")
    (remote / "me" / "digits" / f"{model_name(trained)}.zip").unlink()
    with pytest.raises(RunError, match=r"has no ppo-GlimpseDigits-MultiCat-v0\.zip"):
        load("me/digits")
    (remote / "me" / "digits" / "config.yml").unlink()
    with pytest.raises(RunError, match="not a run directory"):
        load("me/digits")


def test_without_huggingface_hub_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[hub\]"'):
        load("me/nothing")
