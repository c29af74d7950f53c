"""The terms of the loss: what rewards alone say of types and parameters of actions."""

from __future__ import annotations

import torch as th
from torch.nn import functional as F

TYPE_REWARDS = ("best", "mean")


def pseudo_targets(rewards: th.Tensor, kind: str = "best") -> th.Tensor:
    """Return the type that earns most, int64 (...).

    The best of a type's parameters tells more than their mean, which is low for the right type,
    too, as long as most parameters miss.

    :param rewards: of M parameters of each of K types, float32 (..., K, M)
    :param kind: what of the M rewards counts for a type, "best" or "mean"
    """
    of_type = rewards.amax(dim=-1) if kind == "best" else rewards.mean(dim=-1)
    return of_type.argmax(dim=-1)


def type_loss(logits: th.Tensor, targets: th.Tensor) -> th.Tensor:
    """Return the cross-entropy of types to pseudo-targets.

    :param logits: float32 (..., K)
    :param targets: int64 (...)
    """
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten())


def advantages(rewards: th.Tensor) -> th.Tensor:
    """Return rewards less the mean of the others that were tried for the same type.

    Each baseline is independent of the parameter that it is for, so that the gradient keeps its
    expectation (Kool, van Hoof and Welling 2019, "Buy 4 REINFORCE samples, get a baseline for
    free"). A single one has none.

    :param rewards: float32 (..., M)
    """
    n = rewards.shape[-1]
    if n < 2:
        return rewards
    return (rewards - rewards.mean(dim=-1, keepdim=True)) * (n / (n - 1))


def enumeration_loss(
    means: th.Tensor, log_std: th.Tensor, drawn: th.Tensor, advantages: th.Tensor
) -> th.Tensor:
    """Return what falls along the policy gradient with all types enumerated.

    Its gradient is minus the mean over the states of

        1/K sum over k of 1/M sum over m of A(k, m) grad log p(theta(k, m) | s, a(k)).

    :param means: of the Gaussians of K types, float32 (..., K)
    :param log_std: logarithms of their deviations, float32 (K,)
    :param drawn: M parameters of each, float32 (..., K, M), without gradient
    :param advantages: float32 (..., K, M), without gradient
    """
    normal = th.distributions.Normal(means[..., None], log_std.exp()[:, None], validate_args=False)
    return -(advantages * normal.log_prob(drawn)).mean()


def symmetry_loss(logits: th.Tensor, means: th.Tensor) -> th.Tensor:
    """Return how far the branches are from saying the same type and the inverse parameter.

    Of types the Jensen-Shannon divergence, nats; of parameters the mean square of their sum, as
    the inverse of every action is the negated parameter (factors are told by their logarithms).

    :param logits: of both branches, float32 (2, ..., K)
    :param means: float32 (2, ..., K)
    """
    log_p = logits.log_softmax(dim=-1)
    middle = log_p.logsumexp(dim=0) - th.tensor(2.0).log()
    divergence = (log_p.exp() * (log_p - middle)).sum(dim=-1).mean()
    return divergence + means.sum(dim=0).square().mean()
