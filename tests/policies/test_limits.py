"""What would take too much memory is refused before it does."""

import resource
from typing import Any

import pytest
import torch as th
from torch import nn

from glimpse_envs.config import make_config
from policies.limits import check_lanes, check_memory, limited_parameters, memory


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(20_000, 20_000),
        lambda: nn.Linear(10**6, 10**6),
        lambda: nn.GRU(8, 100_000),
        lambda: nn.LSTM(8, 20_000),
        lambda: nn.Conv2d(10_000, 10_000, 3),
        lambda: [nn.Linear(12_000, 12_000) for _ in range(2)],
        lambda: [nn.Linear(1, 1) for _ in range(2_000)],
        lambda: nn.LSTM(1, 1, num_layers=1_000),
    ],
)
def test_a_network_that_is_too_large_is_refused_before_it_is_filled(make: Any) -> None:
    before = peak()
    with pytest.raises(ValueError, match="net is too large"), limited_parameters("net"):
        make()
    assert peak() - before < 700e6  # the first of two may be made


def test_a_network_of_a_usual_size_is_made_and_other_errors_pass() -> None:
    with limited_parameters("net"):
        assert nn.Linear(2_000, 2_000).weight.shape == (2_000, 2_000)
    with pytest.raises(RuntimeError, match="shapes"), limited_parameters("net"):
        th.zeros(2, 3) @ th.zeros(2, 3)
    nn.Linear(1, 1)  # nothing counts any more


def test_arrays_may_take_half_of_the_memory() -> None:
    check_memory(memory() // 2, "arrays", "less")
    with pytest.raises(ValueError, match=r"GB of memory.*: less"):
        check_memory(memory() // 2 + 1, "arrays", "less")


def test_lanes_count_with_their_budget_canvas_and_classifier() -> None:
    import policies  # noqa: F401  # registers classifiers

    check_lanes(make_config(budget=8), 16_384)
    large = {"scene": {"type": "TranslatedCanvas", "side": 4_000}}
    for parts in (large, {"budget": 10_000}, {"budget": 10_000, "observe_history": True}):
        with pytest.raises(ValueError, match="fewer n_envs"):
            check_lanes(make_config(**parts), 10**6)


@pytest.mark.parametrize(
    "parts",
    [
        {"budget": 10**9},
        {"sensor": {"type": "Crop", "size": 10**9}},
        {"sensor": {"type": "Retina", "size": 8, "scales": 10**9}},
        {"scene": {"type": "TranslatedCanvas", "side": 10**9}},
        {"scene": {"type": "ClutteredCanvas", "side": 5_000}},
        {"scene": {"type": "ClutteredCanvas", "pieces": 10**9}},
    ],
)
def test_an_environment_that_is_too_large_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at most"):
        make_config(**parts)
