"""Canvases drawn from states: analytic cases, and actions undone by their inverse."""

import numpy as np
import pytest
import torch

from glimpse_envs.inverse.actions import (
    ANGLE,
    ATTRIBUTES,
    BRIGHTNESS,
    CURSOR_X,
    CURSOR_Y,
    SCALE,
    ActionTable,
    MoveX,
    Rotate,
    X,
    Y,
)
from glimpse_envs.inverse.canvas import Canvas, Layers, as_bytes
from glimpse_envs.inverse.gui import cursor

SIDE, SIZE = 32, 12
NAMES = ("MoveX", "MoveY", "Rotate", "Scale", "Brighten")


def picture(seed: int = 0, channels: int = 1) -> torch.Tensor:
    levels = np.random.default_rng(seed).integers(0, 256, (1, channels, SIZE, SIZE))
    return torch.from_numpy((levels / 255).astype(np.float32))


def state(**attributes: float) -> np.ndarray:
    values = np.zeros((1, len(ATTRIBUTES)))
    for name, value in attributes.items():
        values[0, ATTRIBUTES.index(name)] = value
    return values


def drawn(pictures: torch.Tensor, background: torch.Tensor | None = None, **attributes: float):
    canvas = Canvas(SIDE, SIDE, opaque=False)
    return as_bytes(canvas.draw(state(**attributes), Layers(pictures, background)))[0, :, :, 0]


def levels(pictures: torch.Tensor) -> np.ndarray:
    return as_bytes(pictures)[0, :, :, 0]


def test_an_untouched_picture_lies_in_the_middle_as_it_is():
    wanted = np.zeros((SIDE, SIDE), np.uint8)
    wanted[10:22, 10:22] = levels(picture())
    np.testing.assert_array_equal(drawn(picture()), wanted)


@pytest.mark.parametrize(("x", "y"), [(3, 0), (0, -5), (-10, 7)])
def test_a_move_by_whole_pixels_shifts_the_array(x, y):
    middle = drawn(picture())
    np.testing.assert_array_equal(drawn(picture(), x=x, y=y), np.roll(middle, (y, x), (0, 1)))


def test_a_move_by_half_a_pixel_is_the_mean_of_neighbours():
    middle = drawn(picture()).astype(float)
    wanted = (middle + np.roll(middle, 1, 1)) / 2
    assert np.abs(drawn(picture(), x=0.5) - wanted).max() <= 0.5


@pytest.mark.parametrize("quarters", [1, 2, 3, -1])
def test_quarter_turns_are_clockwise(quarters):
    turned = drawn(picture(), angle=90.0 * quarters)
    np.testing.assert_array_equal(turned, np.rot90(drawn(picture()), -quarters))


def test_a_symmetric_pattern_does_not_change_by_a_quarter_turn():
    cross = torch.zeros(1, 1, SIZE, SIZE)
    cross[..., 5:7, :] = cross[..., :, 5:7] = 1.0
    np.testing.assert_array_equal(drawn(cross), drawn(cross, angle=90.0))
    assert (drawn(cross) != drawn(cross, angle=45.0)).any()


def test_twice_as_large_has_four_times_the_area():
    square = torch.ones(1, 1, SIZE, SIZE)
    whole, large, small = (
        drawn(square, scale=np.log(factor)).astype(float).sum() for factor in (1, 2, 0.5)
    )
    assert large / whole == pytest.approx(4.0, rel=0.01)
    assert small / whole == pytest.approx(0.25, rel=0.01)


def test_brightness_multiplies_pixels_up_to_white():
    half = drawn(picture(), brightness=np.log(0.5))
    assert np.abs(half - drawn(picture()) / 2).max() <= 0.5
    double = drawn(picture(), brightness=np.log(2.0)).astype(float)
    assert np.abs(double - np.minimum(2.0 * drawn(picture()), 255)).max() <= 0.5


def test_the_brighter_of_picture_and_background_is_seen():
    ground = torch.full((1, 1, SIDE, SIDE), 0.5)
    seen = drawn(picture(), ground)
    np.testing.assert_array_equal(seen, np.maximum(drawn(picture()), levels(ground)))


def test_an_opaque_picture_covers_the_background():
    ground = torch.full((1, 1, SIDE, SIDE), 0.5)
    dark = torch.cat([picture() * 0.2, torch.ones(1, 1, SIZE, SIZE)], 1)
    seen = as_bytes(Canvas(SIDE, SIDE, opaque=True).draw(state(), Layers(dark, ground)))[0, :, :, 0]
    wanted = levels(ground).copy()
    wanted[10:22, 10:22] = levels(picture() * 0.2)
    np.testing.assert_array_equal(seen, wanted)


@pytest.mark.parametrize(("x", "y"), [(-16, -16), (-3, 2), (5, -20), (14, 14), (60, 0), (-90, 3)])
def test_the_tip_of_the_cursor_lies_where_the_state_says(x, y):
    canvas = Canvas(SIDE, SIDE, opaque=True, cursor=cursor())
    see_through = Layers(torch.zeros(1, 4, SIZE, SIZE), torch.full((1, 3, SIDE, SIDE), 0.4))
    seen = as_bytes(canvas.draw(state(cursor_x=x, cursor_y=y), see_through))[0]
    wide = np.full((5 * SIDE, 5 * SIDE, 3), 102, np.uint8)  # with room beyond the canvas
    arrow, (top, left) = cursor(), (y + SIDE // 2 + 2 * SIDE, x + SIDE // 2 + 2 * SIDE)
    if 0 <= left and left + arrow.shape[2] <= wide.shape[1]:
        window = wide[top : top + arrow.shape[1], left : left + arrow.shape[2]]
        covered = arrow[3] == 1.0
        window[covered] = (255 * arrow[:3].transpose(1, 2, 0))[covered]
    np.testing.assert_array_equal(seen, wide[2 * SIDE : 3 * SIDE, 2 * SIDE : 3 * SIDE])


# ---- actions ----


def random_states(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    low = np.zeros(len(ATTRIBUTES))
    low[[X, Y, ANGLE, SCALE, BRIGHTNESS, CURSOR_X, CURSOR_Y]] = 10, 10, 180, 0.3, 0.8, 20, 20
    return rng.uniform(-low, low, (n, len(ATTRIBUTES)))


@pytest.mark.parametrize("kind", range(len(NAMES)), ids=NAMES)
def test_an_inverse_restores_state_and_picture(kind):
    """To 1e-12 in the state (pixels, degrees, logarithms) and one level of 255 in the picture."""
    n = 50
    table, canvas = ActionTable(NAMES), Canvas(SIDE, SIDE, opaque=False)
    before = random_states(n)
    types = np.full(n, kind)
    parameters = np.random.default_rng(1).uniform(-1, 1, n).astype(np.float32)
    after = table.apply(before, types, parameters)
    again = table.apply(after, *table.inverse(types, parameters))
    assert np.abs(again - before).max() <= 1e-12
    assert np.abs(after - before)[:, table.attributes[kind]].max() > 0.5 * table.largest[kind]
    layers = Layers(picture().repeat(n, 1, 1, 1), None)
    first, last, between = (
        as_bytes(canvas.draw(states, layers)).astype(int) for states in (before, again, after)
    )
    assert np.abs(first - last).max() <= 1
    assert (np.abs(first - between).max((1, 2, 3)) > 1).any()


def test_nothing_is_blurred_by_many_actions():
    table, canvas = ActionTable(NAMES), Canvas(SIDE, SIDE, opaque=False)
    states = state()
    for _ in range(100):
        states = table.apply(states, np.array([2]), np.array([0.3], np.float32))
        states = table.apply(states, np.array([0]), np.array([0.01], np.float32))
    for _ in range(100):
        states = table.apply(states, np.array([0]), np.array([-0.01], np.float32))
        states = table.apply(states, np.array([2]), np.array([-0.3], np.float32))
    seen = as_bytes(canvas.draw(states, Layers(picture(), None)))[0, :, :, 0].astype(int)
    assert np.abs(seen - drawn(picture())).max() <= 1


def test_the_way_between_states_is_told_in_shares_of_the_largest():
    table = ActionTable(["MoveX", "Rotate"])
    before, after = state(x=1.0, angle=170.0), state(x=-7.0, angle=-175.0)
    np.testing.assert_allclose(table.between(before, after), [[-0.5, 0.25]])


def test_actions_are_described_in_their_units():
    table = ActionTable(NAMES)
    assert table.describe(0, -0.5) == "move x by -8.0 px"
    assert table.describe(2, 1.0) == "rotate by +60.0 degrees"
    assert table.describe(3, 1.0) == "scale by a factor of 1.42"


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ("MoveX", "wanted a list of at least two"),
        (["MoveX"], "wanted a list of at least two"),
        (["MoveX", "Movey"], "did you mean 'MoveY'"),
        (["MoveX", {"type": "MoveX", "largest": 3.0}], "each at most once"),
        (["MoveX", {"type": "Rotate", "smallest": 90.0}], "wanted 0 < smallest < largest"),
        (["MoveX", {"type": "Rotate", "largest": float("nan")}], "wanted a finite number"),
    ],
)
def test_wrong_actions_are_refused(actions, message):
    with pytest.raises(ValueError, match=message):
        ActionTable(actions)


def test_actions_may_be_objects():
    table = ActionTable([MoveX(4.0, 1.0), Rotate()])
    assert table.largest.tolist() == [4.0, 60.0] and table.names == ("move x", "rotate")
    assert table.units == ("px", "degrees") and len(table) == 2
