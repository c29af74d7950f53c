"""Fourier features, the glimpse encoder and the bypass columns."""

import math

import pytest
import torch as th

from policies.extractors.layers import (
    BELIEF_FLOOR,
    BesideBypass,
    BypassLayout,
    FourierFeatures,
    GlimpseEncoder,
    log_sigmoid_pair,
)

th.set_num_threads(1)


def test_fourier_features_of_known_positions():
    layer = FourierFeatures(1, n_frequencies=2)
    got = layer(th.tensor([[0.0], [0.5]]))
    # x, sin(pi x), sin(2 pi x), cos(pi x), cos(2 pi x)
    want = th.tensor([[0.0, 0.0, 0.0, 1.0, 1.0], [0.5, 1.0, 0.0, 0.0, -1.0]])
    th.testing.assert_close(got, want, atol=1e-6, rtol=0)


def test_fourier_features_keep_coordinates_apart():
    layer = FourierFeatures(3, n_frequencies=4)
    gaze = th.rand(5, 3)
    assert layer(gaze).shape == (5, layer.output_dim) == (5, 27)
    swapped = layer(gaze[:, [1, 0, 2]])
    assert not th.allclose(layer(gaze), swapped)


def test_fourier_features_need_a_number_of_frequencies():
    with pytest.raises(ValueError, match="n_frequencies is -1"):
        FourierFeatures(3, n_frequencies=-1)


@pytest.mark.parametrize("encoder", ["cnn", "mlp", "scales"])
@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 8, 8), (3, 8, 8), (9, 8, 8), (1, 12, 36)])
def test_encoder_takes_any_glimpse(encoder: str, shape: tuple[int, int, int]):
    net = GlimpseEncoder(*shape, output_dim=16, encoder=encoder)
    assert net(th.rand(2, *shape)).shape == (2, 16)


def test_large_glimpses_are_halved_until_they_are_small():
    n_parameters = {
        side: sum(p.numel() for p in GlimpseEncoder(1, side, side).parameters()) for side in (8, 64)
    }
    assert n_parameters[64] < 2 * n_parameters[8]


def test_scales_lie_one_behind_the_other():
    """Channels are those of the first square, then those of the next coarser one, and so on."""
    net = GlimpseEncoder(3, 12, 48, encoder="scales").net
    glimpse = th.rand(2, 3, 12, 48)
    stacked = net[0](glimpse)
    assert stacked.shape == (2, 12, 12, 12)
    for scale in range(4):
        square = glimpse[:, :, :, 12 * scale : 12 * scale + 12]
        th.testing.assert_close(stacked[:, 3 * scale : 3 * scale + 3], square, atol=0, rtol=0)
    assert net[1].in_channels == 12


def test_scales_are_squares():
    with pytest.raises(ValueError, match=r"8 x 12 .*wanted squares side by side"):
        GlimpseEncoder(1, 8, 12, encoder="scales")


def test_unknown_encoder_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'vit'.*cnn.*mlp.*scales"):
        GlimpseEncoder(1, 8, 8, encoder="vit")


def test_bypass_columns_of_known_beliefs():
    layout = BypassLayout(n_belief=4)
    belief = th.tensor([[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]])
    columns = layout.make(th.tensor([[0.5], [0.0]]), belief)
    assert columns.shape == (2, layout.dim) == (2, 7)
    assert layout.last(columns).flatten().tolist() == [False, True]
    th.testing.assert_close(layout.log_belief(columns)[0], th.full((4,), math.log(0.25)))
    floor = math.log(BELIEF_FLOOR)
    th.testing.assert_close(layout.log_belief(columns)[1], th.tensor([0.0] + [floor] * 3))
    th.testing.assert_close(
        layout.confidence(columns), th.tensor([[0.25, math.log(4)], [1.0, 0.0]])
    )
    th.testing.assert_close(
        layout.summary(columns), th.tensor([[0.0, 0.25, math.log(4)], [1.0, 1.0, 0.0]])
    )


@pytest.mark.parametrize(
    ("layout", "dim", "summary_dim"),
    [(BypassLayout(4), 7, 3), (BypassLayout(), 1, 1), (BypassLayout(present=False), 0, 0)],
)
def test_bypass_is_split_off_the_end(layout: BypassLayout, dim: int, summary_dim: int):
    features = th.rand(2, 10 + dim)
    encoded, bypass = layout.split(features)
    assert encoded.shape == (2, 10) and bypass.shape == (2, dim) and layout.dim == dim
    assert th.equal(th.cat([encoded, bypass], dim=1), features)
    assert layout.summary(bypass).shape == (2, summary_dim) == (2, layout.summary_dim)
    assert layout.last(bypass).shape == (2, 1)
    assert layout.log_belief(bypass).shape == (2, layout.n_belief)

    passed = BesideBypass(th.nn.Linear(10, 3), layout)(features)
    assert passed.shape == (2, 3 + dim) and th.equal(passed[:, 3:], bypass)


def test_log_sigmoid_pair_is_exact_in_the_tails():
    log_not, log_yes = log_sigmoid_pair(th.tensor([-100.0, 0.0, 100.0]))
    th.testing.assert_close(log_yes, th.tensor([-100.0, -math.log(2), 0.0]))
    th.testing.assert_close(log_not, th.tensor([0.0, -math.log(2), -100.0]))
