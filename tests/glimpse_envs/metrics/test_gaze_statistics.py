"""Gaze statistics by hand, and information at its two ends: none, and all about the class."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from made_paths import made_paths

from glimpse_envs.gaze import Geometry
from glimpse_envs.metrics import gaze_statistics, information
from glimpse_envs.metrics.scanpaths import Scanpaths

OVERVIEW = (0.5, 0.5, 0.0)
LOG2_10 = np.log2(10)


def random_paths(n: int = 10_000, budget: int = 8, *, cells: int = 9, seed: int = 0) -> Scanpaths:
    """Fixations drawn evenly from the middles of cells, zoom 1."""
    rng = np.random.default_rng(seed)
    gaze = np.ones((n, budget, 3))
    gaze[..., :2] = (rng.integers(0, cells, (n, budget, 2)) + 0.5) / cells
    gaze[:, 0] = OVERVIEW
    return made_paths(gaze, np.arange(n) % 10)


def at(*places: tuple[float, float], zoom: float = 1.0) -> list[tuple[float, float, float]]:
    """An episode that begins with the overview and goes on to these places."""
    return [OVERVIEW, *((x, y, zoom) for x, y in places)]


# --- maps


def test_fixations_are_counted_without_the_first() -> None:
    paths = made_paths([at((0.1, 0.6), (0.9, 0.6)), at((0.1, 0.6), (1.0, 0.0))], [0, 1])
    shares = gaze_statistics.fixation_map(paths, bins=2)
    assert shares.dtype == np.float64
    np.testing.assert_allclose(shares, [[0, 0.25], [0.5, 0.25]])  # rows run downwards
    of_class = gaze_statistics.fixation_map(paths, 2, label=1)
    np.testing.assert_allclose(of_class, [[0, 0.5], [0.5, 0]])
    np.testing.assert_allclose(
        gaze_statistics.fixation_map(paths, 2, first=True), np.array([[0, 1], [2, 3]]) / 6
    )


def test_glimpses_that_were_not_taken_are_not_counted() -> None:
    paths = made_paths([at((0.1, 0.1)), at((0.9, 0.9))], [0, 1], n_glimpses=[1, 2])
    np.testing.assert_allclose(gaze_statistics.fixation_map(paths, 2), [[0, 0], [0, 1]])
    for empty in (0, 7):  # only the first glimpse; no such image
        assert not gaze_statistics.fixation_map(paths, 2, label=empty).any()
        assert not gaze_statistics.area_seen(paths, 2, label=empty).any()


def test_maps_count_parts_that_a_window_covers_by_half() -> None:
    # windows of 16 pixels on 32 x 64: one is the upper left quarter of the left half
    paths = made_paths(
        [at((0.125, 0.25), zoom=0.5), at((0.25, 0.25), zoom=0.5)], [0, 1], size=(32, 64)
    )
    np.testing.assert_allclose(
        gaze_statistics.area_seen(paths, 4),
        np.array([[1.5, 0.5, 0, 0], [1.5, 0.5, 0, 0], [0] * 4, [0] * 4]) / 2,
        atol=1e-6,
    )
    with_first = gaze_statistics.area_seen(paths, 4, label=0, first=True)
    np.testing.assert_allclose(with_first[0], [1, 1, 1, 0], atol=1e-6)  # the middle 32 pixels


def test_the_mean_of_looked_at_is_the_area_of_the_windows() -> None:
    rng = np.random.default_rng(0)
    paths = made_paths(
        Geometry(40, 60, 8).clamp(rng.random((300, 3), np.float32)).reshape(100, 3, 3),
        np.zeros(100, int),
        size=(40, 60),
    )
    areas = (paths.windows[:, 1:, 2].astype(float) ** 2).sum() / (40 * 60) / 100
    assert gaze_statistics.area_seen(paths, 7).mean() == pytest.approx(areas, rel=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (28, 56), (300, 200)])
def test_the_size_of_the_images_is_found(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for gaze in (rng.random((5, 3, 3)), np.full((5, 3, 3), 0.5), [[(0.0, 1.0, 0.5)]]):
        paths = made_paths(gaze, np.zeros(len(gaze), int), size=size)
        assert gaze_statistics.image_size(paths) == size


def test_windows_of_another_gaze_are_an_error() -> None:
    paths = made_paths([at((0.1, 0.1))], [0])
    paths.windows[:, 1, 0] += 1
    with pytest.raises(ValueError, match="wanted the windows of the gaze"):
        gaze_statistics.area_seen(paths)


# --- saccades


def test_amplitudes_and_directions_by_hand() -> None:
    path = [
        (0.50, 0.50, 0.0),
        (0.75, 0.50, 0.5),  # right
        (0.75, 0.25, 0.5),  # up
        (0.25, 0.25, 0.5),  # left
        (0.25, 0.50, 0.5),  # down
        (0.25, 0.50, 1.0),  # only closer
        (0.50, 0.25, 0.5),  # right and up
    ]
    found = gaze_statistics.saccades(made_paths([path], [0]))
    diagonal = 0.25 * np.sqrt(2)
    np.testing.assert_allclose(found.amplitude, [0.25, 0.25, 0.5, 0.25, 0, diagonal])
    np.testing.assert_allclose(found.direction, np.array([0, 0.5, 1, -0.5, np.nan, 0.25]) * np.pi)
    np.testing.assert_allclose(found.zoom_change, [0.5, 0, 0, 0, 0.5, -0.5])
    assert all(values.dtype == np.float64 for values in found)


def test_amplitudes_are_in_widths_on_images_that_are_not_square() -> None:
    path = [(0.5, 0.5, 1.0), (0.5, 0.0, 1.0), (0.75, 0.5, 1.0)]
    found = gaze_statistics.saccades(made_paths([path], [0], size=(32, 64)))
    np.testing.assert_allclose(found.amplitude, [0.25, 0.25 * np.sqrt(2)])
    np.testing.assert_allclose(found.direction, [np.pi / 2, -np.pi / 4])


def test_summary_of_saccades() -> None:
    path = [(0.5, 0.5, 0.0), (0.75, 0.5, 0.5), (0.75, 0.25, 0.5), (0.75, 0.25, 0.0)]
    summary = gaze_statistics.saccade_summary(made_paths([path, path], [0, 1], n_glimpses=[4, 2]))
    assert asdict(summary) == pytest.approx(
        {
            "n_saccades": 4,
            "mean_amplitude": 0.1875,
            "median_amplitude": 0.25,
            "share_still": 0.25,
            "mean_direction": np.arctan2(1, 2),
            "direction_strength": np.sqrt(5) / 3,
            "share_in": 0.5,
            "share_out": 0.25,
            "mean_zoom_change": 0.125,
        }
    )
    alone = asdict(gaze_statistics.saccade_summary(made_paths([[OVERVIEW]], [0])))
    assert alone.pop("n_saccades") == 0 and set(alone.values()) == {None}


# --- dependence of the gaze on the image


def test_a_fixed_sequence_has_0_bits_wherever_it_stops() -> None:
    path = at((0.3, 0.3), (0.7, 0.7), (0.1, 0.9))
    paths = made_paths([path] * 100, np.arange(100) % 5, n_glimpses=np.arange(100) % 4 + 1)
    result = gaze_statistics.gaze_dependence(paths)
    for entry in result.by_glimpse:
        assert entry.gaze_bits == entry.class_bits == 0.0
        assert entry.commonest_share == 1.0
        assert entry.commonest == pytest.approx(path[entry.n_glimpses - 1])
    assert [entry.n_images for entry in result.by_glimpse] == [100, 75, 50, 25]
    assert result.path_bits_given_length == 0.0
    assert result.path_bits == result.length_bits == pytest.approx(2, abs=0.03)
    assert result.distinct_paths == result.distinct_paths_in_1000 == 4


def test_gaze_that_names_the_class_has_all_of_its_information() -> None:
    labels = np.arange(2000) % 10
    gaze = np.tile(np.array(OVERVIEW), (2000, 3, 1))
    gaze[:, 1, 0] = gaze[:, 2, 0] = (labels + 0.5) / 10
    result = gaze_statistics.gaze_dependence(made_paths(gaze, labels), cells=10)
    first, second, third = result.by_glimpse
    assert first.gaze_bits == first.class_bits == 0.0
    for entry in (second, third):
        assert entry.gaze_bits == pytest.approx(LOG2_10, abs=0.01)
        assert entry.class_bits == pytest.approx(LOG2_10, abs=1e-9)
        assert entry.commonest_share == 0.1
    assert result.label_bits == pytest.approx(LOG2_10, abs=0.01)
    assert result.path_bits == pytest.approx(LOG2_10, abs=0.01)  # the third adds nothing
    assert result.distinct_paths == 10


def test_random_gaze_has_the_entropy_of_its_cells_and_tells_nothing() -> None:
    result = gaze_statistics.gaze_dependence(random_paths(cells=8), cells=8)
    for entry in result.by_glimpse[1:]:
        assert entry.gaze_bits == pytest.approx(6, abs=0.005)
        assert 0 <= entry.class_bits < 0.01
    assert result.distinct_paths == 10_000
    assert result.distinct_paths_in_1000 == pytest.approx(1000)


def test_gaze_of_a_half_of_the_image_tells_one_bit_of_the_class() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(4000) % 4
    gaze = rng.random((4000, 2, 3))
    gaze[:, 1, 0] = 0.5 * gaze[:, 1, 0] + 0.5 * (labels >= 2)
    entry = gaze_statistics.gaze_dependence(made_paths(gaze, labels), cells=4).by_glimpse[1]
    assert entry.class_bits == pytest.approx(1, abs=0.02)
    assert entry.gaze_bits == pytest.approx(4 + 3, abs=0.02)  # places, and eight zooms


def test_a_gaze_that_nearly_repeats_is_one_gaze() -> None:
    rng = np.random.default_rng(0)
    gaze = np.full((200, 4, 3), (0.5, 0.25, 0.5)) + rng.normal(0, 1e-6, (200, 4, 3))
    result = gaze_statistics.gaze_dependence(made_paths(gaze, np.arange(200) % 10))
    assert result.path_bits == 0.0 and result.distinct_paths == 1


def test_nothing_is_said_about_glimpses_that_no_image_took() -> None:
    paths = made_paths([at((0.1, 0.1))] * 3, [0, 1, 2], n_glimpses=[1, 1, 1])
    entry = gaze_statistics.gaze_dependence(paths).by_glimpse[1]
    assert asdict(entry) == {
        "n_glimpses": 2, "n_images": 0, "gaze_bits": None, "class_bits": None,
        "commonest_share": None, "commonest": None,
    }  # fmt: skip


def test_distinct_paths_of_a_larger_split_are_those_of_a_draw() -> None:
    rng = np.random.default_rng(0)
    places = (rng.geometric(0.1, 5000).clip(1, 80) + 0.5) / 81
    gaze = np.ones((5000, 2, 3)) * np.array(OVERVIEW)
    gaze[:, 1, 0] = places
    result = gaze_statistics.gaze_dependence(made_paths(gaze, np.zeros(5000, int)), cells=81)
    drawn = [len(set(rng.choice(places, 1000, replace=False))) for _ in range(300)]
    assert result.distinct_paths_in_1000 == pytest.approx(np.mean(drawn), rel=0.01)
    assert result.distinct_paths > result.distinct_paths_in_1000


def test_the_corrected_entropy_is_closer_to_the_true_one() -> None:
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, 64, 300) for _ in range(200)]
    plain = np.mean([information.entropy_bits(draw) for draw in draws])
    assert plain == pytest.approx(6, abs=0.01)  # without the correction 5.85


def test_information_of_few_samples_is_0_not_less() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 5, 50, 500):
        symbols, labels = rng.integers(0, 100, n), rng.integers(0, 10, n)
        found = information.information_bits(symbols, labels)
        assert 0 <= found < 0.3
    assert information.information_bits(np.arange(50), np.arange(50) % 5) == 0.0  # all differ


# --- a gaze that is stuck


def test_a_stuck_gaze_is_found_with_its_place() -> None:
    rng = np.random.default_rng(0)
    gaze = np.full((100, 5, 3), (1 / 3, 2 / 3, 0.8)) + rng.normal(0, 0.01, (100, 5, 3))
    gaze[:, 0] = OVERVIEW
    gaze[:5, 1:] = (0.9, 0.9, 0.2)
    found = gaze_statistics.collapse(made_paths(gaze, np.zeros(100, int)))
    assert found.collapsed is True and found.n_fixations == 400
    assert found.share == pytest.approx(0.95)
    assert found.place == pytest.approx([1 / 3, 2 / 3], abs=0.01)
    assert found.zoom == pytest.approx(0.8, abs=0.01)
    stricter = gaze_statistics.collapse(made_paths(gaze, np.zeros(100, int)), threshold=0.96)
    assert stricter.collapsed is False and stricter.place == found.place


@pytest.mark.parametrize("x", np.linspace(0, 1, 37))
def test_no_border_of_cells_hides_a_stuck_gaze(x: float) -> None:
    rng = np.random.default_rng(0)
    gaze = np.full((50, 3, 3), (x, 1 - x, 1.0))
    gaze[..., :2] += rng.uniform(-0.02, 0.02, (50, 3, 2))
    paths = made_paths(gaze.clip(0, 1), np.zeros(50, int))
    assert gaze_statistics.collapse(paths).share == 1.0


def test_a_roaming_gaze_is_not_stuck_and_none_is_nowhere() -> None:
    assert gaze_statistics.collapse(random_paths(500)).collapsed is False
    none = gaze_statistics.collapse(made_paths([[OVERVIEW]], [0]))
    assert asdict(none) == {
        "collapsed": False, "share": None, "place": None, "zoom": None, "n_fixations": 0,
        "threshold": 0.9,
    }  # fmt: skip


# --- all of them


def test_summaries_are_plain_json() -> None:
    paths = random_paths(50)
    for result in (
        gaze_statistics.gaze_dependence(paths),
        gaze_statistics.saccade_summary(paths),
        gaze_statistics.collapse(paths),
    ):
        assert json.dumps(asdict(result), allow_nan=False)


def test_arguments_out_of_range_are_errors() -> None:
    paths = random_paths(10)
    for statistic in (gaze_statistics.fixation_map, gaze_statistics.area_seen):
        with pytest.raises(ValueError, match="wanted bins >= 1"):
            statistic(paths, bins=0)
        with pytest.raises(ValueError, match="a class from 0"):
            statistic(paths, label=-1)
    with pytest.raises(ValueError, match="wanted at least 1 of each"):
        gaze_statistics.gaze_dependence(paths, zoom_levels=0)
    with pytest.raises(ValueError, match="wanted 2 cells at least"):
        gaze_statistics.collapse(paths, threshold=1.1)
