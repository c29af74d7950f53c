"""Muon on matrices and AdamW on vectors as one optimiser."""

from __future__ import annotations

import copy

import pytest
import torch as th
from torch import nn

from policies.optimizers import MuonAdamW, check_optimizer_state


def _network() -> nn.Module:
    th.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(16, 3))


def _step(network: nn.Module, optimizer: th.optim.Optimizer, seed: int) -> None:
    inputs = th.randn(8, 2, 4, 4, generator=th.Generator().manual_seed(seed))
    network(inputs).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_matrices_are_moved_by_muon_and_vectors_by_adamw() -> None:
    network, others = _network(), _network()
    ours = MuonAdamW(network.parameters(), lr=1e-2, muon_ratio=3.0)
    weights = [p for p in others.parameters() if p.ndim == 2]
    muon = th.optim.Muon(
        weights, lr=3e-2, momentum=0.95, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"
    )
    adamw = th.optim.AdamW([p for p in others.parameters() if p.ndim == 1], 1e-2, weight_decay=0.0)
    before = network[0].weight.detach().clone()
    for seed in range(3):
        others[0].weight.data.copy_(network[0].weight)  # Muon itself takes no convolution
        _step(network, ours, seed)
        inputs = th.randn(8, 2, 4, 4, generator=th.Generator().manual_seed(seed))
        others(inputs).square().mean().backward()
        muon.step()
        adamw.step()
        others.zero_grad()
    for name in ("0.bias", "2.weight", "2.bias"):
        assert th.equal(network.get_parameter(name), others.get_parameter(name)), name
    assert not th.equal(network[0].weight, before)


def test_a_learning_rate_that_is_set_counts_for_both() -> None:
    network = _network()
    optimizer = MuonAdamW(network.parameters(), lr=1e-2)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = copy.deepcopy(network.state_dict())
    _step(network, optimizer, 0)
    assert all(th.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_saved_state_goes_on_as_if_it_had_not_been_stopped() -> None:
    network = _network()
    optimizer = MuonAdamW(network.parameters(), lr=1e-2)
    for seed in range(3):
        _step(network, optimizer, seed)
    again = copy.deepcopy(network)
    state = copy.deepcopy(optimizer.state_dict())
    restored = MuonAdamW(again.parameters(), lr=1e-2)
    restored.load_state_dict(state)
    check_optimizer_state(restored, state)
    for seed in range(3, 6):
        _step(network, optimizer, seed)
        _step(again, restored, seed)
    for ours, theirs in zip(network.parameters(), again.parameters(), strict=True):
        assert th.equal(ours, theirs)
    # and momenta are in it: without them the steps are others
    fresh = MuonAdamW(again.parameters(), lr=1e-2)
    _step(network, optimizer, 9)
    _step(again, fresh, 9)
    assert not th.equal(network[2].weight, again[2].weight)


def test_a_broken_state_is_refused() -> None:
    network = _network()
    optimizer = MuonAdamW(network.parameters(), lr=1e-2)
    _step(network, optimizer, 0)
    state = copy.deepcopy(optimizer.state_dict())
    state["state"][0]["momentum_buffer"][:] = th.nan
    with pytest.raises(ValueError, match="not finite"):
        check_optimizer_state(optimizer, state)


def test_a_state_without_momenta_leaves_none() -> None:
    network = _network()
    begun = copy.deepcopy(MuonAdamW(network.parameters(), lr=1e-2).state_dict())
    trained = MuonAdamW(network.parameters(), lr=1e-2)
    _step(network, trained, 0)
    trained.load_state_dict(begun)
    again = copy.deepcopy(network)
    fresh = MuonAdamW(again.parameters(), lr=1e-2)
    _step(network, trained, 1)
    _step(again, fresh, 1)
    for ours, theirs in zip(network.parameters(), again.parameters(), strict=True):
        assert th.equal(ours, theirs)


def test_a_copy_goes_on_by_itself() -> None:
    network = _network()
    optimizer = MuonAdamW(network.parameters(), lr=1e-2, muon_ratio=2.0)
    _step(network, optimizer, 0)
    other, copied = copy.deepcopy((network, optimizer))
    _step(network, optimizer, 1)
    _step(other, copied, 1)
    for ours, theirs in zip(network.parameters(), other.parameters(), strict=True):
        assert th.equal(ours, theirs)
