"""A data directory of its own for every test of a data set."""

from pathlib import Path

import pytest


@pytest.fixture
def data_dir(tmp_path, monkeypatch) -> Path:
    """An own data directory for each test; the cache is keyed by it, so tests do not meet."""
    folder = tmp_path / "data"
    monkeypatch.setenv("GLIMPSE_DATA_DIR", str(folder))
    return folder
