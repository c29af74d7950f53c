"""The recipe for pictures of one's own: scaled to their number and size."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from images import noise, write_class
from PIL import Image

from glimpse_envs import ImageDataset
from glimpse_envs.render.videos import write_video
from glimpse_lab import DEFAULT_ENV, own_pictures
from glimpse_lab.classifiers import training_of
from glimpse_lab.config import RunConfig, resolve_config
from glimpse_lab.own_pictures import OWN_PICTURES_ENV, choose_env, fit_recipe
from glimpse_lab.recipes import load_recipe

FILE = own_pictures.OWN_PICTURES / "ppo.yml"
CIFAR = "GlimpseCIFAR-MultiCat-v0"


@pytest.fixture(autouse=True)
def _said_anew() -> None:
    own_pictures._say.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> str:
    for name in ("left", "right"):
        write_class(tmp_path / "pictures" / name, 10, 40, 48, 3)
    return f"folder:{tmp_path / 'pictures'}"


def pictures(n: int, height: int, width: int, frames: int = 1) -> ImageDataset:
    images, labels = noise(n, frames * height, width, 1), np.arange(n) % 2
    whole = ImageDataset.from_arrays(images, labels, images[:4], labels[:4], name="own")
    parts = {name: whole.split(name) for name in ("train", "validation", "test")}
    return ImageDataset("own", classes=whole.classes, frames=frames, **parts)


def pretraining(config: RunConfig) -> Any:
    return training_of(config.recipe)["pretraining"]


@pytest.mark.parametrize(
    ("n", "height", "width", "size", "episodes", "timesteps"),
    [
        (2400, 100, 120, 12, 50 * 2160, 50 * 2160),
        (60, 32, 32, 8, 40_000, 60_000),  # the least
        (2400, 200, 200, 24, 40_000, 60_000),  # 27,000 of episodes that take four times as long
        (40, 400, 500, 32, 40_000, 60_000),  # the largest glimpse
        (40, 6, 6, 6, 40_000, 60_000),  # no glimpse is larger than the picture
        (40_000, 8, 8, 8, 1_000_000, 1_000_000),  # the most
    ],
)
def test_the_recipe_grows_with_the_pictures(
    n: int, height: int, width: int, size: int, episodes: int, timesteps: int
) -> None:
    recipe = fit_recipe(load_recipe(FILE, OWN_PICTURES_ENV), pictures(n, height, width))
    assert recipe["env_kwargs"]["sensor"] == {"type": "Crop", "size": size}
    assert training_of(recipe)["pretraining"] == pytest.approx(episodes, rel=0.01)
    assert recipe["n_timesteps"] == pytest.approx(timesteps, rel=0.01)
    shift = min(height, width) // 16
    augment = {"type": "ShiftFlip", "shift": shift, "flip": False}
    assert recipe["env_kwargs"]["augment"] == augment


@pytest.mark.parametrize(("height", "width", "size"), [(64, 64, 8), (64, 400, 8), (400, 200, 24)])
def test_clips_are_measured_by_their_frames(height: int, width: int, size: int) -> None:
    recipe = fit_recipe(load_recipe(FILE, OWN_PICTURES_ENV), pictures(12, height, width, 3))
    assert recipe["env_kwargs"]["sensor"] == {"type": "Crop", "size": size}
    assert recipe["env_kwargs"]["augment"]["shift"] == min(height, width) // 16


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("films")
    film = write_video(root / "film.gif", list(noise(3, 64, 64, 3)))
    for name in ("left", "right"):
        (root / "films" / name).mkdir(parents=True)
        for i in range(3):
            shutil.copy(film, root / "films" / name / f"{i}.gif")
    return {"type": "clips", "path": str(root / "films"), "frames": 3}


@pytest.mark.parametrize("env_id", [None, CIFAR])
def test_clips_get_a_classifier_with_a_memory_in_time(
    env_id: str | None, films: dict[str, Any], capsys: Any
) -> None:
    config = resolve_config(env_id, overrides={"env_kwargs.dataset": films})
    assert config.env_kwargs["classifier"] == {"type": "gru", "seed": 0}
    said = capsys.readouterr().out
    assert "(3 clips of 3 frames to train on, 64 x 64)" in said and "classifier gru in" in said
    given = {"env_kwargs.dataset": films, "env_kwargs.classifier.type": "canvas"}
    config = resolve_config(env_id, overrides=given)
    assert config.env_kwargs["classifier"] == {"type": "canvas", "seed": 0}  # what is set stands
    assert "classifier" not in capsys.readouterr().out


def test_a_folder_alone_gets_the_recipe_for_own_pictures(folder: str, capsys: Any) -> None:
    config = resolve_config(dataset=folder)
    assert (config.env_id, config.algorithm) == (OWN_PICTURES_ENV, "ppo")
    assert pretraining(config) == 40_000 and config.env_kwargs["scene"] == "Plain"
    assert config.make_env_config().sensor.size == 8  # it fits the environment
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "glimpses 8 pixels wide" in said and "14 images" in said
    resolve_config(dataset=folder, seed=1)
    assert not capsys.readouterr().out  # once
    resolve_config(dataset=folder, overrides={"callback.CoTrainingCallback.pretraining": 77})
    assert "77 episodes of pretraining" in capsys.readouterr().out  # what is trained with


def test_what_is_set_stands(folder: str) -> None:
    config = resolve_config(
        overrides={
            "env_kwargs.dataset": folder,
            "env_kwargs.sensor.size": 10,
            "env_kwargs.augment.flip": True,
            "callback.CoTrainingCallback.pretraining": 500,
            "n_timesteps": 128,
        }
    )
    assert config.env_id == OWN_PICTURES_ENV and config.env_kwargs["sensor"]["size"] == 10
    assert config.env_kwargs["augment"] == {"type": "ShiftFlip", "shift": 2, "flip": True}
    assert (pretraining(config), config.n_timesteps) == (500, 128)
    alone = resolve_config(dataset=folder, classifier="none")
    assert alone.env_id == OWN_PICTURES_ENV and alone.env_kwargs["sensor"]["size"] == 8


def test_an_id_keeps_its_recipe_and_its_passes_over_the_images(folder: str, capsys: Any) -> None:
    config = resolve_config(CIFAR, dataset=folder)
    assert pretraining(config) == 40_000 and config.n_timesteps == 500_000
    assert config.env_kwargs["augment"] == {
        "type": "ShiftFlip",
        "shift": 4,
        "flip": False,
        "fill": "reflect",
    }
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "40,000 episodes of pretraining" in said
    assert "no mirror images" in said and "wide" not in said
    assert config.env_kwargs["classifier"] == {"type": "canvas", "width": 64, "seed": 0}
    few = resolve_config("GlimpseDigits-MultiCat-v0", dataset=folder)
    assert pretraining(few) == 40_000 and not capsys.readouterr().out  # never less than enough
    passes = {"env_kwargs.augment.flip": True, "callback.CoTrainingCallback.pretraining": 9}
    config = resolve_config(CIFAR, dataset=folder, overrides=passes)
    assert pretraining(config) == 9 and config.env_kwargs["augment"]["flip"] is True


def test_known_data_and_recipes_of_the_user_stay_as_they_are(
    folder: str, tmp_path: Path, capsys: Any
) -> None:
    assert resolve_config().env_id == DEFAULT_ENV == choose_env(None, "digits")
    assert resolve_config(dataset="digits") == resolve_config(DEFAULT_ENV)
    mine = tmp_path / "ppo.yml"
    mine.write_text("default: {n_envs: 4, n_timesteps: 64, env_kwargs: {budget: 3}}")
    config = resolve_config(recipe=mine, dataset=folder)
    assert (config.n_timesteps, config.env_kwargs["budget"]) == (64, 3)
    assert not capsys.readouterr().out


def test_more_is_said_of_a_folder_beside_its_name(folder: str) -> None:
    said = {"env_kwargs.dataset.size": 12, "env_kwargs.dataset.fit": "letterbox"}
    config = resolve_config(dataset=folder, overrides=said)
    path = folder.partition(":")[2]
    whole = {"type": "folder", "path": path, "size": 12, "fit": "letterbox"}
    assert config.env_kwargs["dataset"] == whole
    assert resolve_config(overrides={"env_kwargs.dataset": whole}).env_kwargs == config.env_kwargs
    smaller = {"env_kwargs.dataset": whole, "env_kwargs.dataset.size": 9}
    assert resolve_config(overrides=smaller).env_kwargs["dataset"] == {**whole, "size": 9}


@pytest.mark.parametrize(
    ("dataset", "overrides", "match"),
    [
        ("digits", {"env_kwargs.dataset": "mnist"}, "got --dataset digits and env_kwargs.dataset="),
        ("digits", {"env_kwargs.dataset.size": 8}, "got env_kwargs.dataset.size for digits"),
        ("folder:a", {"env_kwargs.dataset.path": "b"}, "got env_kwargs.dataset.path beside"),
    ],
)
def test_two_data_sets_and_words_for_none_are_refused(
    dataset: str | None, overrides: dict[str, Any], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        resolve_config("GlimpseDigits-MultiCat-v0", dataset=dataset, overrides=overrides)


def test_a_narrow_picture_gets_a_sensor_that_fits(tmp_path: Path) -> None:
    for name in ("left", "right"):
        write_class(tmp_path / name, 10, 192, 256, 3)
    (tmp_path / "left" / "0.png").unlink(missing_ok=True)
    Image.new("RGB", (256, 24), (9, 99, 0)).save(tmp_path / "left" / "narrow.png")
    overrides = {"env_kwargs.dataset.fit": "keep"}
    config = resolve_config(dataset=f"folder:{tmp_path}", overrides=overrides)
    assert config.env_kwargs["sensor"]["size"] == 24
    assert config.env_kwargs["augment"]["shift"] == 0
