"""Seeds and sweeps as they are written on the command line."""

from __future__ import annotations

import pytest

from glimpse_lab.sweeps.changes import COST, choose_sweep, parse_seeds, parse_sweep


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0-4", [0, 1, 2, 3, 4]), ("7", [7]), ("0,3,7", [0, 3, 7]), ("5, 0-2", [5, 0, 1, 2])],
)
def test_seeds_are_numbers_and_ranges(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "wanted numbers"),
        ("-3", "wanted numbers"),
        ("1-", "wanted numbers"),
        ("1-2-3", "wanted numbers"),
        ("a", "wanted numbers"),
        ("²", "wanted numbers"),
        ("0 1", "wanted numbers"),
        ("4-0", "smaller end"),
        ("1,1", "each seed once"),
        ("0-3,2", "each seed once"),
        ("0-99999999", "at most 10,000"),
    ],
)
def test_other_seeds_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_seeds(text)


def test_a_sweep_changes_the_recipe() -> None:
    changes = parse_sweep("policy_kwargs.width=2,3e-4,[4, 5],{type: Crop}")
    assert [change.value for change in changes] == [2, 3e-4, [4, 5], {"type": "Crop"}]
    assert [change.label for change in changes[:2]] == ["width=2", "width=0.0003"]
    assert changes[0].name == "sweep-width"
    assert all("/" not in change.label and " " not in change.label for change in changes)
    assert changes[0].overrides == {"policy_kwargs.width": 2} and changes[0].price is None


def test_a_price_changes_the_reward_alone() -> None:
    free, dear = choose_sweep([0.0, 0.05], None)
    assert (free.setting, free.label, dear.label) == (COST, "cost=0", "cost=0.05")
    assert dear.overrides == {} and (free.price, dear.price) == (0.0, 0.05)


def test_neither_prices_nor_a_setting_is_no_sweep() -> None:
    assert choose_sweep(None, None) == []


@pytest.mark.parametrize(
    "text", ["gamma", "=1,2", "gamma=0.9", "gamma=0.9,0.9", "a..b=1,2", "gamma=[1,", "cost=1,2"]
)
def test_other_sweeps_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"got (--sweep|a sweep)"):
        parse_sweep(text)


def test_a_price_must_be_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        choose_sweep([0.0, float("nan")], None)
