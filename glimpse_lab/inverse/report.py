"""The files of an evaluation in the run directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from stable_baselines3.common.base_class import BaseAlgorithm

from glimpse_envs.files import replacing
from glimpse_envs.inverse import InverseConfig
from glimpse_envs.render.videos import tile_frames, write_video
from glimpse_lab.evaluation.storage import write_result
from glimpse_lab.inverse.figures import draw_examples, plot_learning_curve
from glimpse_lab.inverse.result import NEAR, InverseEvaluation
from glimpse_lab.inverse.rollout import agent, film
from glimpse_lab.plots.training import plot_confusion, read_progress
from glimpse_lab.report.html import MAX_BYTES, embedded_picture, render, with_film, write_html
from glimpse_lab.report.run_files import filmed, split_suffix
from glimpse_lab.runs import Run

N_EXAMPLES = 8


def write_report(
    run: Run, model: BaseAlgorithm, config: InverseConfig, result: InverseEvaluation
) -> list[str]:
    """Write ``metrics.json`` and the pictures; their names have the split unless it is test.

    :param model: the trained agent
    :param config: that was evaluated
    :param result: what was found
    :return: names of the files
    """
    suffix = split_suffix(config.split)
    names = [f"metrics{suffix}.json", f"confusion{suffix}.png", f"examples{suffix}.png"]
    metrics, confusion, examples = (run.path / name for name in names)
    write_result(metrics, result)
    total = result.agent.total
    plot_confusion(
        np.array(result.agent.confusion),
        config.actions.names,
        confusion,
        title=f"{run.config.env_id}, {config.split}: type {100 * total.type_accuracy:.1f} %",
    )
    index = filmed(config.n_images, N_EXAMPLES)
    drawn = draw_examples(agent(model, config), config, index, seed=result.seed)
    with replacing(examples) as temporary:
        Image.fromarray(tile_frames(drawn, columns=1)).save(temporary, optimize=True)
    progress = run.path / "progress.csv"
    if not suffix and progress.exists():
        curve = run.path / "learning_curve.png"
        if plot_learning_curve(read_progress(progress), curve, reached=total.mean_similarity):
            names.append(curve.name)
    return names


def write_film(run: Run, model: BaseAlgorithm, config: InverseConfig, n_images: int) -> list[str]:
    """Film the agent on some images of a split, always the same, as mp4 and gif.

    :param config: that is evaluated, of this run
    :return: names of the files
    """
    index = filmed(config.n_images, n_images)
    frames = film(agent(model, config), config, index, seed=run.config.seed)
    names = [f"video{split_suffix(config.split)}.{kind}" for kind in ("mp4", "gif")]
    for name in names:
        write_video(run.path / name, frames, fps=1)
    return names


def write_full_report(
    run: Run,
    model: BaseAlgorithm,
    config: InverseConfig,
    result: InverseEvaluation,
    *,
    command: str | None = None,
) -> list[str]:
    """Write the files of :func:`write_report`, and a page that shows them.

    The page has the learning curve and the film, too, where these are there.

    :param command: that was called, for the page
    :return: names of the files
    """
    files = write_report(run, model, config, result)
    suffix = split_suffix(config.split)
    pictures = ("confusion", "examples", "learning_curve")
    there = {name: run.path / f"{name}{suffix}.png" for name in pictures}
    content = {
        "title": f"{run.config.env_id}, {run.path.resolve().name}",
        "result": result,
        "near_at": NEAR,
        "figures": {
            name: embedded_picture(file, name) for name, file in there.items() if file.exists()
        },
        "groups": [],
        "command": command,
        "film": None,
        "film_beside": None,
    }
    folders = [Path(__file__).parent]
    page = render("inverse.html", content, folders=folders)
    movie = run.path / f"video{suffix}.mp4"
    if movie.exists():
        content |= with_film(movie, MAX_BYTES - len(page.encode()))
        page = render("inverse.html", content, folders=folders)
    name = f"report{suffix}.html"
    write_html(run.path / name, page)
    return [name, *files]
