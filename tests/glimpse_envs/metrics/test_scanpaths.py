"""Scanpaths: shapes, gaps and what stands after the last glimpse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_episode_metrics import FOUR

from glimpse_envs.metrics.scanpaths import Scanpaths


def scanpaths(**changes: Any) -> Scanpaths:
    taken = np.arange(3) < np.array(FOUR["n_glimpses"])[:, None]
    rng = np.random.default_rng(0)

    def filled(*size: int) -> np.ndarray:
        values = rng.random((4, 3, *size), np.float32)
        values[~taken] = np.nan
        return values

    parts = {
        "gaze": filled(3),
        "windows": filled(3),
        "seen": filled(),
        "beliefs": filled(5),
        "step_rewards": filled(),
        "hidden": filled(0),
    }
    return Scanpaths(**{**FOUR, **parts, **changes})


def test_the_last_belief_stands() -> None:
    paths = scanpaths()
    assert paths.n_classes == 5
    assert paths.taken.sum(axis=1).tolist() == FOUR["n_glimpses"]
    standing = paths.standing_beliefs
    assert np.isfinite(standing).all()
    assert np.array_equal(standing[0], np.tile(paths.beliefs[0, 0], (3, 1)))
    assert np.array_equal(standing[2], paths.beliefs[2])


@pytest.mark.parametrize(
    "changes",
    [
        {"gaze": np.zeros((4, 2, 3), np.float32)},
        {"seen": np.zeros((4, 3, 1), np.float32)},
        {"beliefs": np.zeros((4, 3), np.float32)},
        {"gaze": np.zeros((4, 3, 3), np.float32)},
    ],
)
def test_wrong_shapes_and_glimpses_that_were_not_taken_are_errors(changes: dict) -> None:
    with pytest.raises(ValueError, match="wanted"):
        scanpaths(**changes)
