"""The full evaluation of a run: baselines with the same classifier, other budgets, statistics."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from tqdm import tqdm

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.metrics.belief import (
    AfterGlimpses,
    by_glimpse,
    per_class,
    reliability,
    risk_coverage,
    stopping,
)
from glimpse_envs.metrics.episodes import metrics
from glimpse_envs.metrics.gaze_statistics import collapse, gaze_dependence, saccade_summary
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_envs.strategies import Stay
from glimpse_lab.evaluation.baselines import baseline_strategies, best_fixed, lattice
from glimpse_lab.evaluation.compute import measure_compute
from glimpse_lab.evaluation.confidence_stop import stopped, threshold_for
from glimpse_lab.evaluation.exact import Evaluated
from glimpse_lab.evaluation.external_results import equally_trained, full_image, robustness
from glimpse_lab.evaluation.following import NOTES as FOLLOWING
from glimpse_lab.evaluation.following import PursuitGaze, following_baselines
from glimpse_lab.evaluation.matched_budget import matched_budget
from glimpse_lab.evaluation.oracle_gaze import SaliencyGaze, UncertaintyGaze
from glimpse_lab.evaluation.result import (
    Baseline,
    BaselineKind,
    CurvePoint,
    Evaluation,
    GazeStatistics,
    Statistics,
)
from glimpse_lab.evaluation.rollout import evaluate, evaluate_gaze

#: the most images, and the most readings of the classifier, of a gaze that tries many glimpses
#: before each choice: it sees as few images as that allows
_IMAGES, _READINGS = 1000, 100_000

_NOTES = {
    "random": "uniformly random windows of every zoom",
    "centre": "the middle, as closely as can be, again and again",
    "grid": "the four quadrants in turn",
    "overview-random": "random windows, as close as can be, after an overview",
    "saliency": "the finest window with the strongest edges, earlier ones left out",
    "uncertainty": "the window after which the classifier is surest",
    **{name: FOLLOWING[name] for name in ("stay", "pursuit")},
}
_Advance = Callable[[int], Any]


def study(
    model: BaseAlgorithm,
    config: GlimpseConfig,
    evaluated: Evaluated,
    folder: Path,
    *,
    progress: bool = True,
) -> Evaluation:
    """Return the whole evaluation of a trained agent.

    Beside baseline gazes and at other budgets, with statistics of its episodes, and with what other
    commands have left in its run directory.

    :param model: the trained agent
    :param config: the environment, with the split to evaluate, without augmentation
    :param evaluated: of ``evaluate_run``
    :param folder: of the run
    """
    begin = time.perf_counter()
    result, paths = evaluated
    budgets = other_budgets(config)
    measure = _Baselines(config, paths, seed=result.seed)
    n_images = len(config.shown_split)
    others = [name for name in FOLLOWING if config.follows and name not in result.baselines]
    n_shown = n_images * (len(budgets) + len(others)) + measure.n_shown
    with _bar(n_shown, progress) as advance:
        at_budgets = {
            budget: metrics(evaluate(model, replace(config, budget=budget), progress=advance))
            for budget in budgets
        }
        baselines = measure.all(advance)
        if config.follows:
            how = {"seed": result.seed, "advance": advance}
            made = result.baselines | following_baselines(config, names=others, **how)
            baselines = {name: made[name] for name in FOLLOWING}
    seconds = round(time.perf_counter() - begin, 2)
    baselines |= result.baselines | equally_trained(folder, result)
    disturbed = robustness(folder, result)
    if disturbed is not None:
        baselines |= full_image(disturbed)
    return replace(
        result,
        baselines=baselines,
        statistics=describe(paths, config.dataset.classes),
        budgets=at_budgets,
        robustness=disturbed,
        compute=measure_compute(model, config),
        study_seconds=seconds,
    )


def describe(paths: Scanpaths, classes: Sequence[str]) -> Statistics:
    """Return the statistics of an agent's episodes.

    :param classes: names
    """
    entries = by_glimpse(paths)
    return Statistics(
        curve=curve(entries),
        by_glimpse=entries,
        stopping=stopping(paths),
        risk_coverage=risk_coverage(paths),
        per_class=per_class(paths, classes),
        gaze=GazeStatistics(
            dependence=gaze_dependence(paths),
            saccades=saccade_summary(paths),
            collapse=collapse(paths),
        ),
        reliability=reliability(paths) if paths.n_classes else None,
    )


def curve(entries: Sequence[AfterGlimpses]) -> tuple[CurvePoint, ...]:
    """Return samples, coverage and accuracy if every episode had to answer after t glimpses.

    One point for t = 1 .. budget.

    With a classifier the answer is its likeliest class, also where an agent answered otherwise;
    without one what was answered by then.
    """
    return tuple(
        CurvePoint(
            n_glimpses=entry.n_glimpses,
            samples=entry.mean_samples,
            coverage=entry.mean_coverage,
            accuracy=entry.accuracy if entry.belief_accuracy is None else entry.belief_accuracy,
        )
        for entry in entries
    )


def other_budgets(config: GlimpseConfig) -> list[int]:
    """Return half and twice the budget, as far as an agent can be shown them."""
    if config.observe_history:  # the observation has a place for each glimpse of the budget
        return []
    half, twice = config.budget // 2, 2 * config.budget
    return [budget for budget in (half, twice) if budget >= config.scheme.least_budget]


class _Baselines:
    """Gazes beside an agent, none without a classifier or a gaze to choose.

    They look with the agent's own classifier, which has learnt from the agent's glimpses, and
    always take all glimpses of the budget, but for the grid that stops when sure. Oracle gazes see
    fewer images, evenly spread over the split, since they try many glimpses before each; the search
    of a fixed sequence as many, of the validation split (which is no test of it where that is the
    split to evaluate).

    :param config: the environment, with the split to evaluate, without augmentation
    :param agent: its episodes, of all images of the split
    :param seed: of random gazes
    """

    def __init__(self, config: GlimpseConfig, agent: Scanpaths, *, seed: int) -> None:
        self.config, self.agent, self.seed = config, agent, seed
        possible = config.classifier is not None and config.budget > 1
        self.scripted = baseline_strategies() if possible else {}
        self.oracles = (
            {"saliency": SaliencyGaze(), "uncertainty": UncertaintyGaze()} if possible else {}
        )
        if possible and config.tracked:
            self.scripted["stay"], self.oracles["pursuit"] = Stay(), PursuitGaze()
        self.n_images = len(config.shown_split)
        tried = len(lattice(config)) * max(1, config.budget - 1)
        self.n_searched = max(100, min(_IMAGES, _READINGS // tried))
        self.some = _spread(self.n_images, self.n_searched)

    @property
    def n_shown(self) -> int:
        """How many images all of them are shown together."""
        if not self.scripted:
            return 0
        whole = len(self.scripted) + 1 + self.config.scheme.answers
        return self.n_images * whole + len(self.some) * len(self.oracles)

    def all(self, advance: _Advance) -> dict[str, Baseline]:
        """Return all baselines by name.

        :param advance: called with the number of images after each batch of them
        """
        if not self.scripted:
            return {}
        roll_out = partial(evaluate_gaze, config=self.config, seed=self.seed, progress=advance)
        found = {
            name: self._measured(roll_out(strategy), kind=BaselineKind.SCRIPTED, note=_NOTES[name])
            for name, strategy in self.scripted.items()
        }
        found["best-fixed"] = self._best_fixed(roll_out)
        if self.config.scheme.answers:
            found["stopping grid"] = self._stopping_grid(roll_out)
        for name, gaze in self.oracles.items():
            few = f"; on {len(self.some)} images" if len(self.some) < self.n_images else ""
            found[name] = self._measured(
                roll_out(gaze, index=self.some),
                self.some,
                kind=BaselineKind.ORACLE,
                note=f"{_NOTES[name]}{few}",
                reads=gaze.reads(self.config) or None,
            )
        return found

    def _best_fixed(self, roll_out: Callable[..., Scanpaths]) -> Baseline:
        strategy = best_fixed(
            self.config, self.config.classifier, n_images=self.n_searched, seed=self.seed
        )
        n_validation = len(replace(self.config, split="validation").shown_split)
        own = ", which are among those shown" if self.config.split == "validation" else ""
        n_found = min(self.n_searched, n_validation)
        return self._measured(
            roll_out(strategy),
            kind=BaselineKind.FIXED_SEQUENCE,
            note=f"the best sequence for all, found on {n_found} validation images{own}",
            gazes=strategy.gazes,
        )

    def _stopping_grid(self, roll_out: Callable[..., Scanpaths]) -> Baseline:
        """The grid as long as the classifier is less sure than for as many glimpses as the agent.

        How sure that is, is read off validation images.
        """
        grid = self.scripted["grid"]
        unseen = replace(self.config, split="validation")
        paths = evaluate_gaze(grid, unseen, seed=self.seed)
        threshold = threshold_for(paths, self.agent.n_glimpses.mean())
        return self._measured(
            stopped(roll_out(grid), threshold),
            kind=BaselineKind.SCRIPTED,
            note=f"{_NOTES['grid']}, until the classifier is {100 * threshold:.0f} % sure",
        )

    def _measured(
        self, paths: Scanpaths, rows: NDArray[np.int64] | None = None, **about: Any
    ) -> Baseline:
        """Return a baseline from its episodes.

        :param rows: which of the agent's episodes are of the same images; None for all
        :param about: further members of ``Baseline``
        """
        return Baseline(
            **vars(metrics(paths)),
            curve=curve(by_glimpse(paths)),
            matched_budget=matched_budget(self.agent, paths, rows),
            **about,
        )


def _spread(n: int, most: int) -> NDArray[np.int64]:
    """Return the numbers of at most so many of n images, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


@contextmanager
def _bar(total: int, shown: bool) -> Iterator[_Advance]:
    with tqdm(
        total=total,
        desc="baselines and budgets",
        unit=" images",
        disable=not shown,
        mininterval=0.5 if sys.stderr.isatty() else 10.0,
        dynamic_ncols=True,
    ) as bar:
        yield bar.update
