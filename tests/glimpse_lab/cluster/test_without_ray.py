"""A cluster is asked for and Ray is not there."""

from __future__ import annotations

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
