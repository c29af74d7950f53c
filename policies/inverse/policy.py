"""The policy of inverse action modelling, for PPO and for the enumeration of actions alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import nn

from glimpse_envs.boxview import BoxView
from policies.actions.hybrid import EACH, HybridDistribution
from policies.extractors.attention import GatedMLP
from policies.hybrid_policies import HybridPolicyMixin
from policies.inverse.network import SiameseExtractor, VisualExtractor
from policies.ranges import checks_arguments


class Branches(NamedTuple):
    """What the S = 2 branches say, that of ``before`` first (a network with one has S = 1).

    :ivar logits: of the types, float32 (S, B, K)
    :ivar means: of the parameters of all types, normalised, float32 (S, B, K)
    """

    logits: th.Tensor
    means: th.Tensor


_GATES = {"parameters": {"type": EACH}}

_GAIN = 4.0
"""First weight of a parameter's size among the logits of the types."""


class SiameseHeads(nn.Module):
    """A head for the type and one for the parameters, the same on both branches.

    The head of parameters reads both codes, its own first. The head of types reads the sizes of the
    parameters, too: where rewards have taught them, a type that has changed nothing has none. The
    branch of ``after`` tells the way back. Together they say the mean of what the one tells and of
    what undoes what the other tells: the same type, the negated parameter. Where there is one
    branch, it speaks alone.

    :param dim: size D of a branch's code
    :param n_types: number K of types
    :param parts: of the actions, in the order of their columns
    :cvar n_branches: number S
    """

    n_branches: ClassVar[int] = 2

    def __init__(
        self, dim: int, n_types: int, parts: Sequence[str] = ("parameters", "type")
    ) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.types, self.sizes = nn.Linear(dim, n_types), nn.Linear(n_types, n_types, bias=False)
        with th.no_grad():  # at first the type that has changed most
            self.sizes.weight.copy_(_GAIN * th.eye(n_types))
        # an angle between two images is a product of what is pooled of each
        self.numbers = nn.Sequential(
            nn.Linear(self.n_branches * dim, dim), GatedMLP(dim, dim), nn.Linear(dim, n_types)
        )

    def codes(self, features: th.Tensor) -> th.Tensor:
        """Return the branches' codes, float32 (2, B, D).

        :param features: float32 (B, 2 D)
        """
        return th.stack(features.chunk(2, dim=1))

    def branches(self, features: th.Tensor) -> Branches:
        """Return what each branch says.

        :param features: all branches' codes side by side
        """
        codes = self.codes(features)
        own_first = th.cat([codes.roll(-i, dims=0) for i in range(self.n_branches)], dim=2)
        means = self.numbers(own_first)
        return Branches(self.types(codes) + self.sizes(means.detach().abs()), means)

    def forward(self, features: th.Tensor) -> th.Tensor:
        """Return what they say together, means and logits, part by part, float32 (B, 2 K).

        :param features: all branches' codes side by side
        """
        return self.together(self.branches(features))

    def together(self, branches: Branches) -> th.Tensor:
        """Return what branches say together, means and logits, part by part, float32 (B, 2 K).

        :param branches: what each says
        """
        logits, means = branches
        forward = means[0] if len(means) == 1 else 0.5 * (means[0] - means[1])
        together = {"type": logits.mean(dim=0), "parameters": forward}
        return th.cat([together[name] for name in self.parts], dim=1)


class SiameseDistribution(HybridDistribution):
    """A type, and the parameter of that type alone, in one log-probability and one entropy.

    :cvar heads_class: what gives their parameters
    """

    heads_class: ClassVar[type[SiameseHeads]] = SiameseHeads

    def proba_distribution_net(
        self, latent_dim: int, log_std_init: float = 0.0
    ) -> tuple[nn.Module, nn.Parameter]:
        """Return the heads, and the logarithm of the deviations, float32 (K,).

        :param latent_dim: S D
        :param log_std_init: the first of these logarithms
        """
        dim = latent_dim // self.heads_class.n_branches
        heads = self.heads_class(dim, self.n_continuous, tuple(self.parts))
        return heads, self.make_log_std(log_std_init)


class SiamesePolicy(HybridPolicyMixin, ActorCriticPolicy):
    """Policy of inverse environments.

    :param args: observation space, action space, learning rate schedule, as for SB3's policies
    :param features_extractor_class: gives two codes side by side
    :param kwargs: as for SB3's policies; ``net_arch`` is empty: what stands between the codes and
        the heads is in the extractor
    :cvar distribution_class: of the actions
    :raises ValueError: for another action space
    """

    distribution_class: ClassVar[type[SiameseDistribution]] = SiameseDistribution

    @checks_arguments
    def __init__(
        self,
        *args: Any,
        features_extractor_class: type[BaseFeaturesExtractor] = SiameseExtractor,
        **kwargs: Any,
    ) -> None:
        # SB3 saves both, and gives them again
        if kwargs.pop("net_arch", None):
            raise ValueError(
                "got net_arch; wanted none: what stands between images and heads is set by "
                "features_extractor_kwargs (dim, blocks)"
            )
        if kwargs.pop("gates", None) not in (None, _GATES):
            raise ValueError(f"got gates; wanted none: they are {_GATES}")
        space = args[1] if len(args) > 1 else kwargs["action_space"]
        check_actions(space)
        super().__init__(
            *args,
            features_extractor_class=features_extractor_class,
            gates=_GATES,
            net_arch=[],
            **{"ortho_init": False, **kwargs},  # SB3's would shut the heads off from the codes
        )

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        """Return a new features extractor, which knows whether SB3 normalises images for it."""
        kwargs = dict(self.features_extractor_kwargs)
        if issubclass(self.features_extractor_class, VisualExtractor):
            kwargs.setdefault("normalize_images", self.normalize_images)
        return self.features_extractor_class(self.observation_space, **kwargs)

    def make_action_distribution(self) -> Distribution:
        """Return the distribution of type and parameter."""
        return self.distribution_class(
            self.action_space,
            gates=self.gates,
            entropy_weights=self.entropy_weights,
            continuous=self.continuous,
        )

    def branches(self, observations: PyTorchObs) -> Branches:
        """Return what the branches say, with gradients.

        :param observations: tensors by key, as SB3's policies take them
        """
        # that of ActorCriticPolicy gives the critic's, too, where they are not shared
        features = BasePolicy.extract_features(self, observations, self.pi_features_extractor)
        return self.action_net.branches(features)

    def distribution_of(self, branches: Branches) -> Distribution:
        """Return the distribution of the actions that branches tell together.

        :param branches: what each says
        """
        return self.action_dist.proba_distribution(self.action_net.together(branches), self.log_std)


def check_actions(space: spaces.Space) -> None:
    """Check that actions are those of an inverse environment.

    :raises ValueError: if not
    """
    shown = space.shown.spaces if isinstance(space, BoxView) else {}
    kind, parameters = shown.get("type"), shown.get("parameters")
    if not (isinstance(kind, spaces.Discrete) and isinstance(parameters, spaces.Box)):
        raise ValueError(
            f"got actions {space}; wanted those of an inverse environment, 'type' and "
            "'parameters', as InverseVecEnv shows them"
        )
