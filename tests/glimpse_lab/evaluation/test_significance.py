"""Tests and intervals against values worked out by hand or published."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from glimpse_lab.evaluation.significance import (
    accuracy_difference,
    holm,
    mcnemar,
    mean_difference,
    randomisation_test,
    student_mean,
    welch,
)


def table(both: int, one: int, other: int, neither: int) -> tuple[NDArray, NDArray]:
    """Two agents that name rightly as many images as said."""
    counts = (both, one, other, neither)
    first = np.repeat([True, True, False, False], counts)
    return first, np.repeat([True, False, True, False], counts)


def test_mcnemar_by_hand() -> None:
    # 1 of 6 on one side: 2 (1 + 6) / 2^6
    assert mcnemar(1, 5) == mcnemar(5, 1) == pytest.approx(2 * (1 + 6) / 2**6)
    by_hand = 2 * sum(comb(35, k) for k in range(11)) / 2**35
    assert mcnemar(10, 25) == pytest.approx(by_hand)
    assert mcnemar(0, 0) == mcnemar(4, 4) == 1.0
    assert mcnemar(0, 3) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="got counts -1 and 2"):
        mcnemar(-1, 2)


@pytest.mark.parametrize(
    ("counts", "value", "low", "high"),
    [
        # Cavo et al. (2012) in Fagerland, Lydersen and Laake, "Statistical analysis of
        # contingency tables", chapter 8
        ((59, 6, 16, 80), -0.0621, -0.1186, -0.0046),
        # the first example of Newcombe (1998)
        ((36, 12, 2, 0), 0.2, 0.0569, 0.3404),
    ],
)
def test_newcombes_interval_gives_the_published_values(
    counts: tuple[int, int, int, int], value: float, low: float, high: float
) -> None:
    found = accuracy_difference(*table(*counts))
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high), abs=5e-5)
    turned = accuracy_difference(*table(*counts)[::-1])
    assert (turned.low, turned.high) == pytest.approx((-high, -low), abs=5e-5)


@pytest.mark.parametrize("right", [0, 7, 10])
def test_an_agent_compared_with_itself_differs_by_nothing(right: int) -> None:
    first, second = table(right, 0, 0, 10 - right)
    found = accuracy_difference(first, second)
    assert found.value == 0 and found.low < 0 < found.high
    zeros = np.zeros(10, np.int64)
    assert randomisation_test(zeros) == 1.0
    nothing = mean_difference(zeros)
    assert nothing.value == nothing.low == nothing.high == 0


def test_the_interval_of_the_accuracies_difference_covers_it() -> None:
    """In 400 draws of 200 images of known chances, about 95 % of the intervals hold the truth."""
    rng = np.random.default_rng(0)
    chances = np.array([0.7, 0.1, 0.06, 0.14])
    truth, held = chances[1] - chances[2], 0
    for counts in rng.multinomial(200, chances, size=400):
        found = accuracy_difference(*table(*counts))
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_the_randomisation_test_counts_every_choice_of_signs() -> None:
    differences = np.array([3, -1, 2, 0, 2, -4, 1, 2, -1])
    signs = 1 - 2 * ((np.arange(2**9)[:, None] >> np.arange(9)) & 1)
    sums = signs @ np.abs(differences)
    by_hand = (np.abs(sums) >= abs(differences.sum())).mean()
    assert randomisation_test(differences) == pytest.approx(by_hand)
    assert randomisation_test(-differences) == pytest.approx(by_hand)


def test_the_randomisation_test_of_signs_is_mcnemars() -> None:
    first, second = table(40, 12, 27, 30)
    differences = first.astype(np.int64) - second
    assert randomisation_test(differences) == pytest.approx(mcnemar(12, 27))


def test_the_randomisation_test_of_many_images_nears_students() -> None:
    differences = np.random.default_rng(1).integers(-4, 5, 5000) + (np.arange(5000) % 25 == 0)
    p = stats.ttest_1samp(differences, 0).pvalue
    assert randomisation_test(differences) == pytest.approx(p, rel=0.05)
    assert randomisation_test(np.ones(5000, np.int64)) == 1e-12  # as low as it tells


def test_the_bootstrap_nears_students_interval_and_repeats() -> None:
    differences = np.random.default_rng(2).integers(-2, 4, 2000)
    found = mean_difference(differences)
    half = 1.96 * differences.std(ddof=1) / 2000**0.5
    mean = differences.mean()
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half), abs=0.005)
    assert found == mean_difference(differences)


def test_holm_by_hand() -> None:
    # sorted: 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04, which may not be below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04] and holm([]) == []


def test_a_mean_has_students_interval() -> None:
    found = student_mean([0.7, 0.8, 0.9])
    half = 4.302653 * 0.1 / 3**0.5  # t of 2 degrees of freedom
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.8 - half, 0.8 + half))
    # t(0.95, 1) = 6.313752 for 90 %: mean 2, standard deviation sqrt(2)
    found = student_mean([1.0, 3.0], confidence=0.9)
    assert (found.low, found.high) == pytest.approx((2 - 6.313752, 2 + 6.313752), abs=1e-6)
    one = student_mean([0.7])
    assert (one.value, one.low, one.high) == (0.7, None, None)


@pytest.mark.filterwarnings("error")
def test_equal_values_have_an_interval_without_width() -> None:
    found = student_mean([0.7, 0.7, 0.7])
    assert (found.value, found.low, found.high) == pytest.approx((0.7, 0.7, 0.7))


@pytest.mark.filterwarnings("error")
def test_welch_by_hand() -> None:
    # variances 2 and 0 of two values each: error 1, and 1 degree of freedom, whose t is Cauchy's
    found, p = welch([1.0, 3.0], [0.0, 0.0])
    quantile = 12.706205  # of 97.5 %
    assert (found.value, found.low, found.high) == pytest.approx((2, 2 - quantile, 2 + quantile))
    assert p == pytest.approx(1 - 2 / np.pi * np.arctan(2))


def test_welch_says_nothing_where_no_seed_differs() -> None:
    assert welch([0.5, 0.5], [0.6, 0.6]) == (student_mean([0.5 - 0.6]), None)
    with pytest.raises(ValueError, match="got 1 and 2 seeds; wanted two or more"):
        welch([0.5], [0.5, 0.6])
