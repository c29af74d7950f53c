"""Epsilon-greedy exploration: the exact mixture of a policy and uniform draws, and its schedule."""

from __future__ import annotations

import math

import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.distributions import CategoricalDistribution
from torch.nn import functional as F

from policies.actions.heads import CERTAIN
from policies.ranges import checks_arguments


class EpsilonGreedyCategorical(CategoricalDistribution):
    """Categorical whose behaviour is epsilon-greedy where ``epsilon`` is above 0.

    Probabilities are then (1 - epsilon) p + epsilon / n over the n actions that are possible. That
    is the exact distribution of what is sampled, so PPO's ratio is exact. ``greedy_logits`` stay
    those of p.

    :param action_dim: number of actions
    :ivar epsilon: share of the uniform draws, in [0, 1]; 0 until it is set
    :ivar greedy_logits: float32 (B, action_dim)
    """

    greedy_logits: th.Tensor

    def __init__(self, action_dim: int) -> None:
        super().__init__(action_dim)
        self.epsilon = 0.0

    def proba_distribution(self, action_logits: th.Tensor) -> EpsilonGreedyCategorical:
        """Return itself.

        :param action_logits: log p up to a constant, float32 (B, action_dim)
        """
        self.greedy_logits = action_logits
        if self.epsilon > 0.0:
            action_logits = mix_with_uniform(action_logits, self.epsilon)
        super().proba_distribution(action_logits)
        return self


def mix_with_uniform(logits: th.Tensor, epsilon: float) -> th.Tensor:
    """Return the logarithm of (1 - epsilon) p + epsilon / n over the possible actions.

    :param logits: log p up to a constant, float32 (B, A); an action far below any other is not
        possible
    :param epsilon: in (0, 1]
    :return: float32 (B, A), of impossible actions as it was
    """
    logits = F.log_softmax(logits, dim=1)
    possible = logits > -0.5 * CERTAIN
    n_possible = possible.sum(dim=1, keepdim=True).to(logits.dtype)
    greedy = logits + math.log1p(-epsilon) if epsilon < 1.0 else th.full_like(logits, -CERTAIN)
    mixed = th.logaddexp(greedy, math.log(epsilon) - n_possible.log())
    return th.where(possible, mixed, logits)


class EpsilonGreedy(BaseCallback):
    """Explore by epsilon-greedy with an epsilon that falls linearly, for ``GreedyMap`` actions.

    It stays the same within a rollout and the update on it, so that the ratio is exact.

    :param initial: epsilon at the beginning of training, in [0, 1]
    :param final: epsilon from ``fraction`` of the training on
    :param fraction: share of the training over which it falls, in (0, 1]
    """

    @checks_arguments
    def __init__(self, initial: float = 0.2, final: float = 0.0, fraction: float = 0.5) -> None:
        super().__init__()
        if not (0.0 <= initial <= 1.0 and 0.0 <= final <= 1.0 and 0.0 < fraction <= 1.0):
            raise ValueError(
                f"got initial={initial}, final={final}, fraction={fraction}; wanted each in "
                "[0, 1], and a fraction above 0"
            )
        self.initial, self.final, self.fraction = initial, final, fraction

    def epsilon(self, progress: float) -> float:
        """Return epsilon then.

        :param progress: share of the training that is done, in [0, 1]
        """
        fallen = min(1.0, progress / self.fraction)
        return self.initial + (self.final - self.initial) * fallen

    def _init_callback(self) -> None:
        self.distribution = self.model.policy.action_dist
        if not isinstance(self.distribution, EpsilonGreedyCategorical):
            raise ValueError(
                f"EpsilonGreedy got a policy whose actions are {type(self.distribution).__name__}; "
                "wanted GlimpsePolicy or GlimpseLstmPolicy with Discrete actions, such as those of "
                "GreedyMap; drop the callback or use these"
            )

    def _on_rollout_start(self) -> None:
        # not SB3's own count of the progress, which is behind in the first rollout
        self.distribution.epsilon = self.epsilon(
            self.model.num_timesteps / self.model._total_timesteps
        )
        self.logger.record("rollout/epsilon", self.distribution.epsilon)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self.distribution.epsilon = 0.0
