"""The price of a glimpse in every form that a reward has."""

from __future__ import annotations

from typing import Any

import pytest

from glimpse_envs.components import resolve
from glimpse_envs.rewards import GlimpseCost, Reward, Sum, Terminal
from glimpse_lab.sweeps.prices import price_of, with_price

COST = {"type": "GlimpseCost", "cost": 0.03}
SUM = {"type": "Sum", "terms": ["Terminal", {"type": "GlimpseCost", "cost": 0.01}]}
WEIGHTED = {"type": "Sum", "terms": ["PerStep", {"type": "GlimpseCost"}, SUM], "weights": [3, 2, 5]}


@pytest.mark.parametrize(
    ("reward", "priced"),
    [
        ("Terminal", {"type": "Sum", "terms": ["Terminal", COST]}),
        ("GlimpseCost", {"type": "Sum", "terms": [COST]}),
        ({"type": "GlimpseCost", "cost": 5.0}, {"type": "Sum", "terms": [COST]}),
        (
            {"type": "InformationGain", "clip": 2.0},
            {"type": "Sum", "terms": [{"type": "InformationGain", "clip": 2.0}, COST]},
        ),
        (SUM, {"type": "Sum", "terms": ["Terminal", COST]}),
        (
            WEIGHTED,
            {
                "type": "Sum",
                "terms": ["PerStep", {"type": "Sum", "terms": ["Terminal"]}, COST],
                "weights": [3, 5, 1.0],
            },
        ),
        (
            {"type": "Sum", "terms": ["Terminal", {"type": "Sum", "terms": ["GlimpseCost"]}]},
            {"type": "Sum", "terms": ["Terminal", COST]},
        ),
    ],
    ids=["name", "cost by name", "cost", "dict", "sum", "weights", "empty inner sum"],
)
def test_every_form_of_a_reward_gets_the_price(reward: Any, priced: dict[str, Any]) -> None:
    assert with_price(reward, 0.03) == priced
    assert price_of(priced) == pytest.approx(0.03)
    assert isinstance(resolve(priced, Reward), Sum)


def test_the_price_counts_weights_and_inner_sums() -> None:
    assert price_of("Terminal") == 0.0
    assert price_of("GlimpseCost") == 0.01
    assert price_of(WEIGHTED) == pytest.approx(2 * 0.01 + 5 * 0.01)
    assert price_of(Sum((Terminal(), GlimpseCost(0.2)))) == pytest.approx(0.2)


def test_what_cannot_be_priced_is_refused() -> None:
    with pytest.raises(ValueError, match="by name or as a dict"):
        with_price(Terminal(), 0.1)
    with pytest.raises(ValueError, match="did you mean 'Terminal'"):
        with_price("Terminale", 0.1)
    with pytest.raises(ValueError, match="finite"):
        with_price("Terminal", float("inf"))
