"""Agents that come with the package: they load, play as their cards say, and copy whole."""

from __future__ import annotations

import json
import re
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from forks import ForkedScript
from scripts import ROOT, fail, finish, succeed

import glimpse_lab
from glimpse_envs import pack_dataset
from glimpse_envs.data.downloads import DOWNLOADS
from glimpse_lab.checkpoint import saved_classifier
from glimpse_lab.cli import eval as evaluation
from glimpse_lab.config import RunError
from glimpse_lab.evaluation.rollout import evaluate
from glimpse_lab.pretrained import folder_of, pretrained_names
from glimpse_lab.pretrained.agents import copy_agent, open_agent
from glimpse_lab.pretrained.card import read_card
from glimpse_lab.runs import Run

fails = partial(fail, evaluation.main, name="eval.py")
succeeds = partial(succeed, evaluation.main, name="eval.py")


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("GLIMPSE_DATA_DIR", str(folder))
    return folder


def pack_noise(path: Path, shape: tuple[int, ...], classes: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (100, *shape), dtype=np.uint8)
    labels = np.arange(100) % len(classes)
    pack_dataset(
        path,
        train_images=images,
        train_labels=labels,
        test_images=images[:20],
        test_labels=labels[:20],
        classes=classes,
    )


@pytest.mark.parametrize("name", pretrained_names())
def test_every_agent_is_whole_and_small(name: str) -> None:
    folder = folder_of(name)
    run, card = Run.open(folder), read_card(folder)
    assert {file.name for file in folder.iterdir()} == {"config.yml", "model.zip", "card.json"}
    assert run.saved_timesteps() == card.timesteps
    assert (run.config.env_id, run.config.seed, run.config.git) == (
        card.env,
        card.seed,
        card.commit,
    )
    assert run.config.dataset.digest == card.dataset_digest
    described = run.config.env_kwargs.get("classifier") is not None
    assert (saved_classifier(run.model_file) is not None) == described
    low, high = card.accuracy_ci95
    assert low < card.accuracy < high and abs(card.accuracy - card.accuracy_of_run) < 0.003
    assert sum(file.stat().st_size for file in folder.iterdir()) < 5e6


@pytest.mark.parametrize("name", pretrained_names())
def test_the_documentation_says_what_the_card_says(name: str) -> None:
    card = read_card(folder_of(name))
    low, high = (f"{100 * bound:.2f}" for bound in card.accuracy_ci95)
    row = (
        f"| `{name}` | `{card.env}` | {100 * card.accuracy:.2f} % ({low} to {high}) | "
        f"{card.mean_glimpses:.2f} | `{card.command}` |"
    )
    assert row in (ROOT / "docs" / "evaluation.md").read_text().splitlines()


def test_digits_play_as_their_card_says() -> None:
    card, run = read_card(folder_of("digits")), open_agent(folder_of("digits"))
    paths = evaluate(run.load().model, run.evaluation_config("test"))
    assert len(paths.labels) == card.n_images == 359
    # an image or two may fall otherwise on other processors
    assert np.mean(paths.predictions == paths.labels) == pytest.approx(card.accuracy, abs=0.006)
    assert card.accuracy > 0.8


def test_an_agent_is_loaded_from_python() -> None:
    assert {"digits", "cifar10"} <= set(glimpse_lab.pretrained_names())
    model, env = glimpse_lab.load_pretrained("digits", "validation")
    action, _ = model.predict(env.reset(), deterministic=True)
    assert len(action) == env.num_envs and env.config.split == "validation"
    with pytest.raises(ValueError, match=r"no agent 'digit' comes .* known: .*digits"):
        glimpse_lab.load_pretrained("digit")
    with pytest.raises(ValueError, match="split"):
        glimpse_lab.load_pretrained("digits", "tset")


def test_the_command_evaluates_and_films(tmp_path: Path) -> None:
    arguments = ("--pretrained", "digits", "--video", "2")
    ended = finish(ForkedScript(evaluation.main, *arguments, name="eval.py", place=tmp_path))
    assert ended.status == 0, ended.errors
    folder = tmp_path / "runs" / "pretrained" / "digits"
    names = {file.name for file in folder.iterdir()}
    assert names == {"config.yml", "model.zip", "card.json", "video.mp4", "video.gif"}
    reached = float(re.search(r"accuracy +([\d.]+) %", ended.output)[1])
    assert reached == pytest.approx(100 * read_card(folder).accuracy, abs=0.6)
    assert "eval.py runs/pretrained/digits" in ended.output
    assert ended.output.startswith("digits, by its card: ")


def test_the_copy_is_a_run_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    succeeds("--pretrained", "digits")
    folder = Path("runs", "pretrained", "digits")
    made = (folder / "model.zip").stat().st_mtime_ns
    measured = json.loads(succeeds("--pretrained", "digits", "--json", "--budget", "3"))
    assert measured["budget"] == 3 and measured["mean_glimpses"] <= 3
    assert (folder / "model.zip").stat().st_mtime_ns == made  # the copy is taken again
    assert json.loads(succeeds(folder, "--quick", "--json"))["timesteps"] > 0
    model = Run.open(folder).load().model
    model.num_timesteps += 1
    Run.open(folder).save_model(model)
    message = fails("--pretrained", "digits")
    assert "is not the agent digits of this version" in message and f"rename {folder}" in message
    succeeds(folder, "--quick")


def test_a_copy_that_was_cut_off_is_made_whole(tmp_path: Path) -> None:
    copy_agent(folder_of("digits"), tmp_path / "run")
    (tmp_path / "run" / "config.yml").unlink()
    copy_agent(folder_of("digits"), tmp_path / "run")
    assert Run.open(tmp_path / "run").config == Run.open(folder_of("digits")).config


def test_a_copy_does_not_write_through_links(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "run" / "card.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is a link"):
        copy_agent(folder_of("digits"), tmp_path / "run")
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_package_data_may_be_read_only_or_links(tmp_path: Path) -> None:
    kept, folder = tmp_path / "kept", tmp_path / "site" / "digits"
    shutil.copytree(folder_of("digits"), kept)
    folder.mkdir(parents=True)
    for file in kept.iterdir():
        file.chmod(0o444)
        (folder / file.name).symlink_to(file)  # as some installers do
    folder.chmod(0o555)
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in kept.iterdir()}
    model, _ = open_agent(folder).load()
    assert model.num_timesteps == read_card(folder).timesteps
    run = copy_agent(folder, tmp_path / "run")
    for file in run.path.iterdir():
        assert not file.is_symlink() and file.stat().st_mode & 0o200
    assert before == {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in kept.iterdir()}
    assert len(list(folder.iterdir())) == len(before)


def test_data_that_are_missing_are_named(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(root: str, **_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.CIFAR10", unreachable)
    monkeypatch.chdir(data_dir)
    message = fails("--pretrained", "cifar10", "--video", "4")
    assert "GLIMPSE_DATA_DIR" in message and str(data_dir / "cifar10.npz") in message
    assert "--dataset folder:PATH" in message and "no network" in message
    assert not Path("runs").exists()  # nothing is written before


def test_another_copy_of_the_data_is_taken_and_told(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    download = DOWNLOADS["cifar10"]
    pack_noise(data_dir / "cifar10.npz", download.image_shape, download.classes)
    monkeypatch.chdir(data_dir)
    sys.stderr.flush()
    _, env = glimpse_lab.load_pretrained("cifar10")
    assert "is not the copy that agent cifar10 was trained with" in capfd.readouterr().err
    assert len(env.config.shown_split) == 20
    measured = json.loads(succeeds("--pretrained", "cifar10", "--json"))
    assert measured["n_images"] == 20
    assert json.loads(succeeds("runs/pretrained/cifar10", "--quick", "--json"))["n_images"] == 20


@pytest.mark.parametrize(
    ("shape", "classes"), [((28, 28), tuple("0123456789")), ((32, 32, 3), tuple("0123456789"))]
)
def test_other_data_are_refused(
    data_dir: Path, shape: tuple[int, ...], classes: tuple[str, ...]
) -> None:
    pack_noise(data_dir / "other.npz", shape, classes)
    with pytest.raises(RunError, match=r"agent cifar10 wants images \(32, 32, 3\) and classes air"):
        open_agent(folder_of("cifar10"), "other")


def test_the_command_line_says_what_does_not_fit() -> None:
    message = fails("--pretrained", "digit")
    assert "digit" in message and all(name in message for name in pretrained_names())
    assert "in place of a run" in fails("--pretrained", "digits", "runs/x")
    assert "wanted RUN_DIR, or --pretrained" in fails()
