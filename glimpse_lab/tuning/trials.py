"""The training of one trial of a search, in this process or by workers elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.metrics.episodes import Metrics, metrics
from glimpse_lab.config import RunConfig
from glimpse_lab.evaluation.rollout import evaluate
from glimpse_lab.runs import Run
from glimpse_lab.training import make
from policies.callbacks import Diverged, EpisodeStatistics, Progress, check_weights

#: takes accuracy and step of a running trial, and tells whether it shall end
Report = Callable[[float, int], bool]

#: of a trial, before its end, at equal distances
_REPORTS = 5
#: images of the validation split that a report before the end is made on
_REPORT_IMAGES = 1000


class Outcome(NamedTuple):
    """What came of a trial.

    :ivar metrics: on the whole validation split; None if it did not come to its end
    :ivar why: it did not
    :ivar diverged: because a weight is not finite any more
    """

    metrics: Metrics | None
    why: str = ""
    diverged: bool = False


class Workers(Protocol):
    """What trains the trials of a search.

    :ivar jobs: how many trials at a time, at most
    """

    jobs: int

    def begin(self, number: int, config: RunConfig, report: Report) -> None:
        """Let a trial be trained.

        :param number: of the trial
        :param config: of its training
        :param report: called in this process while :meth:`ended` waits
        """

    def ended(self) -> tuple[int, Outcome]:
        """Wait for a trial to end; return its number and what came of it.

        :raises Exception: that a trial has failed with
        """

    def stop(self) -> None:
        """Stop what is running."""


class ThisProcess:
    """Trains trials here, one at a time.

    :param device: that PyTorch knows
    """

    jobs = 1

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.begun: tuple[int, RunConfig, Report] | None = None

    def begin(self, number: int, config: RunConfig, report: Report) -> None:
        """Keep the trial for :meth:`ended`, which trains it."""
        self.begun = (number, config, report)

    def ended(self) -> tuple[int, Outcome]:
        """Train the trial that was begun."""
        number, config, report = self.begun
        return number, train_trial(config, self.device, report)

    def stop(self) -> None:
        """Do nothing: what interrupts this process has stopped the trial."""


class MadeTrial(NamedTuple):
    """What a trial is trained with.

    :ivar run: nowhere written
    """

    run: Run
    model: BaseAlgorithm
    callbacks: list[BaseCallback]


def make_trial(config: RunConfig, device: str) -> MadeTrial:
    """Return a run that is nowhere written, with its model and callbacks.

    :raises ValueError: for settings that do not fit
    """
    run = Run(Path("trial"), config)
    return MadeTrial(run, *make(run, device))


def train_trial(config: RunConfig, device: str, report: Report) -> Outcome:
    """Train a trial and evaluate it on the whole validation split.

    :param config: of its training
    :param device: that PyTorch knows
    :param report: called with the accuracy at times
    """
    run, model, callbacks = make_trial(config, device)
    statistics = EpisodeStatistics()
    shown = run.evaluation_config("validation")
    reports = _Reports(report, shown, config.n_timesteps)
    progress = Progress(statistics)
    model.set_logger(Logger(None, []))
    try:
        model.learn(
            config.n_timesteps, callback=[Diverged(), *callbacks, statistics, progress, reports]
        )
    except ValueError as error:
        if (message := _divergence(error, model)) is not None:
            return Outcome(None, message, diverged=True)
        raise
    finally:
        progress.close()
    if reports.stopped:
        return Outcome(None, reports.stopped)
    return Outcome(metrics(evaluate(model, shown)))


class _Reports(BaseCallback):
    """Report how good the agent is at times, and stop it where the answer says so.

    :param report: called with accuracy and step
    :param config: the environment to evaluate on
    :param total: timesteps of the training
    """

    def __init__(self, report: Report, config: GlimpseConfig, total: int) -> None:
        super().__init__()
        self.report, self.config, self.total = report, config, total
        self.stopped = ""  # why
        # the same images for all trials, drawn, since image folders come sorted by class
        order = np.random.default_rng(0).permutation(len(config.shown_split))
        self.index = np.sort(order[:_REPORT_IMAGES])
        self.made = 0

    def _on_rollout_start(self) -> None:
        due = self.model.num_timesteps * _REPORTS // self.total
        if due <= self.made:
            return
        self.made = due
        score = metrics(evaluate(self.model, self.config, index=self.index)).accuracy
        if self.report(score, due):
            self.stopped = (
                f"accuracy {100 * score:.2f} % after {100 * due / _REPORTS:.0f} % of the training "
                "is below the median of the trials before"
            )

    def _on_step(self) -> bool:
        return not self.stopped


def _divergence(error: ValueError, model: BaseAlgorithm) -> str | None:
    """Return what diverged; None if the error is another one."""
    try:
        check_weights(model)
    except ValueError as diverged:
        return str(diverged).partition(". ")[0]
    if "satisfy the constraint" in str(error):  # PyTorch's words for parameters of a distribution
        when = f"{model.num_timesteps:,} timesteps"
        return f"training diverged: the policy's output was not finite at {when}"
    return None
