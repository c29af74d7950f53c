"""Hybrid distributions: log-probability and entropy, of independent parts and of gated ones."""

import itertools

import numpy as np
import pytest
import torch as th
from mixed_actions import (
    CHAIN,
    DISCRETE,
    DISCRETE_GATES,
    MIXED,
    columns_of,
    made,
    opened_parts,
    points,
    terms_of,
)

from policies import HybridDistribution


def outcome(tool: int, grip: int, keys: tuple, lights: tuple, free: int) -> tuple:
    """What DISCRETE_GATES let through."""
    if tool == 0:
        return tool, free, lights
    return (tool, free, grip, keys) if grip == 0 else (tool, free, grip)


def test_ungated_parts_are_independent():
    dist, parameters, log_std = made(MIXED, 50)
    actions = points(MIXED, 50)
    terms = terms_of(MIXED, parameters, log_std, actions).values()
    log_prob, entropy = (sum(term[i] for term in terms) for i in range(2))
    th.testing.assert_close(dist.log_prob(actions), log_prob, atol=1e-5, rtol=1e-5)
    th.testing.assert_close(dist.entropy(), entropy, atol=1e-5, rtol=1e-5)


def test_log_prob_counts_exactly_the_open_parts():
    dist, parameters, log_std = made(MIXED, 300, gates=CHAIN)
    actions = points(MIXED, 300)
    terms = terms_of(MIXED, parameters, log_std, actions)
    opened = opened_parts(MIXED.decode(actions.numpy()))
    assert all(0 < part.sum() < 300 for name, part in opened.items() if name in CHAIN)
    want = sum(th.as_tensor(opened[name]) * log_prob for name, (log_prob, _) in terms.items())
    th.testing.assert_close(dist.log_prob(actions), want, atol=1e-5, rtol=1e-5)


def test_entropy_of_a_continuous_part_counts_as_often_as_its_gates_open():
    dist, parameters, log_std = made(MIXED, gates=CHAIN)
    entropies = {
        name: entropy
        for name, (_, entropy) in terms_of(MIXED, parameters, log_std, points(MIXED, 6)).items()
    }
    tool = parameters[:, columns_of(MIXED, "tool")].softmax(1)
    grip = parameters[:, columns_of(MIXED, "arm.grip")].softmax(1)
    held = tool[:, 1] + tool[:, 3]
    shares = {
        "arm.grip": held,
        "arm.angle": held * grip[:, 2],
        "arm.hand.fingers": held * (grip[:, 0] + grip[:, 1]),
        "keys": tool[:, 0],
    }
    want = sum(shares.get(name, 1.0) * entropy for name, entropy in entropies.items())
    th.testing.assert_close(dist.entropy(), want, atol=1e-5, rtol=1e-5)


def _outcomes() -> tuple[list[tuple], th.Tensor]:
    """All actions of DISCRETE: what they come to under the gates, and points of the Box."""
    told = list(
        itertools.product(
            range(3),
            (-1, 0, 1),
            itertools.product(range(2), range(3)),
            itertools.product(range(2), range(2)),
            range(2),
        )
    )
    tool, grip, keys, lights, free = (np.array(part) for part in zip(*told, strict=True))
    columns = DISCRETE.encode(
        {"tool": tool, "grip": grip, "keys": keys, "lights": lights, "free": free}
    )
    return [outcome(*each) for each in told], th.as_tensor(columns, dtype=th.float32)


def _effective_probabilities(row: th.Tensor) -> dict[tuple, float]:
    """By what an action comes to, its probability under the parameters (size,), by enumeration."""
    keys, actions = _outcomes()
    rows = row.double().expand(len(keys), -1)
    terms = terms_of(DISCRETE, rows, th.zeros(1), actions)
    probabilities = sum(log_prob.double() for log_prob, _ in terms.values()).exp()
    total: dict[tuple, float] = {}
    for key, probability in zip(keys, probabilities.tolist(), strict=True):
        total[key] = total.get(key, 0.0) + probability
    assert sum(total.values()) == pytest.approx(1.0, abs=1e-5)
    return total


def test_gated_entropy_and_log_prob_are_those_of_the_effective_outcomes():
    dist, parameters, _ = made(DISCRETE, gates=DISCRETE_GATES)
    keys, actions = _outcomes()
    assert len(set(keys)) == 2 * (4 + 2 * (6 + 2))
    for i, row in enumerate(parameters.detach()):
        effective = _effective_probabilities(row)
        entropy = -sum(p * np.log(p) for p in effective.values())
        assert dist.entropy()[i].item() == pytest.approx(entropy, abs=1e-5)
        one = HybridDistribution(DISCRETE, gates=DISCRETE_GATES)
        one.proba_distribution(row.expand(len(actions), -1), th.zeros(1))
        want = th.tensor([np.log(effective[key]) for key in keys], dtype=th.float32)
        th.testing.assert_close(one.log_prob(actions), want, atol=1e-5, rtol=1e-5)


def test_sampled_outcomes_are_as_frequent_as_they_are_probable():
    _, parameters, _ = made(DISCRETE)
    row, n = parameters.detach()[0], 40_000
    dist = HybridDistribution(DISCRETE, gates=DISCRETE_GATES)
    dist.proba_distribution(row.expand(n, -1), th.zeros(1))
    th.manual_seed(0)
    told = DISCRETE.decode(dist.sample().numpy())
    parts = (told[name].tolist() for name in ("tool", "grip", "keys", "lights", "free"))
    counts: dict[tuple, int] = {}
    for tool, grip, keys, lights, free in zip(*parts, strict=True):
        key = outcome(tool, grip, tuple(keys), tuple(lights), free)
        counts[key] = counts.get(key, 0) + 1
    effective = _effective_probabilities(row)
    assert counts.keys() <= effective.keys()
    for key, p in effective.items():
        assert abs(counts.get(key, 0) / n - p) < 4.5 * np.sqrt(p * (1 - p) / n), key


def test_a_value_named_twice_opens_as_often_as_once():
    once, _, _ = made(MIXED, gates={"keys": {"tool": [0, 2]}})
    twice, _, _ = made(MIXED, gates={"keys": {"tool": [0, 2, 2]}})
    th.testing.assert_close(twice.entropy(), once.entropy())
    assert th.equal(twice.log_prob(points(MIXED, 6)), once.log_prob(points(MIXED, 6)))


def test_entropy_is_the_mean_of_minus_log_prob():
    _, parameters, log_std = made(MIXED)
    n = 100_000
    dist = HybridDistribution(MIXED, gates=CHAIN)
    dist.proba_distribution(parameters[:1].detach().expand(n, -1), log_std.detach())
    th.manual_seed(0)
    surprise = -dist.log_prob(dist.sample())
    assert dist.entropy()[0].item() == pytest.approx(
        surprise.mean().item(), abs=4 * surprise.std().item() / n**0.5
    )


def test_a_closed_part_gets_no_gradient():
    dist, parameters, log_std = made(MIXED, 100, gates=CHAIN)
    actions = points(MIXED, 100)
    opened = opened_parts(MIXED.decode(actions.numpy()))
    dist.log_prob(actions).sum().backward()
    for name, columns in ((part.name, part.columns) for part in MIXED.parts):
        size = parameters.grad[:, columns].abs().sum(dim=1)
        assert (size[~th.as_tensor(opened[name])] == 0).all(), name
        assert (size[th.as_tensor(opened[name])] > 0).all(), name
    log_std.grad = None
    closed = actions[~th.as_tensor(opened["arm.angle"])]
    dist.proba_distribution(parameters[: len(closed)], log_std)
    dist.log_prob(closed).sum().backward()
    assert (log_std.grad[:2] == 0).all() and (log_std.grad[2:] != 0).all()  # angle, force


def test_a_weight_scales_the_entropy_of_its_part_only():
    weights = {"arm.grip": 3, "arm.angle": 0.5, "force": 0.0, "tool": 2.0}
    plain, parameters, log_std = made(MIXED, gates=CHAIN)
    for name, weight in weights.items():
        weighted, _, _ = made(MIXED, gates=CHAIN, entropy_weights={name: weight})
        without, _, _ = made(MIXED, gates=CHAIN, entropy_weights={name: 0.0})
        own = plain.entropy() - without.entropy()
        want = plain.entropy() + (weight - 1) * own
        th.testing.assert_close(weighted.entropy(), want, atol=1e-5, rtol=1e-5)
        assert th.equal(weighted.log_prob(weighted.mode()), plain.log_prob(plain.mode()))
    terms = terms_of(MIXED, parameters, log_std, points(MIXED, 6))
    every, _, _ = made(MIXED, entropy_weights=weights)
    want = sum(weights.get(name, 1.0) * entropy for name, (_, entropy) in terms.items())
    th.testing.assert_close(every.entropy(), want, atol=1e-5, rtol=1e-5)
