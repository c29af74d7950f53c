"""A run directory: everything about one training, written so that a crash loses nothing.

``config.yml`` (all that is needed to make environment and model again), ``model.zip`` and
``classifier.pt`` (the newest state, also while training), ``progress.csv``, TensorBoard events, and
after the evaluation ``metrics.json``, plots and a video.

``model.zip`` holds the digest of the classifier that it was trained beside: neither is read without
the other.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch as th
import yaml
from filelock import FileLock, Timeout
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat

from glimpse_envs.components import nearest
from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.files import replacing
from glimpse_envs.sb3 import GlimpseVecEnv, registered_kwargs
from glimpse_lab.logs import GrowingCSV
from glimpse_lab.recipes import ALGORITHMS, Recipe, check_training, make_model
from policies.classifier.model import ClassifierError, TorchClassifier, read_file

_NEEDED = {
    "env": str,
    "env_kwargs": dict,
    "algorithm": str,
    "recipe": dict,
    "seed": int,
    "dataset": dict,
}


_DIGEST = "classifier"  # member of model.zip that holds the digest
_NOT_OURS = "no TorchClassifier"


class RunError(ValueError):
    """A run directory is incomplete or does not fit; the message says what to do."""


@dataclass(frozen=True)
class Run:
    """One run directory.

    :param path: of the directory
    :param config: what ``config.yml`` holds
    """

    path: Path
    config: dict[str, Any]

    def create(self) -> None:
        """Make the directory and write its ``config.yml``.

        :raises RunError: if the directory exists and is not empty, or cannot be written
        """
        if self.path.is_dir() and any(self.path.iterdir()):
            raise RunError(
                f"{self.path} exists already; choose another --name, or --resume {self.path}"
            )
        try:
            self._write_config()
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be written ({error}); choose another folder with --runs"
            ) from error

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

    def extend(self, n_timesteps: float) -> None:
        """Set how long to train in all, and note it in ``config.yml`` for the next resume."""
        self.recipe["n_timesteps"] = n_timesteps
        self._write_config()

    def remove_leftovers(self) -> None:
        """Remove temporary files of a training that was killed while it wrote them."""
        for file in self.path.glob(".*.*"):
            file.unlink()

    def _write_config(self) -> None:
        with replacing(self.path / "config.yml") as temporary:
            temporary.write_text(yaml.safe_dump(self.config, sort_keys=False))

    @classmethod
    def open(cls, path: Path, packages: Sequence[str] = ()) -> Run:
        """Read a run directory.

        :param packages: of the user's own, imported already
        :raises RunError: if it is missing, its ``config.yml`` is missing, broken or incomplete, or
            it needs further packages
        """
        file = path / "config.yml"
        try:
            config = yaml.safe_load(file.read_text())
        except OSError as error:
            inside = sorted(file.parent.name for file in path.glob("*/config.yml"))
            raise RunError(
                f"{path} is not a run directory ({file}: {error.strerror}); "
                + (
                    f"it holds the runs {', '.join(inside)}"
                    if inside
                    else "train.py makes one under runs/<env id>/<name>"
                )
            ) from error
        except yaml.YAMLError as error:
            raise RunError(f"{file} is not valid YAML: {error}") from error
        config = config if isinstance(config, dict) else {}
        wrong = [key for key, kind in _NEEDED.items() if not isinstance(config.get(key), kind)]
        if wrong:
            raise RunError(f"{file} lacks {', '.join(wrong)}, or has it wrong; train anew")
        if config["algorithm"] not in ALGORITHMS:
            known = nearest(config["algorithm"], ALGORITHMS)
            raise RunError(f"{file}: unknown algorithm {config['algorithm']!r}; {known}")
        check_training(config["recipe"])
        if absent := set(config.get("packages") or ()) - set(packages):
            names = " ".join(sorted(absent))
            raise RunError(f"{path} was trained with {names}; if you trust it: --packages {names}")
        return cls(path, config)

    @property
    def model_file(self) -> Path:
        """The newest state of the model."""
        return self.path / "model.zip"

    @property
    def classifier_file(self) -> Path:
        """The newest state of the classifier, if there is one."""
        return self.path / "classifier.pt"

    @property
    def _previous_classifier_file(self) -> Path:
        return self.path / "classifier.previous.pt"

    @property
    def recipe(self) -> Recipe:
        """The hyperparameters."""
        return self.config["recipe"]

    @cached_property
    def classifier(self) -> Any:
        """The classifier of the environment, one object for all uses of the run: that of
        ``model.zip``, or for a new run the one that ``config.yml`` describes. None if there is
        none.

        :raises RunError: if the file that belongs to ``model.zip`` is missing or another
        """
        kwargs = self._env_kwargs()
        if kwargs.get("classifier") is None:
            return None
        if not self.model_file.exists():
            return make_config(**kwargs).classifier
        wanted = self._read_zip(_DIGEST, bytes.decode)
        if wanted == _NOT_OURS:  # of a class of the user's own, made from its arguments alone
            return make_config(**kwargs).classifier
        found = []
        # a kill between the two renames of a checkpoint leaves the model with the previous one
        for file in (self.classifier_file, self._previous_classifier_file):
            if file.exists():
                try:
                    classifier = TorchClassifier.load(file)
                except ClassifierError as error:
                    found.append(f"cannot be read ({error})")
                    continue
                found.append(classifier.digest())
                if found[-1] == wanted:
                    return classifier
        raise RunError(
            f"{self.model_file} was trained beside a classifier with digest {wanted}; "
            + (
                f"{self.classifier_file} has {found[0]}"
                if found
                else f"there is no {self.classifier_file}"
            )
            + ": bring back the classifier.pt of this run"
        )

    def classifier_extras(self) -> dict[str, Any]:
        """Return what was saved beside the classifier's weights, such as its optimiser's state."""
        for file in (self.classifier_file, self._previous_classifier_file):
            if file.exists():
                content = read_file(file)
                if content["digest"] == self.classifier.digest():
                    return content["extras"]
        return {}

    def _env_kwargs(self) -> dict[str, Any]:
        return {**registered_kwargs(self.config["env"]), **self.config["env_kwargs"]}

    def env_config(self, **changes: Any) -> GlimpseConfig:
        """Return the configuration of the environment, with changes such as the split.

        :raises RunError: if the data set is not the one that the run was made with
        """
        config = make_config(**{**self._env_kwargs(), "classifier": self.classifier, **changes})
        recorded = self.config["dataset"].get("digest")
        if config.dataset.digest != recorded:
            raise RunError(
                f"data set {config.dataset.name!r} has changed since this run (digest "
                f"{config.dataset.digest}, then {recorded}); bring the old data back, or train anew"
            )
        return config

    def evaluation_config(self, split: str, budget: int | None = None) -> GlimpseConfig:
        """Return the configuration of an evaluation: images as they are, without augmentation.

        :param budget: the most glimpses; None for as many as in training
        """
        changes = {} if budget is None else {"budget": budget}
        return replace(self.env_config(split=split, **changes), augment=None)

    def changed_kwargs(self) -> dict[str, Any]:
        """Return the arguments of the environment that differ from those of its id."""
        registered = registered_kwargs(self.config["env"])
        kwargs = self.config["env_kwargs"]
        return {key: value for key, value in kwargs.items() if registered.get(key) != value}

    def make_env(self, **changes: Any) -> GlimpseVecEnv:
        """Return the training environment, with changes such as the split.

        :raises RunError: if the data set is not the one that the run was made with
        """
        self.env_config(**changes)
        n_envs = int(self.recipe["n_envs"])
        kwargs = {**self.config["env_kwargs"], "classifier": self.classifier, **changes}
        return GlimpseVecEnv(self.config["env"], n_envs, **kwargs)

    def make_model(self, env: Any, device: str) -> BaseAlgorithm:
        """Return the untrained model, which seeds the environment too."""
        return make_model(
            self.config["algorithm"], self.recipe, env, seed=self.config["seed"], device=device
        )

    def save_model(self, model: BaseAlgorithm, extras: dict[str, Any] | None = None) -> None:
        """Write ``model.zip`` and ``classifier.pt`` under temporary names and rename them.

        :param extras: what to keep beside the classifier's weights
        :raises RunError: if it cannot be written, as on a full disk; an older one stays as it is
        """
        try:
            with replacing(self.model_file) as temporary:
                model.save(temporary)
                if self.classifier is not None:
                    digest = self._save_classifier(extras or {})
                    with zipfile.ZipFile(temporary, "a") as archive:
                        archive.writestr(_DIGEST, digest)
            self._previous_classifier_file.unlink(missing_ok=True)
        except (OSError, RuntimeError) as error:  # PyTorch raises the latter for a failed write
            kept = "the one before it is kept" if self.model_file.exists() else "none is saved yet"
            raise RunError(
                f"checkpoint {self.model_file} could not be written ({error}), {kept}: make room, "
                f"then python train.py --resume {self.path}"
            ) from error

    def _save_classifier(self, extras: dict[str, Any]) -> str:
        """Write the classifier, keep the one before it beside it, and return the digest."""
        if not isinstance(self.classifier, TorchClassifier):
            return _NOT_OURS
        with replacing(self.classifier_file) as temporary:
            digest = self.classifier.save(temporary, **extras)
            if self._belongs(self.classifier_file):
                self.classifier_file.replace(self._previous_classifier_file)
        return digest

    def _belongs(self, file: Path) -> bool:
        """Whether a classifier is the one that ``model.zip`` was saved with.

        After a kill between two renames ``classifier.pt`` is newer, and the previous one must stay.
        """
        if not (file.exists() and self.model_file.exists()):
            return False
        return read_file(file)["digest"] == self._read_zip(_DIGEST, bytes.decode)

    def saved_timesteps(self) -> int:
        """Return how many timesteps the saved model has trained for.

        :raises RunError: if ``model.zip`` is missing or broken
        """
        return self._read_zip("data", lambda data: int(json.loads(data)["num_timesteps"]))

    def load_weights(self, model: BaseAlgorithm) -> None:
        """Put the saved parameters, optimiser state and number of timesteps into a fresh model, and
        seed it and its environment for what comes next.

        Reads tensors and numbers only: loading cannot run code that somebody put into the file.

        :raises RunError: if ``model.zip`` is missing or broken, or fits another model
        """

        def tensors(data: bytes) -> Any:
            return th.load(io.BytesIO(data), map_location=model.device, weights_only=True)

        weights = {
            "policy": self._read_zip("policy.pth", tensors),
            "policy.optimizer": self._read_zip("policy.optimizer.pth", tensors),
        }
        try:
            model.set_parameters(weights, exact_match=True, device=model.device)
        except (RuntimeError, ValueError, KeyError) as error:
            raise RunError(
                f"{self.model_file} does not fit the model of {self.path / 'config.yml'}: {error}"
            ) from error
        if isinstance(self.classifier, TorchClassifier):
            if self._read_zip(_DIGEST, bytes.decode) != self.classifier.digest():
                raise RunError(
                    f"{self.path} was written to while it was read: it is being trained; try again"
                )
        model.num_timesteps = self.saved_timesteps()
        # other images and draws than those at the start: a resumed run repeats nothing
        model.set_random_seed((self.config["seed"] + 1_000_003 * model.num_timesteps) % 2**31)

    def make_logger(self, upto: int | None = None) -> Logger:
        """Return the logger of ``progress.csv`` and TensorBoard.

        :param upto: keep the rows of an earlier part of the run up to so many timesteps
        """
        output = GrowingCSV(self.path / "progress.csv", upto or 0)
        return Logger(str(self.path), [output, TensorBoardOutputFormat(str(self.path))])

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file of the run under a temporary name and rename it."""
        with replacing(self.path / name) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")

    def _read_zip(self, member: str, parse: Any) -> Any:
        try:
            with zipfile.ZipFile(self.model_file) as archive:
                return parse(archive.read(member))
        except FileNotFoundError as error:
            raise RunError(
                f"{self.path} has no model.zip: training was stopped before its first checkpoint; "
                "start it anew"
            ) from error
        except Exception as error:  # zip, zlib, JSON, pickle: a broken file fails in many ways
            raise RunError(
                f"{self.model_file} is broken ({member}: {error}); train anew"
            ) from error


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
