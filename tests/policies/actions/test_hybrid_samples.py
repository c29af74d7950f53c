"""Hybrid distributions: samples, modes, settled parts, and settings that are refused."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from mixed_actions import (
    CHAIN,
    DISCRETE,
    DISCRETE_GATES,
    MIXED,
    columns_of,
    leaf,
    made,
    points,
    terms_of,
)

from glimpse_envs.boxview import BoxView
from policies import HybridDistribution


@pytest.mark.parametrize(
    ("view", "gates"),
    [(MIXED, {}), (MIXED, CHAIN), (DISCRETE, DISCRETE_GATES)],
    ids=["mixed", "chain", "discrete"],
)
def test_a_sample_clipped_to_the_box_is_told_as_its_log_prob_counts_it(view, gates):
    dist, _, _ = made(view, 200, gates=gates)
    th.manual_seed(0)
    for actions in (dist.sample().detach(), dist.mode().detach()):
        assert actions.dtype == th.float32 and actions.shape == (200, view.size)
        clipped = actions.numpy().clip(view.low, view.high)
        assert all(row in view for row in clipped)
        told = view.decode(clipped)
        again = actions.clone()
        for name, space, columns in view.parts:
            assert leaf(told, name).shape == (200, *space.shape)
            if not isinstance(space, spaces.Box):
                assert np.array_equal(clipped[:, columns], actions[:, columns])
                # Other scores with the same meaning: what was told is what was counted
                again[:, columns] = 0.3 * th.as_tensor(view.encode(told)[:, columns]).float() - 0.1
        assert th.equal(dist.log_prob(again), dist.log_prob(actions))


def test_the_mode_is_the_best_of_each_part():
    dist, parameters, _ = made(MIXED, 100)
    mode = dist.mode()
    told = MIXED.decode(mode.detach().numpy().clip(MIXED.low, MIXED.high))
    for name, space, columns in MIXED.parts:
        wanted, got = parameters[:, columns], leaf(told, name)
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
    dist, parameters, log_std = made(MIXED, gates=CHAIN)
    th.manual_seed(0)
    actions, log_prob = dist.log_prob_from_params(parameters, log_std)
    assert th.equal(dist.log_prob(actions), log_prob)
    th.manual_seed(0)
    assert th.equal(dist.actions_from_params(parameters, log_std), actions)
    assert th.equal(dist.actions_from_params(parameters, log_std, deterministic=True), dist.mode())


def test_continuous_columns_are_spread_by_their_own_deviation():
    dist, parameters, log_std = made(MIXED)
    n = 20_000
    dist.proba_distribution(parameters[:1].detach().expand(n, -1), log_std.detach())
    th.manual_seed(0)
    sample = dist.sample()
    boxes = th.cat([sample[:, columns_of(MIXED, name)] for name in ("arm.angle", "force")], dim=1)
    means = th.cat([parameters[0, columns_of(MIXED, name)] for name in ("arm.angle", "force")])
    th.testing.assert_close(boxes.std(0).log(), log_std.detach(), atol=0.03, rtol=0)
    th.testing.assert_close(boxes.mean(0), means.detach(), atol=0.02, rtol=0)


# ---- settled parts ----


def test_settled_parts_count_neither_in_log_prob_nor_in_entropy():
    gaussian, parameters, log_std = made(MIXED, 50)
    dist, _, _ = made(MIXED, 50, continuous="deterministic")
    terms = terms_of(MIXED, parameters, log_std, points(MIXED, 50))
    boxes = ("arm.angle", "force")
    log_prob, entropy = (
        sum(term[i] for name, term in terms.items() if name not in boxes) for i in range(2)
    )
    th.testing.assert_close(dist.log_prob(points(MIXED, 50)), log_prob, atol=1e-5, rtol=1e-5)
    th.testing.assert_close(dist.entropy(), entropy, atol=1e-5, rtol=1e-5)
    assert th.equal(dist.mode(), gaussian.mode())
    th.manual_seed(0)
    sample = dist.sample()
    th.manual_seed(0)
    assert th.equal(gaussian.sample(), sample)  # the noise of exploring stays


def test_settled_parts_get_no_gradient_but_through_their_mean():
    _, parameters, log_std = made(MIXED, 50)
    dist = HybridDistribution(MIXED, continuous="deterministic")
    dist.proba_distribution(parameters, log_std)
    (dist.log_prob(points(MIXED, 50)).sum() + dist.entropy().sum()).backward()
    assert log_std.grad is None
    for name, space, columns in MIXED.parts:
        grad = parameters.grad[:, columns]
        # A categorical of one choice has nothing to learn
        assert bool((grad == 0).all()) == isinstance(space, spaces.Box), name
    parameters.grad = None
    angle = columns_of(MIXED, "arm.angle")
    dist.mode()[:, angle].sum().backward()
    assert (parameters.grad[:, angle] == 1).all()


def test_a_space_of_settled_parts_alone_has_a_log_prob_of_0():
    view = BoxView(spaces.Dict({"move": spaces.Box(0, 1, (2,))}))
    dist, _, _ = made(view, continuous="deterministic")
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
            r"got part 'arm.gripp', .*; did you mean 'arm.grip'\? known: arm.angle, arm.grip",
        ),
        (
            {"gates": {"keys": {"tol": 1}}},
            r"got part 'tol', which the actions have not; did you mean 'tool'\?",
        ),
        (
            {"entropy_weights": {"Force": 1}},
            r"got part 'Force', which the actions have not; did you mean 'force'\?",
        ),
        (
            {"gates": {"grip": {"tool": 1}}},
            r"got part 'grip', which the actions have not; did you mean 'arm.grip'\?",
        ),
        (
            {"gates": {"tool": {"keys": 1}}},
            r"'keys', which opens 'tool', as MultiDiscrete(?s:.)*; wanted Discrete",
        ),
        ({"gates": {"tool": {"force": 1}}}, r"'force', which opens 'tool', as Box.*wanted Discr"),
        ({"gates": {"keys": {"tool": 4}}}, r"got 4 of 'tool', which opens 'keys'.*Discrete\(4\)"),
        ({"gates": {"keys": {"tool": [0, -1]}}}, r"got -1 of 'tool', which opens 'keys'"),
        ({"gates": {"keys": {"arm.grip": 2}}}, r"got 2 of 'arm.grip'.*Discrete\(3, start=-1\)"),
        ({"gates": {"keys": {"tool": "saw"}}}, r"got 'saw' of 'tool', which opens 'keys'"),
        ({"gates": {"keys": {"tool": 1, "arm.grip": 0}}}, r"got gate .* of 'keys'; wanted the"),
        ({"gates": {"keys": 1}}, r"got gate 1 of 'keys'; wanted the part that opens it"),
        (
            {"gates": {"tool": {"arm.grip": 0}, "arm.grip": {"tool": 0}, "keys": {"tool": 1}}},
            r"gates of \['arm.grip', 'keys', 'tool'\] in a circle",
        ),
        ({"gates": {"tool": {"tool": 1}}}, r"gates of \['tool'\] in a circle"),
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
