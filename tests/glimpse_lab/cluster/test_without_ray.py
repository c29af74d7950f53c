"""A cluster is asked for and Ray is not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from scripts import fail

from glimpse_lab.cli import train
from glimpse_lab.cluster import connection


def test_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ray", None)
    arguments = ["--runs", tmp_path, "--seeds", "0-1", "--cluster", "auto"]
    assert 'pip install -e ".[ray]"' in fail(train.main, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cluster", "auto"], "--cluster goes with --seeds"),
        (["--tune", "3", "--jobs", "2"], "--jobs goes with"),
        (["--resume", "--cluster", "auto"], "leave out --cluster"),
    ],
)
def test_what_does_not_go_together(arguments: list[str], message: str) -> None:
    assert message in fail(train.main, *arguments)


def test_settings_that_machines_need_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {
        "GLIMPSE_DATA_DIR": "data",
        "PYTHONPATH": f"src{os.pathsep}/lib",
        "WANDB_MODE": "offline",
        "WANDB_API_KEY": "secret",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    passed = connection._variables()
    assert passed["GLIMPSE_DATA_DIR"] == str(tmp_path / "data")
    this_package = str(Path(connection.__file__).parents[2])
    assert passed["PYTHONPATH"].split(os.pathsep) == [this_package, str(tmp_path / "src"), "/lib"]
    assert passed["WANDB_MODE"] == "offline" and "WANDB_API_KEY" not in passed
