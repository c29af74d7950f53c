"""Run directories with small settings, written but not trained."""

from pathlib import Path
from typing import Any

from glimpse_lab.config import RunConfig, resolve_config
from glimpse_lab.recipes import RECIPES
from glimpse_lab.runs import Run

ENV_ID = "GlimpseDigits-MultiCat-v0"
SMALL = {"n_envs": 4, "n_steps": 8, "batch_size": 16, "n_epochs": 1}


def small_config(
    recipe: str = "reward_alone/ppo_lstm.yml",
    overrides: dict[str, Any] | None = None,
    *,
    env_id: str = ENV_ID,
    seed: int = 3,
    **arguments: Any,
) -> RunConfig:
    """The configuration of a recipe with short rollouts and small batches.

    :param recipe: a file below the folder of recipes
    :param overrides: by dotted keys
    :param arguments: of ``resolve_config``
    """
    settings = {**SMALL, **(overrides or {})}
    return resolve_config(env_id, RECIPES / recipe, seed=seed, overrides=settings, **arguments)


def make_run(path: Path, *arguments: Any, **others: Any) -> Run:
    """A run directory of ``small_config``, written."""
    run = Run(path, small_config(*arguments, **others))
    run.create()
    return run
