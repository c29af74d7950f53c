"""Classifiers trained along a given gaze, kept by content: the same settings find them again."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.strategies import ScriptedGaze
from policies.classifier.cache import ClassifierCache, training_key
from policies.classifier.calibration import calibrate
from policies.classifier.trainer import Fitter, pretrain
from policies.classifier.validation import scripted_validation_episodes
from policies.save_timer import SaveTimer

#: what the draws of a seed are for, so that pretraining and agent never see the same episodes
PRETRAINING_DRAWS, ROLLOUT_DRAWS = 1, 2

#: validation episodes, at most, that the belief is calibrated on
_N_CALIBRATION = 5_000


class Pretraining:
    """A classifier's training before the agent's, which goes on after a kill and is made once.

    :param n_episodes: each used once
    :param gaze: of the episodes
    :param batch_size: episodes of one update
    :param handover: share of the learning rate at its end
    :param settings: of the fitter, by which a pretraining is told from others
    :ivar n_done: episodes so far
    :ivar core_seconds: of processor time that these took, in another run where they were taken from
        there; None where that is not known
    """

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
        self.core_seconds: float | None = 0.0
        self.restored = False
        self.timer = SaveTimer()

    def state(self) -> dict[str, Any]:
        """Return what a resumed training needs beside weights and optimiser."""
        return {"pretrained": self.n_done, "pretraining_core_seconds": self.core_seconds}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state, which may be a stranger's: it is not kept for other runs.

        :param state: what :meth:`state` gave
        :raises ValueError: for what is none
        """
        n_done = state.get("pretrained", 0)
        if not isinstance(n_done, int) or n_done < 0:
            raise ValueError(f"got {n_done!r} pretrained episodes; wanted a number from 0")
        self.core_seconds = _seconds(state) if n_done else 0.0
        self.n_done, self.restored = n_done, True

    def run(
        self,
        fitter: Fitter,
        config: GlimpseConfig,
        seed: int,
        *,
        cache: ClassifierCache | None,
        checkpoint: Callable[[], None],
    ) -> None:
        """Train what is left, or take what the same settings made before.

        :param fitter: of the classifier
        :param config: the environment with the classifier
        :param seed: of images, scenes and gaze
        :param cache: of finished ones; None to neither look for them nor keep it
        :param checkpoint: called at intervals and at the end
        """
        if self.n_done >= self.n_episodes:
            return
        if cache is None or self.restored:
            self._train(fitter, config, seed, checkpoint)
        else:
            self._find_or_train(fitter, config, seed, checkpoint, cache)
        checkpoint()

    def key(self, config: GlimpseConfig, seed: int) -> str:
        """Return what tells this pretraining from others, 16 hexadecimal digits.

        :param config: the environment, with the classifier as it is before its training
        :param seed: of images, scenes and gaze
        """
        training = [self.n_episodes, self.batch_size, self.handover, self.settings]
        return training_key(config, self.gaze, training, seed)

    def _find_or_train(
        self,
        fitter: Fitter,
        config: GlimpseConfig,
        seed: int,
        checkpoint: Callable[[], None],
        cache: ClassifierCache,
    ) -> None:
        key = self.key(config, seed)
        file = cache.file(key)
        with cache.alone(key) as writable:
            if (kept := cache.recall(file, key, fitter)) is not None:
                print(f"the classifier was trained before with these settings: {file}")
                self.n_done, self.core_seconds = self.n_episodes, _seconds(kept)
                return
            self._train(fitter, config, seed, checkpoint)
            if writable and cache.keep(
                file, key, fitter, pretraining_core_seconds=self.core_seconds
            ):
                print(f"the classifier after its pretraining is kept as {file}")

    def _train(
        self, fitter: Fitter, config: GlimpseConfig, seed: int, checkpoint: Callable[[], None]
    ) -> None:
        draws = [seed, PRETRAINING_DRAWS, self.n_done]
        fitter.rng = np.random.default_rng(draws)
        before, begin = self.core_seconds, time.process_time()
        self.timer.start()
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
            # it is done when it is calibrated, too: a resume repeats the last update if need be
            self.n_done = min(n_done, self.n_episodes - 1)
            if before is not None:
                self.core_seconds = before + time.process_time() - begin
            if self.timer.due():
                with self.timer.saving():
                    checkpoint()
        episodes = scripted_validation_episodes(config, self.gaze, _N_CALIBRATION, draws)
        calibrate(fitter.classifier, episodes)
        if before is not None:
            self.core_seconds = before + time.process_time() - begin
        self.n_done = self.n_episodes


def _seconds(state: dict[str, Any]) -> float | None:
    """Return the seconds that a saved state names.

    None where it names none, or what is none: that a cost is not known stops no training.
    """
    seconds = state.get("pretraining_core_seconds")
    known = isinstance(seconds, float) and math.isfinite(seconds) and seconds >= 0
    return seconds if known else None
