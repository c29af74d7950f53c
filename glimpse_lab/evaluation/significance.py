"""Tests and intervals for two agents on the same images, and for means.

``scipy.stats`` is imported where it is used: it takes a second.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.metrics.episodes import wilson_interval

_ROUNDING = 1e-12  # what sums of probabilities, and equal shares of images, may be off by


@dataclass(frozen=True)
class Estimate:
    """A number and its interval.

    :param value: the estimate
    :param low: lower end of the interval; None where there is none, as for the mean of one
    :param high: upper end, or None
    """

    value: float
    low: float | None
    high: float | None


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the p-value of McNemar's exact two-sided test of equal accuracy, in (0, 1].

    Images that both or neither name rightly say nothing; without a difference the others fall on
    either side with probability 1/2. Source: McNemar, Psychometrika 12 (1947).

    :param only_first: images that the first alone names rightly
    :param only_second: images that the second alone names rightly
    :raises ValueError: a negative count
    """
    from scipy.stats import binomtest

    if min(only_first, only_second) < 0:
        raise ValueError(f"got counts {only_first} and {only_second}; wanted them from 0")
    n = only_first + only_second
    return float(binomtest(int(only_first), int(n)).pvalue) if n else 1.0


def accuracy_difference(
    first: NDArray[np.bool_], second: NDArray[np.bool_], confidence: float = 0.95
) -> Estimate:
    """Return the accuracy of the first less that of the second, with Newcombe's paired interval.

    Source: method 10 of Newcombe, "Improved confidence intervals for the difference between
    binomial proportions based on paired data", Statistics in Medicine 17 (1998). Unlike the
    textbook interval it keeps its coverage where few images differ.

    :param first: which images the first names rightly, bool (N,)
    :param second: the same of the second, in the same order, bool (N,)
    :param confidence: between 0 and 1, both excluded
    """
    n = len(first)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    one, other = int((first & ~second).sum()), int((~first & second).sum())
    p, q = (both + one) / n, (both + other) / n
    p_low, p_high = wilson_interval(both + one, n, confidence)
    q_low, q_high = wilson_interval(both + other, n, confidence)
    phi = _correlation(both, one, other, neither)

    def distance(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    difference = (one - other) / n
    return Estimate(
        difference,
        max(-1.0, difference - distance(p - p_low, q_high - q)),
        min(1.0, difference + distance(q - q_low, p_high - p)),
    )


def _correlation(both: int, one: int, other: int, neither: int) -> float:
    """Return the phi coefficient of a paired table, with Newcombe's continuity correction."""
    margins = (both + one) * (other + neither) * (both + other) * (one + neither)
    if not margins:
        return 0.0
    product = both * neither - one * other
    if product > 0:
        product = max(product - (both + one + other + neither) / 2, 0)
    return product / math.sqrt(margins)


def randomisation_test(differences: NDArray[np.int64]) -> float:
    """Return the exact p-value of the two-sided paired randomisation test of a mean of 0.

    Without a difference each image's sign is plus or minus with probability 1/2; p is the share of
    all 2^N choices whose mean is as far from 0 as the one seen, or farther. For differences of -1,
    0 and 1 it is McNemar's exact test. All choices are counted through the Fourier transform of
    their distribution; p-values below 1e-12 are given as that. Source: Fisher, "The design of
    experiments" (1935), section 21.

    :param differences: int64 (N,), first less second, one for each image
    """
    sizes, counts = np.unique(np.abs(differences), return_counts=True)
    largest = int((sizes * counts).sum())
    if not largest:
        return 1.0
    angles = 2 * np.pi * np.arange(2 * largest + 1) / (2 * largest + 1)
    transform = np.prod(np.cos(np.outer(angles, sizes)) ** counts, axis=1)
    chances = np.fft.fft(transform).real / len(angles)  # entry s: of the sum s, or s - len
    sums = np.arange(len(angles))
    sums = np.minimum(sums, len(angles) - sums)  # their absolute values
    p = float(chances[sums >= abs(int(differences.sum()))].sum())
    return min(1.0, max(_ROUNDING, p))


def mean_difference(
    differences: NDArray[np.int64],
    confidence: float = 0.95,
    *,
    resamples: int = 9999,
    seed: int = 0,
) -> Estimate:
    """Return the mean of paired differences with a percentile bootstrap interval over images.

    Source: Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 13. Whole
    numbers repeat, so that a resample is a draw of how often each value occurs.

    :param differences: int64 (N,), first less second, one for each image
    :param confidence: between 0 and 1, both excluded
    :param resamples: how many
    :param seed: of the draws
    """
    values, counts = np.unique(differences, return_counts=True)
    n = int(counts.sum())
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=resamples)
    tail = 0.5 - 0.5 * confidence
    low, high = np.quantile(drawn @ values / n, (tail, 1 - tail))
    return Estimate(float(differences.mean()), float(low), float(high))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values of a family of tests, adjusted by Holm's step-down method.

    Whoever calls those at most 0.05 different is wrong about any of them with probability at most
    0.05, however the tests depend on each other. Source: Holm, "A simple sequentially rejective
    multiple test procedure", Scandinavian Journal of Statistics 6 (1979).

    :param p_values: of all tests of the family, 0 to 1
    :return: in the same order, each at least as large as before, at most 1
    """
    order = np.argsort(p_values, kind="stable")
    adjusted = np.zeros(len(p_values))
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted.tolist()


def student_mean(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Return a mean with Student's t interval; no interval for a single value.

    :param values: independent ones, such as one for each seed
    :param confidence: between 0 and 1, both excluded
    """
    from scipy.stats import ttest_1samp

    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean, None, None)
    with _equal_values_allowed():
        interval = ttest_1samp(values, 0.0).confidence_interval(confidence)
    return Estimate(mean, float(interval.low), float(interval.high))


def welch(
    first: Sequence[float], second: Sequence[float], confidence: float = 0.95
) -> tuple[Estimate, float | None]:
    """Return the difference of two means over seeds with its interval, and its p-value.

    Source: Welch, "The generalization of Student's problem when several different population
    variances are involved", Biometrika 34 (1947).

    :param first: at least two values, one for each seed
    :param second: the same of the other group
    :param confidence: between 0 and 1, both excluded
    :return: difference of the means, and p; None where neither group varies, which leaves nothing
        to measure the difference by
    :raises ValueError: fewer values
    """
    from scipy.stats import ttest_ind

    if min(len(first), len(second)) < 2:
        raise ValueError(
            f"got {len(first)} and {len(second)} seeds; wanted two or more of both: how much "
            "trainings differ from seed to seed cannot be told from one"
        )
    difference = float(np.mean(first) - np.mean(second))
    if max(np.std(first), np.std(second)) < _ROUNDING:
        return Estimate(difference, None, None), None
    with _equal_values_allowed():  # in one of the groups
        found = ttest_ind(first, second, equal_var=False)
    interval = found.confidence_interval(confidence)
    return Estimate(difference, float(interval.low), float(interval.high)), float(found.pvalue)


@contextmanager
def _equal_values_allowed() -> Iterator[None]:
    """Silence scipy's warning that values are equal: their interval is exact all the same."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
        yield
