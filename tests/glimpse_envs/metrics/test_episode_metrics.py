"""Metrics by hand on four episodes, known values of the Wilson interval, round trips."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from glimpse_envs.metrics import episodes as evaluation
from glimpse_envs.metrics.episodes import Episodes, wilson_interval

# Four images of three classes, a budget of three glimpses:
# 0: right after 1 glimpse; 1: wrong after 2; 2: right after 3, first thought wrong; 3: no answer
FOUR: dict[str, Any] = {
    "labels": [0, 0, 1, 2],
    "predictions": [0, 1, 1, -1],
    "n_glimpses": [1, 2, 3, 3],
    "samples": [64, 128, 192, 192],
    "coverage": [1.0, 0.5, 0.25, 0.25],
    "rewards": [1.0, 0.0, 1.0, -0.5],
    "answers": [[0, 0, 0], [-1, 1, 1], [2, 2, 1], [-1, -1, -1]],
    "pixels": 28 * 28,
}


def four(**changes: Any) -> Episodes:
    return Episodes(**{**FOUR, **changes})


def test_metrics_by_hand() -> None:
    result = asdict(evaluation.metrics(four()))
    expected = {
        "n_images": 4,
        "accuracy": 0.5,
        "balanced_accuracy": (0.5 + 1.0 + 0.0) / 3,
        "unanswered": 0.25,
        "mean_glimpses": 2.25,
        "mean_samples": 144.0,
        "sample_fraction": 144 / 784,
        "coverage": 0.5,
        "mean_reward": 0.375,
        "accuracy_by_glimpse": (0.25, 0.25, 0.5),
        "accuracy_ci95": wilson_interval(2, 4),
        "tracking": None,
    }
    assert set(result) == set(expected)
    for name, value in expected.items():
        assert result[name] == pytest.approx(value, abs=1e-7), name


def test_metrics_are_plain_json_types() -> None:
    result = asdict(evaluation.metrics(four()))
    assert result.pop("tracking") is None  # nothing moved
    json.dumps(result, allow_nan=False)
    for value in result.values():
        assert type(value) in (int, float, tuple)
        if isinstance(value, tuple):
            assert all(type(entry) is float for entry in value)


@pytest.mark.filterwarnings("error")
def test_balanced_accuracy_is_that_of_scikit_learn_and_silent() -> None:
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    labels[labels == 4] = 3  # class 4 is answered and never true
    many = Episodes(
        labels, predictions, np.ones(200, int), np.ones(200, int), np.ones(200), np.ones(200),
        predictions[:, None], 10,
    )  # fmt: skip
    found = evaluation.metrics(many).balanced_accuracy
    with pytest.warns(UserWarning, match="not in y_true"):
        assert found == pytest.approx(balanced_accuracy_score(labels, predictions))


def test_last_accuracy_by_glimpse_is_the_accuracy() -> None:
    result = evaluation.metrics(four())
    assert result.accuracy_by_glimpse[-1] == result.accuracy


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_has_the_published_values(
    successes: int, n: int, low: float, high: float
) -> None:
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_is_symmetric_nested_and_inside_0_and_1() -> None:
    low, high = wilson_interval(3, 10)
    assert wilson_interval(7, 10) == pytest.approx((1 - high, 1 - low))
    wider_low, wider_high = wilson_interval(3, 10, confidence=0.99)
    assert 0 < wider_low < low < 0.3 < high < wider_high < 1
    assert wilson_interval(0, 5)[0] == 0.0 and wilson_interval(5, 5)[1] == 1.0


@pytest.mark.parametrize("args", [(1, 0), (-1, 3), (4, 3), (1, 3, 0.0), (1, 3, 1.0)])
def test_wilson_interval_rejects(args: tuple) -> None:
    with pytest.raises(ValueError, match="wanted 0 <= successes"):
        wilson_interval(*args)


def test_confusion_counts_no_answer_in_the_last_column() -> None:
    counts = evaluation.confusion(four(), 4)
    expected = np.zeros((4, 5), int)
    expected[0, 0] = expected[0, 1] = expected[1, 1] = expected[2, 4] = 1
    assert counts.dtype == np.int64 and np.array_equal(counts, expected)
    with pytest.raises(ValueError, match="got class 2 and n_classes=2"):
        evaluation.confusion(four(), 2)


def test_arrays_get_their_types() -> None:
    episodes = four(labels=np.array([0, 0, 1, 2], np.uint8), pixels=np.int64(784))
    for name in ("labels", "predictions", "n_glimpses", "samples", "answers"):
        assert getattr(episodes, name).dtype == np.int64
    assert episodes.coverage.dtype == episodes.rewards.dtype == np.float32
    assert type(episodes.pixels) is int and episodes.budget == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0, 0, 1]}, "wanted one entry for each"),
        ({"answers": [0, 1, 1, -1]}, "wanted one entry for each"),
        ({"answers": np.zeros((4, 0), int)}, "wanted one entry for each"),
        ({"labels": [0.0, 0.0, 1.0, 2.0]}, "labels of type float64"),
        ({"labels": [0, 0, 1, -1]}, "got labels from -1 to 1"),
        ({"predictions": [0, 1, 1, -2]}, "got predictions from -2"),
        ({"n_glimpses": [0, 2, 3, 3]}, "got n_glimpses from 0 to 3"),
        ({"n_glimpses": [1, 2, 3, 4]}, "got n_glimpses from 1 to 4"),
        ({"coverage": [1.0, 0.5, 0.25, 1.5]}, "got coverage"),
        ({"rewards": [1.0, 0.0, 1.0, np.nan]}, "finite"),
        ({"pixels": 0}, "got pixels"),
        ({"predictions": [0, 1, 2, -1]}, r"answers\[2, -1\] = 1 and predictions\[2\] = 2"),
    ],
)
def test_wrong_episodes_are_rejected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        four(**changes)


def test_save_and_load_round_trip(tmp_path: Path) -> None:
    episodes = four()
    path = episodes.save(tmp_path / "new" / "episodes.npz")
    assert list(path.parent.iterdir()) == [path]  # no temporary file is left
    back = Episodes.load(path)
    for name in FOUR:
        assert np.array_equal(getattr(back, name), getattr(episodes, name)), name
        assert type(getattr(back, name)) is type(getattr(episodes, name))


def test_load_errors_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.npz"):
        Episodes.load(tmp_path / "episodes.npy")
    with pytest.raises(FileNotFoundError):
        Episodes.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", labels=np.zeros(3, int))
    with pytest.raises(ValueError, match=r"lacks \['predictions'"):
        Episodes.load(tmp_path / "other.npz")
    objects = {**FOUR, "labels": np.array([0, 0, 1, None], object)}
    np.savez(tmp_path / "objects.npz", **objects)
    with pytest.raises(ValueError, match="allow_pickle"):
        Episodes.load(tmp_path / "objects.npz")
