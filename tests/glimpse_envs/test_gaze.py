"""Gaze geometry: clamping, zoom, windows, coverage."""

import itertools

import numpy as np
import pytest

from glimpse_envs.gaze import Geometry, has_whole_cells

SIZES = [(32, 32, 8), (28, 28, 8), (60, 60, 12), (24, 40, 6), (41, 23, 5), (9, 9, 9)]


def gazes(n: int, low: float = -0.5, high: float = 1.5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (n, 3)).astype(np.float32)


def gaze(*rows: tuple[float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32)


def covered(geometry: Geometry, *rows: tuple[float, float, float], span: float = 1.0) -> float:
    return float(geometry.coverage(gaze(*rows)[None], np.array([len(rows)]), span)[0])


# ---- clamping ----


@pytest.mark.parametrize("size", SIZES)
def test_the_window_of_a_clamped_gaze_lies_inside_the_image(size):
    height, width, finest = size
    geometry = Geometry(height, width, finest)
    left, top, side = geometry.windows(geometry.clamp(gazes(500))).T
    assert (left > -1e-4).all() and (left + side < width + 1e-4).all()
    assert (top > -1e-4).all() and (top + side < height + 1e-4).all()
    assert (side >= finest).all() and (side <= min(height, width)).all()


@pytest.mark.parametrize("size", SIZES)
def test_clamping_twice_is_clamping_once_and_stays_float32(size):
    geometry = Geometry(*size)
    once = geometry.clamp(gazes(500))
    assert once.dtype == np.float32
    np.testing.assert_array_equal(geometry.clamp(once), once)


def test_a_gaze_whose_window_lies_inside_is_left_alone():
    geometry = Geometry(32, 32, 8)
    inside = gaze((0.5, 0.5, 0.0), (0.3, 0.6, 0.75), (0.125, 0.875, 1.0))
    np.testing.assert_array_equal(geometry.clamp(inside), inside)


@pytest.mark.parametrize("side", [28, 32, 60, 96, 100])
def test_zoom_0_on_a_square_image_is_always_the_middle(side):
    clamped = Geometry(side, side, 8).clamp(gazes(100) * [1, 1, 0])
    np.testing.assert_array_equal(clamped, gaze((0.5, 0.5, 0.0)).repeat(100, 0))


def test_zoom_0_on_a_wide_image_still_moves_sideways():
    clamped = Geometry(24, 40, 8).clamp(gaze((0.0, 0.0, 0.0), (1.0, 0.9, 0.0), (0.6, 0.1, 0.0)))
    np.testing.assert_allclose(clamped, [(0.3, 0.5, 0), (0.7, 0.5, 0), (0.6, 0.5, 0)], atol=1e-7)


def test_a_padded_geometry_keeps_only_the_fixation_inside():
    geometry = Geometry(32, 32, 8, padded=True)
    clamped = geometry.clamp(gaze((-0.2, 0.4, 0.0), (1.0, 2.0, 1.0)))
    np.testing.assert_array_equal(clamped, gaze((0.0, 0.4, 0.0), (1.0, 1.0, 1.0)))
    np.testing.assert_allclose(geometry.windows(clamped)[1], (28, 28, 8))


# ---- zoom and windows ----


@pytest.mark.parametrize("size", SIZES)
def test_the_side_of_the_window_is_geometric_in_the_zoom(size):
    height, width, finest = size
    zoom = np.linspace(0, 1, 33, dtype=np.float32)
    side = Geometry(*size).windows(np.stack([zoom * 0 + 0.5, zoom * 0 + 0.5, zoom], 1))[:, 2]
    largest = min(height, width)
    np.testing.assert_allclose(side, largest ** (1 - zoom) * finest**zoom, atol=2e-4)
    assert side[0] == largest and side[-1] == finest


@pytest.mark.parametrize("size", [(64, 64, 8), (32, 48, 8), (16, 16, 8)])
def test_a_zoom_step_halves_the_window_where_that_leads_to_the_finest(size):
    geometry = Geometry(*size)
    side = geometry.windows(gaze((0.5, 0.5, 0.0), (0.5, 0.5, geometry.zoom_step)))[:, 2]
    assert side[1] == side[0] / 2


@pytest.mark.parametrize(
    ("size", "steps"), [((8, 8, 8), 1), ((12, 12, 8), 1), ((28, 28, 8), 2), ((100, 100, 12), 4)]
)
def test_zoom_steps_are_equal_and_at_most_halve_the_window(size, steps):
    geometry = Geometry(*size)
    assert geometry.zoom_step == pytest.approx(1 / steps)
    zoom = np.arange(steps + 1) * geometry.zoom_step
    rows = np.stack([zoom * 0 + 0.5, zoom * 0 + 0.5, zoom], axis=1).astype(np.float32)
    side = geometry.windows(rows)[:, 2]
    assert (side[:-1] / side[1:]).max() <= 2.0 + 1e-6
    assert side[-1] == size[2]


def test_a_window_is_centred_on_the_fixation():
    geometry = Geometry(24, 40, 6)
    clamped = geometry.clamp(gazes(100))
    left, top, side = geometry.windows(clamped).T
    np.testing.assert_allclose(left + side / 2, clamped[:, 0] * 40, atol=1e-5)
    np.testing.assert_allclose(top + side / 2, clamped[:, 1] * 24, atol=1e-5)


def test_a_step_is_counted_in_sides_of_the_new_window():
    geometry = Geometry(32, 32, 8)
    step = gaze((0.5, -0.5, geometry.zoom_step))
    moved = geometry.shift(gaze((0.5, 0.5, 0.0)), step)
    np.testing.assert_array_equal(moved, gaze((0.75, 0.25, 0.5)))  # the new window is 16 wide


def test_a_step_is_as_many_pixels_in_both_directions_on_a_wide_image():
    moved = Geometry(24, 48, 6).shift(gaze((0.5, 0.5, 1.0)), gaze((1.0, 1.0, 0.0)))
    np.testing.assert_array_equal(moved, gaze((0.625, 0.75, 1.0)))  # 6 pixels each


@pytest.mark.parametrize("finest", [0, -1, 33])
def test_a_sensor_that_does_not_fit_is_refused(finest):
    with pytest.raises(ValueError, match="does not fit an image of 32 x 48"):
        Geometry(32, 48, finest)


@pytest.mark.parametrize("size", SIZES)
def test_sensors_read_the_finest_window_at_the_nearest_whole_pixel_and_others_as_they_are(size):
    geometry = Geometry(*size)
    rows = gazes(200, 0.0, 1.0)
    rows[::2, 2] = 1.0
    clamped = geometry.clamp(rows)
    windows, sampled = geometry.windows(clamped), geometry.sampled_windows(clamped)
    finest = windows[:, 2] == geometry.finest
    np.testing.assert_array_equal(sampled[~finest], windows[~finest])
    np.testing.assert_array_equal(sampled[finest], np.floor(windows[finest] + 0.5))
    left, top, side = sampled.T
    assert finest.sum() >= 100 and has_whole_cells(left, top, side / geometry.finest)[finest].all()


def test_cells_are_whole_pixels_where_corner_and_width_are():
    left, top, cell = np.array([(2.0, 3.0, 2.0), (2.5, 3, 2), (2, 3.5, 2), (2, 3, 1.5)]).T
    assert has_whole_cells(left, top, cell).tolist() == [True, False, False, False]
    assert has_whole_cells(2.00001, 2.99999, 2.0) and not has_whole_cells(2.001, 3.0, 2.0)


# ---- coverage ----

SQUARE = Geometry(32, 32, 8)


def test_one_window_covers_its_own_area():
    assert covered(SQUARE, (0.5, 0.5, 1.0)) == pytest.approx(64 / 1024)
    assert covered(SQUARE, (0.5, 0.5, 0.5)) == pytest.approx(256 / 1024)
    assert covered(SQUARE, (0.5, 0.5, 0.0)) == 1.0


def test_two_disjoint_windows_cover_their_sum():
    assert covered(SQUARE, (0.125, 0.125, 1.0), (0.875, 0.875, 1.0)) == pytest.approx(128 / 1024)


def test_windows_side_by_side_tile_the_image():
    quadrants = [(x, y, 0.5) for x, y in itertools.product((0.25, 0.75), repeat=2)]
    assert covered(SQUARE, *quadrants) == pytest.approx(1.0)


def test_a_nested_or_repeated_window_adds_nothing():
    wide, inner = (0.5, 0.5, 0.5), (0.55, 0.45, 1.0)
    for rows in [(wide, inner), (inner, wide), (wide, wide, inner, inner)]:
        assert covered(SQUARE, *rows) == pytest.approx(256 / 1024)


def test_half_overlapping_windows_cover_one_and_a_half():
    assert covered(SQUARE, (0.5, 0.5, 1.0), (0.625, 0.5, 1.0)) == pytest.approx(96 / 1024)


def test_rows_beyond_the_count_do_not_count():
    history = gaze((0.5, 0.5, 1.0), (0.5, 0.5, 0.0))[None].repeat(3, 0)
    coverage = SQUARE.coverage(history, np.array([0, 1, 2]))
    np.testing.assert_allclose(coverage, [0, 64 / 1024, 1])
    assert coverage.dtype == np.float32


def test_a_span_widens_what_is_covered_and_the_border_cuts_it():
    padded = Geometry(32, 32, 8, padded=True)
    assert covered(padded, (0.5, 0.5, 1.0), span=2.0) == pytest.approx(256 / 1024)
    assert covered(padded, (0.0, 0.0, 1.0), span=2.0) == pytest.approx(64 / 1024)


@pytest.mark.parametrize("span", [1.0, 4.0])
@pytest.mark.parametrize("size", [(32, 32, 8), (24, 40, 6)])
def test_coverage_equals_a_raster(size, span):
    height, width, _ = size
    geometry = Geometry(*size, padded=span > 1)
    history = np.stack([geometry.clamp(gazes(7, seed=seed)) for seed in range(6)])
    counts = np.array([7, 6, 5, 3, 2, 1])
    fine = 32  # raster points for each pixel
    y = (np.arange(height * fine) + 0.5)[:, None] / fine
    x = (np.arange(width * fine) + 0.5)[None] / fine
    coverages = geometry.coverage(history, counts, span)
    for rows, n, coverage in zip(history, counts, coverages, strict=True):
        seen = np.zeros((height * fine, width * fine), bool)
        for left, top, side in geometry.windows(rows[:n]):
            middle_x, middle_y, half = left + side / 2, top + side / 2, span * side / 2
            seen |= (abs(x - middle_x) < half) & (abs(y - middle_y) < half)
        assert coverage == pytest.approx(seen.mean(), abs=4e-3)
