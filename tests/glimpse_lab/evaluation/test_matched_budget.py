"""A baseline at the agent's number of glimpses, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from glimpse_envs.metrics.episodes import Episodes
from glimpse_lab.evaluation.matched_budget import matched_budget


def episodes(answers: list[list[int]], glimpses: list[int], label: int = 1) -> Episodes:
    """Return episodes whose answers after each glimpse are given."""
    n = len(answers)
    return Episodes(
        labels=np.full(n, label),
        predictions=np.array(answers)[:, -1],
        n_glimpses=np.array(glimpses),
        samples=64 * np.array(glimpses),
        coverage=np.ones(n, np.float32),
        rewards=np.zeros(n, np.float32),
        answers=np.array(answers),
        pixels=1024,
    )


# three of four right, with (1 + 2 + 2 + 4) / 4 = 2.25 glimpses
AGENT = episodes([[1] * 4, [-1, 1, 1, 1], [-1, 1, 1, 1], [-1, -1, -1, 0]], [1, 2, 2, 4])


def test_a_gaze_that_takes_its_budget_is_read_off_between_whole_numbers() -> None:
    fixed = episodes([[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1]], [4] * 4)
    found = matched_budget(AGENT, fixed)
    # after 2 glimpses 1 of 4 is right, after 3 it is 2: a quarter of the way between
    assert found.n_glimpses == 2.25
    assert found.accuracy == pytest.approx(0.25 + 0.25 * 0.25)
    # image by image: 0, 0.75, 1, 0; its standard deviation and t(0.975, 3) = 3.182446
    half = 3.182446 * np.std([0, 0.75, 1, 0], ddof=1) / 2
    assert found.lead == pytest.approx(0.4375)
    assert found.lead_ci95 == pytest.approx([0.4375 - half, 0.4375 + half], abs=1e-6)


def test_at_the_whole_budget_it_is_the_end() -> None:
    agent = episodes([[-1, -1, 1]] * 3, [3] * 3)
    fixed = episodes([[0, 0, 1], [0, 1, 0], [1, 1, 1]], [3] * 3)
    found = matched_budget(agent, fixed)
    assert (found.n_glimpses, found.accuracy) == (3.0, pytest.approx(2 / 3))


def test_who_stops_by_itself_counts_with_its_own_glimpses() -> None:
    other = episodes([[-1, -1, -1, 1]] * 2 + [[0] * 4] * 2, [4, 4, 1, 1])
    found = matched_budget(AGENT, other)
    assert (found.n_glimpses, found.accuracy, found.lead) == (2.5, 0.5, 0.25)


def test_a_baseline_of_some_images_is_compared_on_them() -> None:
    other = episodes([[1] * 4, [0] * 4], [4, 4])
    found = matched_budget(AGENT, other, np.array([0, 3]))
    assert found.n_glimpses == 2.5 and found.lead == 0.0
    assert matched_budget(AGENT, episodes([[1] * 4], [4]), np.array([0])).lead_ci95 is None


def test_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="same images"):
        matched_budget(AGENT, episodes([[0] * 4] * 4, [4] * 4, label=0))
    with pytest.raises(ValueError, match="same images"):
        matched_budget(AGENT, episodes([[1] * 4] * 2, [4] * 2))
