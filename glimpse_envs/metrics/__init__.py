"""What recorded episodes tell: accuracy, belief, and where the gaze went."""

from glimpse_envs.metrics.belief import by_glimpse, per_class, reliability, risk_coverage, stopping
from glimpse_envs.metrics.episodes import Episodes, Metrics, confusion, metrics, wilson_interval
from glimpse_envs.metrics.gaze_statistics import (
    collapse,
    fixation_map,
    gaze_dependence,
    saccade_summary,
    saccades,
)
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_envs.metrics.tracking import Tracking, tracking

__all__ = [
    "Episodes",
    "Metrics",
    "Scanpaths",
    "Tracking",
    "by_glimpse",
    "collapse",
    "confusion",
    "fixation_map",
    "gaze_dependence",
    "metrics",
    "per_class",
    "reliability",
    "risk_coverage",
    "saccade_summary",
    "saccades",
    "stopping",
    "tracking",
    "wilson_interval",
]
