"""Receptive fields that are learnt: what they average, and where they go."""

import numpy as np
import torch as th
from images import noise

from glimpse_envs.sensors import Lattice
from policies.extractors.learned_fields import LearnedFields


def test_they_begin_as_tiles_of_the_window():
    fields = LearnedFields(3, 12)
    corners = np.stack(np.meshgrid([0, 4, 8], [0, 4, 8]), axis=2)
    np.testing.assert_array_equal(fields.squares()[..., :2], corners)
    assert (fields.squares()[..., 2] == 4).all()
    pixels = th.rand(5, 2, 12, 12)
    tiles = th.nn.functional.avg_pool2d(pixels, 4)
    assert th.allclose(fields(pixels), tiles, atol=0.02)  # the outer ones reach in by a little


def test_on_whole_pixels_they_average_what_a_lattice_reads():
    fields, rng = LearnedFields(4, 12), np.random.default_rng(0)
    side = rng.integers(1, 6, 16)
    left, top = (rng.integers(0, 13 - side) for _ in range(2))
    shares = left / (12 - side), top / (12 - side), (side - 1) / 11
    with th.no_grad():
        for parameter, share in zip((fields.x, fields.y, fields.side), shares, strict=True):
            parameter.copy_(th.as_tensor(share).logit(1e-9) / 16.0)
    squares = np.stack([left, top, side], axis=1).reshape(4, 4, 3)
    np.testing.assert_array_equal(fields.squares(), squares)
    images = noise(20, 12, 12, 3)
    middle = np.tile(np.float32([0.5, 0.5, 1.0]), (20, 1))
    read = Lattice(squares - [4, 4, 0])(images, middle)
    pixels = th.as_tensor(images).permute(0, 3, 1, 2).float()
    assert abs(fields(pixels).permute(0, 2, 3, 1).detach().numpy() - read).max() <= 0.51


def test_single_pixels_are_exact_in_wide_windows():
    fields, rng = LearnedFields(8, 400), np.random.default_rng(0)
    left, top = rng.integers(0, 400, (2, 64))
    with th.no_grad():
        for parameter, share in ((fields.x, left / 399), (fields.y, top / 399)):
            parameter.copy_(th.as_tensor(share).logit(1e-9) / 16.0)
        fields.side.fill_(-9.0)
    pixels = th.as_tensor(0.5 + 0.3 * rng.random((1, 1, 400, 400)), dtype=th.float32)
    read = fields(pixels).detach().flatten()
    assert (fields.squares()[..., 2] == 1).all()
    columns, rows = fields.squares()[..., 0].ravel(), fields.squares()[..., 1].ravel()
    np.testing.assert_allclose(read, pixels[0, 0, rows, columns], atol=1e-6)


def test_they_stay_in_the_window_and_are_a_pixel_wide_at_least():
    fields = LearnedFields(2, 8)
    with th.no_grad():
        fields.x.copy_(th.tensor([-9.0, 0.5, 9.0, 0.5]))
        fields.side.copy_(th.tensor([0.1, -9.0, 0.1, 9.0]))
    left, top, side = np.moveaxis(fields.squares(), 2, 0)
    assert (left >= 0).all() and (left + side <= 8).all() and (top + side <= 8).all()
    assert side.ravel()[1] == 1 and side.ravel()[3] == 8
    assert th.allclose(fields(th.ones(1, 1, 8, 8)), th.ones(()))


def test_one_moves_to_what_is_asked_for():
    """The mean of another square, which is the known optimum, of images that are smooth."""
    fields = LearnedFields(3, 12)
    np.testing.assert_array_equal(fields.squares()[1, 1], [4, 4, 4])
    optimizer = th.optim.AdamW(fields.parameters(), lr=2e-3, weight_decay=0.0)
    generator = th.Generator().manual_seed(0)
    for _ in range(300):
        pixels = th.nn.functional.avg_pool2d(th.rand(64, 1, 16, 16, generator=generator), 5, 1)
        wanted = pixels[:, 0, 6:9, 2:5].mean(dim=(1, 2))
        loss = (fields(pixels)[:, 0, 1, 1] - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    np.testing.assert_array_equal(fields.squares()[1, 1], [2, 6, 3])
    np.testing.assert_array_equal(fields.squares()[0, 0], [0, 0, 4])  # nobody asked it
