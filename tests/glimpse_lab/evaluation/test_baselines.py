"""Gazes to compare with, and the search of a fixed one."""

import numpy as np
import pytest

from glimpse_envs.classifier import Reading
from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.data.datasets import ImageDataset
from glimpse_envs.strategies import ScriptedGaze
from glimpse_lab.evaluation.baselines import baseline_strategies, best_fixed, lattice


class CornerClassifier:
    """Believes in class 1 as strongly as the brightest glimpse pixel so far is bright."""

    n_classes, hidden_size = 2, 0

    def start(self, n):
        return np.zeros((n, 1), np.float32)

    def update(self, state, glimpse, gaze):
        brightest = glimpse.reshape(len(glimpse), -1).max(axis=1, keepdims=True) / 255.0
        state = np.maximum(state, brightest.astype(np.float32))
        sure = 0.5 + 0.45 * state
        return Reading(state, np.concatenate([1 - sure, sure], axis=1), np.zeros((len(state), 0)))


def corner_images() -> ImageDataset:
    """Every image has one bright pixel at the lower right."""
    images = np.zeros((60, 32, 32, 1), np.uint8)
    images[:, 28, 28] = 255
    labels = np.ones(60, np.int64)
    labels[:2] = 0  # every class needs an image
    return ImageDataset.from_arrays(images, labels, images[:10], labels[:10])


def environment(**parts) -> GlimpseConfig:
    parts = {"dataset": corner_images(), "scheme": "MultiCategorical", "budget": 3, **parts}
    return make_config(sensor={"type": "Crop", "size": 8}, **parts)


def test_a_coarser_lattice_reaches_the_same_corners():
    config = environment()
    fine, coarse = lattice(config), lattice(config, spacing=2.0)
    assert len(coarse) < len(fine)
    for zoom in np.unique(coarse[:, 2]):
        ends = [rows[rows[:, 2] == zoom][:, :2] for rows in (fine, coarse)]
        np.testing.assert_array_equal(*(xy.min(0) for xy in ends))
        np.testing.assert_array_equal(*(xy.max(0) for xy in ends))
    with pytest.raises(ValueError, match="got spacing=0; wanted a number of windows above 0"):
        lattice(config, spacing=0)


def test_the_lattice_tiles_every_zoom_by_half_windows():
    gazes = lattice(environment())
    zooms, counts = np.unique(gazes[:, 2], return_counts=True)
    np.testing.assert_allclose(zooms, [0.0, 0.5, 1.0])
    assert counts.tolist() == [1, 9, 49]  # windows of 32, 16 and 8 pixels on 32
    config = environment()
    np.testing.assert_allclose(config.geometry.clamp(gazes), gazes, atol=1e-6)


def test_the_best_fixed_gaze_looks_first_where_the_answer_lies():
    found = best_fixed(environment(), CornerClassifier(), n_images=4)
    assert len(found.gazes) == 2  # budget 3, the first glimpse is the environment's own
    x, y, zoom = found.gazes[0]
    assert zoom == 1.0 and x > 0.7 and y > 0.7


def test_the_baselines_are_strategies():
    strategies = baseline_strategies()
    assert {"random", "centre", "grid"} <= strategies.keys()
    assert all(isinstance(strategy, ScriptedGaze) for strategy in strategies.values())
