"""Statistics of scanpaths: accuracy and belief glimpse by glimpse, calibration, when to stop.

What does not exist (the accuracy of a class without images, beliefs without a classifier) is None.
A belief is the classifier's, an answer the one that counts: where the agent answers by itself, the
two differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.metrics.episodes import wilson_interval
from glimpse_envs.metrics.information import entropy, log_probability
from glimpse_envs.metrics.scanpaths import Scanpaths

_BINS = 15  # of confidence, as in Guo et al. 2017
_POINTS = 100  # of a risk-coverage curve


@dataclass(frozen=True, kw_only=True)
class AfterGlimpses:
    """What is known of N images after t glimpses; of the standing beliefs with a classifier only.

    :param n_glimpses: t
    :param mean_samples: sensor pixels read per image if all stop after t glimpses at the latest
    :param mean_coverage: mean fraction of the image that the windows so far cover
    :param share_taken: share of the episodes that took glimpse t
    :param accuracy: of the standing answers; no answer yet counts as wrong
    :param belief_accuracy: share of images whose most probable class is right
    :param belief_ci95: low and high, its 95 % Wilson interval
    :param entropy: of the beliefs, mean, in nats
    :param calibration_error: the expected calibration error of the largest probability, with 15
        bins of equal width (Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities
        using Bayesian binning", AAAI 2015; Guo et al., "On calibration of modern neural networks",
        ICML 2017)
    :param brier: mean squared distance of the belief from the true class, summed over the classes:
        0 to 2 (Brier, "Verification of forecasts expressed in terms of probability", Monthly
        Weather Review 78, 1950)
    :param cross_entropy: mean -log of the true class's probability, nats; probabilities count as
        1e-7 at least
    """

    n_glimpses: int
    mean_samples: float
    mean_coverage: float
    share_taken: float
    accuracy: float
    belief_accuracy: float | None = None
    belief_ci95: tuple[float, float] | None = None
    entropy: float | None = None
    calibration_error: float | None = None
    brier: float | None = None
    cross_entropy: float | None = None


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """The images whose largest probability lies in (low, high].

    :param count: how many
    :param confidence: mean of that probability; None without images
    :param accuracy: share whose most probable class is right; None without images
    :param accuracy_ci95: low and high, its 95 % Wilson interval; None without images
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None
    accuracy_ci95: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How sure the final beliefs are, and how often they are right.

    :param bins: equal parts of (0, 1] from low to high
    :param confidence: mean largest probability of all images
    :param accuracy: share of all images whose most probable class is right
    :param calibration_error: mean distance of the two, weighted by count; see ``AfterGlimpses``
    :param n_images: N
    """

    bins: tuple[ReliabilityBin, ...]
    confidence: float
    accuracy: float
    calibration_error: float
    n_images: int


@dataclass(frozen=True, kw_only=True)
class ClassAccuracy:
    """How the images of a class fared; all but the first are None for a class without images.

    :param accuracy: share of answers that are right
    :param accuracy_ci95: low and high, its 95 % Wilson interval
    :param mean_glimpses: per image
    """

    n_images: int
    accuracy: float | None
    accuracy_ci95: tuple[float, float] | None
    mean_glimpses: float | None


@dataclass(frozen=True, kw_only=True)
class Stop:
    """What became of the images that stopped after so many glimpses.

    :param share: of all images
    :param accuracy: share of answers that are right; None without images
    :param accuracy_ci95: low and high, its 95 % Wilson interval; None without images
    :param confidence: mean of the final beliefs' largest probabilities; None without images or
        classifier
    """

    n_glimpses: int
    share: float
    n_images: int
    accuracy: float | None
    accuracy_ci95: tuple[float, float] | None
    confidence: float | None


@dataclass(frozen=True, kw_only=True)
class RiskCoverage:
    """The share of wrong answers among the images of which the agent is surest.

    :param confidence: what the images are ordered by: "largest probability of the final belief", or
        without a classifier "fewest glimpses"
    :param points: at most 100 pairs (coverage, risk), coverage rising to 1
    :param area: under the curve (AURC), the mean risk over the coverages 1/N, 2/N .. 1; lower is
        better
    :param oracle_area: the same if all right answers came first
    :param random_area: the same for a random order, which is the share of wrong answers
    """

    confidence: str
    points: tuple[tuple[float, float], ...]
    area: float
    oracle_area: float
    random_area: float


def by_glimpse(paths: Scanpaths) -> tuple[AfterGlimpses, ...]:
    """Return what is known after t glimpses, for t = 1 .. budget.

    An episode that took fewer glimpses counts with what stands after its last one, so every entry
    is about all N images, and the last entry about the ends of the episodes.

    :raises ValueError: beliefs that are no probabilities, or a number of samples that is not the
        same for all glimpses
    """
    per_glimpse = _samples_per_glimpse(paths)
    taken = paths.taken
    seen = np.take_along_axis(paths.seen, _last(paths), axis=1)
    beliefs = checked_beliefs(paths) if paths.n_classes else None
    entries = []
    for t in range(paths.budget):
        believed = {}
        if beliefs is not None:
            believed = _of_beliefs(beliefs[:, t].astype(np.float64), paths.labels)
        entry = AfterGlimpses(
            n_glimpses=t + 1,
            mean_samples=per_glimpse * float(np.minimum(paths.n_glimpses, t + 1).mean()),
            mean_coverage=float(seen[:, t].mean(dtype=np.float64)),
            share_taken=float(taken[:, t].mean()),
            accuracy=float((paths.answers[:, t] == paths.labels).mean()),
            **believed,
        )
        entries.append(entry)
    return tuple(entries)


def reliability(paths: Scanpaths, bins: int = _BINS) -> Reliability:
    """Compare how sure the final beliefs are with how often they are right.

    :param bins: how many, at least 1
    :raises ValueError: fewer bins, no classifier, or beliefs that are no probabilities
    """
    if bins < 1:
        raise ValueError(f"got bins={bins}; wanted at least 1")
    confidence, right = _confidence(checked_beliefs(paths)[:, -1], paths.labels)
    count, sure, correct = _binned(confidence, right, bins)
    rows = [
        ReliabilityBin(
            low=i / bins,
            high=(i + 1) / bins,
            count=int(n),
            confidence=float(sure[i] / n) if n else None,
            accuracy=float(correct[i] / n) if n else None,
            accuracy_ci95=wilson_interval(int(correct[i]), int(n)) if n else None,
        )
        for i, n in enumerate(count)
    ]
    return Reliability(
        bins=tuple(rows),
        confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
        calibration_error=float(np.abs(sure - correct).sum() / len(right)),
        n_images=len(right),
    )


def per_class(paths: Scanpaths, classes: Sequence[str]) -> dict[str, ClassAccuracy]:
    """Return, for each class by name, how its images fared.

    :param classes: K different names
    :raises ValueError: a name twice, or labels beyond the names
    """
    if len(set(classes)) < len(classes) or paths.labels.max() >= len(classes):
        raise ValueError(
            f"got classes {list(classes)} and labels up to {paths.labels.max()}; wanted one name "
            "for each label, all different"
        )
    right = paths.predictions == paths.labels
    result = {}
    for label, name in enumerate(classes):
        rows = paths.labels == label
        result[str(name)] = ClassAccuracy(
            **_accuracy(right[rows]),
            mean_glimpses=float(paths.n_glimpses[rows].mean()) if rows.any() else None,
        )
    return result


def stopping(paths: Scanpaths) -> tuple[Stop, ...]:
    """Return what became of the images that stopped after g glimpses, for g = 1 .. budget.

    :raises ValueError: beliefs that are no probabilities
    """
    right = paths.predictions == paths.labels
    beliefs = checked_beliefs(paths)[:, -1] if paths.n_classes else None
    entries = []
    for glimpses in range(1, paths.budget + 1):
        rows = paths.n_glimpses == glimpses
        confidence = None
        if beliefs is not None and rows.any():
            confidence = float(beliefs[rows].max(axis=1).mean(dtype=np.float64))
        entry = Stop(
            n_glimpses=glimpses,
            share=float(rows.mean()),
            **_accuracy(right[rows]),
            confidence=confidence,
        )
        entries.append(entry)
    return tuple(entries)


def risk_coverage(paths: Scanpaths) -> RiskCoverage:
    """Return the share of wrong answers among the images of which the agent is surest.

    An image without an answer counts as wrong. Among images of equal confidence any order is as
    good: their errors are spread evenly. Sources: El-Yaniv and Wiener, "On the foundations of
    noise-free selective classification", JMLR 11 (2010); Geifman and El-Yaniv, "Selective
    classification for deep neural networks", NeurIPS 2017.

    :raises ValueError: beliefs that are no probabilities
    """
    if paths.n_classes:
        name = "largest probability of the final belief"
        confidence = checked_beliefs(paths)[:, -1].max(axis=1).astype(np.float64)
    else:
        name, confidence = "fewest glimpses", -paths.n_glimpses.astype(np.float64)
    wrong = (paths.predictions != paths.labels).astype(np.float64)
    _, group = np.unique(-confidence, return_inverse=True)  # 0 are the surest
    evenly = (np.bincount(group, wrong) / np.bincount(group))[group]
    coverage = np.arange(1, len(wrong) + 1) / len(wrong)
    risk = _risk(evenly[np.argsort(group, kind="stable")])
    kept = np.unique(np.linspace(0, len(wrong) - 1, _POINTS).round().astype(np.int64))
    return RiskCoverage(
        confidence=name,
        points=tuple(zip(coverage[kept].tolist(), risk[kept].tolist(), strict=True)),
        area=float(risk.mean()),
        oracle_area=float(_risk(np.sort(wrong)).mean()),
        random_area=float(wrong.mean()),
    )


def checked_beliefs(paths: Scanpaths) -> NDArray[np.float32]:
    """Return the standing beliefs, float32 (N, budget, K).

    :raises ValueError: no classifier, entries that are no probabilities, or fewer classes than
        labels
    """
    beliefs = paths.standing_beliefs
    if not paths.n_classes:
        raise ValueError("got scanpaths without beliefs; wanted an evaluation with a classifier")
    if paths.labels.max() >= paths.n_classes:
        raise ValueError(
            f"got beliefs about {paths.n_classes} classes and label {paths.labels.max()}; wanted "
            "the classifier of this data set"
        )
    sums = beliefs.sum(axis=2)
    if not ((np.abs(sums - 1) < 1e-3).all() and (beliefs >= 0).all()):  # NaN is neither
        raise ValueError(
            f"got beliefs from {beliefs.min()} with sums from {sums.min()} to {sums.max()}; wanted "
            "probabilities at every glimpse taken, from 0 and with sum 1"
        )
    return beliefs


def _of_beliefs(beliefs: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Return the part of ``AfterGlimpses`` about the beliefs (N, K)."""
    confidence, right = _confidence(beliefs, labels)
    _, sure, correct = _binned(confidence, right, _BINS)
    true = np.take_along_axis(beliefs, labels[:, None], axis=1)[:, 0]
    return {
        "belief_accuracy": float(right.mean()),
        "belief_ci95": wilson_interval(int(right.sum()), len(right)),
        "entropy": float(entropy(beliefs).mean()),
        "calibration_error": float(np.abs(sure - correct).sum() / len(right)),
        # sum of (p - onehot)^2 = sum of p^2 - 2 p_true + 1
        "brier": float(((beliefs**2).sum(axis=1) - 2 * true + 1).mean()),
        "cross_entropy": float(-log_probability(true).mean()),
    }


def _confidence(
    beliefs: NDArray[np.floating], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the largest probabilities (N,), and whether their class is right (N,)."""
    return beliefs.max(axis=1).astype(np.float64), beliefs.argmax(axis=1) == labels


def _binned(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return, for each bin of confidence, the count, the summed confidence and the right ones."""
    # rounded, since a float32 such as 0.2 lies a little above the border that it is meant to be on
    place = np.ceil((confidence * bins).round(5)).astype(np.int64) - 1
    place = place.clip(0, bins - 1)
    count = np.bincount(place, minlength=bins)
    sure = np.bincount(place, confidence, minlength=bins)
    return count, sure, np.bincount(place, right, minlength=bins)


def _accuracy(right: NDArray[np.bool_]) -> dict[str, Any]:
    """Return how many images there are and how many are right, for those who tell it of a part."""
    n, successes = len(right), int(right.sum())
    return {
        "n_images": n,
        "accuracy": successes / n if n else None,
        "accuracy_ci95": wilson_interval(successes, n) if n else None,
    }


def _risk(wrong: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of errors among the first 1, 2 .. N images, (N,)."""
    return wrong.cumsum() / np.arange(1, len(wrong) + 1)


def _last(paths: Scanpaths) -> NDArray[np.int64]:
    """Return the column of what stands after each glimpse, (N, budget)."""
    return np.minimum(np.arange(paths.budget), paths.n_glimpses[:, None] - 1)


def _samples_per_glimpse(paths: Scanpaths) -> int:
    per_glimpse, rest = np.divmod(paths.samples, paths.n_glimpses)
    if rest.any() or (per_glimpse != per_glimpse[0]).any():
        raise ValueError(
            f"got {per_glimpse.min()} to {per_glimpse.max()} samples per glimpse; wanted scanpaths "
            "of one sensor, which reads as many at every glimpse"
        )
    return int(per_glimpse[0])
