"""From the folder of an agent that comes with the package to a model, or to a run directory."""

from __future__ import annotations

import filecmp
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from glimpse_envs.data.datasets import DatasetError
from glimpse_envs.data.loaders import load_dataset
from glimpse_envs.files import check_writable, replacing
from glimpse_lab.config import DatasetRecord, RunError, plain
from glimpse_lab.pretrained import folder_of
from glimpse_lab.pretrained.card import FILE, read_card
from glimpse_lab.runs import Agent, Run
from policies.ranges import checks_arguments


@checks_arguments
def load_pretrained(
    name: str, split: str = "test", *, dataset: str | None = None, device: str = "cpu"
) -> Agent:
    """Return the model of an agent that comes with the package, and an environment it acts in.

    What :func:`glimpse_lab.load` does for a run; nothing is written. Example::

        model, env = glimpse_lab.load_pretrained("digits")

    :param name: one of ``glimpse_lab.pretrained_names()``
    :param split: whose images the environment shows: "train", "validation" or "test"
    :param dataset: where its data are, such as "folder:PATH"; None for the data directory. Data
        with the same classes and size of images that are not those of the training are taken, and a
        line on stderr says so
    :param device: that PyTorch knows
    :return: ``model`` and ``env``
    :raises ValueError: for an unknown name, or data that are missing or do not fit
    """
    return open_agent(folder_of(name), dataset).load(split, device)


@dataclass(frozen=True)
class PackagedRun(Run):
    """An agent's folder, evaluated where it is; nothing is written there."""

    @classmethod
    def _check_links(cls, path: Path) -> None:
        """Take links: installers make package data of them, and it is no stranger's."""


def open_agent(folder: Path, dataset: str | None = None) -> Run:
    """Return the run in an agent's folder, on the data that are here.

    :param folder: that ``python -m glimpse_lab.pretrained.export`` wrote
    :param dataset: where its data are; None for the data directory
    :raises RunError: for data that are missing, or have other classes or sizes
    """
    run, card = PackagedRun.open(folder), read_card(folder)
    try:
        data = load_dataset(run.config.env_kwargs["dataset"] if dataset is None else dataset)
    except DatasetError as error:
        raise RunError(
            f"{error} Agent {folder.name} plays on {card.dataset}; where its data are elsewhere: "
            "--dataset folder:PATH"
        ) from error
    if (data.image_shape, data.classes) != (card.image_shape, card.classes):
        raise RunError(
            f"got data set {data.name!r} with images {data.image_shape} and classes "
            f"{', '.join(data.classes):.200}; agent {folder.name} wants images {card.image_shape} "
            f"and classes {', '.join(card.classes):.200}"
        )
    if data.digest != card.dataset_digest:
        print(
            f"data set {data.name!r} is not the copy that agent {folder.name} was trained with "
            f"(digest {data.digest}, then {card.dataset_digest}): its accuracy may be another, and "
            "means nothing where the split is another, too",
            file=sys.stderr,
        )
    env_kwargs = {**run.config.env_kwargs, "dataset": plain(data.source)}
    record = DatasetRecord(data.name, data.digest)
    return replace(run, config=replace(run.config, env_kwargs=env_kwargs, dataset=record))


def copy_agent(folder: Path, target: Path, dataset: str | None = None) -> Run:
    """Make a run directory of an agent's folder, or take the one that is there.

    :param folder: of the agent, never written to
    :param target: the run directory
    :param dataset: as :func:`open_agent` takes it
    :raises RunError: as :func:`open_agent`, or if the directory holds another agent
    :raises OSError: if it cannot be written
    """
    packaged = open_agent(folder, dataset)
    run = Run(target, packaged.config)
    Run._check_links(target)
    if not run.model_file.exists():
        check_writable(target)
        for name in (FILE, run.model_file.name):
            with replacing(target / name) as temporary:
                shutil.copyfile(folder / name, temporary)
    elif not filecmp.cmp(run.model_file, packaged.model_file, shallow=False):
        raise RunError(
            f"{run.model_file} is not the agent {folder.name} of this version: it was trained on, "
            f"or comes from another version. python eval.py {target} evaluates it; rename {target} "
            "for a new copy"
        )
    file = target / "config.yml"
    if not file.exists() or Run.open(target).config != run.config:
        run.write_config()
    return run
