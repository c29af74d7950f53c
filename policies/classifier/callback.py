"""Training the classifier beside the agent: before it, between its rollouts, or both."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from stable_baselines3.common.callbacks import BaseCallback

from glimpse_envs.components import resolve
from glimpse_envs.core import GlimpseCore
from glimpse_envs.strategies import ScriptedGaze
from policies.classifier.model import TorchClassifier
from policies.classifier.pretraining import pretraining_key, recall
from policies.classifier.replay import Collector, SequenceStore, join
from policies.classifier.trainer import Fit, Fitter, by_glimpse, check_arguments, pretrain

#: what the draws of a seed are for, so that pretraining and agent never see the same episodes
_PRETRAINING, _BESIDE = 1, 2


class CoTrainingCallback(BaseCallback):
    """Train the environment's :class:`~policies.classifier.model.TorchClassifier` while the agent
    learns.

    First, before the agent's first rollout, on a scripted gaze (the pretraining: from
    nothing, agent and classifier have nothing to learn from each other). Then between rollouts on
    the agent's own episodes, mixed with some along the pretraining's gaze: alone, classifier and
    saccader narrow each other until both are stuck on one spot. The learning rate falls linearly to
    a share of itself over the pretraining, and on to 0 over the agent's training. After an update
    all running episodes are read anew.

    The gradient is that of :class:`~policies.classifier.trainer.Fitter`; the algorithm is left as
    it is.

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

    #: seconds between two calls of ``checkpoint`` in the pretraining
    INTERVAL = 20.0

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
        if not 0.0 <= random_share < 1.0 or epochs < 0.0 or pretraining < 0 or batch_size < 2:
            raise ValueError(
                f"got pretraining={pretraining}, epochs={epochs}, random_share={random_share}, "
                f"batch_size={batch_size}; wanted at least 0, 0, a share in [0, 1) and 2"
            )
        self.pretraining, self.gaze = int(pretraining), resolve(gaze, ScriptedGaze)
        self.epochs, self.random_share = epochs, random_share
        self.batch_size, self.frozen, self.fit = batch_size, frozen, fit
        self.handover = 0.0 if frozen else handover
        self.store = SequenceStore(capacity)
        self.fitter: Fitter | None = None
        self.pretrained = 0  # episodes of the pretraining so far
        #: tells this pretraining from those of other settings and first weights
        self.key: str | None = None
        #: called at intervals in the pretraining, so that a kill loses little
        self.checkpoint: Callable[[Any], None] = lambda model: None
        #: folder of finished pretrainings, which the same settings find again
        self.cache: Path | None = None
        self._restored: dict[str, Any] = {}
        self._due = 0.0
        self._counted = self._begun = 0  # episodes and timesteps when the rollout began
        self._stale = True  # the classifier has changed since the running episodes were read

    def state(self) -> dict[str, Any]:
        """Return what a resumed training needs beside the classifier's weights."""
        optimizer = self._restored.get("optimizer")
        if self.fitter is not None:
            optimizer = self.fitter.optimizer.state_dict()
        return {"pretrained": self.pretrained, "key": self.key, "optimizer": optimizer}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state when training starts.

        :param state: what :meth:`state` gave
        """
        self.pretrained = int(state.get("pretrained", 0))
        self.key = state.get("key")
        self._restored = state

    def _on_training_start(self) -> None:
        self.cores = _cores(self.training_env)
        config = self.cores[0].config
        classifier = config.classifier
        shared = all(core.config.classifier is classifier for core in self.cores)
        if not isinstance(classifier, TorchClassifier) or not shared:
            raise ValueError(
                f"CoTrainingCallback got environments with classifier {classifier!r}; wanted one "
                "TorchClassifier that all share: classifier={'type': 'canvas'} with GlimpseVecEnv, "
                "or drop the callback"
            )
        classifier.to(self.model.device)
        seed = int(self.model.seed or 0)
        if self.fitter is None or self.fitter.classifier is not classifier:
            self.fitter = Fitter(classifier, **self.fit)
        if self._restored.get("optimizer"):
            self.fitter.optimizer.load_state_dict(self._restored["optimizer"])
            self._restored = {}
        training = [self.pretraining, self.batch_size, self.handover, self.fit]
        self.key = self.key or pretraining_key(config, self.gaze, training, seed)
        self.fitter.rng = np.random.default_rng([seed, _PRETRAINING, self.pretrained])
        self._pretrain(seed)
        # the same draws, whether the pretraining was made just now or found
        self.fitter.rng = np.random.default_rng([seed, _BESIDE, self.model.num_timesteps])
        classifier.bfloat16 = self.fitter.bfloat16
        if self.frozen or not self.epochs:
            return
        self.rng = np.random.default_rng([seed, self.model.num_timesteps])
        self.collector = Collector(config, self.gaze, [seed, _BESIDE, self.model.num_timesteps])
        for core in self.cores:
            core.record(self.store.add)

    def _pretrain(self, seed: int) -> None:
        if self.pretrained >= self.pretraining:
            return
        if self.cache is None:
            self._fit_pretraining(seed, None)
            return
        file = self.cache / f"{self.key}.pt"
        self.cache.mkdir(parents=True, exist_ok=True)
        lock = self.cache / f"{self.key}.lock"
        try:
            with FileLock(lock):  # parallel trainings make it once
                if file.exists():
                    print(f"the classifier was trained before with these settings: {file}")
                    recall(file, self.fitter)
                    self.pretrained = self.pretraining
                    self.checkpoint(self.model)
                else:
                    self._fit_pretraining(seed, file)
        finally:
            lock.unlink(missing_ok=True)  # whoever waits for it still finds the file

    def _fit_pretraining(self, seed: int, file: Path | None) -> None:
        last = time.monotonic()
        begun = self.pretrained
        for seen in pretrain(
            self.fitter,
            self.cores[0].config,
            self.gaze,
            self.pretraining,
            begun=begun,
            batch_size=self.batch_size,
            scales=(1.0, self.handover),
            seed=[seed, _PRETRAINING, begun],
        ):
            self.pretrained = seen
            if time.monotonic() - last >= self.INTERVAL:
                self.checkpoint(self.model)
                last = time.monotonic()
        self.pretrained = self.pretraining
        if file is not None:
            self.fitter.classifier.save(file, **self.state())
            print(f"the classifier after its pretraining is kept as {file}")
        self.checkpoint(self.model)

    def _on_rollout_start(self) -> None:
        if self._stale:
            self._refresh()
        self._stale = False
        self._counted, self._begun = self.store.total, self.model.num_timesteps

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        if self.fitter is None:  # rl_zoo3 calls this, too, when training could not begin
            return
        self.fitter.classifier.bfloat16 = False
        for core in self.cores:
            core.record(None)  # what is played from now on is no training

    def _on_rollout_end(self) -> None:
        if self.frozen or not self.epochs or not len(self.store):
            return
        own = max(1, round(self.batch_size * (1.0 - self.random_share)))
        self._due += self.epochs * (self.store.total - self._counted) / own
        fits: list[Fit] = []
        n_updates, self._due = int(self._due), self._due % 1.0
        given = None
        if n_updates and own < self.batch_size:
            given = self.collector.collect(n_updates * (self.batch_size - own))
        for update in range(n_updates):
            batch = self.store.sample(own, self.rng)
            if given is not None:
                some = slice(*(k * (self.batch_size - own) for k in (update, update + 1)))
                batch = join([batch, type(given)(*(array[some] for array in given))])
            fits.append(self.fitter.update(batch, scale=self._scale()))
        self._stale = bool(fits)
        self._report(fits)

    def _scale(self) -> float:
        # not SB3's own count of the progress, which is behind in the first rollout of a resume
        return self.handover * max(0.0, 1.0 - self._begun / self.model._total_timesteps)

    def _report(self, fits: list[Fit]) -> None:
        if not fits:
            return
        right, read = sum(fit.right for fit in fits), sum(fit.read for fit in fits)
        self.logger.record("classifier/loss", np.mean([fit.loss for fit in fits]))
        self.logger.record("classifier/accuracy", right.sum() / read.sum())
        self.logger.record("classifier/updates", len(fits))
        self.logger.record(
            "classifier/by_glimpse", by_glimpse(right, read), exclude=("csv", "tensorboard")
        )

    def _refresh(self) -> None:
        """Let the classifier read the running episodes anew, and put that where the agent looks."""
        observations = [core.refresh() for core in self.cores]
        for key in ("belief", "classifier_features"):
            if key in observations[0]:
                rows = np.concatenate([observation[key] for observation in observations])
                self.model._last_obs[key] = rows


def _cores(env: Any) -> list[GlimpseCore]:
    """Return the simulations behind a vector environment, each once."""
    try:
        cores = env.get_attr("core")
    except AttributeError as error:
        raise ValueError(f"CoTrainingCallback needs glimpse environments, got {env}") from error
    return list({id(core): core for core in cores}.values())
