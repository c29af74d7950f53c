"""Training the classifier beside the agent: before it, between its rollouts, or both."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

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
from policies.classifier.trainer import Fit, Fitter, by_glimpse, check_arguments
from policies.classifier.validation import (
    plays_as_shown,
    scripted_validation_episodes,
    validation_episodes,
)
from policies.classifier.wrapped_rows import ReadAnew
from policies.limits import check_memory
from policies.minibatches import check_minibatches
from policies.ranges import argument_types, checked, checks_arguments

#: validation episodes, at most, that the belief is calibrated on
_N_CALIBRATION = 1000


class CoTrainingCallback(BaseCallback):
    """Train the environment's ``TorchClassifier`` while the agent learns.

    First, before the agent's first rollout, on a scripted gaze (the pretraining: from nothing,
    agent and classifier have nothing to learn from each other). Then between rollouts on the
    agent's own episodes, mixed with some along the pretraining's gaze: alone, classifier and
    saccader narrow each other until both are stuck on one spot. The learning rate falls linearly to
    a share of itself over the pretraining, and on to 0 over the agent's training. After an update
    all running episodes are read anew. The belief is calibrated on validation images after the
    pretraining, and then, on the agent's own episodes, after each tenth of its training; under
    wrappers that change what the agent sees, on episodes along ``gaze``.

    The gradient is that of a ``Fitter``; the algorithm is left as it is.

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
        super().__init__()
        check_arguments(fit)
        fit = checked(fit, argument_types(Fitter), "CoTrainingCallback: ")
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
        #: of the updates between rollouts; None where there are none
        self.schedule: UpdateSchedule | None = None
        #: called with the model at intervals in the pretraining, so that a kill loses little
        self.checkpoint: Callable[[Any], None] = lambda model: None
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
        """Go on from a saved state when training starts.

        :param state: what :meth:`state` gave
        :raises ValueError: for what is none
        """
        self.pretraining.restore(state)
        self._restored_optimizer = state.get("optimizer")

    def _init_callback(self) -> None:
        cores = cores_of(self.training_env)
        _shared_classifier(cores)
        self._check_memory(cores[0].config)
        check_minibatches(self.model)

    def _on_training_start(self) -> None:
        self.cores = cores_of(self.training_env)
        config, classifier = self.cores[0].config, _shared_classifier(self.cores)
        shown = _joined([core.observation() for core in self.cores])
        self.read_anew = ReadAnew(self.training_env, self.model._last_obs, shown)
        classifier.to(self.model.device)
        seed, n_timesteps = int(self.model.seed or 0), self.model.num_timesteps
        self.fitter = self._make_fitter(classifier)
        save = partial(self.checkpoint, self.model)
        cache = None if self.cache is None else ClassifierCache(self.cache)
        self.pretraining.run(self.fitter, config, seed, cache=cache, checkpoint=save)
        # the same draws, whether the pretraining was made just now or found
        draws = [seed, ROLLOUT_DRAWS, n_timesteps]
        self.fitter.rng = np.random.default_rng(draws)
        classifier.bfloat16 = self.fitter.bfloat16
        self._refresh()
        self.schedule = None
        if self.frozen or not self.epochs:
            return
        n_own = max(1, round(self.batch_size * (1.0 - self.random_share)))
        self.schedule = UpdateSchedule(self.epochs, n_own, self.handover, self.store.total)
        self.rng = np.random.default_rng([seed, n_timesteps])
        self.collector = Collector(config, self.gaze, draws)
        self._calibrated = 10 * n_timesteps // self.model._total_timesteps
        for core in self.cores:
            core.record(self.store.add)

    def _make_fitter(self, classifier: TorchClassifier) -> Fitter:
        """Return what trains the classifier, with the optimiser's state of before."""
        if self.fitter is not None and self.fitter.classifier is classifier:
            return self.fitter
        fitter = Fitter(classifier, **self.fit)
        if self._restored_optimizer:
            fitter.optimizer.load_state_dict(self._restored_optimizer)
            self._restored_optimizer = None
        return fitter

    def _check_memory(self, config: GlimpseConfig) -> None:
        """Raise a ValueError where the episodes that are kept need more memory than there is."""
        glimpse = math.prod(config.sensor.glimpse_shape(config.shape[2]))
        episode = config.budget * (glimpse + 12)
        n_episodes = max(self.store.capacity, self.batch_size)
        check_memory(
            n_episodes * episode,
            f"{n_episodes:,} episodes of {config.budget:,} glimpses",
            "take a smaller capacity or batch_size of CoTrainingCallback",
        )

    def _on_rollout_start(self) -> None:
        if self.schedule is not None:
            # not SB3's own count, which is behind in the first rollout of a resume
            self.schedule.begin_rollout(self.model.num_timesteps / self.model._total_timesteps)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self.schedule is None:
            return
        scale, n_updates = self.schedule.scale, self.schedule.take(self.store.total)
        fits = [self.fitter.update(self._batch(), scale) for _ in range(n_updates)]
        calibrated = self._calibrate()
        if fits or calibrated:
            self._refresh()
        if fits:
            self._report(fits)

    def _calibrate(self) -> bool:
        """Fit the temperatures anew where another tenth of the training is done; tell whether."""
        tenth = 10 * self.model.num_timesteps // self.model._total_timesteps
        if tenth == self._calibrated:
            return False
        config, seed = self.cores[0].config, self.model.num_timesteps
        if plays_as_shown(self.training_env):
            episodes = validation_episodes(self.model, config, _N_CALIBRATION, seed)
        else:
            episodes = scripted_validation_episodes(config, self.gaze, _N_CALIBRATION, seed)
        calibrate(self.fitter.classifier, episodes)
        self._calibrated = tenth
        return True

    def _on_training_end(self) -> None:
        if self.fitter is None:  # rl_zoo3 calls this, too, when training could not begin
            return
        self.fitter.classifier.bfloat16 = False
        for core in self.cores:
            core.record(None)  # what is played from now on is no training

    def _batch(self) -> Sequences:
        """Return the agent's own episodes for one update, and those along the scripted gaze."""
        n_own = self.schedule.n_own
        own = self.store.sample(n_own, self.rng)
        if n_own == self.batch_size:
            return own
        return join([own, self.collector.collect(self.batch_size - n_own)])

    def _report(self, fits: list[Fit]) -> None:
        right, read = sum(fit.right for fit in fits), sum(fit.read for fit in fits)
        self.logger.record("classifier/loss", np.mean([fit.loss for fit in fits]))
        self.logger.record("classifier/accuracy", right.sum() / read.sum())
        self.logger.record("classifier/updates", len(fits))
        shown = by_glimpse(right, read)
        self.logger.record("classifier/by_glimpse", shown, exclude=("csv", "tensorboard"))

    def _refresh(self) -> None:
        """Let the changed classifier read the running episodes anew, for the agent's next steps."""
        rows = _joined([core.refresh() for core in self.cores])
        self.read_anew.put(self.model._last_obs, rows)


def _joined(observations: list[dict[str, NDArray]]) -> dict[str, NDArray]:
    """Return the observations of several simulations as those of one."""
    return {key: np.concatenate([each[key] for each in observations]) for key in observations[0]}


def cores_of(env: Any) -> list[GlimpseCore]:
    """Return the simulations behind a vector environment, each once.

    :raises ValueError: for environments that have none
    """
    try:
        cores = env.get_attr("core")
    except AttributeError as error:
        raise ValueError(f"this callback needs glimpse environments, got {env}") from error
    return list({id(core): core for core in cores}.values())


def _shared_classifier(cores: list[GlimpseCore]) -> TorchClassifier:
    """Return the classifier of all of them."""
    classifier = cores[0].config.classifier
    shared = all(core.config.classifier is classifier for core in cores)
    if not isinstance(classifier, TorchClassifier) or not shared:
        raise ValueError(
            f"CoTrainingCallback got environments with classifier {classifier!r}; wanted one "
            "TorchClassifier that all share: classifier={'type': 'canvas'} with GlimpseVecEnv, "
            "or drop the callback"
        )
    return classifier
