"""Results made by hand, with the members that a test tells and plain ones for the others."""

from __future__ import annotations

from typing import Any

from glimpse_envs.metrics.episodes import Metrics
from glimpse_lab.evaluation.result import (
    Baseline,
    BaselineKind,
    Disturbance,
    DisturbedMetrics,
    Evaluation,
    Robustness,
    TrainedBaselines,
)

METRICS: dict[str, Any] = {
    "n_images": 359,
    "accuracy": 0.8189,
    "accuracy_ci95": (0.7758, 0.8553),
    "balanced_accuracy": 0.8189,
    "unanswered": 0.0,
    "mean_glimpses": 4.487,
    "mean_samples": 287.2,
    "sample_fraction": 0.12465,
    "coverage": 0.9,
    "accuracy_by_glimpse": (0.1, 0.3, 0.5, 0.7, 0.8, 0.8189),
    "mean_reward": 0.7,
}
SUBJECT: dict[str, Any] = {
    "env": "GlimpseDigits-GreedyMap-v0",
    "dataset": "digits",
    "split": "test",
    "budget": 6,
    "timesteps": 401408,
    "git": "1519f23+",
}


def made_metrics(**members: Any) -> Metrics:
    return Metrics(**{**METRICS, **members})


def made_baseline(kind: BaselineKind = BaselineKind.SCRIPTED, **members: Any) -> Baseline:
    return Baseline(**{**METRICS, "kind": kind, **members})


def made_evaluation(**members: Any) -> Evaluation:
    about = {"env_kwargs": {"budget": 6}, "seed": 0, "seconds": 1.5}
    about["versions"] = {"python": "3.11.7"}
    return Evaluation(**{**SUBJECT, **METRICS, **about, **members})


def made_trained(baselines: dict[str, Baseline], **members: Any) -> TrainedBaselines:
    found = {"updates": 10, "learned": made_metrics(), "baselines": baselines}
    return TrainedBaselines(**{**SUBJECT, **found, **members})


def made_disturbance(
    kind: str, strength: float, agent: dict[str, Any], full_image: dict[str, Any], **members: Any
) -> Disturbance:
    """Return a row of ``Robustness``; agent and full image are members of their metrics."""
    plain = {**METRICS, "largest_change": 8}
    return Disturbance(
        kind=kind,
        strength=strength,
        agent=DisturbedMetrics(**{**plain, **agent}),
        full_image=DisturbedMetrics(**{**plain, **full_image}),
        **{"name": kind, "unit": "grey levels, standard deviation", "settings": {}, **members},
    )


def made_robustness(*results: Disturbance, **members: Any) -> Robustness:
    about = {"n_images": 1000, "full_image_training": {"n_images": 512}, "seed": 0, "versions": {}}
    return Robustness(**{**SUBJECT, **about, "results": results, **members})
