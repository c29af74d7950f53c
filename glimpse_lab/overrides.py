"""Settings that replace those of a recipe, by dotted keys; callbacks are reached by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glimpse_envs.components import nearest
from glimpse_lab.dotted import last_name, with_value
from glimpse_lab.recipes import Recipe, RecipeError, callback_entries, callback_name

_CALLBACK = "callback."


def lengths(total_timesteps: float | None, n_envs: int | None) -> dict[str, float]:
    """Return what overrides a recipe's timesteps and lanes; None leaves the recipe's own."""
    given = {"n_timesteps": total_timesteps, "n_envs": n_envs}
    return {key: value for key, value in given.items() if value is not None}


def with_overrides(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """Return a recipe with values changed, one after the other; the given one stays as it is.

    :param recipe: hyperparameters
    :param overrides: by dotted keys, such as ``env_kwargs.budget``; one that begins with
        ``callback.`` goes on with the name of a class of the recipe's callbacks:
        ``callback.CoTrainingCallback.pretraining``
    :raises RecipeError: if the recipe has no such callback
    :raises ValueError: if a key reaches inside of what has no keys
    """
    for key, value in overrides.items():
        if not isinstance(key, str):
            raise RecipeError(f"got the override {key!r:.80}; wanted a text, such as 'n_steps'")
        if key.startswith(_CALLBACK):
            recipe = _with_callback(recipe, key.removeprefix(_CALLBACK), value)
        else:
            recipe = with_value(recipe, key, value)
    return recipe


def _with_callback(recipe: Recipe, key: str, value: Any) -> Recipe:
    """Return the recipe with one argument of a callback changed.

    :param key: "Class.argument", and dots further inside
    """
    name, _, argument = key.partition(".")
    entries = callback_entries(recipe)
    names = [last_name(callback_name(entry)) for entry in entries]
    if name not in names or not argument:
        wanted = f"{name if name in names else 'NAME'}.ARGUMENT"
        raise RecipeError(
            f"got callback.{key}; wanted callback.{wanted}, NAME one of the recipe's callbacks: "
            f"{nearest(name, names) if names else 'it has none'}"
        )
    place = names.index(name)
    full = callback_name(entries[place])
    arguments = entries[place][full] if isinstance(entries[place], Mapping) else None
    entries[place] = {full: with_value(arguments or {}, argument, value)}
    return {**recipe, "callback": entries}
