"""Similarities of canvases: values worked out by hand, and slopes that a reward needs."""

import numpy as np
import pytest
import torch

from glimpse_envs.components import resolve
from glimpse_envs.inverse.similarity import MultiScale, Pixels, Similarity

KINDS = [MultiScale(), MultiScale((0.0,)), MultiScale((4.0,)), Pixels()]


def spot(*places: int, side: int = 64) -> torch.Tensor:
    """Canvases with a spot of 3 x 3 pixels in the middle row, from these columns on."""
    canvases = torch.zeros(len(places), 1, side, side)
    for canvas, x in zip(canvases, places, strict=True):
        canvas[0, side // 2 : side // 2 + 3, x : x + 3] = 1.0
    return canvases


def similarities(kind: Similarity, canvases: torch.Tensor, before: int, target: int) -> np.ndarray:
    features = kind.features(canvases)
    goal = tuple(part[target : target + 1] for part in features)
    distances = kind.distances(features, goal)
    assert distances.dtype == torch.float32 and len(distances) == len(canvases)
    return kind.relative(distances, distances[before : before + 1]).numpy()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_nothing_done_is_0_and_the_target_is_1(kind):
    result = similarities(kind, spot(10, 20, 30), before=0, target=2)
    assert result.dtype == np.float32
    assert result[0] == pytest.approx(0.0, abs=1e-6) and result[2] == 1.0


def test_half_the_distance_is_a_half_and_twice_the_distance_minus_a_half():
    levels = torch.tensor([0.0, 0.5, 1.0, -1.0])
    canvases = levels[:, None, None, None].expand(4, 1, 8, 8).contiguous()
    result = similarities(MultiScale((0.0,)), canvases, before=0, target=2)
    np.testing.assert_allclose(result, [0.0, 0.5, 1.0, -0.5], atol=1e-6)
    # squared distances: a quarter, and four times
    result = similarities(Pixels(), canvases, before=0, target=2)
    np.testing.assert_allclose(result, [0.0, 0.75, 1.0, -0.75], atol=1e-6)


def test_scales_are_averaged_as_shares():
    kind = MultiScale((0.0, 4.0))
    distances = torch.tensor([[1.0, 0.01], [0.5, 0.005], [2.0, 0.01]])
    result = kind.relative(distances, torch.tensor([[1.0, 0.01]])).numpy()
    np.testing.assert_allclose(result, [0.0, 0.5, 1.0 / 1.5 - 1.0], atol=1e-6)


def test_where_nothing_changes_the_similarity_is_0():
    assert (similarities(MultiScale(), spot(10, 10, 30), before=0, target=1) == 0.0).all()


def test_far_away_blurred_canvases_tell_the_way_and_pixels_do_not():
    places = list(range(10, 41, 5))
    pixels = similarities(Pixels(), spot(*places), before=0, target=len(places) - 1)
    assert np.ptp(pixels[:-1]) < 1e-6
    scales = similarities(MultiScale(), spot(*places), before=0, target=len(places) - 1)
    assert (np.diff(scales) > 0.01).all()


def test_a_constant_canvas_stays_itself_when_it_is_blurred():
    flat = torch.full((1, 3, 48, 64), 0.25)
    for part in MultiScale((0.0, 3.0, 16.0, 200.0)).features(flat):
        np.testing.assert_allclose(part.numpy(), 0.25, atol=1e-6)


@pytest.mark.parametrize("sigmas", [(), 4.0, ("4",), (-1.0,), (0.5,), (True,), (float("nan"),)])
def test_wrong_sigmas_are_refused(sigmas):
    with pytest.raises(ValueError, match="wanted a list of numbers"):
        resolve({"type": "MultiScale", "sigmas": sigmas}, Similarity)
