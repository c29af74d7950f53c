"""Action distributions whose decision is factored: first whether to answer, then which class."""

from collections.abc import Sequence

import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import (
    CategoricalDistribution,
    MultiCategoricalDistribution,
)
from torch import nn
from torch.nn import functional as F

from policies.layers import BypassLayout, log_sigmoid_pair

CERTAIN = 1e8
"""Stop logit after the last glimpse: P(stop) is 1 in floating point and log(1 - P(stop)) is -1e8,
far below any other but finite, so that entropies and gradients stay so too."""

NO_BYPASS = BypassLayout(present=False)


class DecisionHead(nn.Module):
    """
    Latent code -> flat action logits that are the exact log-products of a factored decision.

    P(stop) = sigmoid(own logit of the latent and of the belief's maximum and entropy);
    P(class | stop) = softmax(own logits + log of the clipped belief); going on is impossible after
    the last glimpse. (Adding the log-belief to flat logits instead would make P(stop) blind to
    confidence, because beliefs sum to one.)

    :param latent_dim: Size of the input, bypass columns included.
    :param n_classes: Number of classes K.
    :param n_move_logits: Number of logits for moving.
    :param joint: True if moves and answers are alternatives in one categorical,
        ``[log(1 - P(stop)) + log softmax(moves), log P(stop) + log P(class | stop)]``; False if the
        moves are categoricals of their own, ``[moves, log(1 - P(stop)), log P(stop) + ...]``.
    :param bypass: Layout of the bypass columns at the end of the input.
    :param initial_stop_probability: P(stop) of the untrained head, in (0, 1).
    """

    def __init__(
        self,
        latent_dim: int,
        n_classes: int,
        n_move_logits: int,
        *,
        joint: bool,
        bypass: BypassLayout = NO_BYPASS,
        initial_stop_probability: float = 0.1,
    ) -> None:
        super().__init__()
        if not 0.0 < initial_stop_probability < 1.0:
            raise ValueError(
                f"initial_stop_probability is {initial_stop_probability}, wanted a number "
                "between 0 and 1, both excluded"
            )
        if bypass.n_belief not in (0, n_classes):
            raise ValueError(
                f"the belief has {bypass.n_belief} classes and the actions can answer {n_classes}; "
                "attach a classifier of as many classes as the environment has, and for Discrete "
                "actions give the policy the environment's number of moves as n_moves"
            )
        self.joint = joint
        self.bypass = bypass
        own_dim = latent_dim - bypass.dim
        self.stop = nn.Linear(own_dim + bypass.confidence_dim, 1, bias=False)
        self.classes = nn.Linear(own_dim, n_classes)
        self.moves = nn.Linear(own_dim, n_move_logits)
        # A parameter of its own: SB3's orthogonal initialisation zeroes the biases of linear layers
        odds = th.tensor([initial_stop_probability / (1.0 - initial_stop_probability)])
        self.stop_bias = nn.Parameter(odds.log())
        # As SB3 does, but also where the policy is made with ortho_init=False: at first the stop
        # probability is the initial one and the answers are the classifier's
        for layer in (self.stop, self.classes, self.moves):
            nn.init.orthogonal_(layer.weight, gain=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, latent: th.Tensor) -> th.Tensor:
        """
        :param latent: float32 (B, latent_dim), bypass columns last
        :return: float32 (B, n_move_logits + K) if joint, else (B, n_move_logits + 1 + K)
        """
        own, bypass = self.bypass.split(latent)
        stop = self.stop(th.cat([own, self.bypass.confidence(bypass)], dim=1)) + self.stop_bias
        stop = stop.masked_fill(self.bypass.last(bypass), CERTAIN)  # (B, 1)
        log_go, log_stop = log_sigmoid_pair(stop)

        classes = self.classes(own)  # (B, K)
        if self.bypass.n_belief:
            classes = classes + self.bypass.log_belief(bypass)
        answers = log_stop + F.log_softmax(classes, dim=1)
        moves = self.moves(own)
        if self.joint:
            return th.cat([log_go + F.log_softmax(moves, dim=1), answers], dim=1)
        return th.cat([moves, log_go, answers], dim=1)


def _stop_logit(go: th.Tensor, stop: th.Tensor) -> th.Tensor:
    """
    :param go: (B, M) logits of going on
    :param stop: (B, K) logits of the answers
    :return: (B,) the log-odds of stopping, above 0 if P(stop) > 0.5
    """
    return stop.logsumexp(dim=1) - go.logsumexp(dim=1)


class FactoredCategoricalDistribution(CategoricalDistribution):
    """
    Categorical over moves and answers, ``Discrete(n_moves + K)``, with a factored decision.

    Probabilities, samples and entropy are those of the flat categorical. The mode is not its
    argmax: with P(stop) = 0.6 spread over ten classes a single move would win. It answers if
    P(stop) > 0.5, and then with the best class; else it makes the best move.

    :param action_dim: Number of actions, n_moves + K.
    :param n_moves: The first so many actions are moves.
    :param bypass: Layout of the bypass columns at the end of the latent code.
    :param initial_stop_probability: P(stop) of the untrained head.
    """

    def __init__(
        self,
        action_dim: int,
        n_moves: int,
        *,
        bypass: BypassLayout = NO_BYPASS,
        initial_stop_probability: float = 0.1,
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

    def proba_distribution_net(self, latent_dim: int) -> nn.Module:
        """
        :param latent_dim: Size of the latent code, bypass columns included
        :return: The head that makes the logits
        """
        return DecisionHead(
            latent_dim,
            self.action_dim - self.n_moves,
            self.n_moves,
            joint=True,
            bypass=self.bypass,
            initial_stop_probability=self.initial_stop_probability,
        )

    def stop_probability(self) -> th.Tensor:
        """:return: float32 (B,), probability of answering now"""
        return th.sigmoid(_stop_logit(*self._split()))

    def mode(self) -> th.Tensor:
        """:return: int64 (B,), see the class"""
        go, stop = self._split()
        answers = self.n_moves + stop.argmax(dim=1)
        return th.where(_stop_logit(go, stop) > 0, answers, go.argmax(dim=1))

    def _split(self) -> tuple[th.Tensor, th.Tensor]:
        """:return: logits of the moves (B, n_moves) and of the answers (B, K)"""
        return self.distribution.logits.tensor_split([self.n_moves], dim=1)


class FactoredMultiCategoricalDistribution(MultiCategoricalDistribution):
    """
    Categoricals of moves and, last, of the decision: 0 goes on, k + 1 answers class k.

    As the stock class, but the mode of the decision is factored: it answers if P(stop) > 0.5, and
    then with the best class.

    :param action_dims: Sizes of the categoricals, the last one K + 1.
    :param bypass: Layout of the bypass columns at the end of the latent code.
    :param initial_stop_probability: P(stop) of the untrained head.
    """

    def __init__(
        self,
        action_dims: Sequence[int],
        *,
        bypass: BypassLayout = NO_BYPASS,
        initial_stop_probability: float = 0.1,
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

    def proba_distribution_net(self, latent_dim: int) -> nn.Module:
        """
        :param latent_dim: Size of the latent code, bypass columns included
        :return: The head that makes the logits
        """
        return DecisionHead(
            latent_dim,
            self.action_dims[-1] - 1,
            sum(self.action_dims[:-1]),
            joint=False,
            bypass=self.bypass,
            initial_stop_probability=self.initial_stop_probability,
        )

    def stop_probability(self) -> th.Tensor:
        """:return: float32 (B,), probability of answering now"""
        return th.sigmoid(_stop_logit(*self._split()))

    def mode(self) -> th.Tensor:
        """:return: int64 (B, number of categoricals), see the class"""
        moves = [part.logits.argmax(dim=1) for part in self.distribution[:-1]]
        go, stop = self._split()
        decision = th.where(_stop_logit(go, stop) > 0, 1 + stop.argmax(dim=1), 0)
        return th.stack([*moves, decision], dim=1)

    def _split(self) -> tuple[th.Tensor, th.Tensor]:
        """:return: logits of going on (B, 1) and of the answers (B, K)"""
        return self.distribution[-1].logits.tensor_split([1], dim=1)


def make_factored_distribution(
    action_space: spaces.Space,
    *,
    bypass: BypassLayout = NO_BYPASS,
    n_moves: int = 6,
    initial_stop_probability: float = 0.1,
) -> FactoredCategoricalDistribution | FactoredMultiCategoricalDistribution | None:
    """
    The factored distribution of an action space.

    :param action_space: ``Discrete(n_moves + K)``, ``MultiDiscrete([..., K + 1])`` or another.
    :param bypass: Layout of the bypass columns at the end of the latent code.
    :param n_moves: For ``Discrete`` spaces, the first so many actions are moves.
    :param initial_stop_probability: P(stop) of the untrained head.
    :return: The distribution, or None for a space in which the agent does not answer.
    """
    if isinstance(action_space, spaces.Discrete):
        return FactoredCategoricalDistribution(
            int(action_space.n),
            n_moves,
            bypass=bypass,
            initial_stop_probability=initial_stop_probability,
        )
    if isinstance(action_space, spaces.MultiDiscrete):
        return FactoredMultiCategoricalDistribution(
            action_space.nvec,
            bypass=bypass,
            initial_stop_probability=initial_stop_probability,
        )
    return None
