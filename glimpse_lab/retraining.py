"""The command that trains a run anew, found from its settings."""

from __future__ import annotations

import shlex
from typing import Any

from glimpse_lab.config import RunConfig, resolve_config
from glimpse_lab.kinds import GLIMPSE
from glimpse_lab.overrides import lengths

#: classifiers that train.py takes by name, and the arguments that ask for them
_CLASSIFIERS = {
    "recipe": (),
    "none": ("--classifier", "none"),
    "frozen": ("--classifier", "frozen"),
}


def training_command(config: RunConfig) -> str | None:
    """Return the command that trains a run with these settings, as the recipes are now.

    :param config: of the run, with the data of its id
    :return: None where its settings are no recipe's
    """
    name = config.env_id
    for classifier, words in _CLASSIFIERS.items():
        if classifier != "recipe" and config.kind is not GLIMPSE:
            continue  # others have none
        plain = resolve_config(name, seed=config.seed, classifier=classifier)
        steps = config.recipe["n_timesteps"]
        longer = resolve_config(
            name, seed=config.seed, classifier=classifier, overrides=lengths(steps, None)
        )
        for tried, more in ((plain, ()), (longer, ("--total-timesteps", f"{steps:g}"))):
            if _settings(tried) == _settings(config):
                seed = () if config.seed == 0 else ("--seed", config.seed)
                arguments = ("--env", name, *words, *more, *seed)
                return shlex.join(["python", "train.py", *map(str, arguments)])
    return None


def _settings(config: RunConfig) -> tuple[Any, ...]:
    return config.algorithm, config.recipe, config.env_kwargs, config.dataset
