"""Component distributions: one for each part of an action, of which a hybrid one is made.

Each takes and gives columns of a :class:`~glimpse_envs.boxview.BoxView`, float32 (B, width), and
has ``log_prob(columns)``, ``entropy()``, ``sample()`` and ``mode()``, the first two (B,).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch as th
from torch import distributions


@dataclass
class Categorical:
    """Categoricals side by side, for ``Discrete`` and ``MultiDiscrete``.

    Their columns are scores, the largest of which wins: 1 for the choice and -1 for the others.

    :param logits: of each categorical, float32 (B, n)
    :ivar categoricals: the same as distributions
    """

    logits: list[th.Tensor]
    categoricals: list[distributions.Categorical] = field(init=False)

    def __post_init__(self) -> None:
        self.categoricals = [
            distributions.Categorical(logits=logits, validate_args=False) for logits in self.logits
        ]

    def chosen(self, columns: th.Tensor) -> list[th.Tensor]:
        """Return the index of the choice of each categorical, int64 (B,) each."""
        sizes = [logits.shape[1] for logits in self.logits]
        return [scores.argmax(dim=1) for scores in columns.split(sizes, dim=1)]

    def log_prob(self, columns: th.Tensor) -> th.Tensor:
        """Return the log-probability of the choices that win, float32 (B,)."""
        pairs = zip(self.categoricals, self.chosen(columns), strict=True)
        return sum(categorical.log_prob(chosen) for categorical, chosen in pairs)

    def entropy(self) -> th.Tensor:
        """Return the sum of the entropies, float32 (B,), nats."""
        return sum(categorical.entropy() for categorical in self.categoricals)

    def sample(self) -> th.Tensor:
        """Return drawn scores, float32 (B, width)."""
        return self._scores([categorical.sample() for categorical in self.categoricals])

    def mode(self) -> th.Tensor:
        """Return the scores of the most probable choices, float32 (B, width)."""
        return self._scores([logits.argmax(dim=1) for logits in self.logits])

    def _scores(self, chosen: list[th.Tensor]) -> th.Tensor:
        scores = [th.full_like(logits, -1.0) for logits in self.logits]
        for score, index in zip(scores, chosen, strict=True):
            score.scatter_(1, index[:, None], 1.0)
        return th.cat(scores, dim=1)


@dataclass
class Bernoulli:
    """Bernoullis side by side, for ``MultiBinary``: a column above 0 is 1.

    :param logits: float32 (B, width)
    """

    logits: th.Tensor

    def log_prob(self, columns: th.Tensor) -> th.Tensor:
        """Return the log-probability of the signs, float32 (B,)."""
        return self._distribution().log_prob((columns > 0).to(self.logits.dtype)).sum(dim=1)

    def entropy(self) -> th.Tensor:
        """Return the sum of the entropies, float32 (B,), nats."""
        return self._distribution().entropy().sum(dim=1)

    def sample(self) -> th.Tensor:
        """Return drawn signs, -1 or 1, float32 (B, width)."""
        return 2.0 * th.bernoulli(self.logits.sigmoid()) - 1.0

    def mode(self) -> th.Tensor:
        """Return the more probable signs, -1 or 1, float32 (B, width)."""
        return th.where(self.logits > 0, 1.0, -1.0)

    def _distribution(self) -> distributions.Bernoulli:
        return distributions.Bernoulli(logits=self.logits, validate_args=False)


@dataclass
class Gaussian:
    """Gaussians side by side, for ``Box``: a column is the number itself, in the view's units.

    :param mean: float32 (B, width)
    :param std: float32 (width,), or (B, width)
    """

    mean: th.Tensor
    std: th.Tensor

    def log_prob(self, columns: th.Tensor) -> th.Tensor:
        """Return the log-density, float32 (B,)."""
        return self.log_probs(columns).sum(dim=1)

    def entropy(self) -> th.Tensor:
        """Return the sum of the differential entropies, float32 (B,), nats."""
        return self.entropies().sum(dim=1)

    def log_probs(self, columns: th.Tensor) -> th.Tensor:
        """Return the log-density of each number by itself, float32 (B, width)."""
        return self._distribution().log_prob(columns)

    def entropies(self) -> th.Tensor:
        """Return the differential entropy of each number by itself, float32 (B, width), nats."""
        return self._distribution().entropy()

    def sample(self) -> th.Tensor:
        """Return drawn numbers, float32 (B, width)."""
        return self.mean + self.std * th.randn_like(self.mean)

    def mode(self) -> th.Tensor:
        """Return the means, float32 (B, width)."""
        return self.mean

    def _distribution(self) -> distributions.Normal:
        return distributions.Normal(self.mean, self.std, validate_args=False)


class DeterministicMean(Gaussian):
    """Numbers that the network alone decides, for ``Box``, with Gaussian noise while exploring.

    The noise counts as the environment's own, so that these parts are neither in the probability
    nor in the entropy.
    """

    def log_probs(self, columns: th.Tensor) -> th.Tensor:
        """Return zeros, float32 (B, width)."""
        return th.zeros_like(self.mean)

    def entropies(self) -> th.Tensor:
        """Return zeros, float32 (B, width)."""
        return th.zeros_like(self.mean)


ComponentDistribution = Categorical | Bernoulli | Gaussian
"""Any of them; ``DeterministicMean`` is a ``Gaussian``."""
