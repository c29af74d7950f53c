"""What pictures show of an episode: checked once, when it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from glimpse_envs.render.episode import Episode


def episode(**changes: Any) -> Episode:
    parts: dict[str, Any] = {
        "image": np.zeros((28, 28, 1), np.uint8),
        "windows": [(0, 0, 28), (4, 4, 8)],
        "glimpses": [None, np.zeros((8, 16, 1), np.uint8)],
        "budget": 3,
        "beliefs": [None, [0.2, 0.3, 0.5]],
        "classes": ["cat", "dog", "ship"],
    }
    return Episode(**{**parts, **changes})


def test_only_channels_that_can_be_seen_are_kept() -> None:
    for channels, shown in ((1, 1), (2, 1), (3, 3), (6, 3)):
        pixels = np.arange(8 * 8 * channels, dtype=np.uint8).reshape(8, 8, channels)
        made = episode(image=pixels, glimpses=[None, pixels])
        assert np.array_equal(made.image, pixels[..., :shown])
        assert np.array_equal(made.glimpses[1], pixels[..., :shown])


@pytest.mark.parametrize(
    ("label", "prediction", "ended", "right"),
    [
        (1, 1, True, True),
        (1, 1, False, True),
        (1, 2, True, False),
        (1, -1, True, False),
        (1, -1, False, None),
        (None, 1, True, None),
    ],
)
def test_no_answer_is_wrong_once_none_can_come(
    label: int | None, prediction: int, ended: bool, right: bool | None
) -> None:
    assert episode(label=label, prediction=prediction, ended=ended).right is right


def test_classes_are_named_or_numbered() -> None:
    assert episode().name(2) == "ship" and episode().n_classes == 3
    assert episode(classes=None).name(2) == "2" and episode(classes=None).n_classes == 3
    assert episode(classes=None, beliefs=None).n_classes is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": np.zeros((28, 28), np.uint8)}, "wanted uint8"),
        ({"image": np.zeros((28, 28, 1))}, "float64"),
        ({"windows": np.zeros((0, 3))}, "T >= 1"),
        ({"windows": [(0, 0, np.nan)]}, "finite"),
        ({"windows": [(0, 0, 0)]}, "above 0"),
        ({"budget": 1}, "budget >= 2"),
        ({"glimpses": [None]}, "wanted as many"),
        ({"glimpses": [None, np.zeros((8, 12, 1), np.uint8)]}, "side"),
        ({"beliefs": [[0.2, 0.3, 0.5]]}, "wanted as many"),
        ({"beliefs": [None, [0.5, 0.5]]}, "one for each class"),
        ({"beliefs": [None, [0.5, 0.5, np.nan]]}, "probabilities"),
        ({"beliefs": [None, [2.0, 0.0, 0.0]]}, "probabilities"),
        ({"prediction": 3}, "got prediction=3"),
        ({"label": -1}, "got label=-1"),
        ({"label": 3, "classes": None}, "0 to 2"),
    ],
)
def test_wrong_arguments_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        episode(**changes)
