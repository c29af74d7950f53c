"""From a recipe and what is changed in it to the ``config.yml`` of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glimpse_envs.config import make_config
from glimpse_envs.sb3 import registered_kwargs
from glimpse_lab.recipes import (
    check_training,
    choose_classifier,
    find_recipe,
    load_recipe,
    override,
)
from glimpse_lab.sweeps.changes import Change
from glimpse_lab.versions import git_commit, versions


def run_config(
    env_id: str,
    recipes: Path,
    *,
    seed: int = 0,
    dataset: str | None = None,
    classifier: str = "recipe",
    overrides: Sequence[str] = (),
    timesteps: float | None = None,
    n_envs: int | None = None,
    change: Change | None = None,
    packages: Sequence[str] = (),
) -> dict[str, Any]:
    """Resolve recipe, overrides and environment into what ``config.yml`` holds.

    :param env_id: of the environment
    :param recipes: a recipe file, or a folder of them
    :param seed: of everything
    :param dataset: None for the environment's own
    :param classifier: as ``choose_classifier`` takes it
    :param overrides: "KEY=VALUE" each
    :param timesteps: None for the recipe's
    :param n_envs: None for the recipe's
    :param change: that a sweep makes, after all others
    :param packages: of the user's own, imported already
    :raises ValueError: for what does not fit, or is not known
    """
    registered = registered_kwargs(env_id)
    file = find_recipe(recipes, env_id) if recipes.is_dir() else recipes
    recipe = load_recipe(file, env_id)
    override(recipe, list(overrides))
    if timesteps is not None:
        recipe["n_timesteps"] = timesteps
    if n_envs is not None:
        recipe["n_envs"] = n_envs
    if change is not None:
        change.change_recipe(recipe)
    check_training(recipe)
    env_kwargs = {**registered, **(recipe.pop("env_kwargs", None) or {})}
    if dataset is not None:
        env_kwargs["dataset"] = dataset
    choose_classifier(recipe, env_kwargs, classifier, seed)
    if change is not None:
        change.change_env(env_kwargs)
    data = make_config(**env_kwargs).dataset
    return {
        "env": env_id,
        "env_kwargs": {**env_kwargs, "dataset": data.source},
        "algorithm": file.stem,
        "recipe": recipe,
        "seed": seed,
        "dataset": {"name": data.name, "digest": data.digest},
        "packages": list(packages),
        "git": git_commit(),
        "versions": versions(),
    }


def run_folder(runs: Path, env_id: str, name: str) -> Path:
    """Return the folder of a run, or of many.

    :raises ValueError: for a name with folders in it
    """
    if len(Path(name).parts) != 1 or name == "..":
        raise ValueError(f"got --name {name}; wanted a plain name, the folder is --runs")
    return runs / env_id / name
