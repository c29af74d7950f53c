"""Training a classifier beside an agent that any library, or a loop of one's own, trains."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.components import resolve
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import GlimpseCore, Sequences
from glimpse_envs.strategies import ScriptedGaze
from policies.classifier.cache import ClassifierCache
from policies.classifier.calibration import calibrate
from policies.classifier.model import TorchClassifier
from policies.classifier.pretraining import ROLLOUT_DRAWS, Pretraining
from policies.classifier.replay import Collector, SequenceStore, join
from policies.classifier.schedule import UpdateSchedule
from policies.classifier.trainer import Fit, Fitter, check_arguments
from policies.classifier.validation import scripted_validation_episodes, validation_episodes
from policies.limits import check_memory
from policies.ranges import argument_types, checked, checks_arguments

#: validation episodes, at most, that the belief is calibrated on
N_CALIBRATION = 1000


class CoTraining:
    """Trains the ``TorchClassifier`` of environments while an agent learns in them.

    First, before the agent's first rollout, on a scripted gaze (the pretraining: from nothing,
    agent and classifier have nothing to learn from each other). Then between rollouts on the
    agent's own episodes, mixed with some along the pretraining's gaze: alone, classifier and
    saccader narrow each other until both are stuck on one spot. The learning rate falls linearly to
    a share of itself over the pretraining, and on to 0 over the agent's training. The belief is
    calibrated on validation images after the pretraining, and after each tenth of the agent's
    training.

    It knows no library of reinforcement learning. In a loop that learns from rollouts, for a vector
    ``envs`` of Gymnasium that has been reset::

        cotraining = CoTraining(pretraining=200_000, gaze="Uniform")
        observation = cotraining.begin([envs.unwrapped.core], seed=0, total_timesteps=total)
        while timesteps < total:
            ...  # a rollout from this observation
            observation = cotraining.update(timesteps, agent)
            ...  # the agent's own update
        cotraining.end()

    The observations that it returns hold what the changed classifier reads; the agent acts on them
    next, in the place of the last ones of ``envs``.

    :param pretraining: episodes before the agent's training, each used once
    :param gaze: of the pretraining and of the mixed-in episodes: a
        :class:`~glimpse_envs.strategies.ScriptedGaze` as an object, a name or a dict
    :param epochs: how often each of the agent's episodes is used, on average
    :param random_share: share of a batch that follows ``gaze``, in [0, 1)
    :param capacity: newest episodes of the agent that are kept to draw from
    :param batch_size: episodes of one update
    :param handover: share of the learning rate that is left when the agent's training begins
    :param frozen: train in the pretraining alone, with a learning rate that falls to 0
    :param fit: arguments of :class:`~policies.classifier.trainer.Fitter`, such as
        ``learning_rate``
    :ivar fits: what each update of the last :meth:`update` saw
    """

    @checks_arguments
    def __init__(
        self,
        *,
        pretraining: int = 50_000,
        gaze: Any = "Walk",
        epochs: float = 1.0,
        random_share: float = 0.25,
        capacity: int = 20_000,
        batch_size: int = 256,
        handover: float = 0.3,
        frozen: bool = False,
        **fit: Any,
    ) -> None:
        super().__init__()  # of what is mixed with it, such as a callback
        check_arguments(fit)
        fit = checked(fit, argument_types(Fitter), f"{type(self).__name__}: ")
        if (
            not 0.0 <= random_share < 1.0
            or epochs < 0.0
            or batch_size < 2
            or not 0 <= pretraining < 1e12
        ):
            raise ValueError(
                f"got pretraining={pretraining}, epochs={epochs}, random_share={random_share}, "
                f"batch_size={batch_size}; wanted at least 0, 0, a share in [0, 1) and 2"
            )
        self.gaze = resolve(gaze, ScriptedGaze)
        self.epochs, self.random_share = epochs, random_share
        self.batch_size, self.frozen, self.fit = batch_size, frozen, fit
        self.handover = 0.0 if frozen else handover
        self.pretraining = Pretraining(
            int(pretraining), self.gaze, batch_size, self.handover, settings=fit
        )
        self.store = SequenceStore(capacity)
        self.fitter: Fitter | None = None
        self.fits: list[Fit] = []
        #: what is trained, from ``begin`` on
        self.cores: list[GlimpseCore] = []
        #: of the updates between rollouts; None where there are none
        self.schedule: UpdateSchedule | None = None
        #: folder of finished pretrainings, which the same settings find again. What was restored is
        #: not kept there: it may be a stranger's
        self.cache: Path | None = None
        self._restored_optimizer: dict[str, Any] | None = None

    def state(self) -> dict[str, Any]:
        """Return what a resumed training needs beside the classifier's weights."""
        optimizer = self._restored_optimizer
        if self.fitter is not None:
            optimizer = self.fitter.optimizer.state_dict()
        return {**self.pretraining.state(), "optimizer": optimizer}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state when training begins.

        :param state: what :meth:`state` gave
        :raises ValueError: for what is none
        """
        self.pretraining.restore(state)
        self._restored_optimizer = state.get("optimizer")

    def check(self, cores: Sequence[GlimpseCore]) -> None:
        """Raise a ValueError where environments cannot be trained in.

        :param cores: their simulations
        """
        self._shared_classifier(cores)
        self._check_memory(cores[0].config)

    def begin(
        self,
        cores: Sequence[GlimpseCore],
        *,
        seed: int,
        total_timesteps: int,
        timesteps: int = 0,
        checkpoint: Callable[[], Any] = lambda: None,
    ) -> dict[str, NDArray]:
        """Pretrain if that is not done, and collect the agent's episodes from now on.

        :param cores: simulations of the environments, which were reset: ``envs.unwrapped.core`` of
            Gymnasium's vectors, ``env.core`` of a ``GlimpseVecEnv``
        :param seed: of all draws
        :param total_timesteps: of the agent's training, over which the learning rate falls to 0
        :param timesteps: of the agent, done before
        :param checkpoint: called at intervals in the pretraining, so that a kill loses little
        :return: the observation of all lanes, (B, ...) each
        :raises ValueError: for environments that do not share a ``TorchClassifier``, or that were
            not reset, and for numbers of timesteps out of range
        """
        self.check(cores)
        if total_timesteps < 1 or timesteps < 0:
            raise ValueError(
                f"got total_timesteps={total_timesteps} and timesteps={timesteps}; wanted at least "
                "1, and those done before"
            )
        if any((core.episodes < 0).any() for core in cores):
            raise ValueError("no episode was begun: call reset() of the environments first")
        self.cores, classifier = list(cores), cores[0].config.classifier
        config = cores[0].config
        self.fitter = self._make_fitter(classifier)
        cache = None if self.cache is None else ClassifierCache(self.cache)
        self.pretraining.run(self.fitter, config, seed, cache=cache, checkpoint=checkpoint)
        # the same draws, whether the pretraining was made just now or found
        draws = [seed, ROLLOUT_DRAWS, timesteps]
        self.fitter.rng = np.random.default_rng(draws)
        classifier.bfloat16 = self.fitter.bfloat16
        observation = self.refresh()
        self.fits, self.schedule = [], None
        if self.frozen or not self.epochs:
            return observation
        n_own = max(1, round(self.batch_size * (1.0 - self.random_share)))
        self.schedule = UpdateSchedule(self.epochs, n_own, self.handover, self.store.total)
        self.rng = np.random.default_rng([seed, timesteps])
        self.collector = Collector(config, self.gaze, draws)
        self._timesteps, self._total_timesteps = timesteps, total_timesteps
        for core in self.cores:
            core.record(self.store.add)
        return observation

    def update(self, timesteps: int, agent: Any = None) -> dict[str, NDArray]:
        """Make the updates that the agent's episodes since the last call ask for.

        To be called after every rollout.

        :param timesteps: of the agent, done by now
        :param agent: whose gaze shows the validation images of the calibration, with the method
            ``predict`` of a model of Stable-Baselines3: see
            :class:`~policies.function_agent.FunctionAgent`; None for the scripted gaze
        :return: the observation of all lanes as the classifier reads it now, (B, ...) each
        :raises ValueError: before :meth:`begin`
        """
        if not self.cores:
            raise ValueError("got update() before begin(), which says what is trained and how long")
        self.fits = []
        if self.schedule is None:
            return self._observation()
        # as it was when the rollout began
        self.schedule.begin_rollout(self._timesteps / self._total_timesteps)
        scale, n_updates = self.schedule.scale, self.schedule.take(self.store.total)
        self.fits = [self.fitter.update(self._batch(), scale) for _ in range(n_updates)]
        tenths = [10 * done // self._total_timesteps for done in (self._timesteps, timesteps)]
        self._timesteps = timesteps
        if tenths[0] != tenths[1]:
            calibrate(self.fitter.classifier, self._validation_episodes(agent))
        elif not self.fits:
            return self._observation()
        return self.refresh()

    def end(self) -> None:
        """Collect no more episodes, and read exactly again."""
        if self.fitter is None:  # it has not begun
            return
        self.fitter.classifier.bfloat16 = False
        for core in self.cores:
            core.record(None)  # what is played from now on is no training

    def refresh(self) -> dict[str, NDArray]:
        """Let the classifier read the running episodes anew, and return what it reads."""
        return joined([core.refresh() for core in self.cores])

    def _observation(self) -> dict[str, NDArray]:
        return joined([core.observation() for core in self.cores])

    def _validation_episodes(self, agent: Any) -> Sequences:
        config, seed = self.cores[0].config, self._timesteps
        if agent is None:
            return scripted_validation_episodes(config, self.gaze, N_CALIBRATION, seed)
        return validation_episodes(agent, config, N_CALIBRATION, seed)

    def _make_fitter(self, classifier: TorchClassifier) -> Fitter:
        """Return what trains the classifier, with the optimiser's state of before."""
        if self.fitter is not None and self.fitter.classifier is classifier:
            return self.fitter
        fitter = Fitter(classifier, **self.fit)
        if self._restored_optimizer:
            fitter.optimizer.load_state_dict(self._restored_optimizer)
            self._restored_optimizer = None
        return fitter

    def _batch(self) -> Sequences:
        """Return the agent's own episodes for one update, and those along the scripted gaze."""
        n_own = self.schedule.n_own
        own = self.store.sample(n_own, self.rng)
        if n_own == self.batch_size:
            return own
        return join([own, self.collector.collect(self.batch_size - n_own)])

    def _shared_classifier(self, cores: Sequence[GlimpseCore]) -> None:
        classifier = cores[0].config.classifier
        shared = all(core.config.classifier is classifier for core in cores)
        if not isinstance(classifier, TorchClassifier) or not shared:
            raise ValueError(
                f"{type(self).__name__} got environments with classifier {classifier!r}; wanted "
                "one TorchClassifier that all share: classifier={'type': 'canvas'} with "
                "gymnasium.make_vec or GlimpseVecEnv, or no co-training"
            )

    def _check_memory(self, config: GlimpseConfig) -> None:
        """Raise a ValueError where the episodes that are kept need more memory than there is."""
        glimpse = math.prod(config.sensor.glimpse_shape(config.shape[2]))
        episode = config.budget * (glimpse + 12)
        n_episodes = max(self.store.capacity, self.batch_size)
        check_memory(
            n_episodes * episode,
            f"{n_episodes:,} episodes of {config.budget:,} glimpses",
            f"take a smaller capacity or batch_size of {type(self).__name__}",
        )


def joined(observations: list[dict[str, NDArray]]) -> dict[str, NDArray]:
    """Return the observations of several simulations as those of one."""
    return {key: np.concatenate([each[key] for each in observations]) for key in observations[0]}
