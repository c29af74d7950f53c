"""Scanpath figures: windows, glimpses and bars where they should be, in a size that stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from glimpse_envs.render import scanpath_figure as layout
from glimpse_envs.render.drawing import DARK, LIGHT
from glimpse_envs.render.episode import Episode
from glimpse_envs.render.panels import ANSWER
from glimpse_envs.render.scanpath_figure import draw_scanpath

CLASSES = ["cat", "dog", "ship", "horse"]
HEIGHT = 306
TEXT = HEIGHT / (2 * layout._MARGIN + layout._NARROW + layout._ABOVE_ANSWER + ANSWER)
GREEN, RED = (10, 200, 60), (210, 30, 40)


def strip(
    n: int = 2,
    *,
    columns: int | None = None,
    light: bool = False,
    height: int = HEIGHT,
    **changes: Any,
) -> NDArray[np.uint8]:
    parts: dict[str, Any] = {
        "image": np.full((40, 40, 1), 90, np.uint8),
        "windows": [(0, 0, 40), (4, 20, 10), (20, 4, 10)][:n],
        "glimpses": [np.full((8, 8, 3), colour, np.uint8) for colour in (GREEN, RED, GREEN)][:n],
        "budget": n,
        "beliefs": [[0.5, 0.25, 0.25, 0.0], [0.1, 0.0, 0.8, 0.1], [0.0, 0.0, 1.0, 0.0]][:n],
        "classes": CLASSES,
        "label": 2,
        "prediction": 2,
    }
    return draw_scanpath(
        Episode(**{**parts, **changes}), columns=columns, light=light, height=height
    )


def near(frame: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.abs(frame.astype(int) - np.array(colour)).max(-1) <= 12


def test_the_last_window_is_outlined_where_it_lies_and_earlier_ones_in_another_colour() -> None:
    frame = strip()
    start, scale = round(layout._MARGIN * TEXT), layout._NARROW * TEXT / 40
    for x, y in ((4, 23), (14, 23), (7, 20), (7, 30)):  # on the four sides of (4, 20, 10)
        row, column = round(start + y * scale), round(start + x * scale)
        assert near(frame[row - 1 : row + 2, column - 1 : column + 2], DARK.current).any(), (x, y)
    row, column = round(start + 20 * scale), round(start + 39.9 * scale)  # right side of the first
    around = frame[row - 30, column - 3 : column + 4].astype(int)
    assert (around[:, 2] > around[:, 0] + 30).any()  # blue
    assert not near(around, DARK.current).any()


def test_glimpses_stand_in_order_and_enlarged() -> None:
    frame = strip(3)
    side = layout._GLIMPSE * TEXT
    greens, reds = near(frame, GREEN), near(frame, RED)
    assert abs(reds.sum() - side**2) < 6 * side  # one square of full size, less its outline
    assert abs(greens.sum() - 2 * side**2) < 12 * side
    middle = np.argwhere(reds)[:, 1].mean()
    columns = np.argwhere(greens)[:, 1]
    assert columns.min() < middle < columns.max()
    assert not near(strip(1), RED).any()


def test_bars_are_as_long_as_the_belief_with_the_true_class_always_among_them() -> None:
    belief = np.array([[0.4, 0.3, 0.02, 0.28]])
    frame = strip(1, beliefs=belief)
    longest = near(frame, DARK.bar).sum(axis=1).max()
    assert longest == pytest.approx(0.4 * layout._GLIMPSE * TEXT, abs=2)
    full = near(strip(1, beliefs=[[1.0, 0.0, 0.0, 0.0]]), DARK.bar).sum(axis=1).max()
    assert full == pytest.approx(layout._GLIMPSE * TEXT, abs=2)
    other = strip(1, beliefs=belief, label=3)  # the third bar is then of 28 %
    assert near(other, DARK.bar).sum() > near(frame, DARK.bar).sum()
    assert not near(strip(1, beliefs=None), DARK.bar).any()


@pytest.mark.parametrize("light", [False, True])
def test_right_and_wrong_differ_in_colour(light: bool) -> None:
    palette = LIGHT if light else DARK
    right, wrong = strip(light=light), strip(light=light, prediction=0)
    none, unknown = strip(light=light, prediction=-1), strip(light=light, label=None)
    assert (right[0, 0] == palette.background).all()
    assert near(right, palette.right).any() and not near(right, palette.wrong).any()
    for frame in (wrong, none):
        assert near(frame, palette.wrong).any() and not near(frame, palette.right).any()
    assert not near(unknown, palette.right).any() and not near(unknown, palette.wrong).any()


def test_figures_of_a_run_are_equally_large_and_rows_wrap() -> None:
    sizes = {strip(n, budget=3, columns=2).shape for n in (1, 2, 3)}
    sizes |= {strip(2, budget=3, columns=2, image=np.zeros((20, 60, 3), np.uint8)).shape}
    (size,) = sizes
    one_row = strip(3)
    assert one_row.shape[0] == HEIGHT and size[0] > HEIGHT and size[1] < one_row.shape[1]
    assert size[0] % 2 == size[1] % 2 == 0
    taken, free = strip(3, budget=3), strip(1, budget=3)
    assert near(free, DARK.track).sum() > 0 and not near(free, RED).any()
    assert taken.shape == free.shape


def test_a_retina_and_colour_images_are_drawn_too() -> None:
    glimpse = np.concatenate([np.full((8, 8, 3), c, np.uint8) for c in (GREEN, RED)], 1)
    image = np.zeros((40, 40, 3), np.uint8)
    frame = strip(1, image=image, windows=[(15, 15, 10)], glimpses=[glimpse], span=2)
    assert near(frame, GREEN).sum() > 500 and near(frame, RED).sum() > 500


@pytest.mark.parametrize(("n_classes", "places"), [(3, [0, 1, 2]), (4, [2, 3, 1])])
def test_few_classes_keep_their_places_and_of_many_the_likeliest_come_first(
    n_classes: int, places: list[int]
) -> None:
    """A bar's row is told by its length."""
    belief = np.array([0.1, 0.2, 0.4, 0.3])[:n_classes]
    frame = strip(1, beliefs=[belief], classes=None, label=None)
    filled = near(frame, DARK.bar).sum(axis=1)
    rows = np.flatnonzero(filled)
    bars = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    lengths = [filled[bar].max() for bar in bars]
    assert lengths == pytest.approx(belief[places] * layout._GLIMPSE * TEXT, abs=2)


def test_a_long_answer_is_written_smaller_before_it_is_cut() -> None:
    def written(name: str) -> NDArray[np.int64]:
        frame = strip(1, beliefs=None, classes=["a", name], label=None, prediction=1)
        below = frame[round((layout._MARGIN + layout._NARROW + layout._ABOVE_ANSWER) * TEXT) :]
        line = below[round(ANSWER / 3 * TEXT) : round(2 * ANSWER / 3 * TEXT)]
        return np.argwhere(near(line, DARK.text))

    short, long = written("lllll"), written("l" * 23)
    assert np.ptp(long[:, 0]) < np.ptp(short[:, 0])
    side = (layout._MARGIN + layout._NARROW) * TEXT
    assert 0.8 * side < long[:, 1].max() < side
    assert written("l" * 90)[:, 1].max() < side


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"columns": 0}, "a column or more"), ({"height": 100}, "at least 160")],
)
def test_wrong_arguments_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strip(**changes)
