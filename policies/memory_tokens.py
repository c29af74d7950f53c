"""A policy whose memory is a set of tokens, for RecurrentPPO."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule

from policies.actor_critic import GlimpseLstmPolicy
from policies.extractors.attention import MemoryTransformer
from policies.extractors.vit import ViTExtractor
from policies.lstm import lstm_arguments
from policies.ranges import checks_arguments


class GlimpseTokenPolicy(GlimpseLstmPolicy):
    """Policy with a Recurrent Memory Transformer in the place of the LSTM (Bulatov et al. 2022).

    Memory tokens meet the tokens of every glimpse, see
    :class:`~policies.extractors.attention.MemoryTransformer`. They are the state that RecurrentPPO
    carries, stores and resets; gradients reach back to the beginning of the episode, or of the
    rollout if that cuts it.

    :param observation_space: observation space
    :param action_space: action space
    :param lr_schedule: learning rate schedule
    :param memory_tokens: number of memory tokens
    :param memory_blocks: transformer blocks of the memory
    :param memory_heads: heads of their attention
    :param lstm_hidden_size: size of a token; the features must be a multiple of it
    :param shared_lstm: whether the critic reads the actor's memory
    :param enable_critic_lstm: whether it has one of its own
    :param features_extractor_class: gives tokens of that size, flattened
    :param features_extractor_kwargs: its arguments; with the default extractor ``dim`` and
        ``tokens`` follow from the memory
    :param kwargs: see :class:`~policies.actor_critic.GlimpsePolicyMixin` and SB3's policies
    :raises ValueError: for arguments of an LSTM
    """

    @checks_arguments
    def __init__(
        self,
        observation_space: Any,
        action_space: Any,
        lr_schedule: Schedule,
        *args: Any,
        memory_tokens: int = 4,
        memory_blocks: int = 1,
        memory_heads: int = 4,
        lstm_hidden_size: int = 64,
        shared_lstm: bool = True,
        enable_critic_lstm: bool = False,
        features_extractor_class: type[BaseFeaturesExtractor] = ViTExtractor,
        features_extractor_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if unused := {"lstm_kwargs", "n_lstm_layers"} & kwargs.keys():
            raise ValueError(
                f"got {', '.join(sorted(unused))}, and this policy has no LSTM; set memory_tokens, "
                "memory_blocks and memory_heads, or take GlimpseLstmPolicy"
            )
        self.memory_blocks, self.memory_heads = memory_blocks, memory_heads
        extractor = dict(features_extractor_kwargs or {})
        if issubclass(features_extractor_class, ViTExtractor):
            extractor.setdefault("dim", lstm_hidden_size)
            extractor.setdefault("tokens", True)
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            *args,
            lstm_hidden_size=lstm_hidden_size,
            n_lstm_layers=memory_tokens,
            shared_lstm=shared_lstm,
            enable_critic_lstm=enable_critic_lstm,
            features_extractor_class=features_extractor_class,
            features_extractor_kwargs=extractor,
            **kwargs,
        )
        self.lstm_actor = self._make_memory()
        if self.lstm_critic is not None:
            self.lstm_critic = self._make_memory()
        # that of the parent still holds the parameters of the LSTM
        self.optimizer = self.optimizer_class(
            self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs
        )

    def _make_memory(self) -> MemoryTransformer:
        memory = MemoryTransformer(
            self.features_dim,
            self.lstm_output_dim,
            self.lstm_actor.num_layers,
            self.memory_blocks,
            self.memory_heads,
        )
        return memory.to(self.device)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data = super()._get_constructor_parameters()
        for name in lstm_arguments(self):
            del data[name]
        data.update(
            memory_tokens=self.lstm_actor.num_layers,
            memory_blocks=self.memory_blocks,
            memory_heads=self.memory_heads,
            lstm_hidden_size=self.lstm_output_dim,
            shared_lstm=self.shared_lstm,
            enable_critic_lstm=self.enable_critic_lstm,
        )
        return data
