"""The figures of a full evaluation, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.metrics.episodes import Metrics
from glimpse_envs.metrics.gaze_statistics import fixation_map, saccades
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_envs.metrics.tracking import Tracking
from glimpse_lab.evaluation.result import BaselineKind, CurvePoint, Evaluation, Statistics
from glimpse_lab.plots.curves import plot_accuracy_curves
from glimpse_lab.plots.gaze import plot_fixation_maps, plot_saccades
from glimpse_lab.plots.robustness import plot_robustness
from glimpse_lab.plots.statistics import (
    plot_by_glimpse,
    plot_per_class,
    plot_reliability,
    plot_risk_coverage,
    plot_stopping,
)
from glimpse_lab.report.names import shown_name

_MAX_CLASSES = 10  # with a map of their own
_ALL_SEEN = 0.99  # share of the area from which on an axis of coverage tells nothing


def draw_figures(
    folder: Path, config: GlimpseConfig, paths: Scanpaths, result: Evaluation
) -> dict[str, Path]:
    """Write the figures of a full evaluation; return them by the names that the page gives them.

    :param folder: is made where it is missing
    :param paths: the agent's episodes
    :param result: of ``study``
    """
    files: dict[str, Path] = {}
    if result.statistics is not None and not result.follows:
        files = draw_curves(folder, result) | draw_statistics(folder, result.statistics)
    if result.tracking is not None:
        files |= draw_tracking(folder, result)
    files |= draw_gaze(folder, config, paths)
    if result.robustness is not None and result.robustness.is_disturbed:
        file = folder / "robustness.png"
        files["robustness"] = plot_robustness(result.robustness.results, file)
    return files


def draw_statistics(folder: Path, statistics: Statistics) -> dict[str, Path]:
    """Write the figures of what the episodes tell; return them by name."""
    files = {
        "by_glimpse": plot_by_glimpse(statistics.by_glimpse, folder / "by_glimpse.png"),
        "stopping": plot_stopping(statistics.stopping, folder / "stopping.png"),
        "risk_coverage": plot_risk_coverage(statistics.risk_coverage, folder / "risk_coverage.png"),
        "per_class": plot_per_class(statistics.per_class, folder / "per_class.png"),
    }
    if statistics.reliability is not None:
        files["reliability"] = plot_reliability(statistics.reliability, folder / "reliability.png")
    return files


def draw_curves(folder: Path, result: Evaluation) -> dict[str, Path]:
    """Write the accuracies against samples and, where it tells something, against coverage."""
    files = {}
    axes = {"samples": "samples read per image", "coverage": "share of the image's area seen"}
    for key, label in axes.items():
        curves = accuracy_curves(result, key)
        if key == "coverage" and min(x for x, _ in curves["agent"]) > _ALL_SEEN:
            continue  # an overview has seen all of it at once
        name = f"accuracy_{key}"
        files[name] = plot_accuracy_curves(
            curves, folder / f"{name}.png", xlabel=label, emphasised="agent"
        )
    return files


def draw_tracking(folder: Path, result: Evaluation) -> dict[str, Path]:
    """Write how long agent and baselines stay on target; return the figure by its name."""

    def along(tracking: Tracking) -> list[tuple[float, float]]:
        return [(t + 1.0, s) for t, s in enumerate(tracking.by_glimpse) if s is not None]

    curves = {"agent": along(result.tracking)}
    for name, baseline in result.baselines.items():
        if baseline.tracking is not None:
            curves[shown_name(name)] = along(baseline.tracking)
    file = plot_accuracy_curves(
        curves, folder / "tracking.png", xlabel="glimpse", emphasised="agent", ylabel="on target"
    )
    return {"tracking": file}


def accuracy_curves(result: Evaluation, key: str) -> dict[str, list[tuple[float, float]]]:
    """Return the accuracies against samples or coverage: of the agent, its budgets, the baselines.

    :param result: with statistics
    :param key: "samples" or "coverage"
    """
    value = "mean_samples" if key == "samples" else "coverage"

    def at_once(metrics: Metrics) -> list[tuple[float, float]]:
        return [(getattr(metrics, value), metrics.accuracy)]

    def along(curve: Sequence[CurvePoint]) -> list[tuple[float, float]]:
        return [(getattr(point, key), point.accuracy) for point in curve]

    curves = {"agent": along(result.statistics.curve)}
    for budget, metrics in result.budgets.items():
        curves[f"agent, budget {budget}"] = at_once(metrics)
    for name, baseline in result.baselines.items():
        if baseline.curve is not None:
            curves[shown_name(name)] = along(baseline.curve)
        elif baseline.kind is BaselineKind.FULL_IMAGE:
            curves[shown_name(name)] = at_once(baseline)
    return curves


def draw_gaze(folder: Path, config: GlimpseConfig, paths: Scanpaths) -> dict[str, Path]:
    """Write where the agent looked and how its gaze moved, where it moved at all."""
    files = {}
    if (paths.n_glimpses > 1).any():
        files["fixation_maps"] = _plot_maps(config, paths, folder / "fixation_maps.png")
        jumps = saccades(paths)
        if (jumps.amplitude > 0).any():
            files["saccades"] = plot_saccades(jumps, folder / "saccades.png")
    return files


def _plot_maps(config: GlimpseConfig, paths: Scanpaths, file: Path) -> Path:
    """Plot the fixations of all images and by class, over the mean image where that means much."""
    maps, behind = {"all classes": fixation_map(paths)}, {}
    images, labels = config.shown_split.images, config.shown_split.labels
    if not config.composed:
        behind["all classes"] = images.mean(axis=0)
    labels_shown = np.unique(paths.labels)[:_MAX_CLASSES]
    for label in labels_shown:
        name = config.dataset.classes[label]
        maps[name] = fixation_map(paths, label=int(label))
        if not config.composed:
            behind[name] = images[labels == label].mean(axis=0)
    n_classes = config.dataset.n_classes
    few = f"; the first {len(labels_shown)} of {n_classes} classes"
    return plot_fixation_maps(
        maps,
        file,
        behind=behind or None,
        label=f"share of the fixations{few if n_classes > _MAX_CLASSES else ''}",
        aspect=config.shape[0] / config.shape[1],
    )
