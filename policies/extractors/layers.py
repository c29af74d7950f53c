"""Building blocks of the policies: where a glimpse was, what it shows, what bypasses memory."""

import math
from dataclasses import dataclass

import torch as th
from torch import nn
from torch.nn import functional as F

from policies.extractors.backbones import LIBRARIES, Backbone

BELIEF_FLOOR = 1e-4
"""Class probabilities below this count as this, so that a belief of 0 has a finite logarithm and
the agent's own class logits can still overrule a classifier that is certain and wrong."""

ENCODERS = ("cnn", "mlp", "scales")


class FourierFeatures(nn.Module):
    """Sines and cosines of positions at powers of two, beside the positions themselves.

    A linear layer on raw coordinates sees only slopes; on these it can tell places apart
    (Mildenhall et al. 2020, "NeRF", equation 4; Tancik et al. 2020).

    :param input_dim: number of coordinates, each in [0, 1]
    :param n_frequencies: frequencies 2^0 pi to 2^(n_frequencies - 1) pi; with 4 the finest period
        is a quarter of the image. 0 gives the positions alone, None nothing at all
    """

    frequencies: th.Tensor

    def __init__(self, input_dim: int, n_frequencies: int | None = 4) -> None:
        super().__init__()
        self.blind = n_frequencies is None
        if n_frequencies is None:
            n_frequencies = 0
        if n_frequencies < 0:
            raise ValueError(
                f"n_frequencies is {n_frequencies}, wanted None (none), 0 (raw positions) or more"
            )
        self.output_dim = 0 if self.blind else input_dim * (1 + 2 * n_frequencies)
        # Not persistent: it follows from n_frequencies alone
        self.register_buffer(
            "frequencies", math.pi * 2.0 ** th.arange(n_frequencies), persistent=False
        )

    def forward(self, positions: th.Tensor) -> th.Tensor:
        """Return float32 (B, D * (1 + 2 * n_frequencies)): positions, then sines, then cosines.

        Or (B, 0), if positions are not told.

        :param positions: float32 (B, D) in [0, 1]
        """
        if self.blind:
            return positions[:, :0]
        angles = (positions.unsqueeze(-1) * self.frequencies).flatten(1)  # (B, D * n_frequencies)
        return th.cat([positions, angles.sin(), angles.cos()], dim=1)


class GlimpseEncoder(nn.Module):
    """What a glimpse shows, as a vector.

    ``"cnn"``: one 3x3 convolution at full size, then 3x3 convolutions of stride 2 until the shorter
    side is at most 4, then a linear layer: 8x8 costs one halving, any other size works too.
    ``"mlp"``: two linear layers on the pixels, as in Mnih et al. 2014 ("RAM", section 4); for 8x8
    glimpses much faster than the CNN on a CPU. ``"scales"``: the squares of a retina, tiled side by
    side, as channels of one picture, four 3x3 convolutions at its full size, then a linear layer: a
    square's cell lies under that of the next coarser one in the same direction, and no place is
    lost, so that it tells best where something lies. ``"torchvision:NAME"`` and ``"timm:NAME"``: a
    network of these libraries, for larger glimpses, see
    :class:`~policies.extractors.backbones.Backbone`.

    :param channels: channels of the glimpse
    :param height: its height in sensor pixels
    :param width: its width; a multiple of the height where scales are tiled side by side
    :param output_dim: size of the code
    :param encoder: ``"cnn"``, ``"mlp"``, ``"scales"`` or such a name
    :param frozen: leave a pretrained network as it is, and train its last layer alone
    :param black: value of a black pixel, 0 or -1; white ones are 1
    :raises ValueError: for another name, or glimpses that the network does not take
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        output_dim: int = 128,
        encoder: str = "cnn",
        frozen: bool = False,
        black: float = 0.0,
    ) -> None:
        super().__init__()
        self.output_dim = output_dim
        if encoder.partition(":")[0] in LIBRARIES:
            self.net = Backbone(encoder, channels, height, width, output_dim, frozen, black)
        elif frozen:
            raise ValueError(
                f"got freeze_encoder=True with encoder {encoder!r}, which begins untrained; wanted "
                "a pretrained network such as 'torchvision:resnet18@pretrained'"
            )
        elif encoder == "mlp":
            self.net = nn.Sequential(
                nn.Flatten(),
                nn.Linear(channels * height * width, output_dim),
                nn.ReLU(),
                nn.Linear(output_dim, output_dim),
                nn.ReLU(),
            )
        elif encoder == "cnn":
            depth = 32
            layers: list[nn.Module] = [nn.Conv2d(channels, depth, 3, padding=1), nn.ReLU()]
            while min(height, width) > 4:
                layers += [nn.Conv2d(depth, 64, 3, stride=2, padding=1), nn.ReLU()]
                depth, height, width = 64, (height + 1) // 2, (width + 1) // 2
            layers += [nn.Flatten(), nn.Linear(depth * height * width, output_dim), nn.ReLU()]
            self.net = nn.Sequential(*layers)
        elif encoder == "scales":
            self.net = _scales(channels, height, width, output_dim)
        else:
            raise ValueError(
                f"encoder is {encoder!r}, wanted one of {ENCODERS}, or a network by name such as "
                "'torchvision:resnet18'"
            )

    def forward(self, glimpse: th.Tensor) -> th.Tensor:
        """Return float32 (B, output_dim).

        :param glimpse: float32 (B, C, H, W) from black to 1
        """
        return self.net(glimpse)


class _SideBySideAsChannels(nn.Module):
    """Turn squares side by side, (B, C, H, k H), into channels of one, (B, k C, H, H)."""

    def forward(self, glimpse: th.Tensor) -> th.Tensor:
        """Return the squares, one behind the other."""
        n, channels, side, width = glimpse.shape
        squares = glimpse.reshape(n, channels, side, width // side, side)
        return squares.permute(0, 3, 1, 2, 4).reshape(n, -1, side, side)


def _scales(channels: int, height: int, width: int, output_dim: int) -> nn.Module:
    if width % height:
        raise ValueError(
            f"got glimpses of {height} x {width} for encoder 'scales'; wanted squares side by "
            "side, a width that is a multiple of the height (others can be read by 'cnn' or 'mlp')"
        )
    depth, layers = channels * (width // height), [_SideBySideAsChannels()]
    for _ in range(4):
        layers += [nn.Conv2d(depth, 32, 3, padding=1), nn.ReLU()]
        depth = 32
    last = nn.Linear(depth * height * height, output_dim)
    return nn.Sequential(*layers, nn.Flatten(), last, nn.ReLU())


@dataclass(frozen=True)
class BypassLayout:
    """What passes by the memory, and where it lies in the last columns of the features.

    The decision needs three things exactly as the environment gave them, not as an LSTM remembers
    them: whether this was the last glimpse, what the classifier believes, how sure it is. The
    policies of sb3-contrib extract features in several places, not all of which can be overridden,
    so these columns travel at the end of the features and are split off behind the memory.
    Columns: ``last`` (1), and with a belief ``log belief`` (K), ``max`` (1), ``entropy`` (1, nats).
    The entropy is that of the clipped logarithms: trained networks read it with this floor, not
    with that of :func:`glimpse_envs.metrics.information.entropy`.

    :param n_belief: number of classes K of the belief; 0 without a belief
    :param present: False for features that carry no such columns at all
    """

    n_belief: int = 0
    present: bool = True

    @property
    def dim(self) -> int:
        """Number of columns."""
        if not self.present:
            return 0
        return 1 + (self.n_belief + 2 if self.n_belief else 0)

    @property
    def last_dim(self) -> int:
        """Number of columns that tell whether the glimpse was the last: 1, or 0 where absent."""
        return 1 if self.present else 0

    @property
    def confidence_dim(self) -> int:
        """Number of columns that tell how sure the belief is: 2, or 0 without a belief."""
        return 2 if self.present and self.n_belief else 0

    @property
    def summary_dim(self) -> int:
        """Number of columns that do not depend on which class is which."""
        return self.last_dim + self.confidence_dim

    def make(self, remaining: th.Tensor, belief: th.Tensor | None = None) -> th.Tensor:
        """Return float32 (B, dim).

        :param remaining: float32 (B, 1), unused share of the budget; 0 after the last glimpse
        :param belief: float32 (B, K) class probabilities, where there is a belief
        """
        columns = [(remaining <= 0).to(remaining.dtype)]
        if belief is not None:
            log_belief = belief.clamp(BELIEF_FLOOR, 1.0).log()
            entropy = -(belief * log_belief).sum(dim=1, keepdim=True)
            columns += [log_belief, belief.amax(dim=1, keepdim=True), entropy]
        return th.cat(columns, dim=1)

    def split(self, features: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """Return (B, F) without the columns, and (B, dim) the columns.

        :param features: (B, F + dim)
        """
        at = features.shape[1] - self.dim
        return features[:, :at], features[:, at:]

    def last(self, bypass: th.Tensor) -> th.Tensor:
        """Return bool (B, 1), True after the last glimpse.

        All False where not present.

        :param bypass: (B, dim)
        """
        if not self.present:
            return th.zeros(bypass.shape[0], 1, dtype=th.bool, device=bypass.device)
        return bypass[:, :1] > 0.5

    def log_belief(self, bypass: th.Tensor) -> th.Tensor:
        """Return (B, K) log of the clipped belief, K = 0 without a belief.

        :param bypass: (B, dim)
        """
        return bypass[:, 1 : 1 + self.n_belief] if self.confidence_dim else bypass[:, :0]

    def confidence(self, bypass: th.Tensor) -> th.Tensor:
        """Return (B, confidence_dim): maximum and entropy of the belief.

        :param bypass: (B, dim)
        """
        return bypass[:, bypass.shape[1] - self.confidence_dim :]

    def summary(self, bypass: th.Tensor) -> th.Tensor:
        """Return (B, summary_dim): last flag, maximum and entropy of the belief.

        :param bypass: (B, dim)
        """
        return th.cat([bypass[:, : self.last_dim], self.confidence(bypass)], dim=1)


class BesideBypass(nn.Module):
    """Apply a module to the features and let the bypass columns pass.

    :param module: maps (B, F) to (B, G)
    :param bypass: layout of the columns that pass
    """

    def __init__(self, module: nn.Module, bypass: BypassLayout) -> None:
        super().__init__()
        self.module = module
        self.bypass = bypass

    def forward(self, features: th.Tensor) -> th.Tensor:
        """Return (B, G + bypass.dim).

        :param features: (B, F + bypass.dim)
        """
        encoded, bypass = self.bypass.split(features)
        return th.cat([self.module(encoded), bypass], dim=1)


def log_sigmoid_pair(logit: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
    """Return log(1 - p) and log(p) of p = sigmoid(logit), both exact in the tails.

    :param logit: any shape
    """
    return F.logsigmoid(-logit), F.logsigmoid(logit)
