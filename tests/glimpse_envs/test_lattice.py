"""Receptive fields wherever one puts them."""

import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from images import noise

from glimpse_envs.config import make_config
from glimpse_envs.sensors import Foveated, Lattice, Retina
from policies.classifier.model import ClassifierError, TorchClassifier, View

SQUARES = [[[0, 0, 2], [-3, 1, 1]], [[1, 1, 5], [0, 1, 1]]]


def gazes(n: int, zoom: float | None = None) -> np.ndarray:
    gaze = np.random.default_rng(1).uniform(0, 1, (n, 3)).astype(np.float32)
    if zoom is not None:
        gaze[:, 2] = zoom
    return gaze


@pytest.mark.parametrize("zoom", [None, 1.0])
@pytest.mark.parametrize("layout", ["cartesian", "log_polar"])
def test_with_the_receptive_fields_of_a_fovea_it_sees_the_same(layout, zoom):
    fovea, images, gaze = Foveated(9, layout), noise(50, 40, 48, 3), gazes(50, zoom)
    lattice = Lattice(fovea.receptive_fields())
    np.testing.assert_array_equal(lattice(images, gaze), fovea(images, gaze))
    assert (lattice.size, lattice.span, lattice.samples) == (9, fovea.span, 81)
    np.testing.assert_array_equal(lattice.seen_by, fovea.seen_by)


def test_single_pixels_side_by_side_are_a_window():
    squares = [[(x, y, 1) for x in range(6)] for y in range(6)]
    images, gaze = noise(50, 32, 32, 1), gazes(50)
    np.testing.assert_array_equal(Lattice(squares)(images, gaze), Retina(6, 1)(images, gaze))


def test_a_square_is_averaged_and_zeros_lie_beyond_the_image():
    image = noise(1, 16, 16, 1)
    middle, corner = np.float32([[0.5, 0.5, 1.0], [0.0, 0.0, 1.0]])[:, None]
    sensor = Lattice(SQUARES)
    (glimpse,) = sensor(image, middle)[..., 0]  # the window's corner is pixel (7, 7)
    own = image[0, ..., 0].astype(float)
    wanted = [[own[7:9, 7:9].mean(), own[8, 4]], [own[8:13, 8:13].mean(), own[8, 7]]]
    assert abs(glimpse - np.array(wanted)).max() <= 0.5
    (glimpse,) = sensor(image, corner)[..., 0]  # it is (-1, -1)
    wanted = [[own[0, 0] / 4, 0], [own[0:5, 0:5].mean(), 0]]
    assert abs(glimpse - np.array(wanted)).max() <= 0.5


def test_it_is_given_by_name_and_told_apart_by_its_squares():
    sensor = Lattice(SQUARES)
    assert sensor == Lattice(np.array(SQUARES)) == pickle.loads(pickle.dumps(sensor))
    assert hash(sensor) == hash(Lattice(np.array(SQUARES, np.int32)))
    other = Lattice([[[0, 0, 2], [-3, 1, 1]], [[1, 1, 5], [0, 1, 2]]])
    assert sensor != other and repr(sensor) != repr(other)
    assert "pixels_per_degree=4" in repr(Lattice(SQUARES, pixels_per_degree=4))
    part = {"type": "Lattice", "squares": SQUARES}
    spec = gym.make("GlimpseDigits-MultiCat-v0", sensor=part).spec
    again = gym.make(EnvSpec.from_json(spec.to_json()))
    assert again.unwrapped.config.sensor == sensor and json.loads(spec.to_json())
    again.reset(seed=0)


def test_a_classifier_is_bound_to_its_squares():
    parts = {**gym.spec("GlimpseDigits-MultiCat-v0").kwargs, "classifier": None}
    config = make_config(**{**parts, "sensor": Lattice(SQUARES)})
    classifier = TorchClassifier(View.of(config), "gru", encoder="mlp")
    moved = np.array(SQUARES)
    moved[0, 0, 0] += 1
    with pytest.raises(ClassifierError, match="arrangement lattice 2 x 2"):
        classifier.adapted_to(make_config(**{**parts, "sensor": Lattice(moved)}))
    with pytest.raises(ClassifierError, match="cannot be painted"):
        TorchClassifier(View.of(config), "canvas")


@pytest.mark.parametrize(
    ("squares", "match"),
    [
        ((), "wanted S rows of S squares"),
        ([[1, 2, 3]], "wanted S rows of S squares"),
        ([[(0, 0, 1), (0, 0, 1)]], "wanted S rows of S squares"),
        ([[(0, 0, 1)], [(0, 0, 1), (0, 0, 1)]], "wanted S rows of S squares"),
        ([[(0.5, 0, 1)]], "integers"),
        ("here", "wanted S rows of S squares"),
        ([[(0, 0, 0)]], "sides from 1"),
        ([[(0, 5000, 1)]], "places within 1024 pixels"),
        ([[(-(2**63), 0, 1)]], "places within 1024 pixels"),
        ([[(0, 0, 1025)]], "sides from 1 to as many"),
        (np.zeros((0, 0, 3), int), "got Lattice of 0 rows"),
        (np.ones((65, 65, 3), int), "got Lattice of 65 rows"),
    ],
)
def test_squares_that_are_none_are_refused(squares, match):
    with pytest.raises(ValueError, match=match):
        Lattice(squares)
