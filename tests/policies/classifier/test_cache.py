"""Kept pretrainings: found again where they are whole, made anew where not, in no one's way."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch as th
from episodes import classifier, quadrants

from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.strategies import Walk
from policies.classifier.cache import ClassifierCache, training_key
from policies.classifier.model import read_file
from policies.classifier.pretraining import Pretraining
from policies.classifier.trainer import Fitter

SETTINGS: dict[str, Any] = {"bfloat16": False}


def make_env_config(**changes: Any) -> GlimpseConfig:
    parts = {"dataset": quadrants(), "budget": 3, "classifier": classifier("gru")}
    return make_config(**{**parts, **changes})


def pretrained(folder: Path, state: dict[str, Any] | None = None) -> tuple[str, Fitter]:
    """The digest of a classifier after a small pretraining with a cache."""
    config = make_env_config()
    fitter = Fitter(config.classifier, **SETTINGS)
    training = Pretraining(64, Walk(), 16, 0.3, SETTINGS)
    if state is not None:
        training.restore(state)
    cache = ClassifierCache(folder)
    training.run(fitter, config, 0, cache=cache, checkpoint=lambda: None)
    assert training.n_done == 64
    return config.classifier.digest(), fitter


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str, str]:
    """The bytes of a kept pretraining, the name of its file, and the digest."""
    folder = tmp_path_factory.mktemp("cache")
    digest, _ = pretrained(folder)
    (file,) = folder.iterdir()
    return file.read_bytes(), file.name, digest


# ---- damage ----


def flip(data: bytes, place: float) -> bytes:
    at = int(place * len(data))
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"PK",
        lambda data: b"\0" * len(data),
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        *[lambda data, place=place: flip(data, place) for place in (0.05, 0.3, 0.5, 0.7, 0.9)],
    ],
)
def test_a_damaged_file_is_said_and_made_anew(
    damage: Callable[[bytes], bytes],
    kept: tuple[bytes, str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, name, digest = kept
    file = tmp_path / name
    file.write_bytes(damage(data))
    assert pretrained(tmp_path)[0] == digest
    shown = capsys.readouterr().out.splitlines()
    assert f"{file} is damaged" in shown[0] and "trained anew" in shown[0]
    assert "is kept as" in shown[1] and len(shown) == 2
    assert pretrained(tmp_path)[0] == digest
    assert "trained before with these settings" in capsys.readouterr().out


def test_what_a_kill_left_of_a_write_is_removed(tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    (tmp_path / f".0123456789abcdef.glimpse-tmp-{killed.pid}.pt").write_bytes(b"PK")
    pretrained(tmp_path)
    assert [file.suffix for file in tmp_path.iterdir()] == [".pt"]
    assert not list(tmp_path.glob(".*"))


def drop_weight(content: dict[str, Any]) -> None:
    del content["weights"]["readout.bias"]


def spoil_weight(content: dict[str, Any]) -> None:
    content["weights"]["readout.bias"][0] = float("nan")


def reshape_weight(content: dict[str, Any]) -> None:
    content["weights"]["readout.bias"] = th.zeros(7)


def change_weight(content: dict[str, Any]) -> None:
    content["weights"]["readout.bias"] += 1.0


def no_tensor(content: dict[str, Any]) -> None:
    content["weights"]["readout.bias"] = [1.0]


def drop_optimizer(content: dict[str, Any]) -> None:
    del content["extras"]["optimizer"]


def spoil_optimizer(content: dict[str, Any]) -> None:
    content["extras"]["optimizer"]["adamw"]["state"][0]["exp_avg"] *= float("inf")


def spoil_momentum(content: dict[str, Any]) -> None:
    content["extras"]["optimizer"]["muon"]["state"][0]["momentum_buffer"] *= float("inf")


def reshape_optimizer(content: dict[str, Any]) -> None:
    content["extras"]["optimizer"]["adamw"]["state"][0]["exp_avg"] = th.zeros(3, 3)


def empty_groups(content: dict[str, Any]) -> None:
    content["extras"]["optimizer"]["muon"]["param_groups"] = []


def drop_muon(content: dict[str, Any]) -> None:
    del content["extras"]["optimizer"]["muon"]


def change_temperature(content: dict[str, Any]) -> None:
    content["weights"]["temperatures"][3] *= 2.0


def rename(content: dict[str, Any]) -> None:
    content["extras"]["key"] = "0" * 16


def change_network(content: dict[str, Any]) -> None:
    content["specification"]["seed"] = 99


@pytest.mark.parametrize(
    "tamper",
    [
        *(drop_weight, spoil_weight, reshape_weight, change_weight, no_tensor),
        *(drop_optimizer, spoil_optimizer, reshape_optimizer, empty_groups),
        *(spoil_momentum, drop_muon, change_temperature, rename, change_network),
    ],
)
def test_a_file_that_holds_something_else_is_not_used(
    tamper: Callable, kept: tuple[bytes, str, str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    data, name, digest = kept
    file = tmp_path / name
    file.write_bytes(data)
    content = read_file(file)
    tamper(content)
    th.save(content, file)
    assert pretrained(tmp_path)[0] == digest
    assert f"{file} is damaged" in capsys.readouterr().out


def test_it_comes_back_with_its_optimiser(kept: tuple[bytes, str, str], tmp_path: Path) -> None:
    data, name, digest = kept
    (tmp_path / name).write_bytes(data)
    again, fitter = pretrained(tmp_path)
    assert again == digest
    state = fitter.optimizer.state_dict()
    assert {int(moments["step"]) for moments in state["adamw"]["state"].values()} == {4}
    assert all(moments["momentum_buffer"].any() for moments in state["muon"]["state"].values())


# ---- folders that cannot be used ----


def file_in_its_place(folder: Path) -> Path:
    folder.write_text("no folder")
    return folder


def below_a_file(folder: Path) -> Path:
    folder.write_text("no folder")
    return folder / "classifiers"


@pytest.mark.parametrize(
    "place",
    [file_in_its_place, below_a_file, lambda folder: Path("/proc/classifiers")],
)
def test_a_folder_that_cannot_be_made_costs_one_line(
    place: Callable, kept: tuple, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrained(place(tmp_path / "data"))[0] == kept[2]
    (line,) = capsys.readouterr().out.splitlines()
    assert "will not be kept" in line


def test_a_disk_that_fills_up_costs_one_line(
    kept: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def full(*arguments: Any, **extras: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("policies.classifier.model.TorchClassifier.save_inside", full)
    assert pretrained(tmp_path)[0] == kept[2]
    (line,) = capsys.readouterr().out.splitlines()
    assert "is not kept" in line and "No space left" in line
    assert list(tmp_path.iterdir()) == []


# ---- keys, and what comes from a run folder ----


@pytest.mark.parametrize(
    "key",
    ["", "/tmp/x", "../x", "0" * 15, "0" * 17, "g" * 16, "0" * 16 + "\n", "0" * 8 + "/../000"],
)
def test_only_keys_name_files(key: str, tmp_path: Path) -> None:
    cache = ClassifierCache(tmp_path / "cache")
    with pytest.raises(ValueError, match="wanted 16 hexadecimal digits"):
        cache.file(key)
    with pytest.raises(ValueError, match="wanted 16 hexadecimal digits"), cache.alone(key):
        pass
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("key", ["../../victim", "0" * 16, None])
def test_what_was_restored_is_neither_kept_nor_looked_for(
    key: str | None, kept: tuple, tmp_path: Path
) -> None:
    folder = tmp_path / "deep" / "cache"
    folder.mkdir(parents=True)
    (folder / kept[1]).write_bytes(b"another's")
    (tmp_path / "victim.lock").write_text("mine")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    pretrained(folder, {"pretrained": 32, "key": key})
    pretrained(folder, {"pretrained": 0, "key": key})
    assert {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()} == before


@pytest.mark.parametrize("n_done", [-1, "64", 1.5, None, [1]])
def test_a_state_that_is_none_is_refused(n_done: Any) -> None:
    with pytest.raises(ValueError, match="pretrained episodes"):
        Pretraining(64, Walk(), 16, 0.3, {}).restore({"pretrained": n_done})


def test_a_key_is_of_all_that_makes_a_training() -> None:
    def key(seed: int = 0, training: tuple = (64,), gaze: Any = Walk(), **changes: Any) -> str:  # noqa: B008
        return training_key(make_env_config(**changes), gaze, list(training), seed)

    keys = {
        key(),
        key(seed=1),
        key(training=(65,)),
        key(budget=4),
        key(split="validation"),  # other images than the train split's
        key(scene_seed=1),
        key(start="centre"),
    }
    assert len(keys) == 7 and key() in keys
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in keys)
