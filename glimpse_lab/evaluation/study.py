"""The full evaluation of a run: baselines with the same classifier, other budgets, statistics."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from tqdm import tqdm

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.metrics.belief import by_glimpse, per_class, reliability, risk_coverage, stopping
from glimpse_envs.metrics.episodes import metrics
from glimpse_envs.metrics.gaze_statistics import collapse, gaze_dependence, saccade_summary
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_lab.evaluation.baselines import baseline_strategies, best_fixed, lattice
from glimpse_lab.evaluation.matched_budget import matched_budget
from glimpse_lab.evaluation.oracle_gaze import SaliencyGaze, UncertaintyGaze
from glimpse_lab.evaluation.rollout import evaluate, evaluate_gaze

#: the most images, and the most readings of the classifier, of a gaze that tries many glimpses
#: before each choice: it sees as few images as that allows
_IMAGES, _READINGS = 1000, 100_000

_NOTES = {
    "random": "uniformly random windows of every zoom",
    "centre": "the middle, as closely as can be, again and again",
    "grid": "the four quadrants in turn",
    "overview-random": "random windows, as close as can be, after an overview",
    "saliency": "oracle: the finest window with the strongest edges, earlier ones left out",
    "uncertainty": "oracle: the window after which the classifier is surest",
}


def describe(paths: Scanpaths, classes: Sequence[str]) -> dict[str, Any]:
    """Return the statistics of an agent's episodes, in plain types.

    :param classes: names
    """
    entries = by_glimpse(paths)
    result: dict[str, Any] = {
        "curve": curve(entries),
        "by_glimpse": entries,
        "stopping": stopping(paths),
        "risk_coverage": risk_coverage(paths),
        "per_class": per_class(paths, classes),
        "gaze": {
            "dependence": gaze_dependence(paths),
            "saccades": saccade_summary(paths),
            "collapse": collapse(paths),
        },
    }
    if paths.n_classes:
        result["reliability"] = reliability(paths)
    return result


def curve(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Return samples, coverage and accuracy if every episode had to answer after t glimpses, for
    t = 1 .. budget.

    With a classifier the answer is its likeliest class, also where an agent answered otherwise;
    without one what was answered by then.

    :param entries: of ``statistics.by_glimpse``
    """
    return [
        {
            "n_glimpses": entry["n_glimpses"],
            "samples": entry["mean_samples"],
            "coverage": entry["mean_coverage"],
            "accuracy": entry.get("belief_accuracy", entry["accuracy"]),
        }
        for entry in entries
    ]


def other_budgets(config: GlimpseConfig) -> list[int]:
    """Return half and twice the budget, as far as an agent can be shown them."""
    if config.observe_history:  # the observation has a place for each glimpse of the budget
        return []
    half, twice = config.budget // 2, 2 * config.budget
    return [budget for budget in (half, twice) if budget >= config.scheme.least_budget]


def study(
    model: BaseAlgorithm,
    config: GlimpseConfig,
    agent: Scanpaths,
    *,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Compare a trained agent with baseline gazes, and show it other budgets.

    The baselines look with the agent's own classifier, which has learnt from the agent's glimpses,
    and always take all glimpses of the budget. Gazes that are oracles see fewer images, evenly
    spread over the split, since they try many glimpses before each; the search of a fixed one as
    many, of the validation split (which is no test of it where that is the split to evaluate).

    :param config: the environment, with the split to evaluate, without augmentation
    :param agent: its episodes, of all images of the split
    :param seed: of random gazes
    :return: what ``metrics.json`` holds further, in plain types
    """
    begin = time.perf_counter()
    n = len(config.shown_split)
    tried = len(lattice(config)) * max(1, config.budget - 1)
    n_searched = max(100, min(_IMAGES, _READINGS // tried))
    some = _spread(n, n_searched)
    fair = baseline_strategies() if config.classifier is not None and config.budget > 1 else {}
    oracle = {"saliency": SaliencyGaze(), "uncertainty": UncertaintyGaze()} if fair else {}
    budgets = other_budgets(config)
    total = n * (len(fair) + bool(fair) + len(budgets)) + len(some) * len(oracle)
    episodes: dict[str, Scanpaths] = {}
    notes: dict[str, dict[str, Any]] = {}
    with _bar(total, progress) as advance:
        shown = {}
        for budget in budgets:
            paths = evaluate(model, replace(config, budget=budget), progress=advance)
            shown[str(budget)] = metrics(paths)
        play = partial(evaluate_gaze, config=config, seed=seed, progress=advance)
        for name, strategy in fair.items():
            episodes[name] = play(strategy)
            notes[name] = {"note": _NOTES[name]}
        if fair:
            found = best_fixed(config, config.classifier, n_images=n_searched, seed=seed)
            episodes["best-fixed"] = play(found)
            own = ", which are among those shown" * (config.split == "validation")
            n_found = min(n_searched, len(replace(config, split="validation").shown_split))
            notes["best-fixed"] = {
                "note": f"the best sequence for all, found on {n_found} validation images{own}",
                "gazes": [list(gaze) for gaze in found.gazes],
            }
        for name, gaze in oracle.items():
            episodes[name] = play(gaze, index=some)
            note = f"{_NOTES[name]}; on {len(some)} images" if len(some) < n else _NOTES[name]
            notes[name] = {"note": note, "reads": gaze.reads(config)}
    beside = {
        name: matched_budget(agent, paths, some if name in oracle else None)
        for name, paths in episodes.items()
    }
    return {
        "baselines": {
            name: {
                **metrics(paths),
                "curve": curve(by_glimpse(paths)),
                "matched_budget": beside[name],
                **notes[name],
            }
            for name, paths in episodes.items()
        },
        "budgets": shown,
        "study_seconds": round(time.perf_counter() - begin, 2),
    }


def _spread(n: int, most: int) -> NDArray[np.int64]:
    """Return the numbers of at most so many of n images, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


@contextmanager
def _bar(total: int, shown: bool) -> Iterator[Callable[[int], Any]]:
    with tqdm(
        total=total,
        desc="baselines and budgets",
        unit=" images",
        disable=not shown,
        mininterval=0.5 if sys.stderr.isatty() else 10.0,
        dynamic_ncols=True,
    ) as bar:
        yield bar.update
