"""The exact evaluation of a run, its files and its summary."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from stable_baselines3.common.base_class import BaseAlgorithm
from tqdm import tqdm

from glimpse_envs.files import replacing
from glimpse_envs.metrics.episodes import Episodes, confusion, metrics
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_envs.render.scanpath_figure import draw_scanpath
from glimpse_envs.render.videos import tile_frames, write_video
from glimpse_lab.evaluation.matched_budget import matched_budget
from glimpse_lab.evaluation.rollout import evaluate, record
from glimpse_lab.plots.training import plot_confusion, plot_learning_curve, read_progress
from glimpse_lab.report.gallery import recorded_episodes
from glimpse_lab.runs import Run
from glimpse_lab.versions import git_commit, versions

#: the baseline of this evaluation; its agent never trained with such a gaze
RANDOM_GAZE = "random gaze (same agent, off-distribution)"


def evaluate_run(
    run: Run,
    model: BaseAlgorithm,
    split: str,
    *,
    budget: int | None = None,
    record_hidden: bool = False,
) -> tuple[dict[str, Any], Scanpaths]:
    """Show every image of a split once to the agent, and once with its gaze replaced by random
    draws.

    :param run: tells environment and seed
    :param model: the trained agent
    :param split: "train", "validation" or "test"
    :param budget: the most glimpses; None for as many as in training
    :param record_hidden: keep the classifier's hidden state after each glimpse
    :return: what ``metrics.json`` holds, and the agent's episodes
    """
    begin = time.perf_counter()
    config = run.evaluation_config(split, budget)
    with tqdm(
        total=2 * len(config.shown_split), desc=f"evaluating on {split}", unit=" images"
    ) as bar:
        episodes = evaluate(model, config, record_hidden=record_hidden, progress=bar.update)
        baseline = evaluate(
            model, config, random_gaze=True, seed=run.config["seed"], progress=bar.update
        )
    result = {
        "env": run.config["env"],
        "env_kwargs": run.changed_kwargs(),
        "dataset": config.dataset.name,
        "split": split,
        "budget": config.budget,
        **metrics(episodes),
        "baselines": {
            RANDOM_GAZE: {**metrics(baseline), "matched_budget": matched_budget(episodes, baseline)}
        },
        "seconds": round(time.perf_counter() - begin, 2),
        "seed": run.config["seed"],
        "timesteps": model.num_timesteps,
        "git": git_commit(),
        "versions": versions(),
    }
    return result, episodes


def write_report(run: Run, result: dict[str, Any], episodes: Episodes) -> list[str]:
    """Write ``metrics.json`` and the plots, with the split in their names unless it is test, and
    with the budget if it is not the run's own.

    :return: names of the files
    """
    config = run.env_config(split=result["split"])
    suffix = suffix_of(run, result)
    metrics_file, confusion_file = f"metrics{suffix}.json", f"confusion{suffix}.png"
    run.write_json(metrics_file, result)
    plot_confusion(
        confusion(episodes, config.dataset.n_classes),
        config.dataset.classes,
        run.path / confusion_file,
        title=f"{run.config['env']} on {config.dataset.name}, {result['split']}: accuracy "
        f"{100 * result['accuracy']:.1f} %",
    )
    progress = run.path / "progress.csv"
    if suffix or not progress.exists():
        return [metrics_file, confusion_file]
    plot_learning_curve(
        read_progress(progress),
        run.path / "learning_curve.png",
        levels={
            "chance": 1.0 / config.dataset.n_classes,
            "test images, random gaze": result["baselines"][RANDOM_GAZE]["accuracy"],
            "test images": result["accuracy"],
        },
    )
    return [metrics_file, confusion_file, "learning_curve.png"]


def write_film(run: Run, model: BaseAlgorithm, split: str, n_images: int) -> list[str]:
    """Film the agent on some images of a split, always the same, as mp4 and gif.

    :return: names of the files
    """
    config = run.env_config(split=split)
    film = record(model, config, _filmed(len(config.shown_split), n_images))
    names = [f"video{_suffix(split)}.mp4", f"video{_suffix(split)}.gif"]
    for name in names:
        write_video(run.path / name, film, fps=1)
    return names


def write_scanpaths(run: Run, paths: Scanpaths, split: str, n_images: int) -> str:
    """Draw the agent's episodes on some images of a split, those of ``write_film``, one below the
    other as a PNG.

    :param paths: all images of the split, with the run's own budget
    :return: name of the file
    """
    config = run.evaluation_config(split)
    rows = _filmed(len(config.shown_split), n_images)
    name = f"scanpaths{_suffix(split)}.png"
    figures = [draw_scanpath(episode) for episode in recorded_episodes(paths, config, rows)]
    with replacing(run.path / name) as temporary:
        Image.fromarray(tile_frames(figures, columns=1)).save(temporary, optimize=True)
    return name


def _filmed(n: int, n_images: int) -> NDArray[np.int64]:
    """Return which of n images are shown: drawn, since image folders come sorted by class."""
    return np.random.default_rng(0).permutation(n)[:n_images]


def suffix_of(run: Run, result: dict[str, Any]) -> str:
    """Return what the names of an evaluation's files end with: its split unless that is test, and
    its budget unless that is the run's own.
    """
    own = run.env_config(split=result["split"]).budget
    budget = "" if result["budget"] == own else f"-budget{result['budget']}"
    return _suffix(result["split"]) + budget


def _suffix(split: str) -> str:
    return "" if split == "test" else f"-{split}"


def summary(result: dict[str, Any]) -> str:
    """Return the result in a few lines."""
    low, high = (100 * bound for bound in result["accuracy_ci95"])
    baseline = result["baselines"][RANDOM_GAZE]
    changed = "".join(f"\n  {key} = {value}" for key, value in result["env_kwargs"].items())
    return "\n".join(
        [
            *([f"settings that differ from {result['env']}:{changed}"] if changed else []),
            f"{result['env']}, {result['split']} split of {result['dataset']}, each of "
            f"{result['n_images']} images once, deterministic actions:",
            f"  accuracy    {100 * result['accuracy']:.2f} %  (95 % interval {low:.2f} to "
            f"{high:.2f})",
            f"  glimpses    {result['mean_glimpses']:.2f} per image = "
            f"{result['mean_samples']:.0f} samples, {100 * result['sample_fraction']:.1f} % of the "
            f"image's pixels; {100 * result['coverage']:.0f} % of its area seen",
            f"  random gaze {100 * baseline['accuracy']:.2f} %  with "
            f"{baseline['mean_glimpses']:.2f} glimpses: the same agent, its moves and zooms drawn",
            "              uniformly; it never trained with such a gaze, so this is no equally "
            "trained baseline",
        ]
    )
