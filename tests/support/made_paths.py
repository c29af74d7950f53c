"""Scanpaths made by hand from gazes, with the windows that belong to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from glimpse_envs.gaze import Geometry
from glimpse_envs.metrics.scanpaths import Scanpaths


def made_paths(
    gaze: Any,
    labels: Any,
    *,
    n_glimpses: Any = None,
    predictions: Any = None,
    answers: Any = None,
    beliefs: Any = None,
    size: tuple[int, int] = (32, 32),
    finest: int = 8,
) -> Scanpaths:
    """Return episodes with these gazes (N, budget, 3), answered at the end, by default rightly.

    :param beliefs: (N, budget, K), None for no classifier
    """
    gaze = np.array(gaze, np.float32)
    n, budget = gaze.shape[:2]
    n_glimpses = np.full(n, budget) if n_glimpses is None else np.array(n_glimpses)
    untaken = np.arange(budget) >= n_glimpses[:, None]
    geometry = Geometry(*size, finest, padded=True)
    windows = geometry.windows(gaze.reshape(-1, 3)).reshape(gaze.shape).astype(np.float32)
    seen = np.stack(
        [geometry.coverage(gaze, np.minimum(t + 1, n_glimpses)) for t in range(budget)], axis=1
    )
    coverage = seen[:, -1].copy()
    beliefs = np.zeros((n, budget, 0)) if beliefs is None else np.array(beliefs)
    columns = {
        "gaze": gaze,
        "windows": windows,
        "seen": seen,
        "beliefs": beliefs.astype(np.float32),
        "step_rewards": np.zeros((n, budget), np.float32),
        "hidden": np.zeros((n, budget, 0), np.float32),
    }
    for column in columns.values():
        column[untaken] = np.nan
    if answers is None:
        predictions = np.array(labels if predictions is None else predictions)
        stands = np.arange(budget) >= n_glimpses[:, None] - 1
        answers = np.where(stands, predictions[:, None], -1)
    answers = np.array(answers)
    return Scanpaths(
        labels=labels,
        predictions=answers[:, -1],
        n_glimpses=n_glimpses,
        samples=n_glimpses * finest**2,
        coverage=coverage,
        rewards=np.zeros(n),
        answers=answers,
        pixels=size[0] * size[1],
        **columns,
    )
