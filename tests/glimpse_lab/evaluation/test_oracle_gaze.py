"""Gazes that read what was not looked at: where they go, and that their reads are counted."""

import numpy as np
from test_baselines import CornerClassifier, environment

from glimpse_lab.evaluation.baselines import lattice
from glimpse_lab.evaluation.oracle_gaze import SaliencyGaze, UncertaintyGaze
from glimpse_lab.evaluation.rollout import evaluate_gaze


def contains(windows: np.ndarray, x: float, y: float) -> np.ndarray:
    left, top, side = np.moveaxis(windows, -1, 0)
    return (left <= x) & (x < left + side) & (top <= y) & (y < top + side)


def test_saliency_looks_at_the_edge_first_and_then_elsewhere():
    config = environment(split="test")
    paths = evaluate_gaze(SaliencyGaze(), config, classifier=CornerClassifier())
    assert contains(paths.windows[:, 1], 28, 28).all()
    assert (paths.windows[:, 1, 2] == 8).all()
    # the bright pixel's whole neighbourhood has been seen: nothing is salient any more
    assert not (paths.gaze[:, 2] == paths.gaze[:, 1]).all(axis=1).any()
    assert SaliencyGaze().reads(config) == 32 * 32


def test_uncertainty_looks_where_the_belief_becomes_surest():
    config = environment(split="test")
    paths = evaluate_gaze(UncertaintyGaze(), config, classifier=CornerClassifier())
    assert contains(paths.windows[:, 1], 28, 28).all()
    assert (paths.gaze[:, 1, 2] == 1.0).all()  # averages of wider windows are darker
    assert UncertaintyGaze().reads(config) == len(lattice(config)) * 64 * 2
    assert (paths.predictions == 1).all()
