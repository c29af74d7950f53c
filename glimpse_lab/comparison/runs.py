"""Comparison of run directories: each is opened and evaluated anew, on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from glimpse_envs.config import GlimpseConfig
from glimpse_lab.comparison.compare import Comparison, Entry, compare
from glimpse_lab.comparison.settings import run_settings
from glimpse_lab.evaluation.rollout import evaluate, image_numbers
from glimpse_lab.kinds import GLIMPSE
from glimpse_lab.plots.training import read_progress
from glimpse_lab.recipes import trust
from glimpse_lab.runs import Run
from policies.ranges import checks_arguments


@checks_arguments
def compare_runs(
    runs: Sequence[Run | str | Path],
    split: str = "test",
    *,
    budget: int | None = None,
    index: int | NDArray[np.int64] | None = None,
    device: str = "cpu",
    packages: Sequence[str] = (),
    dataset: str | None = None,
) -> Comparison:
    """Evaluate runs exactly, on the same images, and compare them.

    Nothing is read of an earlier evaluation.

    :param runs: at least two, or their directories
    :param split: "train", "validation" or "test"
    :param budget: the most glimpses; None for as many as each had in training
    :param index: only the first so many images of the split, or those of these numbers; None for
        all
    :param device: that PyTorch knows
    :param packages: of the user's own, that the runs were trained with
    :param dataset: where the data of all runs are now; None for where they were
    :raises ValueError: as ``compare``, for a run that is broken (``glimpse_lab.runs.RunError``), or
        for a directory given twice
    """
    listed = isinstance(runs, Sequence) and not isinstance(runs, str | bytes)
    if not listed or not all(isinstance(run, Run | str | Path) for run in runs):
        raise ValueError(f"got runs={runs!r:.200}; wanted a list of at least two runs")
    places = [(run.path if isinstance(run, Run) else Path(run)).resolve() for run in runs]
    if len(set(places)) < max(2, len(places)):
        raise ValueError(
            f"got the run directories {', '.join(map(str, places))}; wanted two or more, each once"
        )
    trust(packages)
    runs = [run if isinstance(run, Run) else Run.open(run, packages) for run in runs]
    for run in runs:
        if run.config.kind is not GLIMPSE:
            raise ValueError(
                f"got {run.path}, a run of {run.config.env_id}; wanted runs of glimpse environments"
            )
    if dataset is not None:
        runs = [run.moved(dataset) for run in runs]
    configs = [run.evaluation_config(split, budget) for run in runs]
    for run, config in zip(runs, configs, strict=True):
        if config.nobody_answers:
            raise ValueError(
                f"got {run.path}, a run of {run.config.env_id}, where nobody answers; wanted runs "
                "that answer: it is their answers that are compared"
            )
    numbers = [image_numbers(config, index) for config in configs]
    with tqdm(
        total=sum(map(len, numbers)), desc=f"evaluating {len(runs)} runs on {split}", unit=" images"
    ) as bar:
        entries = [
            _entry(*each, device, bar)
            for each in zip(runs, configs, numbers, _names(places), strict=True)
        ]
    notes = [] if budget is None else [f"All runs had a budget of {budget} glimpses."]
    return compare(entries, notes=notes)


def _entry(
    run: Run, config: GlimpseConfig, index: NDArray[np.int64], name: str, device: str, bar: tqdm
) -> Entry:
    model, _ = run.load(config.split, device)
    data = config.dataset
    seed = f", scene seed {config.scene_seed}" if config.composed else ""
    return Entry(
        name=name,
        env=run.config.env_id,
        seed=run.config.seed,
        shown=f"{data.name} ({data.digest}), {config.split} split, {config.scene}{seed}",
        index=index,
        paths=evaluate(model, config, index=index, progress=bar.update),
        settings=run_settings(run.config.to_dict()),
        timesteps=model.num_timesteps,
        planned=run.config.n_timesteps,
        minutes=training_minutes(run.path / "progress.csv"),
        git=run.config.git,
    )


def training_minutes(progress: Path) -> float | None:
    """Return how long a run has trained, all its resumed parts together; None if unknown.

    What a killed part did after its last checkpoint does not count.

    :param progress: its ``progress.csv``
    """
    if not progress.exists():
        return None
    table = read_progress(progress)
    empty = np.zeros(0)
    elapsed = table.get("time/time_elapsed", empty)
    iterations = table.get("time/iterations", empty)
    known = np.isfinite(elapsed) & np.isfinite(iterations) if len(elapsed) else empty.astype(bool)
    if not known.any():
        return None
    elapsed, iterations = elapsed[known], iterations[known]
    last = np.append(np.diff(iterations) <= 0, True)  # both count anew in each part
    return float(elapsed[last].sum()) / 60


def _names(places: Sequence[Path]) -> list[str]:
    """Return the last parts of the paths, as many as tell them apart."""
    depth = 1
    while len({place.parts[-depth:] for place in places}) < len(places):
        depth += 1
    return ["/".join(place.parts[-depth:]) for place in places]
