"""Heads that decide in factors: first whether to answer, then which class."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch as th
from torch import nn
from torch.nn import functional as F

from glimpse_envs.boxview import BoxView
from policies.extractors.layers import BypassLayout, log_sigmoid_pair

CERTAIN = 1e8
"""Stop logit after the last glimpse: P(stop) is 1 in floating point and log(1 - P(stop)) is -1e8,
far below any other but finite, so that entropies and gradients stay so too."""

NO_BYPASS = BypassLayout(present=False)


class Decision(NamedTuple):
    """The factors of a decision.

    :param log_go: log(1 - P(stop)), float32 (B, 1)
    :param log_stop: log P(stop), float32 (B, 1)
    :param log_classes: log P(class | stop), float32 (B, K)
    :param moves: logits, or other parameters, of the moves, float32 (B, n_move_logits)
    """

    log_go: th.Tensor
    log_stop: th.Tensor
    log_classes: th.Tensor
    moves: th.Tensor


class DecisionHead(nn.Module):
    """Latent code -> flat action logits that are the exact log-products of a factored decision.

    P(stop) = sigmoid(own logit of the latent and of the belief's maximum and entropy);
    P(class | stop) = softmax(own logits + log of the clipped belief); going on is impossible after
    the last glimpse. (Adding the log-belief to flat logits instead would make P(stop) blind to
    confidence, because beliefs sum to one.)

    :param latent_dim: size of the input, bypass columns included
    :param n_classes: number of classes K
    :param n_move_logits: number of logits for moving
    :param joint: True if moves and answers are alternatives in one categorical,
        ``[log(1 - P(stop)) + log softmax(moves), log P(stop) + log P(class | stop)]``; False if the
        moves are categoricals of their own, ``[moves, log(1 - P(stop)), log P(stop) + ...]``
    :param bypass: layout of the bypass columns at the end of the input
    :param initial_stop_probability: P(stop) of the untrained head, in (0, 1)
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
                f"got initial_stop_probability={initial_stop_probability}; wanted a number between "
                "0 and 1, both excluded"
            )
        if bypass.n_belief not in (0, n_classes):
            raise ValueError(
                f"got a belief of {bypass.n_belief} classes; wanted {n_classes}, as the actions "
                "can answer: attach a classifier of as many classes as the environment has, and "
                "for Discrete actions give the policy the environment's number of moves as n_moves"
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

    def decide(self, latent: th.Tensor) -> Decision:
        """Return the factors.

        :param latent: float32 (B, latent_dim), bypass columns last
        """
        own, bypass = self.bypass.split(latent)
        stop = self.stop(th.cat([own, self.bypass.confidence(bypass)], dim=1)) + self.stop_bias
        stop = stop.masked_fill(self.bypass.last(bypass), CERTAIN)  # (B, 1)
        log_go, log_stop = log_sigmoid_pair(stop)

        classes = self.classes(own)  # (B, K)
        if self.bypass.n_belief:
            classes = classes + self.bypass.log_belief(bypass)
        return Decision(log_go, log_stop, F.log_softmax(classes, dim=1), self.moves(own))

    def forward(self, latent: th.Tensor) -> th.Tensor:
        """Return float32 (B, n_move_logits + K) if joint, else (B, n_move_logits + 1 + K).

        :param latent: float32 (B, latent_dim), bypass columns last
        """
        log_go, log_stop, log_classes, moves = self.decide(latent)
        answers = log_stop + log_classes
        if self.joint:
            return th.cat([log_go + F.log_softmax(moves, dim=1), answers], dim=1)
        return th.cat([moves, log_go, answers], dim=1)


class HybridDecisionHead(DecisionHead):
    """The same decision as the parameters of a hybrid distribution, part beside part.

    :param latent_dim: size of the input, bypass columns included
    :param view: of a Dict with ``decision`` and ``class``; its other columns are moves
    :param kwargs: ``bypass`` and ``initial_stop_probability``
    """

    def __init__(self, latent_dim: int, view: BoxView, **kwargs: Any) -> None:
        self.widths = {part.name: part.columns.stop - part.columns.start for part in view.parts}
        n_classes = self.widths["class"]
        n_moves = view.size - n_classes - 2
        super().__init__(latent_dim, n_classes, n_moves, joint=False, **kwargs)

    def forward(self, latent: th.Tensor) -> th.Tensor:
        """Return float32 (B, view.size).

        :param latent: float32 (B, latent_dim), bypass columns last
        """
        log_go, log_stop, log_classes, moves = self.decide(latent)
        known = {"decision": th.cat([log_go, log_stop], dim=1), "class": log_classes}
        others = [width for name, width in self.widths.items() if name not in known]
        rest = iter(moves.split(others, dim=1))
        return th.cat([known[name] if name in known else next(rest) for name in self.widths], dim=1)
