"""Which classifier watches the glimpses: every mode, from every form of a recipe."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from glimpse_lab.classifiers import COTRAINING, choose_classifier, training_of, with_training
from glimpse_lab.recipes import RecipeError, make_callbacks
from policies import CoTrainingCallback

PACKED = "policies.PackedSequences"
CANVAS = {"type": "canvas", "width": 9}


def chosen(choice: str, callback: Any = None, seed: int = 7, **env_kwargs: Any) -> tuple:
    """Callbacks and arguments of the environment after a choice; the given ones stay."""
    recipe = {"callback": callback} if callback is not None else {}
    before = copy.deepcopy((recipe, env_kwargs))
    made = choose_classifier(recipe, env_kwargs, choice, seed)
    assert (recipe, env_kwargs) == before
    return made.recipe.get("callback"), made.env_kwargs


@pytest.mark.parametrize("callback", [None, PACKED, [PACKED], [{PACKED: None}]])
def test_the_recipes_own_choice_changes_nothing_without_training(callback: Any) -> None:
    assert chosen("recipe", callback, budget=3) == (callback, {"budget": 3})
    given = {"classifier": dict(CANVAS), "observe_classifier_features": True}
    assert chosen("recipe", callback, **given) == (callback, given)


def test_a_classifier_that_is_trained_gets_the_seed_of_the_run() -> None:
    for entry in (COTRAINING, {COTRAINING: {"pretraining": 5}}):
        callback, kwargs = chosen("recipe", [PACKED, entry], classifier=dict(CANVAS))
        assert callback == [PACKED, entry] and kwargs["classifier"] == {**CANVAS, "seed": 7}
    _, kwargs = chosen("recipe", COTRAINING, classifier="gru")
    assert kwargs["classifier"] == {"type": "gru", "seed": 7}
    _, kwargs = chosen("recipe", COTRAINING, classifier={"type": "gru", "seed": 1})
    assert kwargs["classifier"] == {"type": "gru", "seed": 1}
    _, kwargs = chosen("recipe", PACKED, classifier="gru")
    assert kwargs["classifier"] == {"type": "gru"}


@pytest.mark.parametrize(("choice", "frozen"), [("cotrained", False), ("frozen", True)])
@pytest.mark.parametrize(
    ("callback", "before", "training"),
    [
        (None, [], {}),
        (PACKED, [PACKED], {}),
        ([PACKED, COTRAINING], [PACKED], {}),
        ({COTRAINING: {"pretraining": 5}}, [], {"pretraining": 5}),
        ([{COTRAINING: {"pretraining": 5, "frozen": True}}, PACKED], [PACKED], {"pretraining": 5}),
        ([{COTRAINING: None}], [], {}),
    ],
)
def test_a_classifier_is_trained_as_chosen_with_the_recipes_settings(
    choice: str, frozen: bool, callback: Any, before: list, training: dict
) -> None:
    entries, kwargs = chosen(choice, callback)
    trained = {COTRAINING: {**training, "frozen": frozen}}
    assert [entry for entry in entries if entry != trained] == before
    if not training:  # before what needs a trained classifier
        assert entries[0] == trained or callback == [PACKED, COTRAINING]
    assert kwargs == {"classifier": {"type": "canvas", "seed": 7}}
    made = make_callbacks({"callback": entries})
    (found,) = (made_one for made_one in made if isinstance(made_one, CoTrainingCallback))
    assert found.frozen is frozen
    _, kwargs = chosen(choice, callback, classifier=dict(CANVAS))
    assert kwargs == {"classifier": {**CANVAS, "seed": 7}}


@pytest.mark.parametrize(
    ("callback", "left"),
    [(None, []), ([PACKED, {COTRAINING: {"pretraining": 5}}], [PACKED]), (COTRAINING, [])],
)
def test_none_takes_classifier_and_training_away(callback: Any, left: list) -> None:
    given = {"classifier": dict(CANVAS), "observe_classifier_features": True, "budget": 3}
    wanted = {"classifier": None, "observe_classifier_features": False, "budget": 3}
    assert chosen("none", callback, **given) == (left, wanted)


def test_a_file_is_used_as_it_is_wherever_the_run_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.pt").touch()
    callback, kwargs = chosen("c.pt", [COTRAINING, PACKED], classifier=dict(CANVAS))
    assert callback == [PACKED]
    assert kwargs == {"classifier": {"type": "file", "path": str(tmp_path / "c.pt")}}


def test_an_unknown_choice_of_classifier_names_the_known_ones():
    with pytest.raises(RecipeError, match=r"got --classifier frzen.*cotrained, frozen, none"):
        chosen("frzen")


@pytest.mark.parametrize("choice", ["recipe", "cotrained"])
def test_a_classifier_of_a_file_may_be_trained_on(choice: str) -> None:
    given = {"type": "file", "path": "c.pt"}
    _, kwargs = chosen(choice, COTRAINING, classifier=dict(given))
    assert kwargs["classifier"] == given


def test_arguments_of_the_training_are_changed_in_its_place() -> None:
    for entry in (COTRAINING, {COTRAINING: None}, {COTRAINING: {"epochs": 1}}):
        recipe = {"callback": [entry, PACKED]}
        changed = with_training(recipe, {"epochs": 2})
        assert changed == {"callback": [{COTRAINING: {"epochs": 2}}, PACKED]}
        assert recipe == {"callback": [entry, PACKED]} and training_of(changed) == {"epochs": 2}
    assert training_of({"callback": PACKED}) is None and training_of({}) is None
