"""A scan that stops when the classifier is sure enough."""

import numpy as np
import pytest

from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_lab.evaluation.confidence_stop import stopped, threshold_for

#: how sure the classifier is after each of three glimpses, and of which class
SURE = np.float32([[0.9, 0.95, 0.99], [0.6, 0.85, 0.9], [0.55, 0.6, 0.7], [0.5, 0.9, 0.6]])
CLASSES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 0]])


def paths(n_glimpses: int = 3) -> Scanpaths:
    """Four episodes of three glimpses of 64 samples, and two classes."""
    n, budget = SURE.shape
    beliefs = np.zeros((n, budget, 2), np.float32)
    np.put_along_axis(beliefs, CLASSES[..., None], SURE[..., None], axis=2)
    np.put_along_axis(beliefs, 1 - CLASSES[..., None], 1 - SURE[..., None], axis=2)
    gaze = np.full((n, budget, 3), 0.5, np.float32)
    gaze[:, n_glimpses:] = np.nan
    return Scanpaths(
        labels=np.array([0, 0, 1, 1]),
        predictions=CLASSES[:, -1],
        n_glimpses=np.full(n, n_glimpses),
        samples=np.full(n, 64 * n_glimpses),
        coverage=np.ones(n, np.float32),
        rewards=np.zeros(n, np.float32),
        answers=CLASSES,
        pixels=1024,
        gaze=gaze,
        windows=gaze,
        seen=np.float32([[0.2, 0.6, 1.0]] * n),
        beliefs=beliefs,
        step_rewards=np.zeros((n, budget), np.float32),
        hidden=np.zeros((n, budget, 0), np.float32),
    )


def test_an_episode_ends_with_the_first_glimpse_that_makes_sure() -> None:
    cut = stopped(paths(), 0.8)
    assert cut.n_glimpses.tolist() == [1, 2, 3, 2]
    assert cut.predictions.tolist() == [0, 0, 1, 1]
    assert cut.samples.tolist() == [64, 128, 192, 128]
    np.testing.assert_allclose(cut.coverage, [0.2, 0.6, 1.0, 0.6])
    np.testing.assert_array_equal(np.isnan(cut.gaze[:, :, 0]), ~cut.taken)
    np.testing.assert_array_equal(cut.answers[3], [1, 1, 1])


@pytest.mark.parametrize(("threshold", "wanted"), [(0.0, 1), (1.1, 3)])
def test_at_the_ends_the_first_or_the_last_glimpse_is_the_last(
    threshold: float, wanted: int
) -> None:
    cut = stopped(paths(), threshold)
    assert (cut.n_glimpses == wanted).all()
    np.testing.assert_array_equal(cut.predictions, CLASSES[:, wanted - 1])


@pytest.mark.parametrize("wanted", [1.0, 1.75, 2.0, 2.25, 3.0])
def test_the_threshold_gives_as_many_glimpses_as_are_wanted(wanted: float) -> None:
    found = stopped(paths(), threshold_for(paths(), wanted)).n_glimpses.mean()
    assert wanted - 0.25 <= found <= wanted


def test_episodes_that_stopped_before_are_refused() -> None:
    with pytest.raises(ValueError, match="wanted beliefs, and all 3 glimpses"):
        threshold_for(paths(2), 1.5)
