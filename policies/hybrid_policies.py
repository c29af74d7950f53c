"""Policies for the Dict actions of any environment, seen through a BoxView."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gymnasium import spaces
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import (
    BaseFeaturesExtractor,
    CombinedExtractor,
    FlattenExtractor,
)
from stable_baselines3.common.type_aliases import Schedule

from policies.actions.hybrid import HybridDistribution
from policies.lstm import lstm_arguments
from policies.minibatches import refuse_undefined_gradient
from policies.ranges import argument_types, checked, checks_arguments

#: what an algorithm asks of its policy at first, and what to do
_PARTS_OF_OTHERS = {
    "lstm_actor": "RecurrentPPO; wanted one with a memory, such as GlimpseLstmPolicy, or plain PPO",
    "q_net": "DQN; wanted MultiInputPolicy, or PPO",
    "quantile_net": "QRDQN; wanted MultiInputPolicy, or PPO",
}


class HybridPolicyMixin(ActorCriticPolicy):
    """An actor-critic policy for Dict actions, which the environment shows as a ``BoxView``.

    :param args: observation space, action space, learning rate schedule, as for SB3's policies
    :param gates: by part, the part that opens it and the values with which it does, see
        :class:`~policies.actions.hybrid.HybridDistribution`
    :param entropy_weights: by part, its weight in the entropy; 1 where it is not named
    :param continuous: ``"gaussian"`` or ``"deterministic"``, what ``Box`` parts are
    :param features_extractor_class: None for SB3's own of Dict or other observations
    :param kwargs: as for SB3's policies; ``log_std_init`` is of the continuous parts
    """

    @checks_arguments
    def __init__(
        self,
        *args: Any,
        gates: Mapping[str, Mapping[str, Any]] | None = None,
        entropy_weights: Mapping[str, float] | None = None,
        continuous: str = "gaussian",
        features_extractor_class: type[BaseFeaturesExtractor] | None = None,
        **kwargs: Any,
    ) -> None:
        for name, weight in (entropy_weights or {}).items():
            checked({"weight": weight}, {"weight": float}, f"entropy_weights of {name!r}: ")
        self.gates = gates
        self.entropy_weights = entropy_weights
        self.continuous = continuous
        if kwargs.get("use_sde"):
            raise ValueError(
                f"got use_sde=True; {type(self).__name__} has no state-dependent exploration: drop "
                "use_sde"
            )
        if features_extractor_class is None:
            observed = args[0] if args else kwargs["observation_space"]
            is_dict = isinstance(observed, spaces.Dict)
            features_extractor_class = CombinedExtractor if is_dict else FlattenExtractor
        # SB3 saves arguments of distributions that it did not make as None
        own = {k: value for k, value in kwargs.items() if k != "net_arch" and value is not None}
        kwargs |= checked(own, argument_types(type(self)), f"{type(self).__name__}: ")
        super().__init__(*args, features_extractor_class=features_extractor_class, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Say which algorithm asks for a part that this policy does not have."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name not in _PARTS_OF_OTHERS:
                raise
        raise ValueError(f"{type(self).__name__} is no policy for {_PARTS_OF_OTHERS[name]}")

    def make_action_distribution(self) -> Distribution | None:
        """Return the distribution of the actions, None for SB3's own."""
        return HybridDistribution(
            self.action_space,
            gates=self.gates,
            entropy_weights=self.entropy_weights,
            continuous=self.continuous,
        )

    def _build(self, lr_schedule: Schedule) -> None:
        """Create the networks and the optimizer.

        :param lr_schedule: learning rate schedule, lr_schedule(1) is the initial learning rate
        """
        distribution = self.make_action_distribution()
        if distribution is not None:
            self.action_dist = distribution
        super()._build(lr_schedule)

    def evaluate_actions(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Return values, log-probabilities and entropy of a minibatch, as SB3's policies do.

        :raises ValueError: in the backward pass of a single row, if its advantage is no number
        """
        values, log_prob, entropy = super().evaluate_actions(*args, **kwargs)
        refuse_undefined_gradient(log_prob)
        return values, log_prob, entropy

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data = super()._get_constructor_parameters()
        data.update(
            gates=self.gates,
            entropy_weights=self.entropy_weights,
            continuous=self.continuous,
            share_features_extractor=self.share_features_extractor,  # SB3 forgets it
        )
        return data


class HybridPolicy(HybridPolicyMixin, ActorCriticPolicy):
    """Policy for Dict actions without a memory, for PPO and A2C.

    Parameters: see :class:`HybridPolicyMixin` and SB3's ``ActorCriticPolicy``.
    """


class HybridLstmPolicy(HybridPolicyMixin, RecurrentActorCriticPolicy):
    """Policy for Dict actions with an LSTM, for RecurrentPPO.

    Parameters: see :class:`HybridPolicyMixin` and sb3-contrib's ``RecurrentActorCriticPolicy``.
    """

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {**super()._get_constructor_parameters(), **lstm_arguments(self)}
