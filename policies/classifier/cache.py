"""Finished trainings of classifiers, kept by content in one folder for all runs.

What lies there is checked before it is used: a file that is damaged is said and made anew, and a
folder that cannot be used stops no training.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch as th
from filelock import FileLock

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.files import remove_leftovers, replacing
from glimpse_envs.strategies import ScriptedGaze
from policies.classifier.model import ClassifierError, digest_of, read_file
from policies.classifier.trainer import Fitter

#: of what makes a training; raise it when sensors, strategies, the loss or the file change
_VERSION = 3

_KEY = re.compile("[0-9a-f]{16}")


def training_key(config: GlimpseConfig, gaze: ScriptedGaze, training: list[Any], seed: int) -> str:
    """Return 16 hexadecimal digits that tell this training from others.

    :param config: the environment, with the classifier as it is before its training
    :param gaze: of the episodes
    :param training: other settings, of JSON's types
    :param seed: of images, scenes and gaze
    """
    parts = ("scene", "sensor", "start", "budget", "augment", "split", "scene_seed")
    content = {
        "classifier": config.classifier.digest(),  # with its first weights
        "dataset": config.dataset.digest,
        "environment": {name: str(getattr(config, name)) for name in parts},
        # not the scheme: agents that act otherwise begin with the same classifier
        "gaze": [config.scheme.start_zoom(config.start), gaze.identity(config)],
        "training": training,
        "seed": seed,
        "version": _VERSION,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


class ClassifierCache:
    """A folder of trained classifiers with their optimisers.

    :param folder: made where something is kept
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, key: str, ending: str = ".pt") -> Path:
        """Return where the training of a key is kept.

        :param key: as :func:`training_key` gives it
        :raises ValueError: for another one, which might name a file elsewhere
        """
        if not _KEY.fullmatch(key):
            raise ValueError(f"got the key {key!r} of a training; wanted 16 hexadecimal digits")
        return self.folder / f"{key}{ending}"

    @contextmanager
    def alone(self, key: str) -> Iterator[bool]:
        """Keep other processes from the same training, so that parallel ones make it once.

        :return: context of whether its result can be kept: not on a read-only disk, which is said
        """
        file = self.file(key, ".lock")
        lock = FileLock(file)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            remove_leftovers(self.folder)  # of trainings that were killed while they wrote
        except (OSError, NotImplementedError) as error:
            print(f"the trained classifier will not be kept: {self.folder} ({_reason(error)})")
        try:
            yield lock.is_locked
        finally:
            if lock.is_locked:
                lock.release()
                with suppress(OSError):
                    file.unlink(missing_ok=True)  # whoever waits for it still finds the result

    def recall(self, file: Path, key: str, fitter: Fitter) -> dict[str, Any] | None:
        """Take weights and optimiser of a training with the same settings.

        :param file: where it may be kept
        :param key: of this training
        :param fitter: of the classifier that gets them, which stays as it is where nothing fits
        :return: what else was kept; None if there is no file, or a damaged one, which is said
        """
        try:
            if not file.exists():
                return None
            content = read_file(file)
            _check(content, key, fitter)
        except (ClassifierError, OSError) as error:
            print(f"{file} is damaged ({_reason(error)}); the classifier is trained anew")
            return None
        fitter.classifier.load_state_dict(content["weights"])
        fitter.optimizer.load_state_dict(content["extras"]["optimizer"])
        return content["extras"]

    def keep(self, file: Path, key: str, fitter: Fitter, **extras: Any) -> bool:
        """Write weights and optimiser; say so in one line where that fails.

        :param extras: what else to keep
        :return: whether it is written
        """
        state = {**extras, "key": key, "optimizer": fitter.optimizer.state_dict()}
        try:
            with replacing(file) as temporary:
                fitter.classifier.save_inside(temporary, **state)
        except OSError as error:
            print(f"the trained classifier is not kept: {file} ({_reason(error)})")
            return False
        return True


def _check(content: dict[str, Any], key: str, fitter: Fitter) -> None:
    """Raise a ClassifierError unless a file holds just this training, whole."""
    ours = fitter.classifier.state_dict()
    weights, extras = content["weights"], content["extras"]
    if extras.get("key") != key:
        raise ClassifierError("it is of another training")
    if content["specification"] != fitter.classifier.specification():
        raise ClassifierError("it is of another network")
    if not isinstance(weights, dict) or set(weights) != set(ours):
        raise ClassifierError("it has other weights")
    for name, weight in ours.items():
        kept = weights[name]
        if not isinstance(kept, th.Tensor) or kept.shape != weight.shape:
            raise ClassifierError(f"weight {name} has another shape")
        if not th.isfinite(kept).all():
            raise ClassifierError(f"weight {name} is not finite")
    if digest_of(content["specification"], weights) != content["digest"]:
        raise ClassifierError("its weights are not those that it was written with")
    try:
        fitter.optimizer.check(extras.get("optimizer"))
    except ValueError as error:
        raise ClassifierError(str(error)) from error


def _reason(error: Exception) -> str:
    words = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return words.partition("\n")[0]
