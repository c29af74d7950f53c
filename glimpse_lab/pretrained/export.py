"""Make an agent that comes with the package of a finished run, or replace one.

python -m glimpse_lab.pretrained.export RUN_DIR NAME

The run has been evaluated on the test split (``metrics.json``). What is written is loaded again and
plays all test images before it takes its place.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch as th
from tqdm import tqdm

from glimpse_envs.data.datasets import ImageDataset
from glimpse_envs.metrics.episodes import Metrics, metrics
from glimpse_lab.checkpoint import save_to_play, saved_extras
from glimpse_lab.cli.ending import Parser, carry_out, path, text, threads
from glimpse_lab.config import RunError, portable
from glimpse_lab.evaluation.exact import read_evaluation
from glimpse_lab.evaluation.rollout import evaluate
from glimpse_lab.evaluation.storage import write_result
from glimpse_lab.pretrained import ROOT
from glimpse_lab.pretrained.card import FILE, Card
from glimpse_lab.recipes import torch_device
from glimpse_lab.retraining import training_command
from glimpse_lab.runs import Run
from glimpse_lab.versions import git_commit

#: of the accuracy that rounding the weights may change; where an image is more, one image
_TOLERANCE = 0.001


def export(
    run_dir: Path,
    name: str,
    *,
    root: Path = ROOT,
    command: str | None = None,
    note: str | None = None,
    device: str = "cpu",
) -> Path:
    """Write the folder of an agent, which appears whole or not at all.

    :param run_dir: made by ``train.py``, evaluated on the test split
    :param name: of the agent; one that is there is replaced
    :param root: where the folder is made
    :param command: that trained the run; None to find it from the settings
    :param note: on the data, for the card
    :param device: that PyTorch knows
    :return: the folder
    :raises RunError: for a run that is incomplete, or trained on since its evaluation, that needs
        packages of the user's own, that half precision changes, or whose command is not known
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise RunError(f"got the name {name!r:.80}; wanted small letters, digits, - and _")
    run = Run.open(run_dir)  # which refuses those that need packages
    measured = read_evaluation(run)
    if (trained_by := command or training_command(run.config)) is None:
        raise RunError(
            f"{run_dir} has other settings than its recipe has now; give the command that trained "
            "it by --command"
        )
    measuring = git_commit()  # before the folder is a change to it
    model = run.load("test", device).model
    extras = saved_extras(run.model_file)
    extras.pop("optimizer", None)
    with _replacing_folder(root / name) as folder:
        config = replace(run.config, env_kwargs=portable(run.config.env_kwargs))
        Run(folder, config).write_config()
        save_to_play(folder / "model.zip", model, extras)
        # with the run's own settings: a path of this computer leads to its data
        found = _play(Run(folder, run.config), device)
        allowed = max(_TOLERANCE, 1 / found.n_images)
        if abs(found.accuracy - measured.accuracy) > allowed + 1e-9:
            raise RunError(
                f"{run_dir} reached {100 * measured.accuracy:.2f} %, and in half precision "
                f"{100 * found.accuracy:.2f} %; wanted at most {100 * allowed:.2f} points between "
                f"them. If its metrics are of another version: python eval.py {run_dir} measures "
                "anew"
            )
        card = Card(
            env=config.env_id,
            dataset=config.dataset.name,
            split="test",
            budget=measured.budget,
            timesteps=measured.timesteps,
            git=measuring,
            dataset_digest=config.dataset.digest,
            image_shape=tuple(_data(run).image_shape),
            classes=_data(run).classes,
            n_images=found.n_images,
            accuracy=found.accuracy,
            accuracy_ci95=found.accuracy_ci95,
            accuracy_of_run=measured.accuracy,
            mean_glimpses=found.mean_glimpses,
            mean_samples=found.mean_samples,
            sample_fraction=found.sample_fraction,
            seed=config.seed,
            commit=config.git,
            command=trained_by,
            core_seconds=measured.core_seconds,
            note=note,
        )
        write_result(folder / FILE, card)
    return root / name


def _data(run: Run) -> ImageDataset:
    return run.env_config("test").dataset


def _play(run: Run, device: str) -> Metrics:
    """Return what an agent that was written reaches on the test images."""
    config, model = run.evaluation_config("test"), run.load("test", device).model
    with tqdm(total=len(config.shown_split), desc="playing it", unit=" images") as bar:
        return metrics(evaluate(model, config, progress=bar.update))


@contextmanager
def _replacing_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``target``, renamed to it at the end, or removed."""
    made, old = (
        target.with_name(f".{target.name}.glimpse-tmp-{os.getpid()}{part}") for part in ("", "-old")
    )
    made.mkdir(parents=True)
    try:
        yield made
        if target.exists():
            target.rename(old)  # a folder that is not empty cannot be renamed over
        try:
            made.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def main(argv: list[str] | None = None) -> None:
    """Export as the command line asks."""
    parser = Parser(__doc__)
    parser.add_argument("run", type=path, metavar="RUN_DIR", help="made by train.py, evaluated")
    parser.add_argument("name", type=text, metavar="NAME", help="such as digits; replaced")
    parser.add_argument(
        "--command",
        type=text,
        metavar="TEXT",
        help="that trained it, where its settings are no recipe's",
    )
    parser.add_argument("--note", type=text, metavar="TEXT", help="on the data, for the card")
    parser.add_argument(
        "--root", type=path, default=ROOT, metavar="DIR", help="of the folders; default: package"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto; default: %(default)s")
    parser.add_argument(
        "--threads", type=threads, default=1, metavar="N", help="of PyTorch; default: %(default)s"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure, too")
    args = parser.parse_args(argv)
    carry_out(lambda: _run(args), debug=args.debug, interrupted="stopped; nothing is changed")


def _run(args: argparse.Namespace) -> None:
    th.set_num_threads(args.threads)
    folder = export(
        args.run,
        args.name,
        root=args.root,
        command=args.command,
        note=args.note,
        device=torch_device(args.device),
    )
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    told = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
    print(f"{folder}: {sum(sizes.values()) / 1e6:.2f} MB ({told} bytes)")
    print((folder / FILE).read_text(), end="")


if __name__ == "__main__":
    main()
