"""Saves come early, then seldom, and cost little."""

from itertools import pairwise

import pytest

from policies import save_timer
from policies.save_timer import SaveTimer


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(save_timer.time, "monotonic", lambda: self.now)

    def saves(self, cost: float, seconds: float, step: float = 0.1) -> list[float]:
        """When a training saves that begins now, each save taking ``cost`` seconds."""
        timer, begun, times = SaveTimer(), self.now, []
        while self.now - begun < seconds:
            self.now += step
            if timer.due():
                with timer.saving():
                    self.now += cost
                times.append(self.now - begun)
        return times


def test_the_first_save_comes_within_seconds_and_none_is_far_from_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for cost in (0.01, 0.2, 5.0):
        times = Clock(monkeypatch).saves(cost, 600.0)
        gaps = [b - a for a, b in pairwise(times)]
        assert times[0] < 1.5 + cost
        assert max(gaps) <= 20.2 + cost


@pytest.mark.parametrize(("step", "cost"), [(0.1, 0.1), (3.0, 0.1), (7.0, 1.0), (9.0, 2.0)])
def test_a_kill_costs_no_more_than_promised(
    step: float, cost: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = Clock(monkeypatch).saves(cost, 600.0, step)
    # just before a save is written, all work since the state of the one before is at stake
    assert max(b - (a - cost) for a, b in pairwise(times)) <= 20.0 + 1e-6
    assert cost * len(times) <= 0.25 * 600.0


def test_steps_longer_than_promised_are_saved_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(Clock(monkeypatch).saves(0.1, 600.0, step=30.0)) == 20


def test_what_is_killed_every_few_seconds_has_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(Clock(monkeypatch).saves(0.05, 5.0)) >= 3


def test_saving_takes_at_most_a_twentieth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for cost in (0.02, 0.3, 0.9):
        times = Clock(monkeypatch).saves(cost, 1_000.0)
        assert cost * len(times) <= 0.055 * 1_000
    assert len(Clock(monkeypatch).saves(0.01, 3_600.0)) < 300  # hardly more than every 20 s
