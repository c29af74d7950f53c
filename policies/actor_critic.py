"""Actor-critic policies for glimpse environments: with an LSTM (RecurrentPPO) and without (PPO)."""

from typing import Any

import torch as th
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, MlpExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from glimpse_envs.actions import GreedyMap
from glimpse_envs.boxview import BoxView
from policies.actions.factored import answers_by_dict, make_factored_distribution
from policies.actions.heads import NO_BYPASS
from policies.actions.hybrid import HybridDistribution
from policies.extractors.glimpse import GlimpseExtractor, GlimpseFeatures
from policies.extractors.layers import BesideBypass, BypassLayout

LstmStates = tuple[th.Tensor, th.Tensor]
"""Hidden and cell state, each float32 (n_layers, n_seq, hidden_size)."""


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


class GlimpsePolicyMixin(ActorCriticPolicy):
    """What the policies of this package share, over any actor-critic policy of SB3.

    Default features extractor, the factored decision where the agent answers by ``Discrete``,
    ``MultiDiscrete`` or Dict actions (``Box`` actions keep SB3's Gaussian), and the bypass columns
    of the extractor led to the action head and the critic. An extractor without an attribute
    ``bypass`` works too; then nothing is masked and no belief is used.

    :param args: observation space, action space, learning rate schedule, as for SB3's policies
    :param initial_stop_probability: probability of answering of the untrained policy. An untrained
        choice among all actions would answer at once nearly always and never learn to look.
    :param class_entropy_weight: weight of the class, where one is answered, in the entropy that
        ``ent_coef`` rewards. An agent that learns classes from reward alone is otherwise soon sure
        of wrong ones, and never tries the others again.
    :param n_moves: for ``Discrete`` actions, the first so many are moves, the others are classes
    :param correct_belief: whether the class logits add a learnt correction to the classifier's
        log-belief. False where no reward tells right answers from wrong ones: the correction would
        learn from noise.
    :param action_gain: gain of the first weights of the action head for ``Box`` actions. SB3's 0.01
        lets every untrained saccade end at the middle; with 1 it ends somewhere that depends on
        what was seen.
    :param hybrid: for Dict actions, arguments of
        :class:`~policies.actions.hybrid.HybridDistribution` (where the agent answers, the gates are
            given)
    :param learn_std: for ``Box`` actions, whether the deviation of the Gaussian (``log_std_init``)
        is learnt, as SB3 does, or stays fixed, as in RAM
    :param features_extractor_class: features extractor to use
    :param kwargs: as for SB3's policies
    """

    def __init__(
        self,
        *args: Any,
        initial_stop_probability: float = 0.1,
        class_entropy_weight: float = 1.0,
        n_moves: int = GreedyMap.N_MOVES,
        correct_belief: bool = True,
        action_gain: float = 0.01,
        learn_std: bool = True,
        hybrid: dict[str, Any] | None = None,
        features_extractor_class: type[BaseFeaturesExtractor] = GlimpseExtractor,
        **kwargs: Any,
    ) -> None:
        self.initial_stop_probability = initial_stop_probability
        self.class_entropy_weight = class_entropy_weight
        self.n_moves = n_moves
        self.correct_belief = correct_belief
        self.action_gain, self.learn_std = action_gain, learn_std
        self.hybrid = dict(hybrid or {})
        if kwargs.get("use_sde"):
            raise ValueError("glimpse policies have no state-dependent exploration: drop use_sde")
        super().__init__(*args, features_extractor_class=features_extractor_class, **kwargs)

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        """Return a new features extractor, which knows whether SB3 normalises images for it."""
        kwargs = dict(self.features_extractor_kwargs)
        if issubclass(self.features_extractor_class, GlimpseFeatures):
            kwargs.setdefault("normalize_images", self.normalize_images)
        return self.features_extractor_class(self.observation_space, **kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        """Create the networks and the optimizer.

        :param lr_schedule: learning rate schedule, lr_schedule(1) is the initial learning rate
        """
        self._check_hybrid()
        self.bypass: BypassLayout = getattr(self.features_extractor, "bypass", NO_BYPASS)
        # From here on features_dim is what the memory reads; the bypass columns come behind it
        self.features_dim = self.features_extractor.features_dim - self.bypass.dim
        factored = make_factored_distribution(
            self.action_space,
            bypass=self.bypass,
            n_moves=self.n_moves,
            initial_stop_probability=self.initial_stop_probability,
            class_entropy_weight=self.class_entropy_weight,
            hybrid=self.hybrid,
        )
        self.factored = factored is not None
        if not self.factored and self.class_entropy_weight != 1.0:
            raise ValueError(
                f"got class_entropy_weight={self.class_entropy_weight} for actions "
                f"{self.action_space}, in which the agent answers no class; drop it"
            )
        if factored is not None:
            self.action_dist = factored
        elif isinstance(self.action_space, BoxView):
            self.action_dist = HybridDistribution(self.action_space, **self.hybrid)
        super()._build(lr_schedule)
        if factored is not None and self.bypass.n_belief and not self.correct_belief:
            nn.init.zeros_(self.action_net.classes.weight)
            self.action_net.classes.requires_grad_(False)
        if isinstance(self.action_dist, DiagGaussianDistribution):
            means = self.action_net if factored is None else self.action_net.moves
            nn.init.orthogonal_(means.weight, gain=self.action_gain)
            self.log_std.requires_grad_(self.learn_std)

    def _check_hybrid(self) -> None:
        """Raise a ValueError for arguments that the actions have no use for."""
        known = {"entropy_weights", "continuous"}
        if not isinstance(self.action_space, BoxView):
            known = set()
        elif not answers_by_dict(self.action_space):
            known.add("gates")
        for name in self.hybrid:
            if name not in known:
                raise ValueError(
                    f"got hybrid={self.hybrid}; for actions {self.action_space} there is no "
                    f"{name!r}, only {sorted(known) or 'none'}"
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
        """Return size of what the policy and value networks read, without the bypass columns."""
        return self.features_dim

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data = super()._get_constructor_parameters()
        data.update(
            initial_stop_probability=self.initial_stop_probability,
            class_entropy_weight=self.class_entropy_weight,
            n_moves=self.n_moves,
            correct_belief=self.correct_belief,
            action_gain=self.action_gain,
            learn_std=self.learn_std,
            hybrid=self.hybrid,
            share_features_extractor=self.share_features_extractor,  # SB3 forgets it
        )
        return data


class GlimpsePolicy(GlimpsePolicyMixin, ActorCriticPolicy):
    """Policy without a memory, for PPO and A2C: it decides from the present observation alone
    (which can hold a memory: the ``map`` of what was seen, or a classifier's ``belief`` and
    ``classifier_features``).

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


def lstm_arguments(policy: RecurrentActorCriticPolicy) -> dict[str, Any]:
    """What sb3-contrib forgets of a recurrent policy's constructor, so that it can be saved by
    itself.

    :param policy: the policy
    :return: arguments by name
    """
    return {
        "lstm_hidden_size": policy.lstm_output_dim,
        "n_lstm_layers": policy.lstm_actor.num_layers,
        "shared_lstm": policy.shared_lstm,
        "enable_critic_lstm": policy.enable_critic_lstm,
        "lstm_kwargs": policy.lstm_kwargs,
    }


def _reset(states: tuple[th.Tensor, ...], episode_starts: th.Tensor) -> LstmStates:
    """:param states: hidden and cell state, each (n_layers, n_seq, hidden_size)
    :param episode_starts: (n_seq,), 1 where the state is to be zero
    """
    keep = (1.0 - episode_starts).view(1, -1, 1)
    return keep * states[0], keep * states[1]


def run_padded(
    features: th.Tensor,
    states: tuple[th.Tensor, ...],
    episode_starts: th.Tensor,
    lstm: nn.LSTM,
) -> tuple[th.Tensor, LstmStates]:
    """The stock computation on sequences padded to one length, without its loop over time.

    The buffer cuts sequences where episodes start, so that an episode can start at the first row
    only: resetting the initial states once is enough. Should one start later, the stock loop runs.

    :param features: float32 (n_seq * T, F), sequence by sequence
    :param states: hidden and cell state, each (n_layers, n_seq, hidden_size)
    :param episode_starts: float32 (n_seq * T,)
    :param lstm: the memory
    :return: float32 (n_seq * T, hidden_size), and the last states
    """
    n_seq = states[0].shape[1]
    starts = episode_starts.reshape(n_seq, -1)
    if starts.shape[1] > 1 and bool(starts[:, 1:].any()):
        return RecurrentActorCriticPolicy._process_sequence(features, states, episode_starts, lstm)
    sequences = features.reshape(n_seq, -1, lstm.input_size).swapaxes(0, 1)  # (T, n_seq, F)
    output, new_states = lstm(sequences, _reset(states, starts[:, 0]))
    return output.transpose(0, 1).flatten(0, 1), new_states


def run_packed(
    features: th.Tensor,
    states: tuple[th.Tensor, ...],
    episode_starts: th.Tensor,
    lstm: nn.LSTM,
) -> tuple[th.Tensor, LstmStates]:
    """The same on rows without padding, as ``PackedRecurrentDictRolloutBuffer`` gives them.

    With the longest sequences first, those that reach time t are the first few: one call of the
    LSTM a time step on just these. Where episodes are short and uneven, as with an agent that
    decides when to stop, most rows of the padded computation would be padding.

    :param features: float32 (B, F), sequence after sequence
    :param states: hidden and cell state at the first rows, each (n_layers, n_seq, hidden_size), and
        the indices of these rows, int64 (n_seq,), increasing from 0
    :param episode_starts: float32 (B,), nonzero at first rows only
    :param lstm: the memory
    :return: float32 (B, hidden_size), and the last states of the longest sequences (of no use)
    """
    n_rows = features.shape[0]
    first = states[2].to(features.device)
    lengths = th.diff(first, append=first.new_full((1,), n_rows))
    lengths, order = lengths.sort(descending=True, stable=True)
    first = first[order]
    hidden, cell = _reset((states[0][:, order], states[1][:, order]), episode_starts[first])

    times = th.arange(int(lengths[0]), device=lengths.device)
    outputs, places = [], []
    for t, n in enumerate((lengths[None, :] > times[:, None]).sum(dim=1).tolist()):
        rows = first[:n] + t
        state = hidden[:, :n].contiguous(), cell[:, :n].contiguous()
        output, (hidden, cell) = lstm(features.index_select(0, rows)[None], state)
        outputs.append(output[0])
        places.append(rows)
    order_of_rows = th.empty_like(th.cat(places))
    order_of_rows[th.cat(places)] = th.arange(n_rows, device=first.device)
    return th.cat(outputs).index_select(0, order_of_rows), (hidden, cell)
