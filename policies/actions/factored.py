"""Action distributions whose decision is factored: first whether to answer, then which class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution, MultiCategoricalDistribution
from torch import nn
from torch.nn import functional as F

from glimpse_envs.boxview import BoxView
from policies.actions.epsilon_greedy import EpsilonGreedyCategorical
from policies.actions.heads import NO_BYPASS, DecisionHead, HybridDecisionHead
from policies.actions.hybrid import HybridDistribution
from policies.extractors.layers import BypassLayout


def _class_weight(entropy_weights: Mapping[str, float] | None) -> float:
    """Return the weight of the class, the only part of flat actions that has one.

    :raises ValueError: for that of another part
    """
    weights = dict(entropy_weights or {})
    weight = float(weights.pop("class", 1.0))
    if weights:
        raise ValueError(
            f"got entropy_weights of {', '.join(weights)}; wanted that of 'class' alone: drop the "
            "others"
        )
    return weight


def _stop_logit(go: th.Tensor, stop: th.Tensor) -> th.Tensor:
    """Return (B,) the log-odds of stopping, above 0 if P(stop) > 0.5.

    :param go: (B, M) logits of going on
    :param stop: (B, K) logits of the answers
    """
    return stop.logsumexp(dim=1) - go.logsumexp(dim=1)


class _FlatDecision(Distribution):
    """What follows from the logits of going on and of the answers, wherever they lie."""

    class_weight: float

    def stop_probability(self) -> th.Tensor:
        """Return float32 (B,), probability of answering now."""
        return th.sigmoid(_stop_logit(*self._split()))

    def entropy(self) -> th.Tensor:
        """Return float32 (B,), nats, with the weight of the class."""
        total = super().entropy()
        if self.class_weight == 1.0:
            return total
        log_classes = F.log_softmax(self._split()[1], dim=1)
        classes = -(log_classes.exp() * log_classes).sum(dim=1)
        return total + (self.class_weight - 1.0) * self.stop_probability() * classes

    def _split(self) -> tuple[th.Tensor, th.Tensor]:
        """Return logits of going on (B, M) and of the answers (B, K)."""
        raise NotImplementedError


class FactoredCategoricalDistribution(_FlatDecision, EpsilonGreedyCategorical):
    """Categorical over moves and answers, ``Discrete(n_moves + K)``, with a factored decision.

    Probabilities, samples and entropy are those of the flat categorical. The mode is not its
    argmax: with P(stop) = 0.6 spread over ten classes a single move would win. It answers if
    P(stop) > 0.5, and then with the best class; else it makes the best move.

    Behaviour can be epsilon-greedy; after the last glimpse the answers alone are possible. The mode
    and :meth:`stop_probability` stay those of the policy itself.

    :param action_dim: number of actions, n_moves + K
    :param n_moves: the first so many actions are moves
    :param bypass: layout of the bypass columns at the end of the latent code
    :param initial_stop_probability: P(stop) of the untrained head
    :param entropy_weights: ``{"class": weight}``, of P(stop) H(class | stop) in the entropy
    """

    def __init__(
        self,
        action_dim: int,
        n_moves: int,
        *,
        bypass: BypassLayout = NO_BYPASS,
        initial_stop_probability: float = 0.1,
        entropy_weights: Mapping[str, float] | None = None,
    ) -> None:
        if not 1 <= n_moves < action_dim:
            raise ValueError(
                f"n_moves is {n_moves} of {action_dim} actions, wanted at least one move and one "
                "class; pass the environment's number of moves as n_moves"
            )
        super().__init__(action_dim)
        self.n_moves = n_moves
        self.bypass = bypass
        self.initial_stop_probability = initial_stop_probability
        self.class_weight = _class_weight(entropy_weights)

    def proba_distribution_net(self, latent_dim: int) -> nn.Module:
        """Return the head that makes the logits.

        :param latent_dim: size of the latent code, bypass columns included
        """
        return DecisionHead(
            latent_dim,
            self.action_dim - self.n_moves,
            self.n_moves,
            joint=True,
            bypass=self.bypass,
            initial_stop_probability=self.initial_stop_probability,
        )

    def mode(self) -> th.Tensor:
        """Return int64 (B,), see the class."""
        go, stop = self._split()
        answers = self.n_moves + stop.argmax(dim=1)
        return th.where(_stop_logit(go, stop) > 0, answers, go.argmax(dim=1))

    def _split(self) -> tuple[th.Tensor, th.Tensor]:
        """Return logits of the moves (B, n_moves) and of the answers (B, K)."""
        return self.greedy_logits.tensor_split([self.n_moves], dim=1)


class FactoredMultiCategoricalDistribution(_FlatDecision, MultiCategoricalDistribution):
    """Categoricals of moves and, last, of the decision: 0 goes on, k + 1 answers class k.

    As the stock class, but the mode of the decision is factored: it answers if P(stop) > 0.5, and
    then with the best class.

    :param action_dims: sizes of the categoricals, the last one K + 1
    :param bypass: layout of the bypass columns at the end of the latent code
    :param initial_stop_probability: P(stop) of the untrained head
    :param entropy_weights: ``{"class": weight}``, of P(stop) H(class | stop) in the entropy
    """

    def __init__(
        self,
        action_dims: Sequence[int],
        *,
        bypass: BypassLayout = NO_BYPASS,
        initial_stop_probability: float = 0.1,
        entropy_weights: Mapping[str, float] | None = None,
    ) -> None:
        dims = [int(dim) for dim in action_dims]
        if len(dims) < 2 or dims[-1] < 2:
            raise ValueError(
                f"the actions are MultiDiscrete({dims}), wanted the moves and then a decision of "
                "K + 1 choices; reorder them in a wrapper"
            )
        super().__init__(dims)
        self.bypass = bypass
        self.initial_stop_probability = initial_stop_probability
        self.class_weight = _class_weight(entropy_weights)

    def proba_distribution_net(self, latent_dim: int) -> nn.Module:
        """Return the head that makes the logits.

        :param latent_dim: size of the latent code, bypass columns included
        """
        return DecisionHead(
            latent_dim,
            self.action_dims[-1] - 1,
            sum(self.action_dims[:-1]),
            joint=False,
            bypass=self.bypass,
            initial_stop_probability=self.initial_stop_probability,
        )

    def mode(self) -> th.Tensor:
        """Return int64 (B, number of categoricals), see the class."""
        moves = [part.logits.argmax(dim=1) for part in self.distribution[:-1]]
        go, stop = self._split()
        decision = th.where(_stop_logit(go, stop) > 0, 1 + stop.argmax(dim=1), 0)
        return th.stack([*moves, decision], dim=1)

    def _split(self) -> tuple[th.Tensor, th.Tensor]:
        """Return logits of going on (B, 1) and of the answers (B, K)."""
        return self.distribution[-1].logits.tensor_split([1], dim=1)


class FactoredHybridDistribution(HybridDistribution):
    """Decision, class and whatever else a Dict holds, with a factored decision.

    The class counts where the decision is 1, everything else where it is 0.

    :param view: of a Dict with ``decision``, Discrete(2), and ``class``, Discrete(K)
    :param bypass: layout of the bypass columns at the end of the latent code
    :param initial_stop_probability: P(stop) of the untrained head
    :param entropy_weights: by part, see :class:`~policies.actions.hybrid.HybridDistribution`
    :param continuous: see there
    """

    def __init__(
        self,
        view: BoxView,
        *,
        bypass: BypassLayout = NO_BYPASS,
        initial_stop_probability: float = 0.1,
        entropy_weights: Mapping[str, float] | None = None,
        continuous: str = "gaussian",
    ) -> None:
        gates = {
            part.name: {"decision": int(part.name == "class")}
            for part in view.parts
            if part.name != "decision"
        }
        super().__init__(view, gates=gates, entropy_weights=entropy_weights, continuous=continuous)
        self.view, self.bypass = view, bypass
        self.initial_stop_probability = initial_stop_probability

    def proba_distribution_net(
        self, latent_dim: int, log_std_init: float = 0.0
    ) -> tuple[nn.Module, nn.Parameter]:
        """Return the head that makes the parameters, and the logarithm of the deviations.

        :param latent_dim: size of the latent code, bypass columns included
        :param log_std_init: logarithm of the first deviation of the continuous columns
        """
        head = HybridDecisionHead(
            latent_dim,
            self.view,
            bypass=self.bypass,
            initial_stop_probability=self.initial_stop_probability,
        )
        return head, self.make_log_std(log_std_init)

    def stop_probability(self) -> th.Tensor:
        """Return float32 (B,), probability of answering now."""
        return self.components["decision"].categoricals[0].probs[:, 1]


Factored = (
    FactoredCategoricalDistribution
    | FactoredMultiCategoricalDistribution
    | FactoredHybridDistribution
)


def answers_by_dict(action_space: spaces.Space) -> bool:
    """Return whether a view shows a ``decision`` of two and a ``class``."""
    if not isinstance(action_space, BoxView):
        return False
    parts = {part.name: part.space for part in action_space.parts}
    return parts.get("decision") == spaces.Discrete(2) and isinstance(
        parts.get("class"), spaces.Discrete
    )


def make_factored_distribution(
    action_space: spaces.Space,
    *,
    bypass: BypassLayout = NO_BYPASS,
    n_moves: int = 6,
    initial_stop_probability: float = 0.1,
    entropy_weights: Mapping[str, float] | None = None,
    continuous: str = "gaussian",
) -> Factored | None:
    """Return the factored distribution of an action space.

    :param action_space: ``Discrete(n_moves + K)``, ``MultiDiscrete([..., K + 1])``, the view of a
        Dict with ``decision`` and ``class``, or another
    :param bypass: layout of the bypass columns at the end of the latent code
    :param n_moves: for ``Discrete`` spaces, the first so many actions are moves
    :param initial_stop_probability: P(stop) of the untrained head
    :param entropy_weights: by part, its weight in the entropy: ``class``, or any part of a Dict
    :param continuous: for Dicts, see :class:`~policies.actions.hybrid.HybridDistribution`
    :return: the distribution, or None for a space in which the agent does not answer
    """
    common: dict[str, Any] = {
        "bypass": bypass,
        "initial_stop_probability": initial_stop_probability,
        "entropy_weights": entropy_weights,
    }
    if isinstance(action_space, spaces.Discrete):
        return FactoredCategoricalDistribution(int(action_space.n), n_moves, **common)
    if isinstance(action_space, spaces.MultiDiscrete):
        return FactoredMultiCategoricalDistribution(action_space.nvec, **common)
    if answers_by_dict(action_space):
        return FactoredHybridDistribution(action_space, **common, continuous=continuous)
    return None
