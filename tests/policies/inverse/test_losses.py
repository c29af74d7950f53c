"""The terms of stage one against what can be computed by hand."""

from __future__ import annotations

import math

import pytest
import torch as th

from policies.inverse.losses import (
    advantages,
    enumeration_loss,
    pseudo_targets,
    symmetry_loss,
    type_loss,
)

BEST = th.tensor([0.5, 1.0, -0.7])
"""Where the reward of each type is highest."""


def _setting(n_states: int, n_types: int, n_each: int):
    generator = th.Generator().manual_seed(0)
    means = (0.3 * th.randn(n_types, generator=generator)).requires_grad_()
    log_std = th.tensor([0.4, 0.2, 0.7][:n_types]).log().requires_grad_()
    noise = th.randn(n_states, n_types, n_each, generator=generator)
    drawn = (means[:, None] + log_std.exp()[:, None] * noise).detach()
    return means, log_std, drawn


def test_the_gradient_is_the_sum_of_the_formula() -> None:
    means, log_std, drawn = _setting(1, 3, 4)
    rewards = th.randn(1, 3, 4, generator=th.Generator().manual_seed(1))
    enumeration_loss(means.expand(1, 3), log_std, drawn, rewards).backward()
    n_types, n_each = 3, 4
    for k in range(n_types):
        mean, std = means[k].item(), log_std[k].exp().item()
        of_mean = of_log_std = 0.0
        for m in range(n_each):
            away = drawn[0, k, m].item() - mean
            of_mean += rewards[0, k, m].item() * away / std**2
            of_log_std += rewards[0, k, m].item() * (away**2 / std**2 - 1.0)
        assert -means.grad[k].item() == pytest.approx(of_mean / (n_types * n_each), rel=1e-4)
        assert -log_std.grad[k].item() == pytest.approx(of_log_std / (n_types * n_each), rel=1e-4)


@pytest.mark.parametrize("n_each", [2, 8])
@pytest.mark.parametrize("n_types", [2, 3])
def test_its_expectation_is_the_gradient_of_the_mean_reward(n_types: int, n_each: int) -> None:
    # R(k, theta) = -(theta - c)^2, whose mean is -((mean - c)^2 + std^2), a Kth part for each type
    n = 200_000 // n_each
    means, log_std, drawn = _setting(n, n_types, n_each)
    best = BEST[:n_types]
    rewards = -((drawn - best[:, None]) ** 2)
    enumeration_loss(means.expand(n, -1), log_std, drawn, advantages(rewards)).backward()
    of_mean = -2.0 * (means - best) / n_types
    of_log_std = -2.0 * log_std.exp() ** 2 / n_types
    assert th.allclose(-means.grad, of_mean.detach(), atol=0.02)
    assert th.allclose(-log_std.grad, of_log_std.detach(), atol=0.02)


def test_a_baseline_leaves_its_own_reward_out_and_makes_the_gradient_steadier() -> None:
    rewards = th.tensor([1.0, 3.0, 8.0])
    assert advantages(rewards).tolist() == pytest.approx([1.0 - 5.5, 3.0 - 4.5, 8.0 - 2.0])
    assert advantages(th.tensor([2.0])).tolist() == [2.0]

    def spread(weigh) -> float:
        gradients = []
        means, log_std, drawn = _setting(400, 2, 4)
        rewards = 3.0 - (drawn - BEST[:2, None]) ** 2
        for state in range(400):
            means.grad = None
            weights = weigh(rewards[state : state + 1])
            enumeration_loss(
                means.expand(1, 2), log_std, drawn[state : state + 1], weights
            ).backward()
            gradients.append(means.grad.clone())
        return th.stack(gradients).var(dim=0).sum().item()

    assert spread(advantages) < 0.8 * spread(lambda rewards: rewards)


def test_the_target_is_the_type_of_the_best_or_of_the_best_mean_reward() -> None:
    rewards = th.tensor([[[0.9, -0.8], [0.5, 0.4]]])  # (1, K = 2, M = 2)
    assert pseudo_targets(rewards, "best").tolist() == [0]
    assert pseudo_targets(rewards, "mean").tolist() == [1]


def test_the_cross_entropy_is_over_states_and_branches() -> None:
    logits = th.log(th.tensor([[[0.25, 0.75]], [[0.5, 0.5]]]))  # (2 branches, 1 state, K = 2)
    targets = th.tensor([[1], [0]])
    expected = -(math.log(0.75) + math.log(0.5)) / 2
    assert type_loss(logits, targets).item() == pytest.approx(expected)


def test_inverse_branches_are_symmetric_and_others_are_not() -> None:
    logits = th.randn(1, 5, 3, generator=th.Generator().manual_seed(0)).expand(2, -1, -1)
    means = th.tensor([[[0.5, -0.2]], [[-0.5, 0.2]]])
    assert symmetry_loss(logits, means).item() == pytest.approx(0.0, abs=1e-6)
    assert symmetry_loss(logits, -means.abs()).item() == pytest.approx((1.0**2 + 0.4**2) / 2)
    sure = th.tensor([[[50.0, 0.0]], [[0.0, 50.0]]])  # of different types: ln 2 nats
    assert symmetry_loss(sure, means).item() == pytest.approx(math.log(2.0), abs=1e-5)
