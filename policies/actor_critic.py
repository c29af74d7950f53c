"""Actor-critic policies for glimpse environments: with an LSTM (RecurrentPPO) and without (PPO)."""

from typing import Any

import torch as th
from gymnasium import spaces
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, MlpExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from glimpse_envs.actions import GreedyMap
from glimpse_envs.boxview import BoxView
from policies.actions.factored import answers_by_dict, make_factored_distribution
from policies.actions.heads import NO_BYPASS
from policies.extractors.glimpse import GlimpseExtractor, GlimpseFeatures
from policies.extractors.layers import BesideBypass, BypassLayout
from policies.hybrid_policies import HybridPolicyMixin
from policies.lstm import LstmStates, lstm_arguments, run_packed, run_padded
from policies.ranges import checks_arguments


class BypassMlpExtractor(MlpExtractor):
    """SB3's MLPs of actor and critic behind the memory, with the bypass columns led around them.

    The actor's code ends with all bypass columns, the critic's with their summary: the value of a
    state depends on how sure the belief is and not on which class it favours.

    :param feature_dim: size of the memory's output, without the bypass columns
    :param net_arch: see :class:`~stable_baselines3.common.torch_layers.MlpExtractor`
    :param activation_fn: activation between the layers
    :param device: PyTorch device
    :param bypass: layout of the bypass columns at the end of the input
    :param to_actor: False where the action head is a stock one that has no use for them
    """

    def __init__(
        self,
        feature_dim: int,
        net_arch: list[int] | dict[str, list[int]],
        activation_fn: type[nn.Module],
        device: th.device | str = "auto",
        *,
        bypass: BypassLayout = NO_BYPASS,
        to_actor: bool = True,
    ) -> None:
        super().__init__(feature_dim, net_arch, activation_fn, device)
        self.bypass = bypass
        self.to_actor = to_actor
        self.latent_dim_pi += bypass.dim if to_actor else 0
        self.latent_dim_vf += bypass.summary_dim

    def forward_actor(self, features: th.Tensor) -> th.Tensor:
        """Return float32 (B, latent_dim_pi).

        :param features: float32 (B, feature_dim + bypass.dim)
        """
        encoded, bypass = self.bypass.split(features)
        latent = self.policy_net(encoded)
        return th.cat([latent, bypass], dim=1) if self.to_actor else latent

    def forward_critic(self, features: th.Tensor) -> th.Tensor:
        """Return float32 (B, latent_dim_vf).

        :param features: float32 (B, feature_dim + bypass.dim)
        """
        encoded, bypass = self.bypass.split(features)
        return th.cat([self.value_net(encoded), self.bypass.summary(bypass)], dim=1)


class GlimpsePolicyMixin(HybridPolicyMixin):
    """What the policies for glimpses share, over any actor-critic policy of SB3.

    Default features extractor, the factored decision where the agent answers by ``Discrete``,
    ``MultiDiscrete`` or Dict actions (other Dicts are hybrid without one, ``Box`` actions keep
    SB3's Gaussian), and the bypass columns of the extractor led to the action head and the critic.
    An extractor without an attribute ``bypass`` works too; then nothing is masked and no belief is
    used.

    Hybrid actions take ``gates``, ``entropy_weights`` and ``continuous`` as
    :class:`~policies.hybrid_policies.HybridPolicyMixin` does; where the agent answers, the gates
    are given. ``Discrete`` and ``MultiDiscrete`` actions take the entropy's weight of ``class``
    too: an agent that learns classes from reward alone is otherwise soon sure of wrong ones, and
    never tries the others again.

    :param args: observation space, action space, learning rate schedule, as for SB3's policies
    :param initial_stop_probability: probability of answering of the untrained policy. An untrained
        choice among all actions would answer at once nearly always and never learn to look.
    :param n_moves: for ``Discrete`` actions, the first so many are moves, the others are classes
    :param correct_belief: whether the class logits add a learnt correction to the classifier's
        log-belief. False where no reward tells right answers from wrong ones: the correction would
        learn from noise.
    :param action_gain: gain of the first weights of the action head for ``Box`` actions. SB3's 0.01
        lets every untrained saccade end at the middle; with 1 it ends somewhere that depends on
        what was seen.
    :param learn_std: for ``Box`` actions, whether the deviation of the Gaussian (``log_std_init``)
        is learnt, as SB3 does, or stays fixed, as in RAM
    :param mean_baseline: the critic learns one number, the mean return, whatever the state: the
        baseline of plain REINFORCE
    :param features_extractor_class: features extractor to use
    :param kwargs: ``gates``, ``entropy_weights``, ``continuous``, and those of SB3's policies
    :raises ValueError: for arguments that the actions have no use for
    """

    @checks_arguments
    def __init__(
        self,
        *args: Any,
        initial_stop_probability: float = 0.1,
        n_moves: int = GreedyMap.N_MOVES,
        correct_belief: bool = True,
        action_gain: float = 0.01,
        learn_std: bool = True,
        mean_baseline: bool = False,
        features_extractor_class: type[BaseFeaturesExtractor] = GlimpseExtractor,
        **kwargs: Any,
    ) -> None:
        self.initial_stop_probability = initial_stop_probability
        self.n_moves = n_moves
        self.correct_belief = correct_belief
        self.action_gain, self.learn_std = action_gain, learn_std
        self.mean_baseline = mean_baseline
        super().__init__(*args, features_extractor_class=features_extractor_class, **kwargs)

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        """Return a new features extractor, which knows whether SB3 normalises images for it."""
        kwargs = dict(self.features_extractor_kwargs)
        if issubclass(self.features_extractor_class, GlimpseFeatures):
            kwargs.setdefault("normalize_images", self.normalize_images)
        return self.features_extractor_class(self.observation_space, **kwargs)

    def make_action_distribution(self) -> Distribution | None:
        """Return the distribution of the actions, None for SB3's own."""
        self._check_hybrid_arguments()
        factored = make_factored_distribution(
            self.action_space,
            bypass=self.bypass,
            n_moves=self.n_moves,
            initial_stop_probability=self.initial_stop_probability,
            entropy_weights=self.entropy_weights,
            continuous=self.continuous,
        )
        self.factored = factored is not None
        if not self.factored and isinstance(self.action_space, BoxView):
            return super().make_action_distribution()
        return factored

    def _build(self, lr_schedule: Schedule) -> None:
        """Create the networks and the optimizer.

        :param lr_schedule: learning rate schedule, lr_schedule(1) is the initial learning rate
        """
        self.bypass: BypassLayout = getattr(self.features_extractor, "bypass", NO_BYPASS)
        # From here on features_dim is what the memory reads; the bypass columns come behind it
        self.features_dim = self.features_extractor.features_dim - self.bypass.dim
        super()._build(lr_schedule)
        if self.factored and self.bypass.n_belief and not self.correct_belief:
            nn.init.zeros_(self.action_net.classes.weight)
            self.action_net.classes.requires_grad_(False)
        if self.mean_baseline:  # only the bias is left to learn
            nn.init.zeros_(self.value_net.weight)
            self.value_net.weight.requires_grad_(False)
        if isinstance(self.action_dist, DiagGaussianDistribution):
            means = self.action_net.moves if self.factored else self.action_net
            nn.init.orthogonal_(means.weight, gain=self.action_gain)
            self.log_std.requires_grad_(self.learn_std)

    def _check_hybrid_arguments(self) -> None:
        """Raise a ValueError for arguments that the actions have no use for."""
        given = {
            "gates": self.gates,
            "entropy_weights": self.entropy_weights,
            "continuous": self.continuous != "gaussian",
        }
        known = _hybrid_arguments(self.action_space)
        for name in given:
            if given[name] and name not in known:
                raise ValueError(
                    f"got {name}={getattr(self, name)!r}; actions {self.action_space} take "
                    f"{' and '.join(known) or 'no such argument'}: drop it"
                )

    def _build_mlp_extractor(self) -> None:
        """Create the policy and value networks, with the bypass columns led around them."""
        self.mlp_extractor = BypassMlpExtractor(
            self._memory_dim(),
            net_arch=self.net_arch,
            activation_fn=self.activation_fn,
            device=self.device,
            bypass=self.bypass,
            to_actor=self.factored,
        )

    def _memory_dim(self) -> int:
        """Return the size of what policy and value networks read, without the bypass columns."""
        return self.features_dim

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data = super()._get_constructor_parameters()
        data.update(
            initial_stop_probability=self.initial_stop_probability,
            n_moves=self.n_moves,
            correct_belief=self.correct_belief,
            action_gain=self.action_gain,
            learn_std=self.learn_std,
            mean_baseline=self.mean_baseline,
        )
        return data


class GlimpsePolicy(GlimpsePolicyMixin, ActorCriticPolicy):
    """Policy without a memory, for PPO and A2C: it decides from the present observation alone.

    The observation can hold a memory: the ``map`` of what was seen, or a classifier's ``belief``
    and ``classifier_features``.

    Parameters: see :class:`GlimpsePolicyMixin` and SB3's ``ActorCriticPolicy``.
    """


class GlimpseLstmPolicy(GlimpsePolicyMixin, RecurrentActorCriticPolicy):
    """Policy with an LSTM, for RecurrentPPO.

    Parameters: see :class:`GlimpsePolicyMixin` and sb3-contrib's ``RecurrentActorCriticPolicy``
    (``lstm_hidden_size``, ``n_lstm_layers``, ``shared_lstm``, ``enable_critic_lstm``,
    ``lstm_kwargs``). Computes what the stock policy computes, with one call of the fused LSTM where
    the stock one loops over time.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.critic is not None:
            # A critic without memory: its layer gives what an LSTM would, bypass columns behind.
            # The parameters are the same objects, so the optimizer stays as it is
            self.critic = BesideBypass(self.critic, self.bypass)

    def _memory_dim(self) -> int:
        return self.lstm_output_dim

    def _process_sequence(  # type: ignore[override]  # a static method in the parent
        self,
        features: th.Tensor,
        lstm_states: tuple[th.Tensor, ...],
        episode_starts: th.Tensor,
        lstm: nn.LSTM,
    ) -> tuple[th.Tensor, LstmStates]:
        """Pass the features through the memory and the bypass columns beside it.

        :param features: float32 (B, features_dim + bypass.dim), sequence by sequence; padded to
            equal lengths unless packed
        :param lstm_states: hidden and cell state at the sequences' first rows, each (n_layers,
            n_seq, hidden_size); for packed rows also the indices of these rows
        :param episode_starts: float32 (B,), 1 where an episode starts: the state is reset there
        :param lstm: the memory
        :return: float32 (B, hidden_size + bypass.dim) in the same order, and the last states (of
            packed rows: those after padding, of no use)
        """
        encoded, bypass = self.bypass.split(features)
        if len(lstm_states) == 3:
            output, new_states = run_packed(encoded, lstm_states, episode_starts, lstm)
        else:
            output, new_states = run_padded(encoded, lstm_states, episode_starts, lstm)
        return th.cat([output, bypass], dim=1), new_states

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {**super()._get_constructor_parameters(), **lstm_arguments(self)}


def _hybrid_arguments(action_space: spaces.Space) -> tuple[str, ...]:
    """Return which arguments of hybrid actions an action space has a use for."""
    if answers_by_dict(action_space):
        return ("entropy_weights", "continuous")  # the gates are given
    if isinstance(action_space, BoxView):
        return ("gates", "entropy_weights", "continuous")
    if isinstance(action_space, spaces.Discrete | spaces.MultiDiscrete):
        return ("entropy_weights",)  # of the class
    return ()
