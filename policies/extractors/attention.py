"""Attention over tokens: the blocks of the Vision Transformer and of the memory of tokens."""

from __future__ import annotations

import torch as th
from torch import nn
from torch.nn import functional as F


class TransformerBlock(nn.Module):
    """Self-attention and a small MLP, each behind a layer norm and beside a residual path.

    Source: Vaswani et al. 2017; norm first: Xiong et al. 2020.

    One fused call of attention without the checks and fast paths of ``nn.TransformerEncoderLayer``,
    so that training and evaluation compute the same, and small inputs cost little.

    :param dim: size D of a token
    :param n_heads: number of heads, a divisor of D
    :param mlp_ratio: hidden size of the MLP, in D
    :param gated: a :class:`GatedMLP`, not one hidden layer
    """

    def __init__(self, dim: int, n_heads: int, mlp_ratio: float = 2.0, gated: bool = False) -> None:
        super().__init__()
        if dim % n_heads:
            raise ValueError(f"got tokens of {dim} numbers and {n_heads} heads; wanted a divisor")
        self.n_heads = n_heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_qkv, self.from_heads = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        hidden = int(mlp_ratio * dim)
        self.mlp = (
            GatedMLP(dim, hidden)
            if gated
            else nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        )

    def forward(self, tokens: th.Tensor, seen: th.Tensor | None = None) -> th.Tensor:
        """Return float32 (B, N, D).

        :param tokens: float32 (B, N, D)
        :param seen: bool (B, N), which tokens are attended to; None for all
        """
        batch, n, dim = tokens.shape
        qkv = self.to_qkv(self.norm_attention(tokens))
        qkv = qkv.view(batch, n, 3, self.n_heads, dim // self.n_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, N, D / heads) each
        mask = None if seen is None else seen[:, None, None, :]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        tokens = tokens + self.from_heads(mixed.transpose(1, 2).reshape(batch, n, dim))
        return tokens + self.mlp(self.norm_mlp(tokens))


class GatedMLP(nn.Module):
    """A hidden layer of products: W (silu(U x) * V x).

    What depends on the product of two things a token knows, such as how far it has moved and
    where it is, needs many hidden units of a sum, and one of a product (Shazeer 2020, "GLU variants
    improve transformer", SwiGLU).

    :param dim: size D of a token
    :param hidden: number of products
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(dim, 2 * hidden), nn.Linear(hidden, dim)

    def forward(self, tokens: th.Tensor) -> th.Tensor:
        """Return float32 (B, N, D).

        :param tokens: float32 (B, N, D)
        """
        gate, value = self.enter(tokens).chunk(2, dim=-1)
        return self.leave(F.silu(gate) * value)


class PatchEmbedding(nn.Module):
    """A picture as tokens, one for each patch.

    The stem ``"linear"`` is one linear layer on each patch (Dosovitskiy et al. 2021, "ViT"),
    ``"conv"`` a few convolutions that see beyond the edge of a patch, and learn from fewer pictures
    (Xiao et al. 2021, "Early convolutions help transformers see better").

    :param channels: channels of the picture
    :param height: its height
    :param width: its width
    :param patch: side of a patch, a divisor of both; with the stem ``"conv"`` a power of two
    :param dim: size D of a token
    :param stem: ``"linear"`` or ``"conv"``
    :raises ValueError: for patches or stems that do not fit
    """

    def __init__(
        self, channels: int, height: int, width: int, patch: int, dim: int, stem: str = "linear"
    ) -> None:
        super().__init__()
        if patch < 1 or height % patch or width % patch:
            raise ValueError(
                f"got patches of {patch} x {patch} and glimpses of {height} x {width}; wanted a "
                "common divisor of both sides"
            )
        if stem not in STEMS:
            raise ValueError(f"stem is {stem!r}, wanted one of {tuple(STEMS)}")
        self.n_tokens = (height // patch) * (width // patch)
        self.stem = STEMS[stem](channels, patch, dim)
        self.norm = nn.LayerNorm(dim)
        self.places = nn.Parameter(th.randn(self.n_tokens, dim))

    def forward(self, picture: th.Tensor) -> th.Tensor:
        """Return float32 (B, N, D).

        :param picture: float32 (B, C, H, W) in [0, 1]
        """
        return self.norm(self.stem(2.0 * picture - 1.0)) + self.places


class LinearStem(nn.Module):
    """Each patch through the same linear layer.

    :param channels: channels of the picture
    :param patch: side of a patch
    :param dim: size D of a token
    """

    def __init__(self, channels: int, patch: int, dim: int) -> None:
        super().__init__()
        self.patch = patch
        self.project = nn.Linear(channels * patch * patch, dim)

    def forward(self, picture: th.Tensor) -> th.Tensor:
        """Return float32 (B, N, D).

        :param picture: float32 (B, C, H, W)
        """
        # the same as the usual strided convolution, and faster for small patches
        batch, channels, height, width = picture.shape
        patch = self.patch
        cut = picture.view(batch, channels, height // patch, patch, width // patch, patch)
        return self.project(cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2))


class ConvStem(nn.Module):
    """Convolutions of stride 2, as many as a patch can be halved.

    :param channels: channels of the picture
    :param patch: side of a patch, a power of two
    :param dim: size D of a token
    :param width: channels of the convolutions
    :raises ValueError: for other patches
    """

    def __init__(self, channels: int, patch: int, dim: int, width: int = 64) -> None:
        super().__init__()
        if patch < 2 or patch & (patch - 1):
            raise ValueError(
                f"got patches of {patch} x {patch} and the stem 'conv', which halves the picture; "
                "wanted 2, 4, 8, ..., or the stem 'linear'"
            )
        layers: list[nn.Module] = []
        for _ in range(patch.bit_length() - 1):
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.ReLU()]
            channels = width
        self.net = nn.Sequential(*layers, nn.Conv2d(width, dim, 1))

    def forward(self, picture: th.Tensor) -> th.Tensor:
        """Return float32 (B, N, D).

        :param picture: float32 (B, C, H, W)
        """
        return self.net(picture).flatten(2).transpose(1, 2)


STEMS = {"linear": LinearStem, "conv": ConvStem}


class MemoryTransformer(nn.Module):
    """Recurrent Memory Transformer: memory tokens in the place of an LSTM.

    They are read and written at each step by attention (Bulatov, Kuratov and Burtsev 2022, arXiv
    2207.06881).

    At each step the memory, one token that answers, and the tokens of the input attend to one
    another; what the memory's places hold afterwards is kept as far as a gate lets it (as in
    Parisotto et al. 2020, "GTrXL": without one, what was seen early fades). The memory is a state
    of RecurrentPPO, h = (M, B, D): the attributes and the call are those of ``nn.LSTM``, c is not
    used. A state of zeros is the learnt first memory.

    :param input_size: size F of the input, a multiple of D: its tokens, flattened
    :param hidden_size: size D of a token
    :param num_layers: number M of memory tokens
    :param n_blocks: number of transformer blocks
    :param n_heads: heads of their attention
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 4,
        n_blocks: int = 1,
        n_heads: int = 4,
    ) -> None:
        super().__init__()
        if input_size % hidden_size:
            raise ValueError(
                f"the features have {input_size} numbers, wanted a multiple of the token's "
                f"{hidden_size}: let the extractor give tokens of that size (ViTExtractor with "
                "tokens=true), or choose another lstm_hidden_size"
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.first = nn.Parameter(0.02 * th.randn(num_layers, hidden_size))
        self.answer = nn.Parameter(0.02 * th.randn(1, hidden_size))
        self.blocks = nn.ModuleList(TransformerBlock(hidden_size, n_heads) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(hidden_size)
        for block in self.blocks:
            # PyTorch's first weights let little pass of what is attended to: PPO's noisy gradients
            # then often never find out that the memory is worth reading
            nn.init.orthogonal_(block.to_qkv.weight[2 * hidden_size :], gain=2.0)
            nn.init.orthogonal_(block.from_heads.weight, gain=2.0)
        self.gate = nn.Linear(2 * hidden_size, hidden_size)
        nn.init.constant_(self.gate.bias, -2.0)  # at first most is kept

    def forward(
        self, inputs: th.Tensor, state: tuple[th.Tensor, th.Tensor]
    ) -> tuple[th.Tensor, tuple[th.Tensor, th.Tensor]]:
        """Return float32 (T, B, D), and the last state.

        :param inputs: float32 (T, B, F)
        :param state: h and c, float32 (M, B, D) each
        """
        hidden, unused = state
        memory = hidden.transpose(0, 1) + self.first  # (B, M, D)
        outputs = []
        for features in inputs:
            output, memory = self._step(features, memory)
            outputs.append(output)
        return th.stack(outputs), ((memory - self.first).transpose(0, 1), unused)

    def _step(self, features: th.Tensor, memory: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """Return the answer (B, D) and the memory (B, M, D) after features (B, F)."""
        batch = len(features)
        answer = self.answer.expand(batch, 1, -1)
        tokens = features.view(batch, -1, self.hidden_size)
        tokens = th.cat([memory, answer, tokens], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens[:, : self.num_layers + 1])
        written = tokens[:, : self.num_layers]
        share = self.gate(th.cat([memory, written], dim=2)).sigmoid()
        return tokens[:, -1], memory + share * (written - memory)
