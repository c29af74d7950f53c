"""Stage two: the network is no longer siamese; its cross-attention asks a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import TensorDict

from policies.inverse.network import CrossBlock, VisualExtractor
from policies.inverse.policy import SiameseDistribution, SiameseHeads, SiamesePolicy
from policies.inverse.text import make_encoder
from policies.inverse.visual import load_visual
from policies.ranges import checks_arguments


class InstructedExtractor(VisualExtractor):
    """The code of an image, made in view of an instruction.

    The network of :class:`~policies.inverse.network.SiameseExtractor` for one image; in the blocks
    of cross-attention keys and values are the hidden states of a text encoder. Source: Dyachkov,
    Levin and Kudashov, "Siamese visual transformer with cross-attention for inverse action
    modelling in a visual environment", second stage.

    :param observation_space: of ``before``, an image, channels first or last, and ``instruction``,
        bytes of UTF-8 padded with zeros
    :param dim: size D of a token and of the code
    :param patch: side of a patch in pixels, a divisor of both sides
    :param blocks: "self" or "cross" for each block, in order
    :param n_heads: heads of their attention
    :param stem: from a patch to its token, "conv" or "linear"
    :param text: the encoder: "words" (:class:`~policies.inverse.text.WordEncoder`), or
        "huggingface:" and the name or the folder of a model
        (:class:`~policies.inverse.text.HuggingFaceEncoder`)
    :param text_kwargs: its other arguments
    :param normalize_images: whether SB3 has divided the image by 255
    :ivar features_dim: D
    :raises ValueError: for another observation, no block of cross-attention, or patches that do
        not fit
    """

    @checks_arguments
    def __init__(
        self,
        observation_space: spaces.Dict,
        dim: int = 96,
        patch: int = 8,
        blocks: list[str] | tuple[str, ...] = ("cross", "self", "cross", "self"),
        n_heads: int = 4,
        stem: str = "conv",
        text: str = "words",
        text_kwargs: Mapping[str, Any] | None = None,
        normalize_images: bool = True,
    ) -> None:
        parts = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {}
        shape = getattr(parts.get("instruction"), "shape", None)
        if shape is None or len(shape) != 1:
            raise ValueError(
                f"got observations {observation_space}; wanted an 'instruction' of bytes (L,), as "
                "inverse environments with instructions=true show it"
            )
        encoder = make_encoder(text, dict(text_kwargs or {}))
        super().__init__(
            observation_space,
            ("before",),
            dim,
            dim=dim,
            patch=patch,
            blocks=blocks,
            cross=lambda _: CrossBlock(dim, n_heads, source_dim=encoder.dim),
            n_heads=n_heads,
            stem=stem,
            normalized=normalize_images,
        )
        self.text = encoder

    def forward(self, observations: TensorDict) -> th.Tensor:
        """Return float32 (B, D).

        :param observations: ``before``, (B, C, H, W) or (B, H, W, C), and ``instruction``, (B, L)
        """
        states, seen = self.text(observations["instruction"])
        tokens = self.embed(self.channels_first(observations["before"]))
        for block in self.blocks:
            asks = isinstance(block, CrossBlock)
            tokens = block(tokens, states, seen[:, None, None]) if asks else block(tokens)
        return self.norm(tokens).mean(dim=1)


class InstructedHeads(SiameseHeads):
    """The heads on the code of one branch.

    Parameters: see :class:`~policies.inverse.policy.SiameseHeads`.
    """

    n_branches = 1

    def codes(self, features: th.Tensor) -> th.Tensor:
        """Return the only branch's code, float32 (1, B, D).

        :param features: float32 (B, D)
        """
        return features[None]


class InstructedDistribution(SiameseDistribution):
    """A type, and the parameter of that type alone, told by one branch."""

    heads_class = InstructedHeads


class InstructedPolicy(SiamesePolicy):
    """Policy of inverse environments whose action is told in words, ``GlimpseInstructed<Data>-v0``.

    :param args: observation space, action space, learning rate schedule, as for SB3's policies
    :param features_extractor_class: gives one code
    :param visual: a model of stage one whose visual weights this one begins with: a ``model.zip``
        or a file of tensors, see :func:`~policies.inverse.visual.load_visual`. They are a part of
        the policy then: one that is saved, by itself or in a model of ``ActionEnumeration``, does
        not need the file
    :param kwargs: as for :class:`~policies.inverse.policy.SiamesePolicy`
    :raises ValueError: for another action space, a file that does not fit, or ``ortho_init``, which
        would overwrite the weights of text models
    """

    distribution_class = InstructedDistribution

    @checks_arguments
    def __init__(
        self,
        *args: Any,
        features_extractor_class: type[BaseFeaturesExtractor] = InstructedExtractor,
        visual: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("ortho_init"):
            raise ValueError(
                "got ortho_init=True, which would overwrite the weights of the text encoder; leave "
                "it out"
            )
        super().__init__(*args, features_extractor_class=features_extractor_class, **kwargs)
        if visual is not None:
            for extractor in {self.pi_features_extractor, self.vf_features_extractor}:
                load_visual(extractor, visual)
