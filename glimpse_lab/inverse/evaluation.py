"""The evaluation of a run of inverse action modelling, beside classical registration."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import NamedTuple

from stable_baselines3.common.base_class import BaseAlgorithm
from tqdm import tqdm

from glimpse_envs.inverse import InverseConfig
from glimpse_lab.core_seconds import CoreSeconds
from glimpse_lab.inverse.measures import measure, measure_instructions, measure_planning
from glimpse_lab.inverse.registration import Registration, why_not
from glimpse_lab.inverse.result import InverseEvaluation, Reference
from glimpse_lab.inverse.rollout import Answers, agent, evaluate
from glimpse_lab.runs import Run
from glimpse_lab.versions import git_commit, versions

REFERENCE_IMAGES = 1_000
"""The most that registration is shown, which takes some 30 ms for each."""


class Evaluated(NamedTuple):
    """What was found, and the agent's answers that it was found in."""

    result: InverseEvaluation
    answers: Answers


def evaluate_run(
    run: Run, model: BaseAlgorithm, config: InverseConfig, *, reference: bool = False
) -> Evaluated:
    """Show every image of a split once to the agent.

    :param run: tells environment and seed
    :param model: the trained agent
    :param config: the environment with the split to evaluate, of ``run.evaluation_config``
    :param reference: measure registration, too, on the first 1,000 images
    """
    begin = time.perf_counter()
    with _bar(config.n_images, f"evaluating on {config.split}") as bar:
        answers = evaluate(agent(model, config), config, seed=run.config.seed, progress=bar.update)
    result = InverseEvaluation(
        env=run.config.env_id,
        env_kwargs=run.config.changed_kwargs(),
        dataset=None if config.dataset is None else config.dataset.name,
        split=config.split,
        n_images=len(answers),
        algorithm=run.config.algorithm,
        timesteps=model.num_timesteps,
        seed=run.config.seed,
        agent=measure(answers, config.actions),
        planning=measure_planning(answers, config),
        instructions=measure_instructions(answers, config),
        seconds=round(time.perf_counter() - begin, 2),
        git=git_commit(),
        versions=versions(),
        core_seconds=CoreSeconds.read(run.path),
    )
    if reference:
        result = with_reference(result, model, config)
    return Evaluated(result, answers)


def with_reference(
    result: InverseEvaluation, model: BaseAlgorithm, config: InverseConfig
) -> InverseEvaluation:
    """Return the result with registration on the first images, or why there is none.

    :param model: the agent, which has one action, too
    :param config: the environment that both are shown
    """
    if reason := why_not(config):
        return replace(result, no_reference=reason)
    try:
        registration = Registration(config)
    except ImportError as error:
        return replace(result, no_reference=str(error))
    begin = time.perf_counter()
    n = min(REFERENCE_IMAGES, result.n_images)
    single = replace(config, max_steps=1)  # it tells one action
    with _bar(n, "registration") as bar:
        found = evaluate(
            registration, single, n_images=n, seed=result.seed, chunk=50, progress=bar.update
        )
    answers = evaluate(agent(model, single), single, n_images=n, seed=result.seed)
    table = config.actions
    return replace(
        result,
        reference=Reference(
            n_images=n,
            seconds=round(time.perf_counter() - begin, 2),
            registration=measure(found, table),
            agent=measure(answers, table).total,
        ),
    )


def _bar(total: int, what: str) -> tqdm:
    return tqdm(
        total=total,
        desc=what,
        unit=" images",
        mininterval=0.5 if sys.stderr.isatty() else 10.0,
        dynamic_ncols=True,
    )
