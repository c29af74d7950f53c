"""A baseline beside an agent at a matched budget, on the same images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.metrics.episodes import Episodes
from glimpse_lab.evaluation.result import MatchedBudget
from glimpse_lab.evaluation.significance import student_mean


def matched_budget(
    agent: Episodes, baseline: Episodes, rows: NDArray[np.int64] | None = None
) -> MatchedBudget:
    """Compare a baseline with an agent at the mean number of glimpses that the agent takes.

    A baseline that takes its whole budget for every image, and has an answer after each glimpse, is
    read off at that number: between two whole ones as if it took one or the other by chance. Any
    other counts as it is, with the glimpses that it took.

    :param agent: its episodes
    :param baseline: of the same images, in the same order
    :param rows: which of the agent's episodes are of these images, int64 (N,); None for all
    :raises ValueError: labels that differ
    """
    rows = np.arange(len(agent.labels)) if rows is None else rows
    if not np.array_equal(agent.labels[rows], baseline.labels):
        raise ValueError(
            f"got {len(rows)} episodes of the agent and {len(baseline.labels)} of the baseline "
            "with other labels; wanted those of the same images, in the same order"
        )
    right = baseline.predictions == baseline.labels
    glimpses = float(baseline.n_glimpses.mean())
    if (baseline.n_glimpses == baseline.budget).all() and (baseline.answers >= 0).all():
        glimpses = min(float(agent.n_glimpses[rows].mean()), glimpses)
        whole = int(glimpses)
        by_glimpse = baseline.answers == baseline.labels[:, None]
        low, high = by_glimpse[:, whole - 1], by_glimpse[:, min(whole, baseline.budget - 1)]
        right = low + (glimpses - whole) * (high.astype(float) - low)
    lead = student_mean((agent.predictions[rows] == baseline.labels) - right.astype(float))
    return MatchedBudget(
        n_glimpses=glimpses,
        accuracy=float(right.mean()),
        lead=lead.value,
        lead_ci95=None if lead.low is None else (lead.low, lead.high),
    )
