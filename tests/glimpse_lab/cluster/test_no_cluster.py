"""Ray is installed, and no cluster has been begun: a file of its own, as others begin one."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts import call

from glimpse_lab.cli import train as training

pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')


def test_auto_says_how_to_begin_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    command = ["--runs", tmp_path, "--seeds", "0", "--total-timesteps", "64", "--cluster", "auto"]
    status, _, errors = call(training.main, *command)
    assert status == 1 and "ray start --head" in errors
    assert not list(tmp_path.glob("Glimpse*"))
