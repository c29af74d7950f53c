"""Training for continuous actions that the network decides without a probability."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.callbacks import BaseCallback

from policies.actions.hybrid import HybridDistribution
from policies.ranges import checks_arguments


class CACLA(BaseCallback):
    """Train the ``Box`` parts of a hybrid policy with ``continuous="deterministic"``.

    Such parts have no log-probability, so PPO's loss has no gradient for them. Between rollouts
    they are drawn towards what was tried and turned out better than expected: where the advantage
    is positive and the part counted, the squared distance between its mean and the action (mean
    plus exploration noise) is lowered (van Hasselt and Wiering 2007, "CACLA": the sign of the
    advantage alone matters, since its size says nothing about how far to move). The policy's own
    optimiser makes the steps; the algorithm is left as it is.

    :param epochs: passes over the rollout
    :param weight: factor of the loss
    """

    @checks_arguments
    def __init__(self, epochs: int = 2, weight: float = 1.0) -> None:
        super().__init__()
        if epochs < 1 or weight <= 0.0:
            raise ValueError(f"got epochs={epochs}, weight={weight}; wanted at least 1, above 0")
        self.epochs, self.weight = int(epochs), weight

    def _init_callback(self) -> None:
        distribution = self.model.policy.action_dist
        if (
            not isinstance(distribution, HybridDistribution)
            or distribution.continuous != "deterministic"
        ):
            raise ValueError(
                f"CACLA got a policy whose actions are {type(distribution).__name__}; "
                "wanted Dict actions with continuous parts that are deterministic: give the policy "
                "continuous='deterministic'; Gaussian parts need no such callback"
            )

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        model = self.model
        model.policy.set_training_mode(True)
        losses = []
        for _ in range(self.epochs):
            for batch in model.rollout_buffer.get(getattr(model, "batch_size", None)):
                loss = self.weight * cacla_loss(model.policy, batch)
                model.policy.optimizer.zero_grad()
                loss.backward()
                th.nn.utils.clip_grad_norm_(model.policy.parameters(), model.max_grad_norm)
                model.policy.optimizer.step()
                losses.append(loss.item())
        self.logger.record("train/cacla_loss", np.mean(losses))


def cacla_loss(policy: Any, batch: Any) -> th.Tensor:
    """Mean squared distance to the actions that turned out well, see the callback.

    :param policy: with a hybrid distribution
    :param batch: of a rollout buffer, recurrent or not
    :return: scalar
    """
    if isinstance(policy, RecurrentActorCriticPolicy):
        distribution, _ = policy.get_distribution(
            batch.observations, batch.lstm_states.pi, batch.episode_starts
        )
        counts = batch.mask > 1e-8  # rows that are no padding
    else:
        distribution = policy.get_distribution(batch.observations)
        counts = th.ones_like(batch.advantages, dtype=th.bool)
    better = counts & (batch.advantages > 0.0)
    opened = distribution.opened(batch.actions)
    total = batch.actions.new_zeros(())
    for part in distribution.boxes():
        mean = distribution.components[part.name].mean
        distances = (batch.actions[:, part.columns] - mean).square()
        distance = distribution.counted(part.name, distances, batch.actions)
        chosen = better & opened[part.name] if part.name in opened else better
        total = total + th.where(chosen, distance, 0.0).sum()
    return total / counts.sum()
