"""The exact evaluation of a run: each image of a split once, deterministic actions."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from tqdm import tqdm

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.metrics.episodes import metrics
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_lab.config import RunError
from glimpse_lab.core_seconds import CoreSeconds
from glimpse_lab.evaluation.following import following_baselines
from glimpse_lab.evaluation.matched_budget import matched_budget
from glimpse_lab.evaluation.result import Baseline, BaselineKind, Evaluation
from glimpse_lab.evaluation.rollout import evaluate
from glimpse_lab.evaluation.storage import StorageError, read_result
from glimpse_lab.runs import Run
from glimpse_lab.versions import git_commit, versions

_RANDOM_GAZE = "random gaze (same agent, off-distribution)"


class Evaluated(NamedTuple):
    """What was found, and the agent's episodes that it was found in."""

    result: Evaluation
    paths: Scanpaths


def read_evaluation(run: Run) -> Evaluation:
    """Return what ``eval.py`` found of a run on the test split, of the agent as it is now.

    :raises RunError: if it has not been evaluated, or was trained on since
    """
    file = run.path / "metrics.json"
    try:
        result = read_result(file, Evaluation)
    except (OSError, StorageError) as error:
        raise RunError(
            f"{file} cannot be read ({error}); python eval.py {run.path} writes it"
        ) from error
    if result.timesteps != run.saved_timesteps():
        raise RunError(
            f"{file} was measured at {result.timesteps:,} timesteps, the model has "
            f"{run.saved_timesteps():,}; python eval.py {run.path} measures anew"
        )
    return result


def evaluate_run(
    run: Run, model: BaseAlgorithm, config: GlimpseConfig, *, record_hidden: bool = False
) -> Evaluated:
    """Show every image of a split once to the agent, and once with its gaze drawn at random.

    Where nobody answers also to a gaze that stays where it began: so easy may a task be.

    :param run: tells environment and seed
    :param model: the trained agent
    :param config: the environment with the split to evaluate, of ``run.evaluation_config``
    :param record_hidden: keep the classifier's features after each glimpse
    """
    begin = time.perf_counter()
    n_shown = (2 + config.follows) * len(config.shown_split)
    with tqdm(total=n_shown, desc=f"evaluating on {config.split}", unit=" images") as bar:
        paths = evaluate(model, config, record_hidden=record_hidden, progress=bar.update)
        drawn = evaluate(model, config, random_gaze=True, seed=run.config.seed, progress=bar.update)
        still = {}
        if config.follows:
            how = {"seed": run.config.seed, "advance": bar.update}
            still = following_baselines(config, names=("stay",), **how)
    random_gaze = Baseline(
        **vars(metrics(drawn)),
        kind=BaselineKind.RANDOM_GAZE,
        # accuracies are compared there, and where nobody answers there is none
        matched_budget=None if config.nobody_answers else matched_budget(paths, drawn),
    )
    result = Evaluation(
        env=run.config.env_id,
        env_kwargs=run.config.changed_kwargs(),
        dataset=config.dataset.name,
        split=config.split,
        budget=config.budget,
        **vars(metrics(paths)),
        baselines={_RANDOM_GAZE: random_gaze, **still},
        seconds=round(time.perf_counter() - begin, 2),
        seed=run.config.seed,
        timesteps=model.num_timesteps,
        git=git_commit(),
        versions=versions(),
        core_seconds=CoreSeconds.read(run.path),
        chance=float(np.bincount(paths.labels).max() / len(paths.labels)),
        follows=config.follows or None,
    )
    return Evaluated(result, paths)
