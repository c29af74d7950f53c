"""Classifiers trained along a given gaze, kept by content: the same settings find them again."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.strategies import ScriptedGaze
from policies.classifier.model import read_file
from policies.classifier.trainer import Fitter, pretrain

#: what the draws of a seed are for, so that pretraining and agent never see the same episodes
PRETRAINING_DRAWS, ROLLOUT_DRAWS = 1, 2

#: of what makes a pretraining; raise it when sensors, strategies or the loss change
_VERSION = 1


def pretraining_key(
    config: GlimpseConfig, gaze: ScriptedGaze, training: list[Any], seed: int
) -> str:
    """Return hexadecimal digits that tell this training from others.

    :param config: the environment, with the classifier as it is before its training
    :param gaze: of the episodes
    :param training: other settings, of JSON's types
    :param seed: of images, scenes and gaze
    """
    parts = ("scene", "sensor", "start", "budget", "augment")
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


def recall(file: Path, fitter: Fitter) -> dict[str, Any]:
    """Take weights and optimiser of a training with the same settings.

    :param file: named by :func:`pretraining_key`
    :param fitter: of the classifier that gets them
    :return: what else was kept
    :raises ClassifierError: if the file is broken
    """
    content = read_file(file)
    fitter.classifier.load_state_dict(content["weights"])
    fitter.optimizer.load_state_dict(content["extras"]["optimizer"])
    return content["extras"]


class Pretraining:
    """A classifier's training before the agent's, which goes on after a kill and is made once.

    :param n_episodes: each used once
    :param gaze: of the episodes
    :param batch_size: episodes of one update
    :param handover: share of the learning rate at its end
    :param settings: of the fitter, by which a pretraining is told from others
    :ivar n_done: episodes so far
    :ivar key: tells it from those of other settings and first weights; None before it begins
    """

    #: seconds between two checkpoints
    INTERVAL = 20.0

    def __init__(
        self,
        n_episodes: int,
        gaze: ScriptedGaze,
        batch_size: int,
        handover: float,
        settings: dict[str, Any],
    ) -> None:
        self.n_episodes, self.gaze = n_episodes, gaze
        self.batch_size, self.handover, self.settings = batch_size, handover, settings
        self.n_done = 0
        self.key: str | None = None

    def state(self) -> dict[str, Any]:
        """Return what a resumed training needs beside weights and optimiser."""
        return {"pretrained": self.n_done, "key": self.key}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state.

        :param state: what :meth:`state` gave
        """
        self.n_done = int(state.get("pretrained", 0))
        self.key = state.get("key")

    def run(
        self,
        fitter: Fitter,
        config: GlimpseConfig,
        seed: int,
        *,
        cache: Path | None,
        checkpoint: Callable[[], None],
    ) -> None:
        """Train what is left, or take what the same settings made before.

        :param fitter: of the classifier
        :param config: the environment with the classifier
        :param seed: of images, scenes and gaze
        :param cache: folder of finished ones; None to neither look for them nor keep it
        :param checkpoint: called at intervals and at the end
        """
        if self.key is None:
            training = [self.n_episodes, self.batch_size, self.handover, self.settings]
            self.key = pretraining_key(config, self.gaze, training, seed)
        if self.n_done >= self.n_episodes:
            return
        if cache is None:
            self._train(fitter, config, seed, checkpoint)
        else:
            self._find_or_train(fitter, config, seed, checkpoint, cache)
        checkpoint()

    def _find_or_train(
        self,
        fitter: Fitter,
        config: GlimpseConfig,
        seed: int,
        checkpoint: Callable[[], None],
        cache: Path,
    ) -> None:
        cache.mkdir(parents=True, exist_ok=True)
        file, lock = cache / f"{self.key}.pt", cache / f"{self.key}.lock"
        try:
            with FileLock(lock):  # parallel trainings make it once
                if file.exists():
                    print(f"the classifier was trained before with these settings: {file}")
                    recall(file, fitter)
                    self.n_done = self.n_episodes
                else:
                    self._train(fitter, config, seed, checkpoint)
                    optimizer = fitter.optimizer.state_dict()
                    fitter.classifier.save(file, **self.state(), optimizer=optimizer)
                    print(f"the classifier after its pretraining is kept as {file}")
        finally:
            lock.unlink(missing_ok=True)  # whoever waits for it still finds the file

    def _train(
        self, fitter: Fitter, config: GlimpseConfig, seed: int, checkpoint: Callable[[], None]
    ) -> None:
        last, draws = time.monotonic(), [seed, PRETRAINING_DRAWS, self.n_done]
        fitter.rng = np.random.default_rng(draws)
        for n_done in pretrain(
            fitter,
            config,
            self.gaze,
            self.n_episodes,
            begun=self.n_done,
            batch_size=self.batch_size,
            scales=(1.0, self.handover),
            seed=draws,
        ):
            self.n_done = n_done
            if time.monotonic() - last >= self.INTERVAL:
                checkpoint()
                last = time.monotonic()
        self.n_done = self.n_episodes
