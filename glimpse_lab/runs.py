"""A run directory: everything about one training, written so that a crash loses nothing.

``config.yml`` (all that is needed to make environment and model again), ``model.zip`` (the newest
state of agent and classifier, also while training), ``progress.csv``, TensorBoard events, and after
the evaluation ``metrics.json``, plots and a video.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from filelock import FileLock, Timeout
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat

from glimpse_envs.faces_sb3 import LaneVecEnv
from glimpse_envs.files import remove_leftovers, replacing
from glimpse_envs.text import readable
from glimpse_lab.checkpoint import (
    load_checkpoint,
    save_checkpoint,
    saved_classifier,
    saved_extras,
    saved_timesteps,
)
from glimpse_lab.config import RunConfig, RunError, package_of
from glimpse_lab.logs import GrowingCSV, truncate_events
from glimpse_lab.recipes import check_run_callbacks, check_training
from glimpse_lab.write_failures import interrupted, write_failure
from glimpse_lab.yaml_files import YamlError, read_yaml
from policies.classifier.model import TorchClassifier
from policies.ranges import in_range


class Agent(NamedTuple):
    """A trained agent and where it acts.

    :ivar model: for ``model.predict``
    :ivar env: its environment
    """

    model: BaseAlgorithm
    env: LaneVecEnv


@dataclass(frozen=True)
class Run:
    """One run directory.

    :param path: of the directory
    :param config: what ``config.yml`` holds
    """

    path: Path
    config: RunConfig

    @classmethod
    def open(
        cls, path: str | Path, packages: Sequence[str] = (), *, dataset: str | None = None
    ) -> Run:
        """Read a run directory.

        :param packages: of the user's own, imported already
        :param dataset: where its data are now; None for where they were
        :raises RunError: if it is missing or of an older version, its ``config.yml`` is missing,
            broken or incomplete, or it needs further packages
        """
        path = _decodable(Path(path))
        cls._check_links(path)
        file = path / "config.yml"
        try:
            content = read_yaml(file)
        except OSError as error:
            inside = sorted(file.parent.name for file in path.glob("*/config.yml"))
            raise RunError(
                f"{path} is not a run directory ({file}: {error.strerror or error}); "
                + (
                    f"it holds the runs {', '.join(inside)}"
                    if inside
                    else "train.py makes one under runs/<env id>/<name>"
                )
            ) from error
        except YamlError as error:
            raise RunError(f"{file} is not valid YAML: {error}") from error
        try:
            config = RunConfig.from_dict(content)
        except ValueError as error:
            raise RunError(f"{file} {error}") from error
        wanted = {*config.packages, *package_of(config.env_id)}
        if absent := wanted - set(packages):
            names = " ".join(sorted(absent))
            raise RunError(f"{path} was trained with {names}; if you trust it: --packages {names}")
        try:
            check_run_callbacks(config.recipe, packages)
        except ValueError as error:
            raise RunError(f"{file}: {error}") from error
        run = cls(path, config)
        return run if dataset is None else run.moved(dataset)

    def moved(self, dataset: str) -> Run:
        """Return the run with its data at another place; nothing is written.

        :param dataset: the same data, by a name such as "folder:PATH"
        :raises RunError: if they are others
        """
        return replace(self, config=self.config.moved(dataset))

    def altered(self, settings: Mapping[str, Any]) -> Run:
        """Return the run in another environment, to evaluate the agent there; nothing is written.

        :param settings: by dotted keys, such as ``env_kwargs.scene.pieces``
        :raises RunError: for what is not of the environment, or one in which the agent would see or
            do other things
        """
        other = replace(self, config=self.config.altered(settings))
        for name in ("observation_space", "action_space"):
            then, now = (getattr(run.env_config(), name) for run in (self, other))
            if then != now:
                raise RunError(
                    f"got --set {', '.join(settings)}, which makes the {name.replace('_', ' ')} "
                    f"{now} of the agent's {then}; wanted settings that leave it as it is"
                )
        return other

    @classmethod
    def _check_links(cls, path: Path) -> None:
        """Refuse links inside, through which a run of a stranger's would write elsewhere."""
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                if (file := Path(folder, name)).is_symlink():
                    raise RunError(f"{file} is a link; put there what it points to, or remove it")
            folders[:] = [name for name in folders if name != "wandb"]  # which links to its newest

    def create(self) -> None:
        """Make the directory and write its ``config.yml``.

        What a process has left that was killed while it did so is removed.

        :raises RunError: if the directory exists and is not empty, or cannot be written
        """
        remove_leftovers(self.path)
        if self.path.is_dir() and any(self.path.iterdir()):
            raise RunError(
                f"{self.path} exists already; choose another --name, or --resume {self.path}"
            )
        try:
            self.write_config()
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be written ({error}); choose another folder with --runs"
            ) from error

    def write_config(self) -> None:
        """Write ``config.yml`` under a temporary name and rename it."""
        with replacing(self.path / "config.yml") as temporary:
            temporary.write_text(yaml.safe_dump(self.config.to_dict(), sort_keys=False))

    def extended(self, n_timesteps: float) -> Run:
        """Return the run with another number of timesteps in all; nothing is written.

        :raises ValueError: for a number out of range
        """
        recipe = {**self.config.recipe, "n_timesteps": n_timesteps}
        check_training(recipe)
        return replace(self, config=replace(self.config, recipe=recipe))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training this run at the same time.

        :raises RunError: if one does
        """
        lock = FileLock(self.path / "training.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(f"{self.path} is being trained by another process") from None
        try:
            yield
        finally:
            lock.release()
            (self.path / "training.lock").unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Remove temporary files of a training that was killed while it wrote them."""
        for folder in (self.path, self.path / "figures"):
            remove_leftovers(folder)

    @property
    def model_file(self) -> Path:
        """The newest state of agent and classifier."""
        return self.path / "model.zip"

    @cached_property
    def _own_config(self) -> Any:
        """The environment as in training, made once.

        Its classifier is that of ``model.zip``, or for a new run the one that is described.
        """
        described = self.config.env_kwargs.get("classifier")
        if described is None or not self.model_file.exists():
            return self.config.make_env_config()
        if (saved := saved_classifier(self.model_file)) is not None:
            return self.config.make_env_config(classifier=saved)
        made = self.config.make_env_config()  # of a class of the user's own
        if isinstance(made.classifier, TorchClassifier):
            raise RunError(
                f"{self.model_file} was saved without the classifier that config.yml describes: "
                "bring back the model.zip of this run, or train anew"
            )
        return made

    @cached_property
    def _configs(self) -> dict[tuple[tuple[str, Any], ...], Any]:
        """The environment by what differs from training."""
        return {(): self._own_config}

    @property
    def classifier(self) -> Any:
        """The classifier, one object for all uses of this ``Run``; None if there is none.

        :raises RunError: as :meth:`env_config`
        """
        return getattr(self._own_config, "classifier", None)

    def env_config(self, split: str | None = None, budget: int | None = None) -> Any:
        """Return the configuration of the environment, made once for each split and budget.

        :param split: "train", "validation" or "test"; None for the one of training
        :param budget: the most glimpses; None for as many as in training
        :raises RunError: if the data set is not the one that the run was made with, or
            ``model.zip`` is broken
        """
        if budget is not None:
            in_range("budget", budget)
        own = self._own_config
        asked = {"split": split, "budget": budget}.items()
        changes = {k: v for k, v in asked if v is not None and v != getattr(own, k)}
        key = tuple(changes.items())
        if key not in self._configs:
            self._configs[key] = replace(own, **changes)
        return self._configs[key]

    def evaluation_config(self, split: str, budget: int | None = None) -> Any:
        """Return the configuration of an evaluation: images as they are, without augmentation.

        :param budget: the most glimpses; None for as many as in training
        """
        return self.config.kind.unaugmented(self.env_config(split, budget))

    def make_env(self, split: str | None = None) -> LaneVecEnv:
        """Make the training environment, perhaps with another split.

        :raises RunError: as :meth:`env_config`
        :raises ValueError: if its lanes need more memory than there is
        """
        return self.config.kind.make_env(self.env_config(split), self.config.n_envs)

    def load(self, split: str = "test", device: str = "cpu") -> Agent:
        """Make the trained model and an environment that it acts in.

        :raises RunError: if ``model.zip`` is missing or broken, or fits another model
        """
        env = self.make_env(split)
        model = self.config.make_model(env, device, saved=True)
        self.load_weights(model)
        if isinstance(self.classifier, TorchClassifier):
            self.classifier.to(model.device)
        return Agent(model, env)

    def save_model(self, model: BaseAlgorithm, extras: dict[str, Any] | None = None) -> None:
        """Write ``model.zip``, agent and classifier, under a temporary name and rename it.

        :param extras: what to keep beside the classifier's weights
        :raises RunError: if it cannot be written, as on a full disk; an older one stays as it is
        """
        earlier = sys.exc_info()[1]  # such as the Ctrl-C that this saving answers
        try:
            save_checkpoint(self.model_file, model, extras)
        except (OSError, RuntimeError) as error:  # PyTorch raises the latter for a failed write
            if interrupted(error, earlier):  # and for one that Ctrl-C cut short
                raise KeyboardInterrupt from error
            kept = "the one before it is kept" if self.model_file.exists() else "none is saved yet"
            why = write_failure(error)
            raise RunError(
                f"checkpoint {self.model_file} could not be written ({why}), {kept}: make room, "
                f"then python train.py --resume {self.path}"
            ) from error

    def load_weights(self, model: BaseAlgorithm) -> None:
        """Put the newest checkpoint into a fresh model, and seed it for what comes next.

        :raises RunError: if ``model.zip`` is missing or broken, or fits another model
        """
        load_checkpoint(self.model_file, model)
        # other images and draws than those at the start: a resumed run repeats nothing
        model.set_random_seed((self.config.seed + 1_000_003 * model.num_timesteps) % 2**31)

    def saved_timesteps(self) -> int:
        """Return how many timesteps the saved model has trained for.

        :raises RunError: if ``model.zip`` is missing or broken
        """
        return saved_timesteps(self.model_file)

    def classifier_extras(self) -> dict[str, Any]:
        """Return what was saved beside the classifier's weights, such as its optimiser's state.

        :raises RunError: if ``model.zip`` is missing or broken
        """
        return saved_extras(self.model_file)

    def make_logger(self, upto: int | None = None) -> Logger:
        """Return the logger of ``progress.csv`` and TensorBoard.

        :param upto: keep what an earlier part of the run wrote, up to so many timesteps; what lies
            beyond is of a branch that was lost with a kill
        """
        table = GrowingCSV(self.path / "progress.csv", upto or 0)
        truncate_events(self.path, upto or 0)
        return Logger(str(self.path), [table, TensorBoardOutputFormat(str(self.path))])

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file of the run under a temporary name and rename it."""
        with replacing(self.path / name) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")


def run_folder(runs: Path, env_id: str, name: str) -> Path:
    """Return the folder of a run, or of many.

    :raises ValueError: for a name with folders in it
    """
    if len(Path(name).parts) != 1 or name == "..":
        raise ValueError(f"got --name {name}; wanted a plain name, the folder is --runs")
    return _decodable(runs / env_id / name)


def _decodable(path: Path) -> Path:
    """Return the path of a run, if its bytes are text: TensorBoard writes to no other.

    :raises RunError: for another
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise RunError(
            f"got the run directory {readable(str(path))}, whose name is no UTF-8; wanted one that "
            "is: rename the folder, or choose another with --runs and --name"
        ) from None
    return path


def new_name(root: Path, seed: int) -> str:
    """Return the first free name "seed<SEED>-<K>" below ``root``."""
    k = 1
    while (root / f"seed{seed}-{k}").exists():
        k += 1
    return f"seed{seed}-{k}"


def latest(root: Path) -> Path:
    """Return the run directory below ``root`` that was written to last.

    :raises RunError: if there is none
    """
    runs = [file.parent for file in root.glob("**/config.yml")]
    if not runs:
        raise RunError(f"there is no run below {root} to resume; start one without --resume")
    return max(runs, key=lambda path: max(f.stat().st_mtime for f in path.iterdir()))
