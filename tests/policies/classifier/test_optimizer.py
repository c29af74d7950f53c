"""Muon for the memory's matrices and convolutions, AdamW for the rest."""

import copy
import io
from typing import Any

import pytest
import torch as th
from torch import nn

from policies.classifier.optimizer import ClassifierOptimizer

RATES = {"learning_rate": 2e-3, "muon_learning_rate": 0.015, "weight_decay": 0.05}


class Network(nn.Module):
    """A convolution, a matrix, and vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 6)

    def forward(self, images: th.Tensor) -> th.Tensor:
        return self.linear(self.norm(self.convolution(images)).relu().mean(dim=(2, 3)))


def parts(seed: int = 0) -> tuple[Network, nn.Linear]:
    """A memory and a readout."""
    with th.random.fork_rng(devices=[]):
        th.manual_seed(seed)
        memory = Network().to(memory_format=th.channels_last)
        return memory, nn.Linear(6, 4)


def made(memory: Network, readout: nn.Linear, **settings: Any) -> ClassifierOptimizer:
    return ClassifierOptimizer(memory, readout, **{"kind": "muon", **RATES, **settings})


def differentiate(memory: Network, readout: nn.Linear, step: int) -> None:
    """Gradients of a loss on images that belong to the step."""
    generator = th.Generator().manual_seed(step)
    images = th.randn(16, 3, 5, 5, generator=generator)
    labels = th.randint(4, (16,), generator=generator)
    nn.functional.cross_entropy(readout(memory(images)), labels).backward()


def tensors(*modules: nn.Module) -> list[th.Tensor]:
    return [weight.detach().clone() for module in modules for weight in module.parameters()]


def equal(ours: list[th.Tensor], theirs: list[th.Tensor]) -> bool:
    return all(th.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def trained(optimizer: ClassifierOptimizer, memory: Network, readout: nn.Linear, steps) -> None:
    for step in steps:
        differentiate(memory, readout, step)
        optimizer.step(1.0 / (1 + step))


# ---- updates ----


def test_a_convolution_is_updated_as_muon_updates_the_flattened_weight():
    memory, readout = parts()
    optimizer = made(memory, readout)
    weights = [memory.convolution.weight, memory.linear.weight]
    matrices = [
        nn.Parameter(weight.detach().reshape(len(weight), -1).clone()) for weight in weights
    ]
    muon = th.optim.Muon(
        matrices, lr=0.015, weight_decay=0.05, momentum=0.9, adjust_lr_fn="match_rms_adamw"
    )
    for step in range(4):
        differentiate(memory, readout, step)
        for matrix, weight in zip(matrices, weights, strict=True):
            matrix.grad = weight.grad.reshape(len(weight), -1).clone()
        before = tensors(memory.convolution)[0]
        muon.step()
        optimizer.step(1.0)
        assert not th.allclose(before, memory.convolution.weight, atol=1e-4)
        for matrix, weight in zip(matrices, weights, strict=True):
            assert th.equal(matrix.view_as(weight), weight)


def test_the_readout_and_all_vectors_are_updated_by_adamw():
    memory, readout = parts()
    others, decay = nn.ModuleList(copy.deepcopy([memory, readout])), [0.05, 0.0]
    optimizer = made(memory, readout)
    groups = [[others[1].weight], [p for p in others.parameters() if p.ndim == 1]]
    adamw = th.optim.AdamW(
        [{"params": g, "weight_decay": d} for g, d in zip(groups, decay, strict=True)], lr=2e-3
    )
    differentiate(memory, readout, 0)
    differentiate(*others, 0)
    optimizer.step(1.0)
    adamw.step()
    for ours, theirs in zip(
        (p for p in (*memory.parameters(), *readout.parameters())), others.parameters(), strict=True
    ):
        by_muon = any(
            ours is weight for weight in (memory.convolution.weight, memory.linear.weight)
        )
        assert th.allclose(ours, theirs, atol=1e-7) != by_muon


def test_adamw_alone_trains_all_weights():
    memory, readout = parts()
    others = nn.ModuleList(copy.deepcopy([memory, readout]))
    optimizer = made(memory, readout, kind="adamw")
    assert set(optimizer.state_dict()) == {"adamw"}
    groups = [[p for p in others.parameters() if (p.ndim > 1) == many] for many in (True, False)]
    adamw = th.optim.AdamW(
        [{"params": groups[0], "weight_decay": 0.05}, {"params": groups[1], "weight_decay": 0.0}],
        lr=2e-3,
    )
    for step in range(3):
        differentiate(memory, readout, step)
        differentiate(*others, step)
        optimizer.step(1.0)
        adamw.step()
        adamw.zero_grad()
    for ours, theirs in zip(tensors(memory, readout), others.parameters(), strict=True):
        assert th.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 0.25, 1.0])
def test_the_scale_multiplies_both_learning_rates(scale):
    memory, readout = parts()
    optimizer, before = made(memory, readout, weight_decay=0.0), tensors(memory, readout)
    differentiate(memory, readout, 0)
    optimizer.step(scale)
    rates = {
        name: {group["lr"] for group in state["param_groups"]}
        for name, state in optimizer.state_dict().items()
    }
    assert rates == {"adamw": {2e-3 * scale}, "muon": {0.015 * scale}}
    moved = [new - old for new, old in zip(tensors(memory, readout), before, strict=True)]
    assert moved[-2].abs().max() == pytest.approx(2e-3 * scale, rel=0.01)  # AdamW's is a sign
    # Muon's is as long as AdamW's is after many steps, 0.2 in the root mean square
    assert moved[0].square().mean().sqrt() == pytest.approx(0.2 * 0.015 * scale, rel=0.3)


def test_gradients_are_forgotten_after_a_step():
    memory, readout = parts()
    optimizer = made(memory, readout)
    differentiate(memory, readout, 0)
    optimizer.step(1.0)
    assert all(weight.grad is None for weight in (*memory.parameters(), *readout.parameters()))
    before = tensors(memory, readout)
    optimizer.step(1.0)  # nothing to go by
    assert equal(tensors(memory, readout), before)


def test_weights_that_were_loaded_meanwhile_are_what_is_updated():
    memory, readout = parts()
    optimizer = made(memory, readout)
    other, _ = parts(seed=1)
    memory.load_state_dict(other.state_dict())
    differentiate(memory, readout, 0)
    optimizer.step(1e-6)
    assert th.allclose(memory.convolution.weight, other.convolution.weight, atol=1e-6)


def test_a_memory_without_matrices_needs_no_muon():
    _, readout = parts()
    optimizer = made(nn.BatchNorm2d(3), readout)
    assert set(optimizer.state_dict()) == {"adamw"}


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="got optimizer='sgd'; wanted one of muon, adamw"):
        made(*parts(), kind="sgd")


# ---- states ----


def saved(state: dict[str, Any]) -> dict[str, Any]:
    """Through a file."""
    file = io.BytesIO()
    th.save(state, file)
    file.seek(0)
    return th.load(file, weights_only=True)


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_a_resumed_training_equals_an_unbroken_one(kind):
    memory, readout = parts()
    optimizer = made(memory, readout, kind=kind)
    trained(optimizer, memory, readout, range(3))
    state = saved(optimizer.state_dict())
    memory_2, readout_2 = parts(seed=1)
    resumed = made(memory_2, readout_2, kind=kind)
    memory_2.load_state_dict(memory.state_dict())
    readout_2.load_state_dict(readout.state_dict())
    resumed.load_state_dict(state)
    trained(optimizer, memory, readout, range(3, 6))
    trained(resumed, memory_2, readout_2, range(3, 6))
    assert equal(tensors(memory, readout), tensors(memory_2, readout_2))
    memory_3, readout_3 = parts()  # and the moments matter
    trained(made(memory_3, readout_3, kind=kind), memory_3, readout_3, range(3))
    trained(made(memory_3, readout_3, kind=kind), memory_3, readout_3, range(3, 6))
    assert not equal(tensors(memory, readout), tensors(memory_3, readout_3))


def test_the_momentum_comes_back_as_it_was():
    memory, readout = parts()
    optimizer = made(memory, readout)
    trained(optimizer, memory, readout, range(2))
    momentum = optimizer.state_dict()["muon"]["state"]
    assert [momentum[number]["momentum_buffer"].shape for number in (0, 1)] == [(8, 27), (6, 8)]
    other = made(*parts(seed=1))
    other.load_state_dict(saved(optimizer.state_dict()))
    again = other.state_dict()["muon"]["state"]
    for number in (0, 1):
        buffers = [each[number]["momentum_buffer"] for each in (momentum, again)]
        assert th.equal(*buffers) and buffers[0].any()


def spoil(state: dict[str, Any]) -> None:
    state["muon"]["state"][0]["momentum_buffer"][0, 0] = float("nan")


def reshape(state: dict[str, Any]) -> None:
    state["muon"]["state"][0]["momentum_buffer"] = th.zeros(8, 3, 3, 3)


def spoil_adamw(state: dict[str, Any]) -> None:
    state["adamw"]["state"][0]["exp_avg"][0, 0] = float("inf")


def drop(state: dict[str, Any]) -> None:
    del state["muon"]


def add(state: dict[str, Any]) -> None:
    state["sgd"] = state["adamw"]


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (spoil, "momentum_buffer is not finite"),
        (reshape, "momentum_buffer has another shape"),
        (spoil_adamw, "exp_avg is not finite"),
        (drop, "not one of adamw and muon"),
        (add, "not one of adamw and muon"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_nothing_taken(tamper, message):
    memory, readout = parts()
    optimizer = made(memory, readout)
    trained(optimizer, memory, readout, range(2))
    state = saved(optimizer.state_dict())
    tamper(state)
    other = made(*parts())
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(state)
    assert not any(part["state"] for part in other.state_dict().values())


@pytest.mark.parametrize("state", [None, [1], {}, {"state": {}, "param_groups": []}])
def test_a_state_that_is_none_is_refused(state):
    with pytest.raises(ValueError, match="not one of adamw and muon"):
        made(*parts()).load_state_dict(state)
    with pytest.raises(ValueError, match=r"not one of adamw$"):
        made(*parts(), kind="adamw").check(state)
