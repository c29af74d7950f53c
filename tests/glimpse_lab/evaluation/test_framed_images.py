"""Evaluations of images that keep their proportions in frames of one shape."""

import numpy as np

from glimpse_envs import GlimpseConfig, ImageDataset
from glimpse_envs.data.datasets import Split
from glimpse_envs.metrics.gaze_statistics import image_size, saccades
from glimpse_envs.strategies import Uniform
from glimpse_lab.evaluation.compute import measure_full_image
from glimpse_lab.evaluation.full_image import full_image_config
from glimpse_lab.evaluation.rollout import evaluate_gaze
from glimpse_lab.evaluation.study import describe
from glimpse_lab.robustness.pictures import shown


def framed() -> ImageDataset:
    """Images of 12 x 24 and 24 x 16 pixels in frames of 24 x 24."""
    rng, splits = np.random.default_rng(0), {}
    for name, n in (("train", 24), ("validation", 8), ("test", 12)):
        images, extents = (
            np.zeros((n, 24, 24, 1), np.uint8),
            np.tile([[12, 24], [24, 16]], (n // 2, 1)),
        )
        images[::2, 6:18], images[1::2, :, 4:20] = rng.integers(1, 256, 2).astype(np.uint8)
        splits[name] = Split(images, np.arange(n) // 2 % 2, extents=extents)
    return ImageDataset("framed", **splits, classes=("x", "y"))


def watched() -> GlimpseConfig:
    return GlimpseConfig(
        dataset=framed(), sensor={"type": "Crop", "size": 8}, classifier="gru", budget=3,
        observe_classifier_features=True, split="test",
    )  # fmt: skip


def test_statistics_of_the_gaze_are_in_frames() -> None:
    paths = evaluate_gaze(Uniform(), watched())
    assert image_size(paths) == (24, 24) and paths.pixels < 24 * 24
    assert saccades(paths).amplitude.shape == (24,)
    describe(paths, ("x", "y"))


def test_the_network_of_the_whole_image_sees_whole_frames() -> None:
    config = watched()
    glance = full_image_config(config)
    assert glance.sensor.size == 24 and glance.dataset.test.extents is None
    np.testing.assert_array_equal(glance.dataset.test.images, config.dataset.test.images)
    assert full_image_config(config, resolution=12).sensor.size == 12
    assert measure_full_image(config, n_images=4).multiply_adds > 0
    assert glance.dataset.in_frames() is glance.dataset


def test_pictures_that_take_the_place_of_images_keep_their_proportions() -> None:
    config, index = watched(), np.arange(12)
    disturbed = shown(config, config.dataset.test.images, index)
    paths = [evaluate_gaze(Uniform(), these, index=index) for these in (config, disturbed)]
    np.testing.assert_array_equal(*(these.windows for these in paths))
    np.testing.assert_array_equal(*(these.beliefs for these in paths))
    assert paths[0].pixels == paths[1].pixels < 24 * 24
