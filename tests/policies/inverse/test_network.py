"""The siamese transformer: shared weights, and what each image learns of the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from policies.inverse import SiameseExtractor
from policies.inverse.network import ComparisonBlock, CrossBlock, nearness

SMALL = {"dim": 16, "reach": [0.5, 0.0], "patch": 4}


def _space(shape: tuple[int, ...] = (16, 16, 1)) -> spaces.Dict:
    return spaces.Dict({name: spaces.Box(0, 255, shape, np.uint8) for name in ("before", "after")})


def _images(n: int = 3, shape: tuple[int, ...] = (16, 16, 1)) -> dict[str, th.Tensor]:
    generator = th.Generator().manual_seed(0)
    return {name: th.rand(n, *shape, generator=generator) for name in ("before", "after")}


def test_swapped_images_give_swapped_codes() -> None:
    extractor, images = SiameseExtractor(_space(), **SMALL).eval(), _images()
    codes = extractor(images)
    assert codes.shape == (3, 32) and extractor.features_dim == 32
    swapped = extractor({"before": images["after"], "after": images["before"]})
    assert th.allclose(codes, swapped.roll(16, dims=1), atol=1e-6)


def test_each_code_depends_on_both_images_and_on_no_other_pair() -> None:
    extractor, images = SiameseExtractor(_space(), **SMALL).eval(), _images()
    codes = extractor(images)
    for name in images:
        other = {**images, name: images[name].clone()}
        other[name][0] = 1.0 - other[name][0]
        changed = (extractor(other) - codes).abs() > 1e-4
        assert changed[0, :16].any() and changed[0, 16:].any()
        assert not changed[1:].any()


def test_without_cross_attention_it_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one 'cross'"):
        SiameseExtractor(_space(), blocks=["self"], **SMALL)
    with pytest.raises(ValueError, match="wanted some of"):
        SiameseExtractor(_space(), blocks=["cross", "both"], **SMALL)


@pytest.mark.parametrize("shape", [(16, 16, 3), (3, 16, 16), (1, 16, 16), (8, 24, 1)])
def test_channels_may_come_first_or_last(shape: tuple[int, ...]) -> None:
    extractor = SiameseExtractor(_space(shape), **SMALL).eval()
    assert extractor(_images(2, shape)).shape == (2, 32)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 255, (16, 16, 1), np.uint8),
        spaces.Dict({"before": spaces.Box(0, 255, (16, 16, 1), np.uint8)}),
        spaces.Dict(
            {
                "before": spaces.Box(0, 255, (16, 16, 1), np.uint8),
                "after": spaces.Box(0, 255, (8, 16, 1), np.uint8),
            }
        ),
    ],
)
def test_other_observations_are_refused(space: spaces.Space) -> None:
    with pytest.raises(ValueError, match="'before' and 'after' of the same shape"):
        SiameseExtractor(space, **SMALL)


def test_canvases_that_no_patch_divides_are_refused() -> None:
    with pytest.raises(ValueError, match="common divisor"):
        SiameseExtractor(_space((20, 20, 1)), dim=16, patch=8)


def test_what_is_not_seen_does_not_count() -> None:
    th.manual_seed(0)
    block, tokens, source = CrossBlock(16, 2, source_dim=8), th.randn(2, 5, 16), th.randn(2, 4, 8)
    seen = th.tensor([[True, True, False, False]] * 2)
    whole = block(tokens, source, seen[:, None, None])
    assert th.allclose(whole, block(tokens, source[:, :2]), atol=1e-6)
    assert not th.allclose(whole, block(tokens, source), atol=1e-3)


def test_heads_look_as_far_as_they_reach() -> None:
    near, far = nearness((2, 3), [0.5, 0.0])
    assert near.shape == (6, 6) and not far.any()
    row = [[0.0, 1.0, 4.0], [1.0, 2.0, 5.0]]  # squared distances from the first place
    assert th.allclose(near[0], -2.0 * th.tensor(row).flatten())
    assert th.equal(near, near.T)


def test_the_first_comparison_subtracts_what_the_other_image_has_there() -> None:
    th.manual_seed(0)
    block = ComparisonBlock(16, (3, 3), [0.05, 0.05])  # no neighbour counts
    th.nn.init.zeros_(block.mlp.leave.weight)
    th.nn.init.zeros_(block.mlp.leave.bias)
    tokens, source = th.randn(2, 9, 16), th.randn(2, 9, 16)
    difference = tokens - th.nn.functional.layer_norm(source, (16,))
    assert th.allclose(block(tokens, source), difference, atol=1e-5)


@pytest.mark.parametrize("reach", [[], [0.5, -1.0], [0.5, 0.5, 0.5]])
def test_a_reach_that_does_not_fit_is_refused(reach: list[float]) -> None:
    with pytest.raises(ValueError, match=r"wanted a (number from 0 on|divisor)"):
        SiameseExtractor(_space(), **{**SMALL, "reach": reach})
