"""The foveated sensor against slow, independent references, and the degrees it brings."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from images import noise

from glimpse_envs.config import make_config
from glimpse_envs.core import GlimpseCore
from glimpse_envs.receptive_fields import eccentricities, magnification
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_envs.sensors import Crop, Foveated, Retina
from policies.classifier.model import ClassifierError, TorchClassifier, View

LAYOUTS = ("cartesian", "log_polar")
SENSORS = [
    Foveated(8),
    Foveated(9, "log_polar"),
    Foveated(12, field=2.5, fovea=6),
    Foveated(13),
    Foveated(12, "log_polar", field=6.0),
]


def gazes(n: int, zoom: float | None = None) -> np.ndarray:
    gaze = np.random.default_rng(1).uniform(0, 1, (n, 3)).astype(np.float32)
    if zoom is not None:
        gaze[:, 2] = zoom
    return gaze


def slow_glimpse(image: np.ndarray, gaze: np.ndarray, sensor: Foveated) -> np.ndarray:
    """The share of every pixel in every receptive field, one after the other; float64."""
    height, width, channels = image.shape
    left, top, side = sensor.geometry(height, width).windows(gaze[None])[0]
    if side == sensor.size:  # zoom 1 is read at whole pixels
        left, top = np.floor(left + 0.5), np.floor(top + 0.5)
    cell = side / sensor.size
    seen = np.zeros((sensor.size, sensor.size, channels))
    for j, k in np.ndindex(sensor.size, sensor.size):
        x, y, wide = sensor.receptive_fields()[j, k] * cell
        shares = []
        for start, n in ((top + y, height), (left + x, width)):
            pixels = np.arange(n)
            inside = np.minimum(start + wide, pixels + 1) - np.maximum(start, pixels)
            shares.append(inside.clip(min=0.0) / wide)
        seen[j, k] = np.einsum("y,x,yxc->c", *shares, image.astype(float))
    return seen


@pytest.mark.parametrize("zoom", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("sensor", SENSORS, ids=str)
@pytest.mark.parametrize("shape", [(32, 32, 3), (24, 41, 1)])
def test_a_glimpse_is_the_exact_average_of_each_receptive_field(shape, sensor, zoom):
    images, gaze = noise(6, *shape), gazes(6, zoom)
    glimpses = sensor(images, gaze)
    assert glimpses.shape == (6, sensor.size, sensor.size, shape[2])
    for image, row, glimpse in zip(images, gaze, glimpses, strict=True):
        assert abs(glimpse - slow_glimpse(image, row, sensor)).max() <= 0.51


@pytest.mark.parametrize("zoom", [None, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("sensor", SENSORS, ids=str)
@pytest.mark.parametrize("shape", [(32, 32, 3), (24, 41, 1)])
def test_a_table_gives_the_very_bytes_that_the_pixels_give(shape, sensor, zoom):
    images, n = noise(6, *shape), 200
    rows = np.random.default_rng(2).integers(0, 6, n)
    gaze = sensor.geometry(*shape[:2]).clamp(gazes(n, zoom))
    of_table = sensor.read(images, rows, gaze, sensor.prepare(images))
    np.testing.assert_array_equal(of_table, sensor.read(images, rows, gaze))
    np.testing.assert_array_equal(of_table, sensor(images[rows], gaze))


@pytest.mark.parametrize("size", [8, 12, 13])
def test_the_fovea_at_zoom_1_is_the_images_own_pixels(size):
    images, sensor = noise(100, 48, 48, 3), Foveated(size)
    gaze, edge = gazes(100, 1.0), (size - sensor.plan.fovea) // 2
    middle = slice(edge, size - edge)
    own = Retina(size, 1)(images, gaze)[:, middle, middle]
    np.testing.assert_array_equal(sensor(images, gaze)[:, middle, middle], own)


@pytest.mark.parametrize("sensor", SENSORS, ids=str)
def test_a_uniform_image_looks_uniform_where_all_lies_inside(sensor):
    image = np.full((1, 96, 96, 1), 123, np.uint8)
    middle = gazes(50, 1.0) * np.float32([0.1, 0.1, 1]) + np.float32([0.45, 0.45, 0])
    assert (sensor(image.repeat(50, 0), middle) == 123).all()


def test_beyond_the_border_there_are_zeros():
    sensor, corner = Foveated(8), np.float32([[0.0, 0.0, 1.0]])
    glimpse = sensor(np.full((1, 64, 64, 1), 255, np.uint8), corner)[0, ..., 0]
    left, top, side = np.moveaxis(sensor.receptive_fields() - [4, 4, 0], 2, 0)
    outside, inside = (np.minimum(left, top) + side <= 0), (np.minimum(left, top) >= 0)
    assert outside.sum() >= 16 and not glimpse[outside].any()
    assert inside.sum() >= 9 and (glimpse[inside] == 255).all()


@pytest.mark.parametrize("size", [8, 9, 12, 16, 32])
def test_cartesian_receptive_fields_widen_as_the_formula_says(size):
    sensor = Foveated(size)
    plan, side = sensor.plan, sensor.receptive_fields()[..., 2]
    law, away = magnification(plan), eccentricities(plan)
    order = np.argsort(away, axis=None)
    assert (np.diff(side.ravel()[order]) >= 0).all()
    assert abs(side - law.width(away)).max() <= 1.0  # they are of whole pixels
    assert (side[away < law.fovea] == 1).all() and side.max() > 4
    assert law.width(sensor.e2) == pytest.approx(2.0)


@pytest.mark.parametrize("size", [8, 9, 12, 16, 32])
def test_log_polar_receptive_fields_widen_in_proportion_to_the_radius(size):
    sensor = Foveated(size, "log_polar")
    side = sensor.receptive_fields()[..., 2]
    assert (side == side[0]).all() and (np.diff(side[0]) >= 0).all()
    radius = eccentricities(sensor.plan).mean(axis=0)
    apart = 2 * np.pi * radius / size  # from angle to angle
    assert (side[0] >= apart - 0.6).all()
    outer = apart > 2
    assert (side[0][outer] <= apart[outer] + 2.0).all()


@pytest.mark.parametrize("size", [4, 8, 9, 12, 13, 32])
def test_no_pixel_of_the_field_is_left_out(size):
    assert (Foveated(size).seen_by >= 0).all()
    seen = Foveated(size, "log_polar").seen_by
    from_middle = np.arange(len(seen)) + 0.5 - 0.5 * len(seen)
    disc = np.hypot(from_middle[:, None], from_middle) < 0.37 * len(seen)
    assert (seen[disc] >= 0).all()


def test_a_picture_shows_the_fovea_as_it_is_and_is_as_wide_as_the_field():
    images, gaze = noise(1, 64, 64, 3), np.float32([[0.5, 0.5, 1.0]])
    for layout in LAYOUTS:
        sensor = Foveated(12, layout)
        assert sensor.span == 4.0
        picture = sensor.picture(sensor(images, gaze)[0])
        assert picture.shape == (48, 48, 3)
    sensor = Foveated(12)
    picture = sensor.picture(sensor(images, gaze)[0])
    np.testing.assert_array_equal(picture[22:26, 22:26], images[0, 30:34, 30:34])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples_are_those_of_a_crop(layout):
    assert Foveated(12, layout).samples == Crop(12).samples == Retina(6, 4).samples == 144
    assert Foveated(12, layout).glimpse_shape(3) == (12, 12, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 3}, "size=3.*integer of at least 4"),
        ({"size": 257}, "at most 256"),
        ({"layout": "polar"}, "layout='polar'.*did you mean 'log_polar'"),
        ({"field": 1.0}, "field=1; wanted more than 1 windows"),
        ({"field": 2.0, "layout": "log_polar"}, "field=2; wanted more than [0-9.]+ windows"),
        ({"field": 65}, "field=65.*from 1 to 64"),
        ({"fovea": 3}, "size=12, fovea=3.*both even or both odd"),
        ({"fovea": 12}, "fovea=12.*at most 10"),
        ({"pixels_per_degree": 0}, "pixels_per_degree=0.*finite number from 0.001"),
    ],
)
def test_bad_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Foveated(**arguments)


# ---- in environments ----


@pytest.mark.parametrize("scheme", ["GreedyMap", "MultiCat", "Hybrid"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_known_by_name_and_dict_and_survives_a_saved_spec(layout, scheme):
    sensor = {"type": "Foveated", "size": 8, "layout": layout, "pixels_per_degree": 4.0}
    env = gym.make(f"GlimpseDigits-{scheme}-v0", sensor=sensor, budget=3)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    for made in (env, again):
        assert made.unwrapped.config.sensor == Foveated(8, layout, pixels_per_degree=4.0)
        assert made.reset(seed=0)[0]["glimpse"].shape == (8, 8, 1)
    assert make_config(sensor="Foveated").sensor == Foveated()


def test_frames_show_what_a_glimpse_tells_of_each_place():
    env = gym.make("GlimpseDigits-MultiCat-v0", sensor=Foveated(8), render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().ndim == 3


@pytest.mark.parametrize("memory", ["gru", "lstm", "feedforward"])
def test_classifiers_without_a_canvas_read_it_and_know_it_from_others(memory):
    config = make_config(sensor=Foveated(8))
    classifier = TorchClassifier(View.of(config), memory)
    assert classifier.adapted_to(config) is classifier
    make_config(sensor=Foveated(8), classifier=classifier)
    for other in (Crop(8), Foveated(8, field=3.0)):
        with pytest.raises(ClassifierError, match="made for arrangement cartesian 8 x 8 over 4"):
            classifier.adapted_to(make_config(sensor=other))


@pytest.mark.parametrize("memory", ["canvas", "rcn"])
def test_a_canvas_refuses_it(memory):
    with pytest.raises(ClassifierError, match=r"cannot be painted.*choose memory gru"):
        TorchClassifier(View.of(make_config(sensor=Foveated(8))), memory)


def test_a_file_of_a_classifier_says_nothing_of_an_arrangement_that_is_none():
    view = View.of(make_config(sensor=Crop(8)))
    assert "arrangement" not in TorchClassifier(view, "gru").specification()["view"]


def test_a_saved_classifier_keeps_the_arrangement(tmp_path):
    view = View.of(make_config(sensor=Foveated(8, "log_polar")))
    TorchClassifier(view, "gru").save(tmp_path / "classifier.bin")
    assert TorchClassifier.load(tmp_path / "classifier.bin").view == view


# ---- degrees ----


@pytest.mark.parametrize("sensor", [Crop, Retina, Foveated])
def test_degrees_are_told_only_if_asked_for(sensor):
    assert "pixels_per_degree" not in repr(sensor(8))
    assert repr(sensor(8, pixels_per_degree=2.0)).endswith("pixels_per_degree=2.0)")
    core = GlimpseCore(make_config(sensor=sensor(8)), 1)
    assert set(core.infos()) == {"label", "prediction"}


def test_e2_is_in_degrees_if_there_are_some():
    assert Foveated(pixels_per_degree=2.0).e2 == pytest.approx(Foveated().e2 / 2)


def test_infos_have_gaze_and_saccade_in_degrees_in_every_face():
    parts = {"sensor": Crop(8, pixels_per_degree=4.0), "start": "centre"}
    env = gym.make("GlimpseDigits-MultiCat-v0", **parts)
    _, info = env.reset(seed=0)
    assert info["gaze_degrees"].tolist() == [0.0, 0.0] and info["saccade_degrees"] == 0.0
    left, *_, info = env.step(np.array([1, 1, 0]))
    x = (left["gaze"][0] - 0.5) * 48 / 4.0
    assert x < 0 and info["gaze_degrees"] == pytest.approx([x, 0.0], abs=1e-5)
    assert info["saccade_degrees"] == pytest.approx(-x, abs=1e-5)

    many = gym.make_vec("GlimpseDigits-MultiCat-v0", 3, **parts)
    _, infos = many.reset(seed=0)
    assert infos["gaze_degrees"].shape == (3, 2) and infos["saccade_degrees"].shape == (3,)

    lanes = GlimpseVecEnv("GlimpseDigits-MultiCat-v0", 2, **parts)
    lanes.reset()
    *_, infos = lanes.step(np.array([[1, 1, 0]] * 2))
    assert infos[0]["saccade_degrees"] == pytest.approx(info["saccade_degrees"])


def test_environments_of_images_as_they_are_have_it():
    env = gym.make("GlimpseDigits-MultiCat-v0", scene="Plain", sensor=Foveated(4, field=2.0))
    observation, _ = env.reset(seed=0)
    source = env.unwrapped.core.source
    assert not source.prepared.flags.writeable  # one table for all who show them
    gaze = observation["gaze"][None]
    (seen,) = Foveated(4, field=2.0)(env.unwrapped.core.images(), gaze)
    np.testing.assert_array_equal(observation["glimpse"], seen)
