"""The full report of a run: statistics, baselines, figures and ``report.html``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.metrics.gaze_statistics import fixation_map, saccades
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_lab.evaluation.external_results import (
    FULL_IMAGE,
    equally_trained,
    full_image,
    robustness,
)
from glimpse_lab.evaluation.study import describe, study
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
from glimpse_lab.report.gallery import draw_gallery
from glimpse_lab.report.page import write_page
from glimpse_lab.report.run_files import suffix_of, write_report
from glimpse_lab.runs import Run

_MAX_CLASSES = 10  # with a map of their own


def write_full_report(
    run: Run,
    model: BaseAlgorithm,
    result: dict[str, Any],
    paths: Scanpaths,
    *,
    command: str | None = None,
    progress: bool = True,
) -> tuple[dict[str, Any], list[str]]:
    """Compare with baselines and other budgets, and write ``metrics.json``, the figures and the
    page.

    What ``benchmarks/gaze_baselines.py`` and ``robustness.py`` have left in the run directory about
    the same agent is shown, too.

    :param model: the trained agent
    :param result: of ``reports.evaluate_run``
    :param paths: likewise
    :param command: that was called, for the page
    :return: ``result`` with all that was found, and the names of the files
    """
    config = run.evaluation_config(result["split"], result["budget"])
    found = study(model, config, paths, seed=run.config["seed"], progress=progress)
    trained = equally_trained(run.path, result)
    result = {
        **result,
        **describe(paths, config.dataset.classes),
        **found,
        "baselines": {**found["baselines"], **result["baselines"], **trained},
    }
    if (disturbed := robustness(run.path, result)) is not None:
        result["robustness"] = disturbed
        result["baselines"] |= full_image(disturbed)
    files = write_report(run, result, paths)
    folder = f"figures{suffix_of(run, result)}"
    figures = draw_figures(run.path / folder, config, paths, result)
    page = write_html(run, result, paths, figures, command=command)
    return result, [page, *files, f"{folder}/"]


def write_html(
    run: Run,
    result: dict[str, Any],
    paths: Scanpaths,
    figures: Mapping[str, Path],
    *,
    command: str | None = None,
) -> str:
    """Write ``report.html``: the result, figures and film, and episodes chosen by fixed rules. Its
    name ends as that of ``metrics.json`` does.

    :param paths: all images of the split
    :param figures: files by the names of ``wording.FIGURES``; the confusion matrix, the learning
        curve and the film of the same evaluation are added where they are in the run directory
    :param command: that was called
    :return: name of the file
    """
    suffix = suffix_of(run, result)
    beside = {name: run.path / f"{name}{suffix}.png" for name in ("confusion", "learning_curve")}
    film = run.path / f"video{suffix}.mp4"
    name = f"report{suffix}.html"
    write_page(
        run.path / name,
        title=f"{result['env']}, {run.path.resolve().name}",
        result=result,
        figures={**figures, **{key: file for key, file in beside.items() if file.exists()}},
        gallery=draw_gallery(paths, run.evaluation_config(result["split"], result["budget"])),
        film=film if film.exists() else None,
        command=command,
    )
    return name


def draw_figures(
    folder: Path, config: GlimpseConfig, paths: Scanpaths, result: Mapping[str, Any]
) -> dict[str, Path]:
    """Write the figures of a full evaluation; return them by name.

    :param folder: is made where it is missing
    :param paths: the agent's episodes
    :param result: with what ``study`` and ``describe`` return
    """
    files: dict[str, Path] = {}

    def path(name: str) -> Path:
        files[name] = folder / f"{name}.png"
        return files[name]

    axes = {"samples": "samples read per image", "coverage": "share of the image's area seen"}
    if min(point["coverage"] for point in result["curve"]) > 0.99:
        del axes["coverage"]  # an overview has seen all of it at once
    for key, label in axes.items():
        curves = accuracy_curves(result, key)
        plot_accuracy_curves(curves, path(f"accuracy_{key}"), xlabel=label, emphasised="agent")
    plot_by_glimpse(result["by_glimpse"], path("by_glimpse"))
    plot_stopping(result["stopping"], path("stopping"))
    plot_risk_coverage(result["risk_coverage"], path("risk_coverage"))
    plot_per_class(result["per_class"], path("per_class"))
    if "reliability" in result:
        plot_reliability(result["reliability"], path("reliability"))
    if (paths.n_glimpses > 1).any():
        _plot_maps(config, paths, path("fixation_maps"))
        jumps = saccades(paths)
        if (jumps["amplitude"] > 0).any():
            plot_saccades(jumps, path("saccades"))
    disturbed = result.get("robustness", {}).get("results", [])
    if any(row["kind"] != "clean" for row in disturbed):
        plot_robustness(disturbed, path("robustness"))
    return files


def _plot_maps(config: GlimpseConfig, paths: Scanpaths, file: Path) -> None:
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
    few = f"; the first {len(labels_shown)} of {n_classes} classes" * (n_classes > _MAX_CLASSES)
    plot_fixation_maps(
        maps,
        file,
        behind=behind or None,
        label=f"share of the fixations{few}",
        aspect=config.shape[0] / config.shape[1],
    )


def accuracy_curves(result: Mapping[str, Any], key: str) -> dict[str, list[tuple[float, float]]]:
    """Return the accuracies against samples or coverage: of the agent, its budgets, the baselines.

    :param key: "samples" or "coverage"
    """
    value = "mean_samples" if key == "samples" else "coverage"
    curves = {"agent": [(point[key], point["accuracy"]) for point in result["curve"]]}
    for budget, metrics in result["budgets"].items():
        curves[f"agent, budget {budget}"] = [(metrics[value], metrics["accuracy"])]
    for name, metrics in result["baselines"].items():
        if "curve" in metrics:
            curves[name] = [(point[key], point["accuracy"]) for point in metrics["curve"]]
        elif name == FULL_IMAGE:
            curves[name] = [(metrics[value], metrics["accuracy"])]
    return curves
