"""The package's action distributions, as RLlib asks for them."""

from __future__ import annotations

import copy
from typing import Any, Self

import torch as th
from gymnasium import spaces
from ray.rllib.core.distribution.distribution import Distribution as RllibDistribution
from stable_baselines3.common.distributions import Distribution

from policies import GlimpsePolicy


def action_parameters(policy: GlimpsePolicy, latent: th.Tensor) -> th.Tensor:
    """Return the parameters of a policy's action distribution, float32 (B, N).

    Deviations of continuous actions, which do not depend on the state, are the last of them.

    :param policy: whose head gives them
    :param latent: code of its actor, float32 (B, F)
    """
    parameters = policy.action_net(latent)
    if n_deviations(policy):
        log_std = policy.log_std.expand(len(parameters), -1)
        parameters = th.cat([parameters, log_std], dim=1)
    return parameters


def n_deviations(policy: GlimpsePolicy) -> int:
    """Return how many of the parameters are logarithms of deviations."""
    return len(policy.log_std) if hasattr(policy, "log_std") else 0


def distribution_of(policy: GlimpsePolicy) -> type[GlimpseDistribution]:
    """Return the class that RLlib makes of a policy's parameters."""

    class PolicyDistribution(GlimpseDistribution):
        maker, deviations = policy.action_dist, n_deviations(policy)

    return PolicyDistribution


class GlimpseDistribution(RllibDistribution):
    """A distribution of Stable-Baselines3's kind over (B, ...) or (B, T, ...) actions.

    :param parameters: float32 (..., N), of :func:`action_parameters`
    :param greedy: sample the mode
    :cvar maker: the distribution without its parameters
    :cvar deviations: how many of the last parameters are logarithms of deviations
    """

    maker: Distribution
    deviations: int

    def __init__(self, parameters: th.Tensor, *, greedy: bool = False) -> None:
        super().__init__()
        self.parameters, self.greedy = parameters, greedy
        self.lead = parameters.shape[:-1]
        rows = parameters.reshape(-1, parameters.shape[-1])
        self.inner = copy.copy(self.maker)
        if self.deviations:
            means, log_std = rows.tensor_split([rows.shape[1] - self.deviations], dim=1)
            self.inner.proba_distribution(means, log_std)
        else:
            self.inner.proba_distribution(rows)

    @classmethod
    def from_logits(cls, logits: th.Tensor, **kwargs: Any) -> Self:
        """Return the distribution of these parameters."""
        return cls(logits)

    @staticmethod
    def required_input_dim(space: spaces.Space, **kwargs: Any) -> int:
        """Raise an error: the policy of a module knows it."""
        raise NotImplementedError("the number of parameters is that of action_parameters' output")

    def sample(self, *, sample_shape: Any = None, **kwargs: Any) -> th.Tensor:
        """Return one action of each row; no further ``sample_shape`` is known."""
        if sample_shape:
            raise ValueError(f"got sample_shape={sample_shape}; wanted none")
        actions = self.inner.mode() if self.greedy else self.inner.sample()
        return actions.reshape(*self.lead, *actions.shape[1:])

    def rsample(self, **kwargs: Any) -> th.Tensor:
        """Raise an error: PPO needs no gradients through samples."""
        raise NotImplementedError("samples of decisions have no gradients")

    def logp(self, value: th.Tensor, **kwargs: Any) -> th.Tensor:
        """Return the log-probabilities, float32 (...)."""
        rows = value.reshape(-1, *value.shape[len(self.lead) :])
        return self.inner.log_prob(rows).reshape(self.lead)

    def entropy(self, **kwargs: Any) -> th.Tensor:
        """Return the entropies, float32 (...), nats."""
        return self.inner.entropy().reshape(self.lead)

    def kl(self, other: RllibDistribution, **kwargs: Any) -> th.Tensor:
        """Raise an error: the algorithm's clipping stands in the place of a KL penalty."""
        raise NotImplementedError("these actions have no KL divergence: leave use_kl_loss=False")

    def to_deterministic(self) -> Self:
        """Return the distribution whose sample is the mode."""
        return type(self)(self.parameters, greedy=True)
