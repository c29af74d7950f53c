"""Hybrid distributions whose decision is factored: stop first, then which class."""

import pytest
import torch as th
from gymnasium import spaces
from mixed_actions import columns_of
from stable_baselines3.common.policies import BasePolicy
from torch.distributions import Bernoulli, Categorical, Normal

from glimpse_envs.actions import Hybrid
from glimpse_envs.boxview import BoxView
from policies.actions.factored import FactoredHybridDistribution, make_factored_distribution
from policies.extractors.layers import BELIEF_FLOOR, BypassLayout

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
            columns[:, columns_of(HYBRID, name)] = -1.0
            columns[:, columns_of(HYBRID, name).start + index] = 1.0
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
    moves = th.cat([mode[:, columns_of(HYBRID, name)] for name in ("move", "zoom")], dim=1)
    assert th.equal(moves, head.moves(latent[:, :LATENT]))


@pytest.mark.parametrize("belief", [False, True], ids=["blind", "belief"])
@pytest.mark.parametrize("continuous", ["gaussian", "deterministic"])
def test_after_the_last_glimpse_it_answers_and_all_stays_finite(belief: bool, continuous: str):
    dist, head, latent, _ = _factored(belief, continuous=continuous)
    last = th.arange(60) % 3 == 2
    assert (dist.stop_probability()[last] == 1).all()
    assert (dist.stop_probability()[~last] < 1).any()
    decision = columns_of(HYBRID, "decision")
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
