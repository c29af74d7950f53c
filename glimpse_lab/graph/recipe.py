"""The recipe of the pipeline as a registered environment, whose settings a graph begins with."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from glimpse_lab.classifiers import training_of
from glimpse_lab.recipes import Recipe, load_recipe

ENV_ID = "GlimpseMNIST-Saccade-v0"
"""The same pipeline as a registered environment."""

_RECIPE = Path(__file__).parents[1] / "hyperparams" / "saccades_by_reward" / "ppo.yml"


@cache
def saccade_recipe() -> Recipe:
    """Return the hyperparameters of the registered pipeline, learning by its rewards alone."""
    return load_recipe(_RECIPE, ENV_ID)


def capsule_settings() -> dict[str, Any]:
    """Return how its classifier is trained, but for the pretraining, which has to be asked for."""
    return {**(training_of(saccade_recipe()) or {}), "pretraining": 0}
