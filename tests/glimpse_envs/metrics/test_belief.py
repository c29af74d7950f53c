"""Statistics by hand: beliefs glimpse by glimpse, calibration, risk against coverage."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from made_paths import made_paths
from sklearn.metrics import log_loss

from glimpse_envs.metrics import belief as statistics
from glimpse_envs.metrics import episodes as evaluation
from glimpse_envs.metrics.scanpaths import Scanpaths

OVERVIEW, UPPER_LEFT, UPPER_RIGHT = (0.5, 0.5, 0.0), (0.25, 0.25, 0.5), (0.75, 0.25, 0.5)


def three(**changes: Any) -> Scanpaths:
    """Three images of two classes, a budget of 2: the first stops after one glimpse.

    Windows of 32, 16 and 8 pixels: half a side covers a quarter.
    """
    parts: dict[str, Any] = {
        "gaze": [[UPPER_LEFT, OVERVIEW], [UPPER_LEFT, UPPER_RIGHT], [UPPER_LEFT, UPPER_LEFT]],
        "labels": [0, 1, 1],
        "n_glimpses": [1, 2, 2],
        "predictions": [0, 1, 0],
        "beliefs": [[[0.9, 0.1], [0, 0]], [[0.6, 0.4], [0.2, 0.8]], [[0.5, 0.5], [0.7, 0.3]]],
    }
    return made_paths(**{**parts, **changes})


def random_paths(n: int = 200, budget: int = 4, k: int = 5, seed: int = 0) -> Scanpaths:
    rng = np.random.default_rng(seed)
    beliefs = rng.dirichlet(np.full(k, 0.5), (n, budget))
    labels = rng.integers(0, k, n)
    glimpses = rng.integers(1, budget + 1, n)
    predictions = beliefs[np.arange(n), glimpses - 1].argmax(axis=1)
    return made_paths(
        rng.random((n, budget, 3)), labels, n_glimpses=glimpses, predictions=predictions,
        beliefs=beliefs,
    )  # fmt: skip


def test_by_glimpse_by_hand() -> None:
    first, second = map(asdict, statistics.by_glimpse(three()))
    assert first.pop("belief_ci95") == evaluation.wilson_interval(1, 3)
    assert second.pop("belief_ci95") == evaluation.wilson_interval(2, 3)
    assert first == pytest.approx(
        {
            "n_glimpses": 1,
            "mean_samples": 64.0,
            "mean_coverage": 0.25,
            "share_taken": 1.0,
            "accuracy": 1 / 3,  # two have not answered yet
            "belief_accuracy": 1 / 3,  # of equal probabilities the first class is the largest
            "entropy": np.mean([0.3250830, 0.6730117, np.log(2)]),
            "calibration_error": (0.1 + 0.6 + 0.5) / 3,  # a bin each
            "brier": (2 * 0.01 + 2 * 0.36 + 2 * 0.25) / 3,
            "cross_entropy": -np.log(0.9 * 0.4 * 0.5) / 3,
        },
        abs=1e-6,
    )
    assert second == pytest.approx(
        {
            "n_glimpses": 2,
            "mean_samples": 64 * 5 / 3,
            "mean_coverage": (0.25 + 0.5 + 0.25) / 3,
            "share_taken": 2 / 3,
            "accuracy": 2 / 3,
            "belief_accuracy": 2 / 3,
            "entropy": np.mean([0.3250830, 0.5004024, 0.6108643]),
            "calibration_error": (0.1 + 0.2 + 0.7) / 3,
            "brier": (2 * 0.01 + 2 * 0.04 + 2 * 0.49) / 3,
            "cross_entropy": -np.log(0.9 * 0.8 * 0.3) / 3,
        },
        abs=1e-6,
    )


def test_the_last_entry_agrees_with_the_metrics() -> None:
    paths = random_paths()
    entries, metrics = statistics.by_glimpse(paths), evaluation.metrics(paths)
    assert tuple(entry.accuracy for entry in entries) == metrics.accuracy_by_glimpse
    assert entries[-1].mean_samples == pytest.approx(metrics.mean_samples)
    assert entries[-1].mean_coverage == pytest.approx(metrics.coverage)
    assert entries[-1].belief_accuracy == metrics.accuracy  # here the answer is the belief's
    assert entries[-1].calibration_error == pytest.approx(
        statistics.reliability(paths).calibration_error
    )
    final = paths.standing_beliefs[:, -1].astype(np.float64)
    final /= final.sum(axis=1, keepdims=True)  # float32 sums to 1 too roughly for scikit-learn
    assert entries[-1].cross_entropy == pytest.approx(log_loss(paths.labels, final), abs=1e-5)


def test_without_a_classifier_there_is_nothing_about_beliefs() -> None:
    paths = three(beliefs=None)
    for entry in statistics.by_glimpse(paths):
        known = {name for name, value in vars(entry).items() if value is not None}
        assert known == {
            *("n_glimpses", "mean_samples", "mean_coverage", "share_taken", "accuracy")
        }
    assert statistics.stopping(paths)[0].confidence is None
    with pytest.raises(ValueError, match="wanted an evaluation with a classifier"):
        statistics.reliability(paths)


def test_reliability_by_hand_on_the_borders_of_bins() -> None:
    # final confidences: 0.6 (right), 0.6 (wrong), 0.8 (right), 1.0 (right)
    beliefs = [[[0.6, 0.4]], [[0.4, 0.6]], [[0.2, 0.8]], [[1.0, 0.0]]]
    paths = made_paths([[OVERVIEW]] * 4, [0, 0, 1, 0], beliefs=beliefs)
    result = statistics.reliability(paths, bins=5)
    rows = result.bins
    assert [row.count for row in rows] == [0, 0, 2, 1, 1]
    assert asdict(rows[0]) == {
        **{"low": 0.0, "high": 0.2, "count": 0, "confidence": None, "accuracy": None},
        "accuracy_ci95": None,
    }
    assert rows[2].accuracy_ci95 == evaluation.wilson_interval(1, 2)
    assert rows[2].confidence == pytest.approx(0.6) and rows[2].accuracy == 0.5
    assert rows[3].confidence == pytest.approx(0.8) and rows[3].accuracy == 1.0
    assert result.calibration_error == pytest.approx(0.5 * 0.1 + 0.25 * 0.2)
    assert result.confidence == pytest.approx(0.75) and result.accuracy == 0.75
    assert result.n_images == 4
    with pytest.raises(ValueError, match="got bins=0"):
        statistics.reliability(paths, bins=0)


def test_a_calibrated_belief_has_hardly_any_calibration_error() -> None:
    rng = np.random.default_rng(0)
    beliefs = rng.dirichlet(np.ones(3), 50_000)
    labels = (rng.random((50_000, 1)) > beliefs.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    paths = made_paths(np.full((50_000, 1, 3), 0.5), labels, beliefs=beliefs[:, None])
    assert statistics.reliability(paths).calibration_error < 0.01


def test_per_class_by_hand() -> None:
    result = statistics.per_class(three(), ["cat", "dog", "fish"])
    assert asdict(result["cat"]) == {
        "n_images": 1,
        "accuracy": 1.0,
        "accuracy_ci95": evaluation.wilson_interval(1, 1),
        "mean_glimpses": 1.0,
    }
    assert result["dog"].accuracy == 0.5 and result["dog"].mean_glimpses == 2.0
    assert asdict(result["fish"]) == {
        "n_images": 0, "accuracy": None, "accuracy_ci95": None, "mean_glimpses": None,
    }  # fmt: skip
    for classes in (["cat"], ["cat", "cat"]):
        with pytest.raises(ValueError, match="wanted one name for each label"):
            statistics.per_class(three(), classes)


def test_stopping_by_hand() -> None:
    paths = three(
        gaze=np.full((3, 3, 3), 0.5),
        beliefs=np.tile([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], (3, 1, 1)),
        n_glimpses=[1, 3, 3],
    )
    one, none, two = statistics.stopping(paths)
    assert one.share == pytest.approx(1 / 3) and one.accuracy == 1.0
    assert one.confidence == pytest.approx(0.9)
    assert asdict(none) == {
        "n_glimpses": 2, "share": 0.0, "n_images": 0, "accuracy": None, "accuracy_ci95": None,
        "confidence": None,
    }  # fmt: skip
    assert two.n_images == 2 and two.accuracy == 0.5
    assert two.accuracy_ci95 == evaluation.wilson_interval(1, 2)
    assert two.confidence == pytest.approx(0.7)


def test_risk_and_coverage_by_hand() -> None:
    # confidences 0.9, 0.8, 0.7, 0.6; the second and the fourth are wrong
    beliefs = [[[0.9, 0.1]], [[0.8, 0.2]], [[0.7, 0.3]], [[0.6, 0.4]]]
    paths = made_paths([[OVERVIEW]] * 4, [0, 1, 0, 1], predictions=[0, 0, 0, -1], beliefs=beliefs)
    result = statistics.risk_coverage(paths)
    assert result.confidence == "largest probability of the final belief"
    np.testing.assert_allclose(result.points, [[0.25, 0], [0.5, 0.5], [0.75, 1 / 3], [1.0, 0.5]])
    assert result.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert result.oracle_area == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert result.random_area == 0.5


def test_errors_of_equal_confidence_are_spread_evenly_whatever_their_order() -> None:
    for labels in ([0, 1, 1, 0], [1, 0, 0, 1]):
        paths = made_paths([[OVERVIEW]] * 4, labels, predictions=[0, 0, 0, 0])
        result = statistics.risk_coverage(paths)
        assert result.confidence == "fewest glimpses"
        assert [risk for _, risk in result.points] == [0.5] * 4
        assert result.area == result.random_area == 0.5


def test_without_a_classifier_the_quick_answers_are_the_sure_ones() -> None:
    paths = made_paths(
        np.full((3, 2, 3), 0.5), [0, 0, 0], n_glimpses=[2, 1, 2], predictions=[1, 0, 0]
    )
    result = statistics.risk_coverage(paths)
    np.testing.assert_allclose(result.points, [[1 / 3, 0], [2 / 3, 0.25], [1, 1 / 3]])


def test_risk_points_are_few_and_end_at_full_coverage() -> None:
    result = statistics.risk_coverage(random_paths(1234))
    coverage, risk = np.transpose(result.points)
    assert len(coverage) == 100 and (np.diff(coverage) > 0).all()
    assert coverage[-1] == 1.0 and risk[-1] == pytest.approx(result.random_area)
    assert result.oracle_area < result.area


def test_all_is_plain_json() -> None:
    paths, names = random_paths(50), list("abcdefg")
    for result in (
        *statistics.by_glimpse(paths),
        statistics.reliability(paths),
        *statistics.per_class(paths, names).values(),
        *statistics.stopping(paths),
        statistics.risk_coverage(paths),
    ):
        assert json.dumps(asdict(result), allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beliefs": np.full((3, 2, 2), 0.4)}, "wanted probabilities"),
        ({"beliefs": np.full((3, 2, 2), np.nan)}, "wanted probabilities"),
        ({"beliefs": np.tile([-0.5, 1.5], (3, 2, 1))}, "wanted probabilities"),
        ({"beliefs": np.ones((3, 2, 1))}, "about 1 classes and label 1"),
    ],
)
def test_wrong_beliefs_are_errors(changes: dict[str, Any], message: str) -> None:
    for statistic in (statistics.by_glimpse, statistics.reliability, statistics.risk_coverage):
        with pytest.raises(ValueError, match=message):
            statistic(three(**changes))


def test_samples_of_several_sensors_are_an_error() -> None:
    paths = three()
    paths.samples[0] += 1
    with pytest.raises(ValueError, match="wanted scanpaths of one sensor"):
        statistics.by_glimpse(paths)
