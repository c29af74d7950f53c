"""How well gazes follow targets, by hand."""

import numpy as np
import pytest

from glimpse_envs.metrics.tracking import Tracking, held, middles, tracking

SIDE = 12.0
STEPS = 6


def boxes(velocity: tuple[float, float], n: int = 1) -> np.ndarray:
    """An object of 28 x 20 pixels, its middle at (20, 30) first, (n, STEPS, 4)."""
    t = np.arange(STEPS)[:, None]
    corners = np.array([20.0 - 14.0, 30.0 - 10.0]) + t * np.array(velocity)
    return np.tile(np.concatenate([corners, np.tile([28.0, 20.0], (STEPS, 1))], 1), (n, 1, 1))


def windows(places: np.ndarray) -> np.ndarray:
    """Windows around fixations (..., 2) in pixels."""
    side = np.full((*places.shape[:-1], 1), SIDE)
    return np.concatenate([places - SIDE / 2, side], axis=-1)


def follow(target: np.ndarray, gaze: np.ndarray, n_glimpses: list[int] | None = None) -> Tracking:
    counts = np.full(len(target), STEPS) if n_glimpses is None else np.array(n_glimpses)
    return tracking(target, windows(gaze), counts)


def test_a_gaze_on_the_target_keeps_up_with_it():
    target = boxes((3.0, -4.0), n=3)
    found = follow(target, middles(target))
    assert found.on_target == 1.0 and found.on_target_ci95 == (1.0, 1.0)
    assert found.distance == pytest.approx(0.0) and found.gain == pytest.approx(1.0)
    assert found.by_glimpse == (1.0,) * STEPS


def test_a_gaze_that_stays_has_no_gain():
    target = boxes((5.0, 0.0))
    found = follow(target, np.tile(middles(target)[:, :1], (1, STEPS, 1)))
    assert found.gain == pytest.approx(0.0)
    assert found.distance == pytest.approx(np.mean([5, 10, 15, 20, 25]))
    assert found.on_target == pytest.approx(1 / 5)  # 5 pixels are within half of 12
    assert found.by_glimpse == (1, 1, 0, 0, 0, 0)
    assert found.on_target_ci95 is None  # one episode has no spread


@pytest.mark.parametrize("gain", [0.5, 1.2, -1.0])
def test_the_gain_is_the_share_of_the_targets_velocity(gain):
    target = boxes((2.0, 1.0), n=2)
    place = middles(target)
    gaze = place[:, :1] + gain * (place - place[:, :1])
    assert follow(target, gaze).gain == pytest.approx(gain)


def test_what_goes_across_the_targets_direction_does_not_count():
    target = boxes((4.0, 0.0))
    gaze = middles(target) + np.array([0.0, 1.0]) * np.arange(STEPS)[:, None] ** 2
    assert follow(target, gaze).gain == pytest.approx(1.0)


def test_glimpses_that_were_not_taken_do_not_count():
    target = boxes((5.0, 0.0), n=2)
    gaze = np.tile(middles(target)[:, :1], (1, STEPS, 1))
    gaze[0, 2:] = target[0, 2:] = np.nan
    found = follow(target, gaze, n_glimpses=[2, 6])
    assert found.on_target == pytest.approx((1 + 1) / 6)
    assert found.by_glimpse == (1, 1, 0, 0, 0, 0)
    assert found.distance == pytest.approx((5 + 75) / 6)


def test_a_target_that_stands_still_has_no_gain_and_one_glimpse_tells_nothing():
    target = boxes((0.0, 0.0))
    assert follow(target, middles(target)).gain is None
    assert follow(target, middles(target), n_glimpses=[1]) is None


def test_a_window_holds_what_lies_on_its_border():
    box = np.array([10.0, 10.0, 4.0, 4.0])  # its middle is (12, 12)
    for left, inside in ((0.0, True), (12.0, True), (-0.1, False), (12.1, False)):
        assert held(box, np.array([left, 6.0, 12.0])) == inside
