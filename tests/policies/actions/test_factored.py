"""Factored decisions: exact log-products, modes, masking, gradients, initial values."""

import math

import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import (
    CategoricalDistribution,
    MultiCategoricalDistribution,
)
from stable_baselines3.common.policies import BasePolicy
from tiny import ACTION_SPACES, N_CLASSES

from policies.actions.factored import (
    FactoredCategoricalDistribution,
    FactoredMultiCategoricalDistribution,
    make_factored_distribution,
)
from policies.extractors.layers import BypassLayout

th.set_num_threads(1)

LATENT = 16
SCHEMES = ["Discrete", "MultiDiscrete"]


def _make(scheme: str, bypass: BypassLayout, **kwargs):
    dist = make_factored_distribution(ACTION_SPACES[scheme], bypass=bypass, **kwargs)
    return dist, dist.proba_distribution_net(LATENT + bypass.dim)


def _latent(remaining: list[float], belief: th.Tensor | None = None) -> th.Tensor:
    bypass = BypassLayout(0 if belief is None else N_CLASSES)
    columns = bypass.make(th.tensor(remaining)[:, None], belief)
    generator = th.Generator().manual_seed(0)
    return th.cat([th.rand(len(remaining), LATENT, generator=generator), columns], dim=1)


def _class_probabilities(dist) -> th.Tensor:
    """P(class | stop), (B, K)."""
    flat = (
        dist.distribution.logits[:, 6:]
        if isinstance(dist, CategoricalDistribution)
        else (dist.distribution[-1].logits[:, 1:])
    )
    return flat.softmax(dim=1)


BELIEFS = th.tensor([[0.7, 0.1, 0.1, 0.1], [0.0, 0.0, 1.0, 0.0], [0.25, 0.25, 0.25, 0.25]])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_initial_stop_probability_survives_orthogonal_initialisation(scheme, probability):
    dist, head = _make(scheme, BypassLayout(N_CLASSES), initial_stop_probability=probability)
    head.apply(lambda module: BasePolicy.init_weights(module, gain=0.01))
    dist.proba_distribution(head(_latent([0.5] * 3, BELIEFS)))
    th.testing.assert_close(dist.stop_probability(), th.full((3,), probability), atol=0.01, rtol=0)


@pytest.mark.parametrize("scheme", ["Discrete", "MultiDiscrete"])
@pytest.mark.parametrize("weight", [0.0, 1.0, 4.0])
def test_the_class_counts_in_the_entropy_as_often_as_its_weight(scheme, weight):
    plain, head = _make(scheme, BypassLayout())
    weighted, _ = _make(scheme, BypassLayout(), entropy_weights={"class": weight})
    th.nn.init.normal_(head.classes.weight)
    logits = head(_latent([1.0, 0.5, 0.0]))
    plain.proba_distribution(logits)
    weighted.proba_distribution(logits)
    classes = th.distributions.Categorical(probs=_class_probabilities(plain)).entropy()
    stop = plain.stop_probability()
    assert stop[2] == 1.0  # after the last glimpse
    want = plain.entropy() + (weight - 1.0) * stop * classes
    th.testing.assert_close(weighted.entropy(), want)
    actions = plain.get_actions()
    th.testing.assert_close(weighted.log_prob(actions), plain.log_prob(actions))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_first_answers_are_the_classifiers(scheme):
    dist, head = _make(scheme, BypassLayout(N_CLASSES))
    dist.proba_distribution(head(_latent([0.5] * 3, BELIEFS)))
    th.testing.assert_close(_class_probabilities(dist), BELIEFS, atol=0.02, rtol=0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_flat_logits_are_log_products(scheme):
    dist, head = _make(scheme, BypassLayout())
    th.nn.init.normal_(head.classes.weight)
    th.nn.init.normal_(head.moves.weight)
    latent = _latent([1.0, 0.5])
    own = latent[:, :LATENT]
    stop = th.sigmoid(head.stop(own) + head.stop_bias)
    answers = stop * head.classes(own).softmax(dim=1)
    dist.proba_distribution(head(latent))
    if scheme == "Discrete":
        want = th.cat([(1 - stop) * head.moves(own).softmax(dim=1), answers], dim=1)
        th.testing.assert_close(dist.distribution.probs, want)
        th.testing.assert_close(dist.distribution.logits.exp().sum(dim=1), th.ones(2))
        # The head's output is normalised already: Categorical shifts nothing
        th.testing.assert_close(head(latent), dist.distribution.logits)
    else:
        move, zoom, decision = dist.distribution
        moves = head.moves(own)
        th.testing.assert_close(move.probs, moves[:, :9].softmax(dim=1))
        th.testing.assert_close(zoom.probs, moves[:, 9:].softmax(dim=1))
        th.testing.assert_close(decision.probs, th.cat([1 - stop, answers], dim=1))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_log_prob_entropy_and_samples_are_the_stock_ones(scheme):
    dist, head = _make(scheme, BypassLayout(N_CLASSES))
    logits = head(_latent([0.5, 0.0, 1.0], BELIEFS)).detach()
    stock = (
        CategoricalDistribution(6 + N_CLASSES)
        if scheme == "Discrete"
        else MultiCategoricalDistribution([9, 3, N_CLASSES + 1])
    ).proba_distribution(logits)
    dist.proba_distribution(logits)
    th.manual_seed(0)
    actions = stock.sample()
    th.manual_seed(0)
    assert th.equal(dist.sample(), actions)
    assert th.equal(dist.log_prob(actions), stock.log_prob(actions))
    assert th.equal(dist.entropy(), stock.entropy())


def test_discrete_mode_decides_first_and_then_chooses():
    dist = FactoredCategoricalDistribution(4, n_moves=2)
    probs = th.tensor([[0.4, 0.0, 0.3, 0.3], [0.3, 0.3, 0.4, 0.0], [0.1, 0.4, 0.2, 0.3]])
    dist.proba_distribution(probs.clamp_min(1e-9).log())
    # P(stop) = 0.6 answers although one move is likeliest; 0.4 moves although one class is
    assert dist.mode()[0] in (2, 3) and dist.mode()[1] in (0, 1)
    assert dist.mode()[2] == 1  # a tie goes on
    assert th.equal(dist.get_actions(deterministic=True), dist.mode())


def test_multi_discrete_mode_decides_first_and_then_chooses():
    dist = FactoredMultiCategoricalDistribution([2, 3])
    decision = th.tensor([[0.4, 0.25, 0.35], [0.6, 0.3, 0.1]])
    move = th.tensor([[0.1, 0.9], [0.8, 0.2]])
    dist.proba_distribution(th.cat([move, decision], dim=1).log())
    assert dist.mode().tolist() == [[1, 2], [0, 0]]
    th.testing.assert_close(dist.stop_probability(), th.tensor([0.6, 0.4]))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("belief", [None, BELIEFS])
def test_after_the_last_glimpse_going_on_is_impossible(scheme, belief):
    bypass = BypassLayout(0 if belief is None else N_CLASSES)
    dist, head = _make(scheme, bypass, initial_stop_probability=1e-6)
    logits = head(_latent([0.0, 0.0, 0.25], belief))
    dist.proba_distribution(logits)
    assert dist.stop_probability()[:2].tolist() == [1.0, 1.0]
    assert dist.stop_probability()[2] < 1e-5

    def is_answer(actions: th.Tensor) -> th.Tensor:
        return actions >= 6 if scheme == "Discrete" else actions[:, -1] >= 1

    assert is_answer(dist.mode()).tolist() == [True, True, False]
    for _ in range(50):
        assert is_answer(dist.sample())[:2].all()
    if belief is not None:
        class_of = dist.mode() - 6 if scheme == "Discrete" else dist.mode()[:, -1] - 1
        assert class_of[:2].tolist() == [0, 2]
    going_on = th.zeros_like(dist.mode())
    log_prob = dist.log_prob(going_on)
    assert log_prob.isfinite().all() and (log_prob[:2] < -1e7).all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_masked_entropy_and_gradients_are_finite(scheme):
    dist, head = _make(scheme, BypassLayout(N_CLASSES))
    latent = _latent([0.0, 0.0, 0.25], BELIEFS).requires_grad_()
    dist.proba_distribution(head(latent))
    entropy, log_prob = dist.entropy(), dist.log_prob(dist.sample())
    assert entropy.isfinite().all() and log_prob.isfinite().all()
    # The impossible action too: a clipped ratio may still differentiate it
    loss = entropy.sum() + log_prob.sum() + dist.log_prob(th.zeros_like(dist.mode())).sum()
    loss.backward()
    assert all(p.grad.isfinite().all() for p in head.parameters())
    assert latent.grad.isfinite().all()


def test_masked_entropy_is_that_of_the_classes():
    dist, head = _make("Discrete", BypassLayout(N_CLASSES))
    dist.proba_distribution(head(_latent([0.0], BELIEFS[2:])))
    assert dist.entropy().item() == pytest.approx(math.log(N_CLASSES), abs=1e-3)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_stop_probability_sees_how_sure_the_belief_is(scheme):
    dist, head = _make(scheme, BypassLayout(N_CLASSES))
    with th.no_grad():
        head.stop.weight.zero_()
        head.stop.weight[0, LATENT] = 10.0  # of the belief's maximum
        head.stop_bias.fill_(-6.0)
    dist.proba_distribution(head(_latent([0.5] * 3, BELIEFS)))
    want = th.sigmoid(10.0 * BELIEFS.amax(dim=1) - 6.0)
    th.testing.assert_close(dist.stop_probability(), want)


def test_spaces_without_an_answer_have_no_factored_distribution():
    assert make_factored_distribution(ACTION_SPACES["Box"]) is None
    assert make_factored_distribution(spaces.MultiBinary(3)) is None


def test_wrong_settings_say_what_to_do():
    with pytest.raises(ValueError, match=r"got initial_stop_probability=1\.0"):
        _make("Discrete", BypassLayout(), initial_stop_probability=1.0)
    with pytest.raises(ValueError, match="n_moves is 10 of 10"):
        _make("Discrete", BypassLayout(), n_moves=10)
    with pytest.raises(ValueError, match=r"belief of 4 classes; wanted 5"):
        _make("Discrete", BypassLayout(N_CLASSES), n_moves=5)
    with pytest.raises(ValueError, match=r"MultiDiscrete\(\[5\]\)"):
        make_factored_distribution(spaces.MultiDiscrete([5]))
