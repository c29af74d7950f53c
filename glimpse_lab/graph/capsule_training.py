"""How a capsule trains its classifier: with the parts of the co-training of policies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import Sequences
from glimpse_envs.data.directory import data_directory
from glimpse_lab.graph.errors import GraphError
from glimpse_lab.graph.models import ModelModule
from policies.classifier.cache import ClassifierCache
from policies.classifier.calibration import calibrate
from policies.classifier.joint_training import N_CALIBRATION, CoTraining
from policies.classifier.model import TorchClassifier
from policies.classifier.pretraining import ROLLOUT_DRAWS
from policies.classifier.replay import Collector, SequenceStore, join
from policies.classifier.schedule import UpdateSchedule
from policies.classifier.trainer import Fit
from policies.classifier.validation import scripted_validation_episodes


class CapsuleTraining:
    """Collects episodes and trains a classifier on them; shared by all copies of a capsule.

    :param threshold: new episodes that ask for a fit
    :param settings: see :class:`~glimpse_lab.graph.capsule.BatchCapsule`
    """

    def __init__(self, threshold: int, settings: dict[str, Any]) -> None:
        if not isinstance(threshold, int) or threshold < 1:
            raise GraphError(
                f"got BatchCapsule(threshold={threshold!r}); wanted at least 1 episode"
            )
        self.threshold = threshold
        self.parts = CoTraining(**settings)  # which checks them, and makes store and gaze
        self.fits: list[Fit] = []
        self._validation: Callable[[int], Sequences] | None = None
        self._begin()

    def _begin(self) -> None:
        """Begin with no episodes."""
        self.parts.store = SequenceStore(self.parts.store.capacity)
        self._waiting, self._total = 0, np.inf
        self._before = 0  # episodes that were no training: those of environments alone
        self._finished = 0  # all episodes when the training before had ended
        self._progress = 0.0  # share of the training, at the last fit
        self._calibrated = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def bind(self, model: ModelModule, config: GlimpseConfig | None, seed: int) -> None:
        """Take the network, once it is made; episodes of a graph before, maybe longer, are dropped.

        :param model: that is trained
        :param config: of episodes along a scripted gaze; None where there are none, which is for
            networks that are no classifiers of glimpses
        :param seed: of all draws
        """
        self._begin()
        parts, self.seed = self.parts, seed
        self.rng = np.random.default_rng([seed, 0])
        self.glimpses = isinstance(model.network, TorchClassifier)
        self.network = model.network
        self.fitter = model.start_fitting(parts.fit, seed)
        self.config = None if config is None else replace(config, classifier=model.network)
        n_own = parts.batch_size
        self.collector: Collector | None = None
        if self.config is not None:
            n_own = max(1, round(parts.batch_size * (1.0 - parts.random_share)))
        self.schedule = UpdateSchedule(parts.epochs, n_own, parts.handover)

    def prepare(self, n_episodes: float, validation: Callable[[int], Sequences] | None) -> None:
        """Pretrain if that is wanted and was not done, and plan the training.

        :param n_episodes: that are to come, over which the learning rate falls to 0; it begins
            where it would be if the episodes of trainings before had been planned with them
        :param validation: see :class:`~glimpse_lab.graph.capsule.BatchCapsule`
        """
        parts = self.parts
        if self.glimpses:
            cache = ClassifierCache(data_directory() / "classifiers")
            parts.pretraining.run(
                self.fitter, self.config, self.seed, cache=cache, checkpoint=lambda: None
            )
            self.fitter.rng = np.random.default_rng([self.seed, ROLLOUT_DRAWS, parts.store.total])
            self.network.bfloat16 = self.fitter.bfloat16
        self._before += parts.store.total - self._finished
        self._total = parts.store.total - self._before + n_episodes
        self._validation, self._progress = validation, self._done()
        self._calibrated = int(10 * self._progress)

    def finish(self) -> None:
        """Read exactly again, after a training."""
        self._finished = self.parts.store.total
        if self.glimpses:
            self.network.bfloat16 = False

    def add(self, episodes: Sequences) -> None:
        """Store episodes, and fit if there are enough."""
        self.parts.store.add(episodes)
        self._waiting += len(episodes.labels)
        if self._waiting >= self.threshold and not self.parts.frozen:
            self._waiting = 0
            self.fit()

    def fit(self) -> None:
        """Make the updates that the episodes since the last fit ask for."""
        self.schedule.begin_rollout(self._progress)  # as it was when the first of them began
        self._progress = self._done()
        n_updates = self.schedule.take(self.parts.store.total)
        scale = self.schedule.scale
        self.fits = [self.fitter.update(self._batch(), scale) for _ in range(n_updates)]
        tenth = int(10 * self._progress)
        if self.glimpses and tenth > self._calibrated:
            self._calibrated = tenth
            calibrate(self.network, self._validation_episodes())

    def _done(self) -> float:
        """Return the share of the training that is done."""
        return (self.parts.store.total - self._before) / self._total

    def _validation_episodes(self) -> Sequences:
        if self._validation is not None:
            return self._validation(N_CALIBRATION)
        seed = [self.seed, self.parts.store.total]
        return scripted_validation_episodes(self.config, self.parts.gaze, N_CALIBRATION, seed)

    def _batch(self) -> Sequences:
        """Return stored episodes for one update, and some along the scripted gaze."""
        parts, n_own = self.parts, self.schedule.n_own
        own = parts.store.sample(n_own, self.rng)
        if n_own == parts.batch_size:
            return own
        if self.collector is None:
            draws = [self.seed, ROLLOUT_DRAWS, parts.store.total]
            self.collector = Collector(self.config, parts.gaze, draws)
        return join([own, self.collector.collect(parts.batch_size - n_own)])
