"""A run goes on with its image folder at another place, if the images are the same."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from scripts import fail, succeed

import glimpse_lab
from glimpse_envs.data import loaders
from glimpse_lab import RunError
from glimpse_lab.cli import eval as evaluation
from glimpse_lab.cli import train as training

train = partial(succeed, training.main)
train_fails = partial(fail, training.main)
evaluate = partial(succeed, evaluation.main, name="eval.py")
evaluate_fails = partial(fail, evaluation.main, name="eval.py")

SETTINGS = {
    "n_envs": 4, "n_steps": 8, "batch_size": 16, "n_epochs": 1,
    "env_kwargs.classifier": {"type": "canvas", "width": 4},
    "callback": [{"policies.CoTrainingCallback": {"pretraining": 32, "batch_size": 16}}],
}  # fmt: skip


def draw(folder: Path) -> Path:
    """Write pictures of two classes, whose names are no formulas and no glyphs."""
    rng = np.random.default_rng(0)
    for level, name in enumerate(("$5_bill^$", "_caf\udce9 \\frac")):
        (folder / name).mkdir(parents=True)
        for k in range(10):
            pixels = rng.integers(0, 100, (16, 20), dtype=np.uint8) + 150 * level
            with (folder / name / f"{k}.png").open("wb") as file:
                Image.fromarray(pixels.astype(np.uint8)).save(file, "png")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run whose image folder was moved, and where that is now."""
    root = tmp_path_factory.mktemp("moved")
    dataset = {"type": "folder", "path": str(draw(root / "then")), "size": 16}
    run = glimpse_lab.train(
        overrides={**SETTINGS, "env_kwargs.dataset": dataset}, total_timesteps=64, runs=root
    )
    (root / "then").rename(root / "now")
    loaders._load.cache_clear()  # as in another process, later
    return run.path, root / "now"


def test_without_the_folder_the_message_says_how(made: tuple[Path, Path]) -> None:
    message = evaluate_fails(made[0], "--quick")
    assert "--dataset folder:PATH" in message and "then" in message


def test_it_is_evaluated_and_loaded_from_the_new_place(made: tuple[Path, Path]) -> None:
    path, folder = made
    before = (path / "config.yml").read_text()
    assert "accuracy" in evaluate(path, "--quick", "--dataset", f"folder:{folder}")
    result = glimpse_lab.evaluate(path, dataset=f"folder:{folder}")
    assert result.n_images == 4
    run = glimpse_lab.Run.open(path)
    assert glimpse_lab.evaluate(run, dataset=f"folder:{folder}").accuracy == result.accuracy
    _, env = glimpse_lab.load(path, dataset=f"folder:{folder}")
    assert env.config.dataset.image_shape == (16, 16, 1)  # the size that was asked for then
    assert (path / "config.yml").read_text() == before


def test_other_data_are_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    path, folder = made
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    file = next(other.glob("*/3.png"))
    Image.fromarray(np.zeros((16, 20), np.uint8)).save(file)
    for data in (f"folder:{other}", "digits"):
        assert "is not the one" in evaluate_fails(path, "--dataset", data)
        assert "is not the one" in train_fails("--resume", path, "--dataset", data)
        with pytest.raises(RunError, match="is not the one"):
            glimpse_lab.load(path, dataset=data)


def test_it_is_resumed_from_the_new_place_and_stays_there(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    path = Path(shutil.copytree(made[0], tmp_path / "run"))
    folder = f"folder:{made[1]}"
    train("--resume", path, "--dataset", folder, "--total-timesteps", 128, "--no-video")
    content = yaml.safe_load((path / "config.yml").read_text())
    place = {"type": "folder", "path": str(made[1]), "size": 16}
    assert content["env_kwargs"]["dataset"] == place
    assert "accuracy" in evaluate(path, "--quick")  # nothing has to be said any more


def test_a_run_that_cannot_be_written_to_is_said_before_the_work(
    made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("glimpse_lab.cli.eval_commands.evaluate_run", refuse)
    message = evaluate_fails(made[0], "--dataset", f"folder:{made[1]}")
    assert f"{made[0]} cannot be written to (Read-only file system)" in message
