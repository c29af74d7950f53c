"""The files of an evaluation in the run directory, and its summary."""

from __future__ import annotations

import textwrap

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from stable_baselines3.common.base_class import BaseAlgorithm

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.files import replacing
from glimpse_envs.metrics.episodes import Episodes, confusion
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_envs.render.scanpath_figure import draw_scanpath
from glimpse_envs.render.videos import tile_frames, write_video
from glimpse_lab.classifiers import training_of
from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.evaluation.rollout import record
from glimpse_lab.evaluation.storage import write_result
from glimpse_lab.plots.training import plot_confusion, plot_learning_curve, read_progress
from glimpse_lab.report.gallery import recorded_episodes
from glimpse_lab.report.verdict import verdict
from glimpse_lab.runs import Run


def write_report(run: Run, config: GlimpseConfig, paths: Episodes, result: Evaluation) -> list[str]:
    """Write ``metrics.json`` and the plots.

    Their names have the split unless it is test, and the budget if it is not the run's own.

    :param config: that was evaluated
    :param paths: the agent's episodes
    :param result: what was found
    :return: names of the files
    """
    suffix = suffix_of(run, config)
    metrics_file, confusion_file = f"metrics{suffix}.json", f"confusion{suffix}.png"
    write_result(run.path / metrics_file, result)
    files = [metrics_file]
    if not result.follows:
        plot_confusion(
            confusion(paths, config.dataset.n_classes),
            config.dataset.classes,
            run.path / confusion_file,
            title=f"{run.config.env_id} on {config.dataset.name}, {config.split}: accuracy "
            f"{100 * result.accuracy:.1f} %",
        )
        files.append(confusion_file)
    progress = run.path / "progress.csv"
    if not suffix and progress.exists():
        plot_learning_curve(
            read_progress(progress),
            run.path / "learning_curve.png",
            levels=_levels(config, result),
            pretraining=(training_of(run.config.recipe) or {}).get("pretraining"),
            **({"column": "on_target", "label": "share on target"} if result.follows else {}),
        )
        files.append("learning_curve.png")
    return files


def _levels(config: GlimpseConfig, result: Evaluation) -> dict[str, float]:
    """Return what a learning curve is compared with: accuracies, or shares on target."""
    drawn, own = result.random_gaze, "test images, likeliest actions"
    if result.follows:
        shares = {"test images, random gaze": drawn.tracking, own: result.tracking}
        return {name: t.on_target for name, t in shares.items() if t is not None}
    return {
        "chance": 1.0 / config.dataset.n_classes if result.chance is None else result.chance,
        "test images, random gaze": drawn.accuracy,
        own: result.accuracy,
    }


def write_film(run: Run, model: BaseAlgorithm, config: GlimpseConfig, n_images: int) -> list[str]:
    """Film the agent on some images of a split, always the same, as mp4 and gif.

    :param config: that is evaluated, of this run
    :return: names of the files
    """
    film = record(model, config, filmed(len(config.shown_split), n_images))
    suffix = suffix_of(run, config)
    names = [f"video{suffix}.mp4", f"video{suffix}.gif"]
    for name in names:
        write_video(run.path / name, film, fps=1)
    return names


def write_scanpaths(run: Run, config: GlimpseConfig, paths: Scanpaths, n_images: int) -> str:
    """Draw the agent's episodes on some images of a split, one below the other as a PNG.

    The images are those of ``write_film``.

    :param config: that was evaluated, with the run's own budget
    :param paths: all images of the split
    :return: name of the file
    """
    rows = filmed(len(config.shown_split), n_images)
    name = f"scanpaths{split_suffix(config.split)}.png"
    figures = [draw_scanpath(episode) for episode in recorded_episodes(paths, config, rows)]
    with replacing(run.path / name) as temporary:
        Image.fromarray(tile_frames(figures, columns=1)).save(temporary, optimize=True)
    return name


def filmed(n: int, n_images: int) -> NDArray[np.int64]:
    """Return which of n images are shown: drawn, since image folders come sorted by class."""
    return np.random.default_rng(0).permutation(n)[:n_images]


def suffix_of(run: Run, config: GlimpseConfig) -> str:
    """Return what the names of an evaluation's files end with.

    Its split unless that is test, and its budget unless that is the run's own.
    """
    own = run.env_config(split=config.split).budget
    budget = "" if config.budget == own else f"-budget{config.budget}"
    return split_suffix(config.split) + budget


def split_suffix(split: str) -> str:
    """Return what the names of an evaluation's files end with, unless its split is test."""
    return "" if split == "test" else f"-{split}"


def summary(result: Evaluation) -> str:
    """Return the result in a few lines."""
    lines = []
    if result.env_kwargs:
        lines.append(f"settings that differ from {result.env}:")
        lines += [f"  {key} = {value}" for key, value in result.env_kwargs.items()]
    lines += [
        f"{result.env}, {result.split} split of {result.dataset}, each of {result.n_images} images "
        "once, deterministic actions:",
        *(_accuracy_lines(result) if not result.follows else ()),
        *(_tracking_lines(result) if result.tracking is not None else ()),
        *textwrap.wrap(verdict(result), 100),
    ]
    return "\n".join(lines)


def _tracking_lines(result: Evaluation) -> list[str]:
    """Return how well the agent follows what moves, and its random gaze beside it."""
    own, drawn = result.tracking, result.random_gaze.tracking
    gain = "none" if own.gain is None else f"{own.gain:.2f}"
    lines = [
        f"  on target   {100 * own.on_target:.2f} % of the glimpses after the first, "
        f"{own.distance:.1f} pixels from the object on average; pursuit gain {gain}"
    ]
    if result.follows and drawn is not None:
        lines.append(
            f"  random gaze {100 * drawn.on_target:.2f} %, {drawn.distance:.1f} pixels: the same "
            "agent, its moves drawn uniformly"
        )
    return lines


def _accuracy_lines(result: Evaluation) -> list[str]:
    low, high = (100 * bound for bound in result.accuracy_ci95)
    baseline = result.random_gaze
    return [
        f"  accuracy    {100 * result.accuracy:.2f} %  (95 % interval {low:.2f} to {high:.2f})",
        f"  glimpses    {result.mean_glimpses:.2f} per image = {result.mean_samples:.0f} samples, "
        f"{100 * result.sample_fraction:.1f} % of the image's pixels; "
        f"{100 * result.coverage:.0f} % of its area seen",
        f"  random gaze {100 * baseline.accuracy:.2f} %  with {baseline.mean_glimpses:.2f} "
        "glimpses: the same agent, its moves and zooms drawn",
        "              uniformly; it never trained with such a gaze, so this is no equally trained "
        "baseline",
    ]
