"""The wheel: everything that an installed package needs, and nothing that only a checkout has."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGES = ("glimpse_envs", "policies", "glimpse_lab")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a wheel of this tree installs, built without a network."""
    source, wheels = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for name in PACKAGES:
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps"]
    result = subprocess.run(
        [*command, "--wheel-dir", str(wheels), str(source)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = wheels.glob("glimpse_envs-*.whl")
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def files(folder: Path) -> set[str]:
    """All files of the packages below a folder."""
    return {
        str(path.relative_to(folder))
        for name in PACKAGES
        for path in (folder / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_every_file_of_the_packages(installed: Path) -> None:
    assert files(installed) == files(ROOT)
    recipes = installed / "glimpse_lab" / "hyperparams"
    assert "default" in yaml.safe_load((recipes / "ppo_lstm.yml").read_text())
    assert (recipes / "reward_alone" / "ppo_lstm.yml").exists()
    assert (installed / "glimpse_lab" / "pretrained" / "digits" / "model.zip").exists()
    (points,) = installed.glob("*.dist-info/entry_points.txt")
    assert "glimpse-train = glimpse_lab.cli.train:main" in points.read_text()


@pytest.mark.slow  # everything is compiled anew there
def test_the_wheel_trains_and_evaluates_elsewhere(installed: Path, tmp_path: Path) -> None:
    training = "callback=[{policies.CoTrainingCallback: {pretraining: 64, batch_size: 32}}]"
    small = ["n_envs=8", "n_steps=16", "batch_size=64", "n_epochs=1", training]
    begin = f"import sys; sys.path.insert(0, {str(installed)!r}); import glimpse_lab; "
    where = "assert glimpse_lab.__file__.startswith(sys.path[0]); "
    for name, arguments in (
        ("train", ["--total-timesteps", "256", "--name", "x", "--no-video", "--set", *small]),
        ("eval", ["runs/GlimpseDigits-MultiCat-v0/x", "--quick"]),
        ("eval", ["--pretrained", "digits", "--video", "1"]),
    ):
        code = f"{begin}{where}from glimpse_lab.cli.{name} import main; main()"
        command = [sys.executable, "-P", "-c", code, *arguments]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert "accuracy" in result.stdout
