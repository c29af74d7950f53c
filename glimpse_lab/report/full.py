"""The full report of a run: ``metrics.json``, the figures and ``report.html``."""

from __future__ import annotations

from pathlib import Path

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.report.figures import draw_figures
from glimpse_lab.report.gallery import draw_gallery
from glimpse_lab.report.page import write_page
from glimpse_lab.report.run_files import suffix_of, write_report
from glimpse_lab.runs import Run


def write_full_report(
    run: Run,
    config: GlimpseConfig,
    paths: Scanpaths,
    result: Evaluation,
    *,
    command: str | None = None,
) -> list[str]:
    """Write ``metrics.json``, the figures and the page of a full evaluation.

    The page shows beside the figures what is there of the same evaluation: the confusion matrix,
    the learning curve and the film.

    :param config: that was evaluated
    :param paths: the agent's episodes, of all images of the split
    :param result: of ``study``
    :param command: that was called, for the page
    :return: names of the files
    """
    files = write_report(run, config, paths, result)
    suffix = suffix_of(run, config)
    folder, name, film = f"figures{suffix}", f"report{suffix}.html", run.path / f"video{suffix}.mp4"
    figures = draw_figures(run.path / folder, config, paths, result)
    write_page(
        run.path / name,
        title=f"{run.config.env_id}, {run.path.resolve().name}",
        result=result,
        figures={**figures, **_beside(run.path, suffix)},
        gallery=draw_gallery(paths, config),
        film=film if film.exists() else None,
        command=command,
    )
    return [name, *files, f"{folder}/"]


def _beside(folder: Path, suffix: str) -> dict[str, Path]:
    """Return the pictures that lie in the run directory itself, by name, as far as they are there.

    :param suffix: of the evaluation's files
    """
    files = {name: folder / f"{name}{suffix}.png" for name in ("confusion", "learning_curve")}
    return {name: file for name, file in files.items() if file.exists()}
