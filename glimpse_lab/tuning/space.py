"""What a search over hyperparameters draws from, and how a draw changes a recipe.

A space is a dict, and a YAML file, from keys to what is drawn:

* ``[a, b, c]``: one of these;
* ``{low: a, high: b}``: a number between, both ends included, an integer if both are; with
  ``log: true`` by its logarithm.

A key is a hyperparameter of the recipe, with dots that reach inside
(``policy_kwargs.lstm_hidden_size``), or one of

* ``minibatches``: batches of an epoch. It sets ``batch_size`` to n_envs * n_steps / minibatches;
  where that does not divide, the space is refused;
* ``price``: of a glimpse, in whatever reward the environment has;
* ``classifier_training.KEY``: an argument of ``policies.CoTrainingCallback``, such as ``epochs``.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from glimpse_lab.classifiers import training_of, with_training
from glimpse_lab.config import RunConfig
from glimpse_lab.dotted import flatten, with_value
from glimpse_lab.recipes import Recipe, RecipeError
from glimpse_lab.sweeps.prices import price_of, with_price
from glimpse_lab.yaml_files import YamlError, read_yaml

Space = dict[str, Any]
Choice = dict[str, Any]

MINIBATCHES, PRICE, CLASSIFIER = "minibatches", "price", "classifier_training."

#: with these "lin_START", falling to 0, is searched by its START
_SCHEDULED = ("learning_rate", "clip_range")
_SMALLEST_BATCH = 32
#: of ``CoTrainingCallback``, and of SB3 what recipes leave out
_CLASSIFIER_DEFAULTS = {"learning_rate": 2e-3, "epochs": 1.0}
_DEFAULTS = {"clip_range": 0.2}


class Suggests(Protocol):
    """What draws: a trial of Optuna."""

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """Draw one of the choices."""
        ...

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Draw a number."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Draw an integer."""
        ...


def default_space(config: RunConfig) -> Space:
    """Return ranges that suit PPO and RecurrentPPO here, around what the recipe has.

    The classifier's learning rate has three values alone: each needs a pretraining of its own,
    which trials with the same one share. The price stays within a factor of two: the score of a
    search is accuracy, which alone would make glimpses free.

    :param config: of a run of PPO or RecurrentPPO
    """
    recipe = config.recipe
    n_steps = int(recipe.get("n_steps", 128))
    steps = sorted({max(2, n_steps // 2), n_steps, 2 * n_steps})
    space: Space = {
        "learning_rate": {"low": 1e-4, "high": 3e-3, "log": True},
        "n_steps": steps,
        MINIBATCHES: _divisors(config.n_envs, steps),
        "n_epochs": {"low": 2, "high": 8},
        "gamma": {"low": 0.6, "high": 1.0},
        "gae_lambda": {"low": 0.8, "high": 1.0},
        "ent_coef": {"low": 1e-4, "high": 0.03, "log": True},
        "clip_range": {"low": 0.1, "high": 0.3},
    }
    if (price := price_of(_reward(config.env_kwargs))) > 0.0:
        space[PRICE] = {"low": price / 2, "high": 2 * price, "log": True}
    training = training_of(recipe)
    if training is not None:
        training = {**_CLASSIFIER_DEFAULTS, **training}
        rate = float(training["learning_rate"])
        space[f"{CLASSIFIER}learning_rate"] = [rate / 2, rate, 2 * rate]
        epochs = float(training["epochs"])
        if epochs > 0.0 and not training.get("frozen"):
            space[f"{CLASSIFIER}epochs"] = {"low": epochs / 2, "high": 2 * epochs, "log": True}
    return space


def read_space(path: Path) -> Space:
    """Read a space from a YAML file; it stands in the place of the default one.

    :raises RecipeError: for a file that is missing or broken, or an entry of another form
    """
    try:
        content = read_yaml(path)
    except OSError as error:
        raise RecipeError(f"space {path} cannot be read: {error.strerror or error}") from error
    except YamlError as error:
        raise RecipeError(f"space {path} is not valid YAML: {error}") from error
    if not isinstance(content, dict) or not content:
        raise RecipeError(f"space {path}: wanted a mapping from hyperparameters to their ranges")
    return {str(key): _entry(str(key), value) for key, value in content.items()}


def check_batches(space: Space, recipe: Recipe) -> None:
    """Check that every draw of ``minibatches`` divides the rows of a rollout.

    :raises RecipeError: if one does not, or ``batch_size`` is drawn too
    """
    if MINIBATCHES not in space:
        return
    if "batch_size" in space:
        raise RecipeError("got batch_size and minibatches in one space; wanted one of them")
    given = {"n_envs": [recipe["n_envs"]], "n_steps": [recipe.get("n_steps", 128)]}
    keys = ("n_envs", "n_steps", MINIBATCHES)
    values = [_values(space[key]) if key in space else given[key] for key in keys]
    for n_envs, n_steps, parts in itertools.product(*values):
        whole = all(isinstance(n, int) and n >= 1 for n in (n_envs, n_steps, parts))
        if not whole or n_envs * n_steps % parts or n_envs * n_steps // parts < 2:
            raise RecipeError(
                f"got n_envs={n_envs}, n_steps={n_steps} and minibatches={parts} in one space; "
                "wanted integers with n_envs * n_steps divisible by minibatches, into batches of "
                "at least 2"
            )


def suggest(trial: Suggests, space: Space) -> Choice:
    """Return a value for each key of a space, drawn by a trial; floats with four digits."""
    return {key: _draw(trial, key, entry) for key, entry in space.items()}


def apply(choice: Choice, config: RunConfig) -> RunConfig:
    """Return the configuration with what was drawn.

    :raises ValueError: for a key that reaches inside of nothing
    """
    recipe, env_kwargs = config.recipe, config.env_kwargs
    for key, value in choice.items():
        if key == PRICE:
            env_kwargs = {**env_kwargs, "reward": with_price(_reward(env_kwargs), value)}
        elif key.startswith("env_kwargs."):
            env_kwargs = with_value(env_kwargs, key.removeprefix("env_kwargs."), value)
        elif key.startswith(CLASSIFIER):
            training = training_of(recipe)
            if training is None:
                raise RecipeError(f"got {key} in the space; the recipe trains no classifier")
            recipe = with_training(recipe, {**training, key.removeprefix(CLASSIFIER): value})
        elif key != MINIBATCHES:
            linear = key in _SCHEDULED and str(recipe.get(key, "")).startswith("lin_")
            recipe = with_value(recipe, key, f"lin_{value:g}" if linear else value)
    if MINIBATCHES in choice:
        recipe = {**recipe, "batch_size": _rows(recipe) // int(choice[MINIBATCHES])}
    return replace(config, recipe=recipe, env_kwargs=env_kwargs)


def start_of(space: Space, config: RunConfig) -> Choice:
    """Return the recipe's own values, of those keys where they are known and in the space."""
    recipe = config.recipe
    rows = _rows(recipe)
    own: Choice = {
        **_DEFAULTS,
        MINIBATCHES: rows // int(recipe.get("batch_size", rows)),
        PRICE: price_of(_reward(config.env_kwargs)),
    }
    training = {**_CLASSIFIER_DEFAULTS, **(training_of(recipe) or {})}
    own |= {f"{CLASSIFIER}{key}": value for key, value in training.items()}
    own |= flatten({**recipe, "env_kwargs": config.env_kwargs})
    for key in _SCHEDULED:
        if str(own.get(key, "")).startswith("lin_"):
            own[key] = float(own[key].removeprefix("lin_"))
    return {key: own[key] for key, entry in space.items() if key in own and _holds(entry, own[key])}


def _reward(env_kwargs: dict[str, Any]) -> Any:
    return env_kwargs.get("reward", "Terminal")


def _rows(recipe: Recipe) -> int:
    """Return the rows of a rollout."""
    return int(recipe["n_envs"]) * int(recipe.get("n_steps", 128))


def _holds(entry: Any, value: Any) -> bool:
    if isinstance(entry, list):
        return value in entry
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return entry["low"] <= value <= entry["high"] and (isinstance(value, int) or not _whole(entry))


def _draw(trial: Suggests, key: str, entry: Any) -> Any:
    if isinstance(entry, list):
        return trial.suggest_categorical(key, entry)
    low, high, log = entry["low"], entry["high"], bool(entry.get("log"))
    if _whole(entry):
        return trial.suggest_int(key, low, high, log=log)
    # rounded, so that a recipe that is written down is the trial's to the last digit
    return min(max(float(f"{trial.suggest_float(key, low, high, log=log):.4g}"), low), high)


def _whole(entry: dict[str, Any]) -> bool:
    return isinstance(entry["low"], int) and isinstance(entry["high"], int)


def _values(entry: Any) -> list[Any]:
    """Return all values of a list or of a range of integers."""
    if isinstance(entry, list):
        return entry
    return list(range(entry["low"], entry["high"] + 1)) if _whole(entry) else [entry["low"]]


def _divisors(n_envs: int, steps: list[int]) -> list[int]:
    """Return numbers of minibatches that divide the rows of a rollout, whatever its steps are."""
    rows = [n_envs * n for n in steps]
    return [
        parts
        for parts in (1, 2, 4, 8, 16, 32)
        if all(n % parts == 0 and n // parts >= min(_SMALLEST_BATCH, min(rows)) for n in rows)
    ]


def _entry(key: str, value: Any) -> Any:
    """Return an entry of a file with its numbers read, checked."""
    if isinstance(value, list) and len(value) >= 1:
        values = [_number(item) for item in value]
        if all(item is None or isinstance(item, (bool, int, float, str)) for item in values):
            return values
    elif isinstance(value, dict) and {"low", "high"} <= value.keys() <= {"low", "high", "log"}:
        entry = {**value, "low": _number(value["low"]), "high": _number(value["high"])}
        low, high, log = entry["low"], entry["high"], entry.get("log", False)
        numbers = all(
            isinstance(end, (int, float)) and not isinstance(end, bool) and math.isfinite(end)
            for end in (low, high)
        )
        if numbers and low <= high and isinstance(log, bool) and not (log and low <= 0):
            return entry
    raise RecipeError(
        f"got {key}: {value!r} in the space; wanted a list of values, or {{low: A, high: B}} with "
        "A <= B and perhaps log: true (then A above 0)"
    )


def _number(value: Any) -> Any:
    try:  # YAML 1.1 reads 3e-4, without a point, as a word
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
