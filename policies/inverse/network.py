"""The siamese transformer: two images through the same weights, which look at each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch as th
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import TensorDict
from torch import nn
from torch.nn import functional as F

from policies.extractors.attention import GatedMLP, PatchEmbedding, TransformerBlock
from policies.ranges import checks_arguments

IMAGES = ("before", "after")
"""Keys of the observation."""

BLOCKS = ("self", "cross")


class CrossBlock(nn.Module):
    """Cross-attention and a small MLP, each behind a layer norm and beside a residual path.

    Queries are made from one sequence of tokens, keys and values from another.

    :param dim: size D of a token
    :param n_heads: number of heads, a divisor of D
    :param mlp_ratio: hidden size of the MLP, in D
    :param source_dim: size of a token of the other sequence; None for D
    """

    def __init__(
        self, dim: int, n_heads: int, mlp_ratio: float = 2.0, source_dim: int | None = None
    ) -> None:
        super().__init__()
        if dim % n_heads:
            raise ValueError(f"got tokens of {dim} numbers and {n_heads} heads; wanted a divisor")
        self.n_heads = n_heads
        source_dim = source_dim or dim
        self.norm_query, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.norm_source = nn.LayerNorm(source_dim)
        self.to_query, self.to_key_value = nn.Linear(dim, dim), nn.Linear(source_dim, 2 * dim)
        self.from_heads = nn.Linear(dim, dim)
        self.mlp = GatedMLP(dim, int(mlp_ratio * dim))

    def forward(
        self, tokens: th.Tensor, source: th.Tensor, mask: th.Tensor | None = None
    ) -> th.Tensor:
        """Return float32 (B, N, D).

        :param tokens: that ask, float32 (B, N, D)
        :param source: that answer, float32 (B, S, source_dim)
        :param mask: bool, which of these there are, or float32, added to their logits; broadcast
            to (B, heads, N, S); None for all alike
        """
        batch, n, dim = tokens.shape
        query = self._heads(self.to_query(self.norm_query(tokens)))
        key, value = self.to_key_value(self.norm_source(source)).chunk(2, dim=2)
        if mask is not None and mask.is_floating_point():
            mask = mask.to(query.dtype)
        mixed = F.scaled_dot_product_attention(
            query, self._heads(key), self._heads(value), attn_mask=mask
        )
        tokens = tokens + self.from_heads(mixed.transpose(1, 2).reshape(batch, n, dim))
        return tokens + self.mlp(self.norm_mlp(tokens))

    def _heads(self, tokens: th.Tensor) -> th.Tensor:
        """Return (B, heads, N, D / heads) of (B, N, D)."""
        batch, n, dim = tokens.shape
        return tokens.view(batch, n, self.n_heads, dim // self.n_heads).transpose(1, 2)


class ComparisonBlock(CrossBlock):
    """Cross-attention between two images, which begins by comparing them place by place.

    What has changed between two images is seen where they are compared, and attention of random
    first weights compares nothing: turns, which leave no other trace, were hardly learnt.
    Hence each head looks around its own place, by a Gaussian that is multiplied to its attention,
    and the first weights subtract what the other image has there from what this one has.

    :param dim: size D of a token
    :param grid: rows and columns of the tokens
    :param reach: deviation of each head's Gaussian, in tokens; 0 for none
    """

    def __init__(self, dim: int, grid: tuple[int, int], reach: Sequence[float]) -> None:
        super().__init__(dim, len(reach))
        self.register_buffer("nearness", nearness(grid, reach), persistent=False)
        with th.no_grad():
            value = nn.init.orthogonal_(self.to_key_value.weight[dim:])
            self.from_heads.weight.copy_(-value.T)
        nn.init.zeros_(self.to_key_value.bias)
        nn.init.zeros_(self.from_heads.bias)

    def forward(
        self, tokens: th.Tensor, source: th.Tensor, mask: th.Tensor | None = None
    ) -> th.Tensor:
        """Return float32 (B, N, D).

        :param tokens: of the image that asks, float32 (B, N, D)
        :param source: of the other, float32 (B, N, D)
        :param mask: none: all places are there
        """
        return super().forward(tokens, source, self.nearness)


class VisualExtractor(BaseFeaturesExtractor):
    """What the networks of both stages have: a stem, and blocks of both kinds of attention.

    :param observation_space: a Dict
    :param images: keys of its images, which have the same shape
    :param features_dim: size of the features
    :param dim: size D of a token
    :param patch: side of a patch in pixels, a divisor of both sides
    :param blocks: "self" or "cross" for each block, in order
    :param cross: makes a block of cross-attention, of the grid of tokens, rows and columns
    :param n_heads: heads of self-attention
    :param stem: "conv" or "linear"
    :param normalized: whether SB3 has divided the images by 255
    :raises ValueError: for another observation, no block of cross-attention, or patches that do
        not fit
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        images: tuple[str, ...],
        features_dim: int,
        *,
        dim: int,
        patch: int,
        blocks: Sequence[str],
        cross: Callable[[tuple[int, int]], CrossBlock],
        n_heads: int,
        stem: str,
        normalized: bool,
    ) -> None:
        channels, height, width = _image_shape(observation_space, images)
        super().__init__(observation_space, features_dim)
        if set(blocks) - set(BLOCKS) or "cross" not in blocks:
            raise ValueError(
                f"got blocks={list(blocks)}; wanted some of {list(BLOCKS)}, at least one 'cross': "
                "without it an image knows of nothing else"
            )
        self.normalized = normalized
        self.embed = PatchEmbedding(channels, height, width, patch, dim, stem)
        grid = height // patch, width // patch
        # random places would have to be learnt before anything that depends on where it is
        self.embed.places.data.copy_(sine_places(*grid, dim))
        self.blocks = nn.ModuleList(
            TransformerBlock(dim, n_heads, gated=True) if kind == "self" else cross(grid)
            for kind in blocks
        )
        self.norm = nn.LayerNorm(dim)

    def channels_first(self, images: th.Tensor) -> th.Tensor:
        """Return images as float32 (n, C, H, W) in [0, 1].

        :param images: (n, C, H, W) or (n, H, W, C)
        """
        images = images.float()
        if not self.normalized:
            images = images / 255.0
        if images.shape[1] not in (1, 3):
            images = images.movedim(3, 1)
        return images


class SiameseExtractor(VisualExtractor):
    """The codes of the image before and of the image after, each made in view of the other.

    Both images are one batch through the stem and the blocks of self-attention. Only in those of
    cross-attention the batch is split: each image asks, and the other answers. Source: Dyachkov,
    Levin and Kudashov, "Siamese visual transformer with cross-attention for inverse action
    modelling in a visual environment".

    :param observation_space: of ``before`` and ``after``, images of the same shape, channels first
        or last
    :param dim: size D of a token and of a code
    :param patch: side of a patch in pixels, a divisor of both sides
    :param blocks: "self" or "cross" for each block, in order
    :param reach: how far each head of cross-attention looks, in tokens, see
        :class:`ComparisonBlock`; as many numbers as heads, which are those of self-attention, too
    :param stem: from a patch to its token, "conv" or "linear", see
        :class:`~policies.extractors.attention.PatchEmbedding`
    :param normalize_images: whether SB3 has divided the images by 255
    :ivar features_dim: 2 D: the code of the branch of ``before``, then that of ``after``
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
        reach: list[float] | tuple[float, ...] = (0.5, 0.5, 1.0, 1.5),
        stem: str = "conv",
        normalize_images: bool = True,
    ) -> None:
        if not reach or min(reach) < 0.0:
            raise ValueError(f"got reach={list(reach)}; wanted a number from 0 on for each head")
        super().__init__(
            observation_space,
            IMAGES,
            2 * dim,
            dim=dim,
            patch=patch,
            blocks=blocks,
            cross=lambda grid: ComparisonBlock(dim, grid, reach),
            n_heads=len(reach),
            stem=stem,
            normalized=normalize_images,
        )

    def forward(self, observations: TensorDict) -> th.Tensor:
        """Return float32 (B, 2 D).

        :param observations: ``before`` and ``after``, (B, C, H, W) or (B, H, W, C) each
        """
        images = th.cat([observations[name] for name in IMAGES])  # (2 B, ...)
        tokens = self.embed(self.channels_first(images))
        for block in self.blocks:
            if isinstance(block, CrossBlock):
                before, after = tokens.chunk(2)
                tokens = block(tokens, th.cat([after, before]))
            else:
                tokens = block(tokens)
        codes = self.norm(tokens).mean(dim=1)
        return th.cat(codes.chunk(2), dim=1)


def _image_shape(space: spaces.Space, names: tuple[str, ...]) -> tuple[int, int, int]:
    """Return channels, height and width of the images of these names.

    :raises ValueError: for other observations
    """
    parts = space.spaces if isinstance(space, spaces.Dict) else {}
    shapes = {getattr(parts.get(name), "shape", None) for name in names}
    shape = shapes.pop() if len(shapes) == 1 else None
    if shape is None or len(shape) != 3 or not {shape[0], shape[2]} & {1, 3}:
        wanted = " and ".join(map(repr, names))
        wanted = f"images {wanted} of the same shape" if len(names) > 1 else f"an image {wanted}"
        raise ValueError(
            f"got observations {space}; wanted {wanted}, of 1 or 3 channels, as inverse "
            "environments show them"
        )
    channels_first = shape[0] in (1, 3)
    return shape if channels_first else (shape[2], shape[0], shape[1])


def nearness(grid: tuple[int, int], reach: Sequence[float]) -> th.Tensor:
    """Return logarithms of Gaussians of the distance of places, float32 (heads, N, N).

    :param grid: rows and columns, of N places
    :param reach: deviation for each head, in places; 0 for none: 0 everywhere
    """
    places = th.cartesian_prod(*(th.arange(n, dtype=th.float32) for n in grid))  # (N, 2)
    squared = (places[:, None] - places).square().sum(dim=2)
    return th.stack([-squared / (2.0 * r * r) if r else 0.0 * squared for r in reach])


def sine_places(rows: int, columns: int, dim: int) -> th.Tensor:
    """Return sines and cosines of the places of a grid, float32 (rows * columns, dim).

    Half of the numbers tell the row, half the column, by waves from as long as four grids to as
    short as four patches: near places have near codes, and the longest are nearly linear.

    :param rows: of the grid
    :param columns: of the grid
    :param dim: a multiple of 4
    """
    if dim % 4:
        raise ValueError(f"got tokens of {dim} numbers; wanted a multiple of 4")

    def waves(n: int) -> th.Tensor:
        middle = th.arange(n, dtype=th.float32) - (n - 1) / 2
        lengths = th.logspace(0, 1, dim // 4, base=max(2.0, float(n))) * 4.0
        angles = 2.0 * math.pi * middle[:, None] / lengths
        return th.cat([angles.sin(), angles.cos()], dim=1)  # (n, dim / 2)

    down, across = waves(rows), waves(columns)
    grid = [down[:, None].expand(-1, columns, -1), across[None].expand(rows, -1, -1)]
    return th.cat(grid, dim=2).flatten(0, 1)
