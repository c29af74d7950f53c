"""Gazes beside an agent that follows what moves, at the same number of glimpses."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import GlimpseCore
from glimpse_envs.metrics.episodes import metrics
from glimpse_envs.metrics.tracking import Tracking
from glimpse_envs.strategies import Centre, OnTarget, ScriptedGaze, Stay, Uniform
from glimpse_lab.evaluation.oracle_gaze import OracleGaze
from glimpse_lab.evaluation.result import Baseline, BaselineKind, Evaluation
from glimpse_lab.evaluation.rollout import evaluate_gaze

NOTES = {
    "centre": "the middle of the canvas, again and again",
    "stay": "where it began, again and again",
    "random": "uniformly random windows",
    "pursuit": "always on the object, whose true place it is told",
}


class PursuitGaze(OracleGaze):
    """The middle of the target, wherever the next glimpse finds it.

    It reads no pixels: it is told the place, which no agent is.
    """

    def __call__(self, step: int, core: GlimpseCore, config: GlimpseConfig) -> NDArray[np.float32]:
        """Return the next gaze of each lane, float32 (B, 3)."""
        return OnTarget().look(step, core, config, np.random.default_rng(0))

    def reads(self, config: GlimpseConfig) -> int:
        """Return how many pixels it reads in an episode beside its samples: none."""
        return 0


def still_gazes() -> dict[str, ScriptedGaze]:
    """Return the gazes that do not follow, by name; each follows the environment's own start."""
    return {"centre": Centre(), "stay": Stay(), "random": Uniform()}


def following_baselines(
    config: GlimpseConfig,
    *,
    seed: int,
    advance: Callable[[int], Any],
    names: Collection[str] = tuple(NOTES),
) -> dict[str, Baseline]:
    """Return gazes beside an agent where nobody answers: how well each of them follows, by name.

    All take the whole budget of every image, as the agent does.

    :param config: the environment, with the split to evaluate
    :param seed: of random gazes
    :param advance: called with the number of images after each batch of them
    :param names: of those that are wanted
    """
    gazes: dict[str, ScriptedGaze | OracleGaze] = {**still_gazes(), "pursuit": PursuitGaze()}
    found = {}
    for name in names:
        gaze = gazes[name]
        oracle = isinstance(gaze, OracleGaze)
        paths = evaluate_gaze(gaze, config, seed=seed, progress=advance)
        found[name] = Baseline(
            **vars(metrics(paths)),
            kind=BaselineKind.ORACLE if oracle else BaselineKind.SCRIPTED,
            note=NOTES[name],
        )
    return found


def best_follower(result: Evaluation) -> tuple[str, Tracking] | None:
    """Return the baseline that is longest on target, oracles left out; None without one."""
    rivals = [
        (name, baseline.tracking)
        for name, baseline in result.baselines.items()
        if baseline.tracking is not None and not baseline.is_oracle
    ]
    return max(rivals, key=lambda rival: rival[1].on_target, default=None)
