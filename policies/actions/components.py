"""Component distributions: one for each part of an action, of which a hybrid one is made.

Each takes and gives columns of a :class:`~glimpse_envs.boxview.BoxView`, float32 (B, width), and
has ``log_prob(columns)``, ``entropy()``, ``sample()`` and ``mode()``, the first two (B,).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch as th
from torch import distributions


@dataclass
class Categorical:
    """Categoricals side by side, for ``Discrete`` and ``MultiDiscrete``: columns are scores."""

    logits: list[th.Tensor]  # (B, n) each

    def __post_init__(self) -> None:
        self.parts = [
            distributions.Categorical(logits=logits, validate_args=False) for logits in self.logits
        ]

    def chosen(self, columns: th.Tensor) -> list[th.Tensor]:
        """Return the index of each categorical, int64 (B,) each."""
        sizes = [logits.shape[1] for logits in self.logits]
        return [scores.argmax(dim=1) for scores in columns.split(sizes, dim=1)]

    def log_prob(self, columns: th.Tensor) -> th.Tensor:
        pairs = zip(self.parts, self.chosen(columns), strict=True)
        return sum(part.log_prob(chosen) for part, chosen in pairs)

    def entropy(self) -> th.Tensor:
        return sum(part.entropy() for part in self.parts)

    def sample(self) -> th.Tensor:
        return self._scores([part.sample() for part in self.parts])

    def mode(self) -> th.Tensor:
        return self._scores([logits.argmax(dim=1) for logits in self.logits])

    def _scores(self, chosen: list[th.Tensor]) -> th.Tensor:
        scores = [th.full_like(logits, -1.0) for logits in self.logits]
        for score, index in zip(scores, chosen, strict=True):
            score.scatter_(1, index[:, None], 1.0)
        return th.cat(scores, dim=1)


@dataclass
class Bernoulli:
    """Bernoullis side by side, for ``MultiBinary``: a column above 0 is 1."""

    logits: th.Tensor  # (B, n)

    def log_prob(self, columns: th.Tensor) -> th.Tensor:
        distribution = distributions.Bernoulli(logits=self.logits, validate_args=False)
        return distribution.log_prob((columns > 0).to(self.logits.dtype)).sum(dim=1)

    def entropy(self) -> th.Tensor:
        return distributions.Bernoulli(logits=self.logits, validate_args=False).entropy().sum(dim=1)

    def sample(self) -> th.Tensor:
        return 2.0 * th.bernoulli(self.logits.sigmoid()) - 1.0

    def mode(self) -> th.Tensor:
        return th.where(self.logits > 0, 1.0, -1.0)


@dataclass
class Gaussian:
    """Gaussians side by side, for ``Box``."""

    mean: th.Tensor  # (B, n)
    std: th.Tensor  # (n,)

    def log_prob(self, columns: th.Tensor) -> th.Tensor:
        distribution = distributions.Normal(self.mean, self.std, validate_args=False)
        return distribution.log_prob(columns).sum(dim=1)

    def entropy(self) -> th.Tensor:
        return distributions.Normal(self.mean, self.std, validate_args=False).entropy().sum(dim=1)

    def sample(self) -> th.Tensor:
        return self.mean + self.std * th.randn_like(self.mean)

    def mode(self) -> th.Tensor:
        return self.mean


class DeterministicMean(Gaussian):
    """Gaussian that the network alone decides, for ``Box``: they count neither in the probability
    nor in the entropy, whatever noise is added while exploring.
    """

    def log_prob(self, columns: th.Tensor) -> th.Tensor:
        return self.mean.new_zeros(len(self.mean))

    def entropy(self) -> th.Tensor:
        return self.mean.new_zeros(len(self.mean))


Component = Categorical | Bernoulli | Gaussian
