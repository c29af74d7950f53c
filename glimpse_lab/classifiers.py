"""Which classifier watches the glimpses of a run, and how it is trained: one function a mode.

Every mode takes a recipe and the arguments of the environment, and returns both anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from glimpse_envs.components import resolve
from glimpse_envs.rewards import Reward
from glimpse_lab.dotted import with_value
from glimpse_lab.recipes import Recipe, RecipeError, callback_entries, callback_name

COTRAINING = "policies.CoTrainingCallback"
"""Name in recipes of the callback that trains the classifier."""


class Chosen(NamedTuple):
    """A recipe and the arguments of its environment.

    :param recipe: whose callbacks train the classifier
    :param env_kwargs: that describe the classifier
    """

    recipe: Recipe
    env_kwargs: dict[str, Any]


def choose_classifier(recipe: Recipe, env_kwargs: dict[str, Any], choice: str, seed: int) -> Chosen:
    """Return recipe and arguments with the classifier that is wanted.

    :param recipe: stays as it is
    :param env_kwargs: of the environment; stay as they are
    :param choice: a key of ``MODES``, or else the path of a file
    :param seed: of the first weights of a classifier that is made anew and trained
    :raises RecipeError: for a file that is not there
    """
    mode = MODES.get(choice)
    chosen = mode(recipe, env_kwargs) if mode else from_file(recipe, env_kwargs, Path(choice))
    return _seeded(*chosen, seed)


def as_in_recipe(recipe: Recipe, env_kwargs: dict[str, Any]) -> Chosen:
    """Leave both as the recipe has them."""
    return Chosen(recipe, env_kwargs)


def cotrained(recipe: Recipe, env_kwargs: dict[str, Any]) -> Chosen:
    """Train the classifier before and beside the agent; a canvas, if the recipe has none."""
    return _trained(recipe, env_kwargs, frozen=False)


def frozen(recipe: Recipe, env_kwargs: dict[str, Any]) -> Chosen:
    """Train the classifier before the agent alone; a canvas, if the recipe has none."""
    return _trained(recipe, env_kwargs, frozen=True)


def without(recipe: Recipe, env_kwargs: dict[str, Any]) -> Chosen:
    """Take the classifier away.

    A reward that needs one becomes Terminal, and an agent that saw through the classifier alone
    sees the glimpse.
    """
    env_kwargs = {**env_kwargs, "classifier": None, "observe_classifier_features": False}
    if resolve(env_kwargs.get("reward", "Terminal"), Reward).needs_classifier:
        env_kwargs["reward"] = "Terminal"
    recipe = without_training(recipe)
    extractor = (recipe.get("policy_kwargs") or {}).get("features_extractor_kwargs") or {}
    if extractor.get("encoder") == "none":
        encoder = "policy_kwargs.features_extractor_kwargs.encoder"
        recipe = with_value(recipe, encoder, "cnn")
    return Chosen(recipe, env_kwargs)


def from_file(recipe: Recipe, env_kwargs: dict[str, Any], path: Path) -> Chosen:
    """Take the classifier of a file, as it is, without training.

    :param path: the ``model.zip`` of a run, or what ``TorchClassifier.save`` wrote
    :raises RecipeError: if there is no such file
    """
    if not path.is_file():
        raise RecipeError(
            f"got --classifier {path}, and there is no such file; wanted {', '.join(MODES)}, or a "
            "file such as the model.zip of another run. (The kind of a classifier is set by --set "
            "env_kwargs.classifier.type=canvas, rcn, gru, lstm or feedforward)"
        )
    classifier = {"type": "file", "path": str(path.resolve())}
    return Chosen(without_training(recipe), {**env_kwargs, "classifier": classifier})


MODES: dict[str, Callable[[Recipe, dict[str, Any]], Chosen]] = {
    "recipe": as_in_recipe,
    "cotrained": cotrained,
    "frozen": frozen,
    "none": without,
}


def training_of(recipe: Recipe) -> dict[str, Any] | None:
    """Return the arguments of the recipe's co-training; None if it has none."""
    for entry in callback_entries(recipe):
        if callback_name(entry) == COTRAINING:
            return dict(entry[COTRAINING] or {}) if isinstance(entry, dict) else {}
    return None


def with_training(recipe: Recipe, training: dict[str, Any]) -> Recipe:
    """Return the recipe with other arguments of its co-training, in the same place.

    :param training: arguments of ``policies.CoTrainingCallback``
    """
    entries = [
        {COTRAINING: training} if callback_name(entry) == COTRAINING else entry
        for entry in callback_entries(recipe)
    ]
    return {**recipe, "callback": entries}


def without_training(recipe: Recipe) -> Recipe:
    """Return the recipe without co-training."""
    entries = callback_entries(recipe)
    return {**recipe, "callback": [e for e in entries if callback_name(e) != COTRAINING]}


def _trained(recipe: Recipe, env_kwargs: dict[str, Any], *, frozen: bool) -> Chosen:
    training = training_of(recipe)
    if training is None:  # before what needs a trained classifier
        recipe = {**recipe, "callback": [{COTRAINING: {}}, *callback_entries(recipe)]}
    if env_kwargs.get("classifier") is None:
        env_kwargs = {**env_kwargs, "classifier": {"type": "canvas"}}
    return Chosen(with_training(recipe, {**(training or {}), "frozen": frozen}), env_kwargs)


def _seeded(recipe: Recipe, env_kwargs: dict[str, Any], seed: int) -> Chosen:
    """Write the classifier as a dict; one that is made anew and trained gets the run's seed."""
    made = env_kwargs.get("classifier")
    if isinstance(made, str):
        made = {"type": made}
    if isinstance(made, dict) and made.get("type") != "file" and training_of(recipe) is not None:
        made = {**made, "seed": made.get("seed", seed)}
    if made is None:
        return Chosen(recipe, env_kwargs)
    return Chosen(recipe, {**env_kwargs, "classifier": made})
