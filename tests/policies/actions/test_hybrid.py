"""Hybrid distributions: independent sums, exact gates, samples, settled parts, the decision."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from torch.distributions import Bernoulli, Categorical, Normal

from glimpse_envs import BoxView
from glimpse_envs.actions import Hybrid
from policies import HybridDistribution
from policies.actions.factored import FactoredHybridDistribution, make_factored_distribution
from policies.extractors.layers import BELIEF_FLOOR, BypassLayout

th.set_num_threads(1)

MIXED = BoxView(
    spaces.Dict(
        {
            "arm": spaces.Dict(
                {
                    "angle": spaces.Box(np.float32([-2, 0]), np.float32([5, 1])),
                    "grip": spaces.Discrete(3, start=-1),
                    "hand": spaces.Dict({"fingers": spaces.MultiBinary((2, 2))}),
                }
            ),
            "force": spaces.Box(-np.inf, np.inf, (2, 1), np.float32),
            "keys": spaces.MultiDiscrete([[3, 2], [4, 1]], start=[[0, 5], [-2, 0]]),
            "tool": spaces.Discrete(4),
        }
    )
)
CHAIN = {
    "arm.grip": {"tool": [1, 3]},
    "arm.angle": {"arm.grip": 1},
    "arm.hand.fingers": {"arm.grip": (-1, 0)},
    "keys": {"tool": 0},
}

DISCRETE = BoxView(
    spaces.Dict(
        {
            "free": spaces.Discrete(2),
            "grip": spaces.Discrete(3, start=-1),
            "keys": spaces.MultiDiscrete([2, 3]),
            "lights": spaces.MultiBinary(2),
            "tool": spaces.Discrete(3),
        }
    )
)
DISCRETE_GATES = {"grip": {"tool": [1, 2]}, "keys": {"grip": 0}, "lights": {"tool": 0}}


def _effective(tool: int, grip: int, keys: tuple, lights: tuple, free: int) -> tuple:
    """What DISCRETE_GATES let through."""
    if tool == 0:
        return tool, free, lights
    return (tool, free, grip, keys) if grip == 0 else (tool, free, grip)


def _made(view: BoxView, n: int = 6, **kwargs):
    """A distribution with random parameters, which are given too."""
    dist = HybridDistribution(view, **kwargs)
    generator = th.Generator().manual_seed(0)
    parameters = th.randn(n, view.size, generator=generator, requires_grad=True)
    log_std = dist.make_log_std(-1.0)
    with th.no_grad():
        log_std += 0.3 * th.randn(len(log_std), generator=generator)
    return dist.proba_distribution(parameters, log_std), parameters, log_std


def _columns(view: BoxView, name: str) -> slice:
    return next(part.columns for part in view.parts if part.name == name)


def _leaf(actions: dict[str, Any], name: str) -> np.ndarray:
    for key in name.split("."):
        actions = actions[key]
    return np.asarray(actions)


def _points(view: BoxView, n: int) -> th.Tensor:
    """Any points of the Box."""
    view.seed(1)
    return th.as_tensor(np.stack([view.sample() for _ in range(n)]))


def _terms(view: BoxView, parameters, log_std, actions):
    """By part, log-probability and entropy (B,), of what the environment is told."""
    told = view.decode(actions.numpy())
    std = iter(log_std.exp())
    terms = {}
    for name, space, columns in view.parts:
        value = _leaf(told, name)
        logits = parameters[:, columns]
        if isinstance(space, spaces.Box):
            low, high = space.low.astype(float), space.high.astype(float)
            if space.is_bounded():
                value = 2 * (value - low) / (high - low) - 1
            scale = th.stack([next(std) for _ in range(logits.shape[1])])
            components = [Normal(logits, scale.expand_as(logits))]
            values = [value.reshape(len(value), -1)]
        elif isinstance(space, spaces.MultiBinary):
            components, values = [Bernoulli(logits=logits)], [value.reshape(len(value), -1) * 1.0]
        else:
            sizes = np.ravel(space.n if isinstance(space, spaces.Discrete) else space.nvec)
            components = [Categorical(logits=each) for each in logits.split(sizes.tolist(), dim=1)]
            values = (value - space.start).reshape(len(value), -1).T
        pairs = zip(components, values, strict=True)
        log_prob = sum(
            distribution.log_prob(th.as_tensor(v)).reshape(len(v), -1).sum(1)
            for distribution, v in pairs
        )
        entropy = sum(
            distribution.entropy().reshape(len(value), -1).sum(1) for distribution in components
        )
        terms[name] = log_prob.float(), entropy
    return terms


def _open(told: dict[str, Any]) -> dict[str, np.ndarray]:
    """Which parts CHAIN opens, bool (B,) each."""
    tool, grip = told["tool"], told["arm"]["grip"]
    held = (tool == 1) | (tool == 3)
    return {
        "tool": tool == tool,
        "force": tool == tool,
        "arm.grip": held,
        "arm.angle": held & (grip == 1),
        "arm.hand.fingers": held & (grip != 1),
        "keys": tool == 0,
    }


# ---- log-probability and entropy ----


def test_ungated_parts_are_independent():
    dist, parameters, log_std = _made(MIXED, 50)
    actions = _points(MIXED, 50)
    terms = _terms(MIXED, parameters, log_std, actions).values()
    log_prob, entropy = (sum(term[i] for term in terms) for i in range(2))
    th.testing.assert_close(dist.log_prob(actions), log_prob, atol=1e-5, rtol=1e-5)
    th.testing.assert_close(dist.entropy(), entropy, atol=1e-5, rtol=1e-5)


def test_log_prob_counts_exactly_the_open_parts():
    dist, parameters, log_std = _made(MIXED, 300, gates=CHAIN)
    actions = _points(MIXED, 300)
    terms = _terms(MIXED, parameters, log_std, actions)
    opened = _open(MIXED.decode(actions.numpy()))
    assert all(0 < part.sum() < 300 for name, part in opened.items() if name in CHAIN)
    want = sum(th.as_tensor(opened[name]) * log_prob for name, (log_prob, _) in terms.items())
    th.testing.assert_close(dist.log_prob(actions), want, atol=1e-5, rtol=1e-5)


def test_entropy_of_a_continuous_part_counts_as_often_as_its_gates_open():
    dist, parameters, log_std = _made(MIXED, gates=CHAIN)
    entropies = {
        name: entropy
        for name, (_, entropy) in _terms(MIXED, parameters, log_std, _points(MIXED, 6)).items()
    }
    tool = parameters[:, _columns(MIXED, "tool")].softmax(1)
    grip = parameters[:, _columns(MIXED, "arm.grip")].softmax(1)
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
    return [_effective(*each) for each in told], th.as_tensor(columns, dtype=th.float32)


def _effective_probabilities(row: th.Tensor) -> dict[tuple, float]:
    """By what an action comes to, its probability under the parameters (size,), by enumeration."""
    keys, actions = _outcomes()
    rows = row.double().expand(len(keys), -1)
    terms = _terms(DISCRETE, rows, th.zeros(1), actions)
    probabilities = sum(log_prob.double() for log_prob, _ in terms.values()).exp()
    total: dict[tuple, float] = {}
    for key, probability in zip(keys, probabilities.tolist(), strict=True):
        total[key] = total.get(key, 0.0) + probability
    assert sum(total.values()) == pytest.approx(1.0, abs=1e-5)
    return total


def test_gated_entropy_and_log_prob_are_those_of_the_effective_outcomes():
    dist, parameters, _ = _made(DISCRETE, gates=DISCRETE_GATES)
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
    _, parameters, _ = _made(DISCRETE)
    row, n = parameters.detach()[0], 40_000
    dist = HybridDistribution(DISCRETE, gates=DISCRETE_GATES)
    dist.proba_distribution(row.expand(n, -1), th.zeros(1))
    th.manual_seed(0)
    told = DISCRETE.decode(dist.sample().numpy())
    parts = (told[name].tolist() for name in ("tool", "grip", "keys", "lights", "free"))
    counts: dict[tuple, int] = {}
    for tool, grip, keys, lights, free in zip(*parts, strict=True):
        key = _effective(tool, grip, tuple(keys), tuple(lights), free)
        counts[key] = counts.get(key, 0) + 1
    effective = _effective_probabilities(row)
    assert counts.keys() <= effective.keys()
    for key, p in effective.items():
        assert abs(counts.get(key, 0) / n - p) < 4.5 * np.sqrt(p * (1 - p) / n), key


def test_a_value_named_twice_opens_as_often_as_once():
    once, _, _ = _made(MIXED, gates={"keys": {"tool": [0, 2]}})
    twice, _, _ = _made(MIXED, gates={"keys": {"tool": [0, 2, 2]}})
    th.testing.assert_close(twice.entropy(), once.entropy())
    assert th.equal(twice.log_prob(_points(MIXED, 6)), once.log_prob(_points(MIXED, 6)))


def test_entropy_is_the_mean_of_minus_log_prob():
    _, parameters, log_std = _made(MIXED)
    n = 100_000
    dist = HybridDistribution(MIXED, gates=CHAIN)
    dist.proba_distribution(parameters[:1].detach().expand(n, -1), log_std.detach())
    th.manual_seed(0)
    surprise = -dist.log_prob(dist.sample())
    assert dist.entropy()[0].item() == pytest.approx(
        surprise.mean().item(), abs=4 * surprise.std().item() / n**0.5
    )


def test_a_closed_part_gets_no_gradient():
    dist, parameters, log_std = _made(MIXED, 100, gates=CHAIN)
    actions = _points(MIXED, 100)
    opened = _open(MIXED.decode(actions.numpy()))
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
    plain, parameters, log_std = _made(MIXED, gates=CHAIN)
    for name, weight in weights.items():
        weighted, _, _ = _made(MIXED, gates=CHAIN, entropy_weights={name: weight})
        without, _, _ = _made(MIXED, gates=CHAIN, entropy_weights={name: 0.0})
        own = plain.entropy() - without.entropy()
        want = plain.entropy() + (weight - 1) * own
        th.testing.assert_close(weighted.entropy(), want, atol=1e-5, rtol=1e-5)
        assert th.equal(weighted.log_prob(weighted.mode()), plain.log_prob(plain.mode()))
    terms = _terms(MIXED, parameters, log_std, _points(MIXED, 6))
    every, _, _ = _made(MIXED, entropy_weights=weights)
    want = sum(weights.get(name, 1.0) * entropy for name, (_, entropy) in terms.items())
    th.testing.assert_close(every.entropy(), want, atol=1e-5, rtol=1e-5)


# ---- samples and modes ----


@pytest.mark.parametrize(
    ("view", "gates"),
    [(MIXED, {}), (MIXED, CHAIN), (DISCRETE, DISCRETE_GATES)],
    ids=["mixed", "chain", "discrete"],
)
def test_a_sample_clipped_to_the_box_is_told_as_its_log_prob_counts_it(view, gates):
    dist, _, _ = _made(view, 200, gates=gates)
    th.manual_seed(0)
    for actions in (dist.sample().detach(), dist.mode().detach()):
        assert actions.dtype == th.float32 and actions.shape == (200, view.size)
        clipped = actions.numpy().clip(view.low, view.high)
        assert all(row in view for row in clipped)
        told = view.decode(clipped)
        again = actions.clone()
        for name, space, columns in view.parts:
            assert _leaf(told, name).shape == (200, *space.shape)
            if not isinstance(space, spaces.Box):
                assert np.array_equal(clipped[:, columns], actions[:, columns])
                # Other scores with the same meaning: what was told is what was counted
                again[:, columns] = 0.3 * th.as_tensor(view.encode(told)[:, columns]).float() - 0.1
        assert th.equal(dist.log_prob(again), dist.log_prob(actions))


def test_the_mode_is_the_best_of_each_part():
    dist, parameters, _ = _made(MIXED, 100)
    mode = dist.mode()
    told = MIXED.decode(mode.detach().numpy().clip(MIXED.low, MIXED.high))
    for name, space, columns in MIXED.parts:
        wanted, got = parameters[:, columns], _leaf(told, name)
        if isinstance(space, spaces.Box):
            assert th.equal(mode[:, columns], wanted)
        elif isinstance(space, spaces.MultiBinary):
            assert np.array_equal(got.reshape(100, -1), wanted.numpy(force=True) > 0)
        elif isinstance(space, spaces.Discrete):
            assert np.array_equal(got, wanted.argmax(1).numpy() + space.start)
        else:
            best = [each.argmax(1) for each in wanted.split(space.nvec.ravel().tolist(), dim=1)]
            want = th.stack(best, 1).numpy().reshape(got.shape) + space.start
            assert np.array_equal(got, want)
    assert th.equal(dist.get_actions(deterministic=True), mode)
    th.manual_seed(0)
    sample = dist.get_actions()
    th.manual_seed(0)
    assert th.equal(dist.sample(), sample)


def test_actions_from_parameters_are_those_of_the_distribution():
    dist, parameters, log_std = _made(MIXED, gates=CHAIN)
    th.manual_seed(0)
    actions, log_prob = dist.log_prob_from_params(parameters, log_std)
    assert th.equal(dist.log_prob(actions), log_prob)
    th.manual_seed(0)
    assert th.equal(dist.actions_from_params(parameters, log_std), actions)
    assert th.equal(dist.actions_from_params(parameters, log_std, deterministic=True), dist.mode())


def test_continuous_columns_are_spread_by_their_own_deviation():
    dist, parameters, log_std = _made(MIXED)
    n = 20_000
    dist.proba_distribution(parameters[:1].detach().expand(n, -1), log_std.detach())
    th.manual_seed(0)
    sample = dist.sample()
    boxes = th.cat([sample[:, _columns(MIXED, name)] for name in ("arm.angle", "force")], dim=1)
    means = th.cat([parameters[0, _columns(MIXED, name)] for name in ("arm.angle", "force")])
    th.testing.assert_close(boxes.std(0).log(), log_std.detach(), atol=0.03, rtol=0)
    th.testing.assert_close(boxes.mean(0), means.detach(), atol=0.02, rtol=0)


# ---- settled parts ----


def test_settled_parts_count_neither_in_log_prob_nor_in_entropy():
    gaussian, parameters, log_std = _made(MIXED, 50)
    dist, _, _ = _made(MIXED, 50, continuous="deterministic")
    terms = _terms(MIXED, parameters, log_std, _points(MIXED, 50))
    boxes = ("arm.angle", "force")
    log_prob, entropy = (
        sum(term[i] for name, term in terms.items() if name not in boxes) for i in range(2)
    )
    th.testing.assert_close(dist.log_prob(_points(MIXED, 50)), log_prob, atol=1e-5, rtol=1e-5)
    th.testing.assert_close(dist.entropy(), entropy, atol=1e-5, rtol=1e-5)
    assert th.equal(dist.mode(), gaussian.mode())
    th.manual_seed(0)
    sample = dist.sample()
    th.manual_seed(0)
    assert th.equal(gaussian.sample(), sample)  # the noise of exploring stays


def test_settled_parts_get_no_gradient_but_through_their_mean():
    _, parameters, log_std = _made(MIXED, 50)
    dist = HybridDistribution(MIXED, continuous="deterministic")
    dist.proba_distribution(parameters, log_std)
    (dist.log_prob(_points(MIXED, 50)).sum() + dist.entropy().sum()).backward()
    assert log_std.grad is None
    for name, space, columns in MIXED.parts:
        grad = parameters.grad[:, columns]
        # A categorical of one choice has nothing to learn
        assert bool((grad == 0).all()) == isinstance(space, spaces.Box), name
    parameters.grad = None
    angle = _columns(MIXED, "arm.angle")
    dist.mode()[:, angle].sum().backward()
    assert (parameters.grad[:, angle] == 1).all()


def test_a_space_of_settled_parts_alone_has_a_log_prob_of_0():
    view = BoxView(spaces.Dict({"move": spaces.Box(0, 1, (2,))}))
    dist, _, _ = _made(view, continuous="deterministic")
    assert dist.log_prob(dist.sample()).tolist() == [0.0] * 6 == dist.entropy().tolist()


# ---- spaces and mistakes ----


def test_a_space_without_continuous_parts_has_one_deviation_of_no_use():
    dist = HybridDistribution(DISCRETE, gates=DISCRETE_GATES)
    net, log_std = dist.proba_distribution_net(7, log_std_init=-0.5)
    assert log_std.tolist() == [-0.5] and log_std.requires_grad
    dist.proba_distribution(net(th.ones(3, 7)), log_std)
    (dist.log_prob(dist.sample()) + dist.entropy()).sum().backward()
    assert log_std.grad is None and net.weight.grad.isfinite().all()


def test_the_net_gives_a_parameter_to_each_column_and_a_deviation_to_each_continuous_one():
    net, log_std = HybridDistribution(MIXED).proba_distribution_net(7, log_std_init=-2.0)
    assert net(th.ones(3, 7)).shape == (3, MIXED.size)
    assert log_std.tolist() == [-2.0] * 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"gates": {"arm.gripp": {"tool": 1}}},
            r"no part 'arm.gripp'; did you mean 'arm.grip'\? known: arm.angle, arm.grip",
        ),
        ({"gates": {"keys": {"tol": 1}}}, r"no part 'tol'; did you mean 'tool'\?"),
        ({"entropy_weights": {"Force": 1}}, r"no part 'Force'; did you mean 'force'\?"),
        ({"gates": {"grip": {"tool": 1}}}, r"no part 'grip'; did you mean 'arm.grip'\?"),
        (
            {"gates": {"tool": {"keys": 1}}},
            r"'keys', which opens 'tool', is MultiDiscrete(?s:.)*; wanted Discrete",
        ),
        ({"gates": {"tool": {"force": 1}}}, r"'force', which opens 'tool', is Box.*wanted Discr"),
        ({"gates": {"keys": {"tool": 4}}}, r"got 4 of 'tool', which opens 'keys'.*Discrete\(4\)"),
        ({"gates": {"keys": {"tool": [0, -1]}}}, r"got -1 of 'tool', which opens 'keys'"),
        ({"gates": {"keys": {"arm.grip": 2}}}, r"got 2 of 'arm.grip'.*Discrete\(3, start=-1\)"),
        ({"gates": {"keys": {"tool": "saw"}}}, r"got 'saw' of 'tool', which opens 'keys'"),
        ({"gates": {"keys": {"tool": 1, "arm.grip": 0}}}, r"got gate .* of 'keys'; wanted the"),
        ({"gates": {"keys": 1}}, r"got gate 1 of 'keys'; wanted the part that opens it"),
        (
            {"gates": {"tool": {"arm.grip": 0}, "arm.grip": {"tool": 0}, "keys": {"tool": 1}}},
            r"gates of \['arm.grip', 'keys', 'tool'\] make a circle",
        ),
        ({"gates": {"tool": {"tool": 1}}}, r"gates of \['tool'\] make a circle"),
        (
            {"continuous": "determinstic"},
            r"got continuous='determinstic'; did you mean 'deterministic'\? known: .*gaussian",
        ),
    ],
)
def test_wrong_settings_say_what_was_wanted(settings, message):
    with pytest.raises(ValueError, match=message):
        HybridDistribution(MIXED, **settings)


@pytest.mark.parametrize("space", [spaces.Box(-1, 1, (3,)), MIXED.shown])
def test_actions_without_a_view_are_refused(space):
    with pytest.raises(ValueError, match=r"(?s)got actions .*wanted a BoxView: wrap .*BoxActions"):
        HybridDistribution(space)


# ---- the factored decision ----

LATENT, N_CLASSES = 16, 4
HYBRID = BoxView(Hybrid().action_space(N_CLASSES))


def _factored(belief: bool, **kwargs):
    """A distribution, its head with large random weights, latent codes and their beliefs."""
    bypass = BypassLayout(N_CLASSES if belief else 0)
    dist = make_factored_distribution(HYBRID, bypass=bypass, **kwargs)
    generator = th.Generator().manual_seed(0)
    head, log_std = dist.proba_distribution_net(LATENT + bypass.dim)
    for parameter in head.parameters():
        th.nn.init.normal_(parameter, generator=generator)
    own = th.randn(60, LATENT, generator=generator)
    beliefs = th.rand(60, N_CLASSES, generator=generator).pow(4)
    beliefs = beliefs / beliefs.sum(1, keepdim=True) if belief else None
    remaining = th.tensor([0.5, 0.25, 0.0]).repeat(20)[:, None]
    latent = th.cat([own, bypass.make(remaining, beliefs)], dim=1).requires_grad_()
    return dist.proba_distribution(head(latent), log_std), head, latent, beliefs


@pytest.mark.parametrize("belief", [False, True], ids=["blind", "belief"])
def test_the_decision_is_factored(belief: bool):
    dist, head, latent, beliefs = _factored(belief)
    assert isinstance(dist, FactoredHybridDistribution)
    own, bypass = latent[:, :LATENT], latent[:, LATENT:]
    seen = th.cat([own, bypass[:, -2:]], dim=1) if belief else own
    logit = (head.stop(seen) + head.stop_bias)[:, 0]
    stop = th.where(th.arange(60) % 3 == 2, 1.0, logit.sigmoid())
    th.testing.assert_close(dist.stop_probability(), stop, atol=1e-6, rtol=1e-5)

    logits = head.classes(own)
    if belief:
        logits = logits + beliefs.clamp(BELIEF_FLOOR, 1.0).log()
    classes = logits.softmax(1)

    def told(decision: int, k: int) -> th.Tensor:
        columns = dist.mode().detach().clone()
        for name, index in (("decision", decision), ("class", k)):
            columns[:, _columns(HYBRID, name)] = -1.0
            columns[:, _columns(HYBRID, name).start + index] = 1.0
        return columns

    for k in range(N_CLASSES):
        th.testing.assert_close(
            dist.log_prob(told(1, k)), (stop * classes[:, k]).log(), atol=1e-4, rtol=1e-5
        )
    going = th.arange(60) % 3 != 2
    moves = Normal(head.moves(own), 1.0).log_prob(head.moves(own)).sum(1)
    for k in range(N_CLASSES):  # the class has no say
        th.testing.assert_close(
            dist.log_prob(told(0, k))[going],
            ((-logit).sigmoid().log() + moves)[going],
            atol=1e-4,
            rtol=1e-5,
        )
    decision = Bernoulli(stop).entropy()
    own_moves = Normal(th.zeros(3), 1.0).entropy().sum()
    want = decision + stop * Categorical(classes).entropy() + (1 - stop) * own_moves
    th.testing.assert_close(dist.entropy(), want, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("belief", [False, True], ids=["blind", "belief"])
def test_the_mode_answers_where_stopping_is_likelier(belief: bool):
    dist, head, latent, _ = _factored(belief)
    mode = dist.mode()
    told = HYBRID.decode(mode.detach().numpy().clip(HYBRID.low, HYBRID.high))
    likelier = dist.stop_probability() > 0.5
    assert 20 < likelier.sum() < 60
    assert told["decision"].tolist() == likelier.int().tolist()
    assert told["class"].tolist() == head.decide(latent).log_classes.argmax(1).tolist()
    moves = th.cat([mode[:, _columns(HYBRID, name)] for name in ("move", "zoom")], dim=1)
    assert th.equal(moves, head.moves(latent[:, :LATENT]))


@pytest.mark.parametrize("belief", [False, True], ids=["blind", "belief"])
@pytest.mark.parametrize("continuous", ["gaussian", "deterministic"])
def test_after_the_last_glimpse_it_answers_and_all_stays_finite(belief: bool, continuous: str):
    dist, head, latent, _ = _factored(belief, continuous=continuous)
    last = th.arange(60) % 3 == 2
    assert (dist.stop_probability()[last] == 1).all()
    assert (dist.stop_probability()[~last] < 1).any()
    decision = _columns(HYBRID, "decision")
    th.manual_seed(0)
    for _ in range(20):
        assert (dist.sample()[last, decision.start + 1] == 1).all()
    impossible = dist.mode().detach().clone()
    impossible[:, decision] = th.tensor([1.0, -1.0])
    log_prob, never = dist.log_prob(dist.sample().detach()), dist.log_prob(impossible)
    entropy = dist.entropy()
    assert all(value.isfinite().all() for value in (log_prob, never, entropy))
    assert (never[last] < -1e7).all() and (never[~last] > -1e3).all()
    (log_prob.sum() + never.sum() + entropy.sum()).backward()
    assert latent.grad.isfinite().all()
    for name, parameter in head.named_parameters():
        settled = continuous == "deterministic" and name.startswith("moves")
        assert parameter.grad.isfinite().all()
        assert bool(parameter.grad.any()) != settled, name


@pytest.mark.parametrize("probability", [0.1, 0.9])
def test_hybrid_stop_probability_survives_orthogonal_initialisation(probability: float):
    bypass = BypassLayout(N_CLASSES)
    dist = make_factored_distribution(HYBRID, bypass=bypass, initial_stop_probability=probability)
    head, log_std = dist.proba_distribution_net(LATENT + bypass.dim)
    head.apply(lambda module: BasePolicy.init_weights(module, gain=0.01))
    belief = th.tensor([[0.7, 0.1, 0.1, 0.1]])
    latent = th.cat([th.rand(1, LATENT), bypass.make(th.full((1, 1), 0.5), belief)], dim=1)
    dist.proba_distribution(head(latent), log_std)
    assert dist.stop_probability().item() == pytest.approx(probability, abs=0.01)


def test_the_class_of_a_dict_counts_in_the_entropy_as_often_as_its_weight():
    plain = make_factored_distribution(HYBRID)
    weighted = make_factored_distribution(HYBRID, entropy_weights={"class": 4.0})
    head, log_std = plain.proba_distribution_net(LATENT)
    th.nn.init.normal_(head.classes.weight)
    parameters = head(th.rand(3, LATENT))
    for dist in (plain, weighted):
        dist.proba_distribution(parameters, log_std)
    extra = 3.0 * plain.stop_probability() * plain.components["class"].entropy()
    th.testing.assert_close(weighted.entropy(), plain.entropy() + extra)


def test_a_decision_may_lie_anywhere_beside_any_parts():
    view = BoxView(
        spaces.Dict(
            {
                "aim": spaces.Dict({"keys": spaces.MultiDiscrete([2, 3])}),
                "class": spaces.Discrete(3, start=1),
                "decision": spaces.Discrete(2),
                "power": spaces.Box(0, 9, (2,)),
            }
        )
    )
    dist = make_factored_distribution(view)
    head, log_std = dist.proba_distribution_net(LATENT)
    latent = th.randn(5, LATENT, generator=th.Generator().manual_seed(0))
    parameters = head(latent)
    dist.proba_distribution(parameters, log_std)
    log_go, log_stop, log_classes, moves = head.decide(latent)
    want = [moves[:, :5], log_classes, log_go, log_stop, moves[:, 5:]]
    assert th.equal(parameters, th.cat(want, dim=1))
    assert dist.log_prob(dist.sample()).isfinite().all()


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_answers_need_no_moves():
    view = BoxView(spaces.Dict({"class": spaces.Discrete(3), "decision": spaces.Discrete(2)}))
    dist = make_factored_distribution(view)
    head, log_std = dist.proba_distribution_net(LATENT)
    dist.proba_distribution(head(th.randn(5, LATENT)), log_std)
    assert dist.log_prob(dist.sample()).isfinite().all()


@pytest.mark.parametrize(
    "space",
    [
        {"decision": spaces.Discrete(3), "class": spaces.Discrete(3)},
        {"decision": spaces.Discrete(2), "class": spaces.MultiBinary(3)},
        {"decision": spaces.Discrete(2)},
        {"agent": spaces.Dict({"decision": spaces.Discrete(2), "class": spaces.Discrete(3)})},
    ],
)
def test_other_dicts_have_no_factored_decision(space):
    assert make_factored_distribution(BoxView(spaces.Dict(space))) is None
