"""Features extractor with a Vision Transformer over glimpses."""

from __future__ import annotations

import torch as th
from gymnasium import spaces
from stable_baselines3.common.type_aliases import TensorDict
from torch import nn

from policies.extractors.attention import PatchEmbedding, TransformerBlock
from policies.extractors.glimpse import GlimpseFeatures, picture_shape
from policies.extractors.layers import FourierFeatures
from policies.ranges import checks_arguments


class ViTExtractor(GlimpseFeatures):
    """The patches of a glimpse as tokens that know where they were.

    Source: Dosovitskiy et al. 2021, "ViT".

    Fourier features of the gaze are added to every patch token. One more token holds where the gaze
    is, what is left of the budget and the observation's vectors. Where the observation has a
    history, the tokens of all glimpses so far are attended to together: a memory for plain PPO.

    :param observation_space: see :class:`~policies.extractors.glimpse.GlimpseFeatures`
    :param dim: size D of a token
    :param patch: side of a patch in sensor pixels
    :param n_blocks: number of transformer blocks
    :param n_heads: heads of their attention
    :param n_frequencies: octaves of the Fourier features of the gaze; 0 for the gaze as it is, None
        to leave it out
    :param tokens: give all tokens of the glimpse, flattened, to a memory of tokens
        (``GlimpseTokenPolicy``); otherwise the one that has gathered what the others hold
    :param normalize_images: see :class:`~policies.extractors.glimpse.GlimpseFeatures`
    :param stem: from a patch to its token, see
        :class:`~policies.extractors.attention.PatchEmbedding`
    """

    @checks_arguments
    def __init__(
        self,
        observation_space: spaces.Dict,
        dim: int = 64,
        patch: int = 4,
        n_blocks: int = 2,
        n_heads: int = 4,
        n_frequencies: int | None = 4,
        tokens: bool = False,
        normalize_images: bool = True,
        stem: str = "linear",
    ) -> None:
        embed = PatchEmbedding(*picture_shape(observation_space), patch, dim, stem)
        n_tokens = 1 + embed.n_tokens if tokens else 1
        super().__init__(observation_space, n_tokens * dim, normalize_images)
        if tokens and self.has_history:
            raise ValueError(
                "got tokens=True and a history in the observation: a memory of tokens gathers the "
                "glimpses itself; choose one of both"
            )
        self.tokens, self.embed = tokens, embed
        self.fourier = FourierFeatures(3, n_frequencies)
        # without a gaze there is nothing to embed
        self.where = nn.Linear(self.fourier.output_dim, dim) if self.fourier.output_dim else None
        self.gather = nn.Linear(1 + self.n_vector, dim)
        self.blocks = nn.ModuleList(TransformerBlock(dim, n_heads) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(dim)

    def forward(self, observations: TensorDict) -> th.Tensor:
        """Return float32 (B, features_dim).

        :param observations: float32 tensors by key, each (B, *shape of its space)
        """
        patches, seen = self._see(observations)
        vectors = th.cat([observations["remaining"], *self.vectors(observations)], dim=1)
        gathering = self._placed(self.gather(vectors)[:, None], observations["gaze"])
        tokens = th.cat([gathering, patches], dim=1)  # (B, 1 + N, D)
        for block in self.blocks:
            tokens = block(tokens, seen)
        tokens = self.norm(tokens)
        encoded = tokens.flatten(1) if self.tokens else tokens[:, 0]
        return self.beside(encoded, observations)

    def _see(self, observations: TensorDict) -> tuple[th.Tensor, th.Tensor | None]:
        """Return the patch tokens (B, N, D), and which of all tokens there are, (B, 1 + N)."""
        if not self.has_history:
            patches = self.embed(self.glimpse(observations))
            return self._placed(patches, observations["gaze"]), None
        pictures, gazes = self.history(observations), observations["gazes"]
        batch, n_glimpses = gazes.shape[:2]
        patches = self._placed(self.embed(pictures.flatten(0, 1)), gazes.flatten(0, 1))
        taken = observations["taken"] > 0.5
        seen = taken.repeat_interleave(self.embed.n_tokens, dim=1)  # (B, T * N)
        gathering = seen.new_ones(batch, 1)
        # (B * T, N, D) to (B, T * N, D)
        tokens = patches.view(batch, n_glimpses * self.embed.n_tokens, -1)
        return tokens, th.cat([gathering, seen], dim=1)

    def _placed(self, tokens: th.Tensor, gaze: th.Tensor) -> th.Tensor:
        """Return tokens (B, N, D) with the code of where they lie, gaze (B, 3), added to each."""
        if self.where is None:
            return tokens
        return tokens + self.where(self.fourier(gaze))[:, None]
