"""Callbacks of training."""

import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch as th
from sb3_contrib.common.recurrent.buffers import RecurrentDictRolloutBuffer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from policies.actor_critic import GlimpseLstmPolicy
from policies.minibatches import check_minibatches
from policies.packed_buffer import PackedRecurrentDictRolloutBuffer
from policies.save_timer import SaveTimer


class PackedSequences(BaseCallback):
    """Train RecurrentPPO without padding: the same losses, sooner.

    Puts a :class:`~policies.packed_buffer.PackedRecurrentDictRolloutBuffer` in the place of the
    model's buffer when training starts.
    """

    def _init_callback(self) -> None:
        model = self.model
        check_minibatches(model)
        stock = getattr(model, "rollout_buffer", None)
        kinds = (RecurrentDictRolloutBuffer, PackedRecurrentDictRolloutBuffer)
        if not isinstance(stock, kinds) or not isinstance(model.policy, GlimpseLstmPolicy):
            raise ValueError(
                f"PackedSequences got {type(model).__name__} with {type(model.policy).__name__}, "
                "wanted RecurrentPPO with GlimpseLstmPolicy; drop the callback or use these"
            )

    def _on_training_start(self) -> None:
        stock = self.model.rollout_buffer
        if isinstance(stock, PackedRecurrentDictRolloutBuffer):
            return
        self.model.rollout_buffer = PackedRecurrentDictRolloutBuffer(
            stock.buffer_size,
            stock.observation_space,
            stock.action_space,
            stock.hidden_state_shape,
            device=stock.device,
            gae_lambda=stock.gae_lambda,
            gamma=stock.gamma,
            n_envs=stock.n_envs,
        )

    def _on_step(self) -> bool:
        return True


class EpisodeStatistics(BaseCallback):
    """Log accuracy, glimpses, samples and coverage of the episodes that ended in each rollout.

    Recorded as ``rollout/accuracy`` and so on; ``latest`` holds the last rollout's. Where something
    moves also ``rollout/on_target``, the share of the glimpses after the first on what is followed,
    the mean over the episodes that had some; where nobody answers, the accuracy is the share of the
    episodes that ended on it.

    :param keys: what is logged instead: keys of the infos by their names
    """

    KEYS: ClassVar[Mapping[str, str]] = {
        "accuracy": "is_success",
        "n_glimpses": "n_glimpses",
        "samples": "samples",
        "coverage": "coverage",
    }
    MOVING = "on_target"
    """Key of the infos that only some environments have."""

    def __init__(self, keys: Mapping[str, str] = KEYS) -> None:
        super().__init__()
        self.keys = dict(keys)
        self.latest: dict[str, float] = {}
        self._sums: dict[str, float] = {}
        self._episodes = 0
        self._followed: list[float] = []

    def _on_rollout_start(self) -> None:
        self._sums = dict.fromkeys(self.keys, 0.0)
        self._episodes = 0
        self._followed = []

    def _on_step(self) -> bool:
        infos = self.locals["infos"]
        for lane in np.flatnonzero(self.locals["dones"]):
            self._episodes += 1
            for name, key in self.keys.items():
                self._sums[name] += infos[lane][key]
            if self.MOVING in infos[lane] and infos[lane]["n_glimpses"] > 1:
                self._followed.append(infos[lane][self.MOVING])
        return True

    def _on_rollout_end(self) -> None:
        if not self._episodes:
            return
        self.latest = {name: total / self._episodes for name, total in self._sums.items()}
        if self._followed:
            self.latest[self.MOVING] = sum(self._followed) / len(self._followed)
        for name, value in self.latest.items():
            self.logger.record(f"rollout/{name}", value)
        self.logger.record("rollout/episodes", self._episodes)


class Diverged(BaseCallback):
    """Stop after an update that made a weight of the policy no number, so that nothing saves it."""

    def _on_rollout_start(self) -> None:
        check_weights(self.model)

    def _on_training_end(self) -> None:
        check_weights(self.model)

    def _on_step(self) -> bool:
        return True


def check_weights(model: BaseAlgorithm) -> None:
    """Raise a ValueError if a weight of the policy is not finite.

    :param model: while or after it trains
    """
    for name, weight in model.policy.named_parameters():
        if not th.isfinite(weight).all():
            raise ValueError(
                f"training diverged: weight {name} of the policy is not finite at "
                f"{model.num_timesteps:,} timesteps. The last checkpoint is kept; try a smaller "
                "learning_rate, clip_range or max_grad_norm"
            )


class Progress(BaseCallback):
    """Progress bar with the numbers that matter: timesteps, accuracy, glimpses per image.

    :param statistics: the callback that computes them, called before this one
    :param told: how they are told, a format with their names
    """

    def __init__(
        self,
        statistics: EpisodeStatistics,
        told: str = "accuracy {accuracy:.3f}, glimpses {n_glimpses:.2f}",
    ) -> None:
        super().__init__()
        self.statistics, self.told = statistics, told
        self._bar: tqdm | None = None

    def _on_training_start(self) -> None:
        self._bar = tqdm(
            total=self.locals["total_timesteps"],
            initial=self.model.num_timesteps,
            desc="training",
            unit=" steps",
            unit_scale=True,
            mininterval=0.5 if sys.stderr.isatty() else 10.0,  # a log file needs fewer lines
            dynamic_ncols=True,
        )

    def _on_step(self) -> bool:
        self._bar.update(self.training_env.num_envs)
        return True

    def _on_rollout_end(self) -> None:
        if latest := self.statistics.latest:
            told = self.told.format(**latest)
            if (on_target := latest.get(EpisodeStatistics.MOVING)) is not None:
                told = f"on target {on_target:.3f}, {told}"
            self._bar.set_postfix_str(told, refresh=False)

    def _on_training_end(self) -> None:
        self.close()

    def close(self) -> None:
        """Leave the bar as it is, so that what is printed next starts on a new line."""
        if self._bar is not None:
            self._bar.close()


class Checkpoint(BaseCallback):
    """Save the model when training starts, and between updates whenever a timer says so.

    Not within a rollout: until it is learnt from, its timesteps would count for nothing, and a
    training that is killed often would come to its end without an update.

    :param save: called with the model
    :param timer: that tells when; by default the first save comes soon, and a killed training loses
        at most 20 seconds (or one rollout with its update, where that takes longer)
    """

    def __init__(self, save: Callable[[Any], None], timer: SaveTimer | None = None) -> None:
        super().__init__()
        self.save = save
        self.timer = timer or SaveTimer()

    def _on_training_start(self) -> None:
        self.save(self.model)  # so that there is something to resume from the start
        self._saved = self.model.num_timesteps
        self.timer.start()

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps > self._saved and self.timer.due():
            with self.timer.saving():
                self.save(self.model)
            self._saved = self.model.num_timesteps

    def _on_step(self) -> bool:
        return True
