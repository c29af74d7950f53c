"""Corruptions, beside what follows by hand."""

from statistics import NormalDist

import numpy as np
import pytest
from images import noise

from glimpse_lab.robustness.corruptions import CORRUPTIONS, corrupt


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_all_severities_change_pictures_more_and_more(name: str) -> None:
    bars = np.zeros((60, 20, 28, 3), np.uint8)
    bars[:, 6:14, 8:20] = 200  # in the middle: a larger square or shift covers more of it
    severities = CORRUPTIONS[name].severities
    changes = []
    for severity in severities:
        result = corrupt(bars, name, severity)
        assert result.shape == bars.shape and result.dtype == np.uint8
        changes.append(np.abs(result.astype(int) - bars).mean())
    assert 3 <= len(severities) <= 5 and list(severities) == sorted(severities)
    assert changes[0] > 0 and changes == sorted(changes)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_seed_repeats_a_corruption_and_the_pictures_stay(name: str) -> None:
    pictures = noise(30, 16, 16, 1)
    kept = pictures.copy()
    severity = CORRUPTIONS[name].severities[-1]
    one, same, other = (corrupt(pictures, name, severity, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(pictures, kept)
    assert np.array_equal(one, other) == (name == "blur")  # which draws nothing


@pytest.mark.parametrize("sigma", [4.0, 20.0])
def test_noise_has_its_standard_deviation_and_is_cut_at_black_and_white(sigma: float) -> None:
    change = corrupt(np.full((20, 30, 30, 3), 128, np.uint8), "noise", sigma) - 128.0
    assert change.std() == pytest.approx(sigma, rel=0.02)
    assert abs(change.mean()) < 0.05 * sigma
    black = corrupt(np.zeros((5, 30, 30, 1), np.uint8), "noise", sigma)
    share = NormalDist(0.0, sigma).cdf(0.5)  # of what is rounded to 0, or cut
    assert (black == 0).mean() == pytest.approx(share, abs=0.03)


def test_blur_spreads_a_point_by_its_width_and_keeps_pictures_and_channels_apart() -> None:
    pictures = np.zeros((3, 31, 31, 2), np.uint8)
    pictures[1, 15, 15, 0] = 255
    for sigma in (0.5, 1.0):
        result = corrupt(pictures, "blur", sigma).astype(float)
        assert not result[[0, 2]].any() and not result[..., 1].any()
        point = result[1, ..., 0]
        np.testing.assert_array_equal(point, point.T)
        np.testing.assert_array_equal(point, point[::-1, ::-1])
        weights = np.exp(-(np.arange(-4, 5) ** 2) / (2 * sigma**2))
        assert point[15, 15] == pytest.approx(255 / weights.sum() ** 2, abs=0.6)
    assert (corrupt(np.full((1, 9, 9, 1), 77, np.uint8), "blur", 2.0) == 77).all()


def test_an_occlusion_is_one_grey_square_inside_the_picture() -> None:
    pictures = np.zeros((200, 20, 30, 3), np.uint8)
    grey = corrupt(pictures, "occlusion", 0.4) == 128
    assert (grey == grey[..., :1]).all()
    corners = set()
    for picture in grey[..., 0]:
        rows, columns = np.nonzero(picture)
        assert len(rows) == 64 and np.ptp(rows) == np.ptp(columns) == 7  # 0.4 of 20 pixels
        corners.add((rows[0], columns[0]))
    assert {y for y, _ in corners} == set(range(13))  # to the very borders
    assert {x for _, x in corners} == set(range(23))


def test_a_translation_moves_by_whole_pixels_in_all_directions_and_fills_with_zeros() -> None:
    picture = noise(1, 20, 28, 3)
    result = corrupt(picture.repeat(100, 0), "translation", 0.2)  # 4 pixels of 20
    seen = set()
    for moved in result:
        for y in (-4, 0, 4):
            for x in (-4, 0, 4):
                wanted = np.zeros_like(picture[0])
                rows = slice(max(0, y), 20 + min(0, y)), slice(max(0, -y), 20 + min(0, -y))
                columns = slice(max(0, x), 28 + min(0, x)), slice(max(0, -x), 28 + min(0, -x))
                wanted[rows[0], columns[0]] = picture[0][rows[1], columns[1]]
                if np.array_equal(moved, wanted):
                    seen.add((y, x))
                    break
            else:
                continue
            break
        else:
            raise AssertionError("moved by none of the eight directions")
    assert len(seen) == 8 and (0, 0) not in seen


def test_many_pictures_are_corrupted_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = noise(50, 8, 8, 1)
    whole = corrupt(pictures, "noise", 9.0)
    monkeypatch.setattr("glimpse_lab.robustness.corruptions._BATCH", 16)
    np.testing.assert_array_equal(corrupt(pictures, "noise", 9.0), whole)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fog", 1.0), "wanted one of noise, blur"),
        (("noise", 0.0), "wanted above 0"),
        (("occlusion", 1.0), "below 1"),
        (("translation", 1.5), "below 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        corrupt(noise(2, 8, 8, 1), *arguments)


def test_pictures_that_are_no_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="wanted uint8"):
        corrupt(np.zeros((2, 8, 8, 1)), "noise", 8.0)
