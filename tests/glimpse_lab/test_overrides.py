"""Settings by dotted keys, those of callbacks by the names of their classes."""

from __future__ import annotations

import pytest

from glimpse_lab.overrides import with_overrides
from glimpse_lab.recipes import RecipeError, make_callbacks

RECIPE = {
    "gamma": 0.9,
    "callback": [
        "policies.PackedSequences",
        {"policies.CoTrainingCallback": {"pretraining": 100, "gaze": {"type": "Uniform"}}},
    ],
}


def test_arguments_of_callbacks_are_reached_by_name() -> None:
    changes = {
        "callback.CoTrainingCallback.pretraining": 7,
        "callback.CoTrainingCallback.gaze.zoom": 0.5,
        "gamma": 0.5,
    }
    recipe = with_overrides(RECIPE, changes)
    _, cotraining = make_callbacks(recipe)
    assert (cotraining.pretraining.n_episodes, cotraining.gaze.zoom) == (7, 0.5)
    assert recipe["gamma"] == 0.5 and recipe["callback"][0] == "policies.PackedSequences"
    assert RECIPE["callback"][1] == {  # the given one stays as it is
        "policies.CoTrainingCallback": {"pretraining": 100, "gaze": {"type": "Uniform"}}
    }


@pytest.mark.parametrize("entry", ["policies.EpsilonGreedy", {"policies.EpsilonGreedy": None}])
def test_a_callback_without_arguments_gets_some(entry: object) -> None:
    recipe = with_overrides({"callback": entry}, {"callback.EpsilonGreedy.initial": 0.2})
    assert recipe == {"callback": [{"policies.EpsilonGreedy": {"initial": 0.2}}]}


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("callback.CoTraining.pretraining", "did you mean 'CoTrainingCallback'"),
        ("callback.CoTrainingCallback", r"wanted callback\.CoTrainingCallback\.ARGUMENT"),
        ("callback.pretraining", r"wanted callback\.NAME\.ARGUMENT"),
    ],
)
def test_wrong_names_are_told(key: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        with_overrides(RECIPE, {key: 1})
    with pytest.raises(RecipeError, match="it has none"):
        with_overrides({"gamma": 1}, {key: 1})


def test_all_callbacks_can_be_replaced() -> None:
    assert with_overrides(RECIPE, {"callback": []})["callback"] == []
