"""How many updates follow a rollout, and at which share of the learning rate."""

import pytest

from policies.classifier.schedule import UpdateSchedule


def test_parts_of_updates_wait_for_the_next_rollout():
    schedule = UpdateSchedule(epochs=2.0, n_own=12, handover=0.3)
    assert [schedule.take(n) for n in (0, 5, 9, 18, 18, 30)] == [0, 0, 1, 2, 0, 2]


def test_episodes_of_before_ask_for_no_update():
    schedule = UpdateSchedule(epochs=1.0, n_own=4, handover=0.3, n_counted=100)
    assert [schedule.take(n) for n in (100, 104, 112)] == [0, 1, 2]


def test_the_scale_falls_from_the_handover_to_zero():
    schedule = UpdateSchedule(epochs=1.0, n_own=4, handover=0.4)
    scales = [schedule.scale]
    for progress in (0.0, 0.25, 1.0, 1.1):
        schedule.begin_rollout(progress)
        scales.append(schedule.scale)
    assert scales == pytest.approx([0.4, 0.4, 0.3, 0.0, 0.0])
