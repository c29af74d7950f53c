"""Entropy of beliefs, and the floor of their logarithms."""

from __future__ import annotations

import numpy as np
import pytest

from glimpse_envs.metrics.information import PROBABILITY_FLOOR, entropy, log_probability


def test_entropy_by_hand() -> None:
    beliefs = np.array([[[1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25]], [[0.5, 0.5, 0, 0]] * 2])
    wanted = [[0, np.log(4)], [np.log(2), np.log(2)]]
    np.testing.assert_allclose(entropy(beliefs), wanted)


def test_an_entropy_keeps_its_type_and_nears_the_exact_one() -> None:
    beliefs = np.random.default_rng(0).dirichlet(np.full(10, 0.1), 500)  # many of them nearly 0
    exact = np.array([-sum(p * np.log(p) for p in row if p > 0) for row in beliefs])
    np.testing.assert_allclose(entropy(beliefs), exact, atol=10 * PROBABILITY_FLOOR / np.e)
    single = entropy(beliefs.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, atol=2e-6)


def test_the_logarithm_of_an_impossible_class_is_finite() -> None:
    found = log_probability(np.array([0.0, 1e-9, 0.5, 1.0]))
    floor = np.log(PROBABILITY_FLOOR)
    assert found == pytest.approx([floor, floor, np.log(0.5), 0.0])
