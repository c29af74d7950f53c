"""The package's action distributions, as RLlib asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch as th
from gymnasium import spaces
from ray.rllib.core.distribution.distribution import Distribution as RllibDistribution
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from torch import nn

from glimpse_envs.boxview import BoxView
from policies.actions.factored import answers_by_dict, make_factored_distribution
from policies.actions.hybrid import HybridDistribution
from policies.extractors.layers import BypassLayout


class ActionHead(nn.Module):
    """From the policy's code to the parameters of an action distribution.

    Where the agent answers, the decision is factored as in
    :class:`~policies.actions.heads.DecisionHead`; other Dict actions are hybrid, ``Box`` actions
    Gaussian with deviations that do not depend on the state.

    :param latent_dim: size of the code, without the bypass columns
    :param space: actions of one lane; a Dict seen as a ``BoxView``
    :param bypass: layout of the columns behind the code
    :param log_std: logarithm of the first deviations of continuous actions
    :ivar distribution_class: that RLlib makes of the parameters
    """

    def __init__(
        self, latent_dim: int, space: spaces.Space, bypass: BypassLayout, log_std: float
    ) -> None:
        super().__init__()
        make = _maker(space, bypass)
        self.answers = not isinstance(space, spaces.Box) or answers_by_dict(space)
        self.bypass = bypass
        dim = latent_dim + (bypass.dim if self.answers else 0)
        made = make()
        if isinstance(made, DiagGaussianDistribution | HybridDistribution):
            self.net, self.log_std = made.proba_distribution_net(dim, log_std_init=log_std)
            n_std = len(self.log_std)
        else:
            self.net, self.log_std, n_std = made.proba_distribution_net(dim), None, 0

        class SpaceDistribution(GlimpseDistribution):
            maker, n_deviations = staticmethod(make), n_std

        self.distribution_class = SpaceDistribution

    def forward(self, latent: th.Tensor, bypass: th.Tensor) -> th.Tensor:
        """Return the parameters, float32 (B, N).

        :param latent: float32 (B, latent_dim)
        :param bypass: float32 (B, bypass.dim)
        """
        parameters = self.net(th.cat([latent, bypass], dim=1) if self.answers else latent)
        if self.log_std is None:
            return parameters
        return th.cat([parameters, self.log_std.expand(len(parameters), -1)], dim=1)


class GlimpseDistribution(RllibDistribution):
    """A distribution of Stable-Baselines3's kind over (B, ...) or (B, T, ...) actions.

    :param parameters: float32 (..., N), as ``ActionHead`` gives them
    :param greedy: sample the mode
    :cvar maker: makes the distribution without its parameters
    :cvar n_deviations: how many of the last parameters are logarithms of deviations
    """

    maker: Callable[[], Distribution]
    n_deviations: int

    def __init__(self, parameters: th.Tensor, *, greedy: bool = False) -> None:
        super().__init__()
        self.parameters, self.greedy = parameters, greedy
        self.lead = parameters.shape[:-1]
        rows = parameters.reshape(-1, parameters.shape[-1])
        self.inner = self.maker()
        if self.n_deviations:
            means, log_std = rows.tensor_split([rows.shape[1] - self.n_deviations], dim=1)
            self.inner.proba_distribution(means, log_std)
        else:
            self.inner.proba_distribution(rows)

    @classmethod
    def from_logits(cls, logits: th.Tensor, **kwargs: Any) -> Self:
        """Return the distribution of these parameters."""
        return cls(logits)

    @staticmethod
    def required_input_dim(space: spaces.Space, **kwargs: Any) -> int:
        """Raise an error: the head of a module knows it."""
        raise NotImplementedError("the number of parameters is that of ActionHead's output")

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


def _maker(space: spaces.Space, bypass: BypassLayout) -> Callable[[], Distribution]:
    def make() -> Distribution:
        factored = make_factored_distribution(space, bypass=bypass)
        if factored is not None:
            return factored
        if isinstance(space, BoxView):
            return HybridDistribution(space)
        return DiagGaussianDistribution(space.shape[0])

    return make
