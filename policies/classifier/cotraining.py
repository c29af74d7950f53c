"""Training the classifier beside an agent of Stable-Baselines3."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from glimpse_envs.core import GlimpseCore
from policies.classifier.joint_training import CoTraining, joined
from policies.classifier.trainer import Fit, by_glimpse
from policies.classifier.validation import plays_as_shown
from policies.classifier.wrapped_rows import ReadAnew
from policies.minibatches import check_minibatches


class CoTrainingCallback(CoTraining, BaseCallback):
    """Train the environment's ``TorchClassifier`` while the agent learns.

    :class:`~policies.classifier.joint_training.CoTraining` in the hooks of Stable-Baselines3, with
    its arguments: pretraining, updates between rollouts, calibration. After an update all running
    episodes are read anew. The belief is calibrated on the agent's own episodes with validation
    images; under wrappers that change what the agent sees, on episodes along ``gaze``.

    The gradient is that of a ``Fitter``; the algorithm is left as it is.
    """

    #: called with the model at intervals in the pretraining, so that a kill loses little
    checkpoint: Callable[[Any], None] = staticmethod(lambda model: None)

    def _init_callback(self) -> None:
        self.check(cores_of(self.training_env))
        check_minibatches(self.model)

    def _on_training_start(self) -> None:
        cores, model = cores_of(self.training_env), self.model
        shown = joined([core.observation() for core in cores])
        self.read_anew = ReadAnew(self.training_env, model._last_obs, shown)
        cores[0].config.classifier.to(model.device)
        self.begin(
            cores,
            seed=int(model.seed or 0),
            total_timesteps=model._total_timesteps,
            timesteps=model.num_timesteps,
            checkpoint=partial(self.checkpoint, model),
        )

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        agent = self.model if plays_as_shown(self.training_env) else None
        self.update(self.model.num_timesteps, agent)
        if self.fits:
            self._report(self.fits)

    def _on_training_end(self) -> None:
        self.end()  # rl_zoo3 calls this, too, when training could not begin

    def refresh(self) -> dict[str, NDArray]:
        """Let the classifier read the running episodes anew, for the agent's next steps."""
        rows = super().refresh()
        self.read_anew.put(self.model._last_obs, rows)
        return rows

    def _report(self, fits: list[Fit]) -> None:
        right, read = sum(fit.right for fit in fits), sum(fit.read for fit in fits)
        self.logger.record("classifier/loss", np.mean([fit.loss for fit in fits]))
        self.logger.record("classifier/accuracy", right.sum() / read.sum())
        self.logger.record("classifier/updates", len(fits))
        shown = by_glimpse(right, read)
        self.logger.record("classifier/by_glimpse", shown, exclude=("csv", "tensorboard"))


def cores_of(env: Any) -> list[GlimpseCore]:
    """Return the simulations behind a vector environment, each once.

    :raises ValueError: for environments that have none
    """
    try:
        cores = env.get_attr("core")
    except AttributeError as error:
        raise ValueError(f"this callback needs glimpse environments, got {env}") from error
    return list({id(core): core for core in cores}.values())
