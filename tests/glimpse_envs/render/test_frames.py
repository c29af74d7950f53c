"""Frames: what is drawn where, their constant size, and the video files made of them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from glimpse_envs.render import frames as rendering
from glimpse_envs.render.drawing import DARK
from glimpse_envs.render.episode import Episode
from glimpse_envs.render.panels import shown_classes

CLASSES = ["cat", "dog", "ship"]
HEIGHT, MARGIN = 256, 12  # margin: round(0.045 * height)


def grey_image(height: int = 28, width: int = 28, channels: int = 1) -> NDArray[np.uint8]:
    return np.full((height, width, channels), 90, np.uint8)


def frame_of(
    image: NDArray[np.uint8],
    windows: ArrayLike,
    *,
    glimpse: NDArray[np.uint8] | None = None,
    belief: ArrayLike | None = None,
    height: int = HEIGHT,
    **parts: Any,
) -> NDArray[np.uint8]:
    """Return the frame of an episode that is under way, of whose past only the windows are kept."""
    earlier = [None] * (len(windows) - 1)
    beliefs = None if belief is None else [*earlier, belief]
    settings = {"budget": 9, "ended": False, **parts}
    episode = Episode(image, windows, glimpses=[*earlier, glimpse], beliefs=beliefs, **settings)
    return rendering.draw_frame(episode, height=height)


def place_of(frame: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.int64]:
    """Return the (y, x) of all pixels close to a colour."""
    near = np.abs(frame.astype(int) - np.array(colour)).max(-1) <= 12
    return np.argwhere(near)


def has(frame: NDArray[np.uint8], colour: tuple[int, int, int]) -> bool:
    return len(place_of(frame, colour)) > 0


@pytest.mark.parametrize("window", [(0, 0, 28), (4, 10, 12), (16, 16, 8)])
def test_current_window_is_outlined_where_it_lies(window: tuple[float, float, float]) -> None:
    frame = frame_of(grey_image(), [window])
    scale = (HEIGHT - 2 * MARGIN) / 28
    left, top, side = (v * scale for v in window)
    for x, y in [
        (left, top + side / 4),
        (left + side, top + side / 4),
        (left + side / 4, top),
        (left + side / 4, top + side),
    ]:
        row, column = round(MARGIN + y), round(MARGIN + x)
        around = frame[row - 1 : row + 2, column - 1 : column + 2]
        assert has(around, DARK.current), (x, y)


def test_image_shows_through_between_the_outlines() -> None:
    frame = frame_of(grey_image(), [(14, 14, 8)])
    assert (frame[60, 60] == 90).all()
    assert (frame[3, 3] == DARK.background).all()


def test_earlier_windows_are_thinner_and_of_another_colour() -> None:
    windows = [(2, 2, 8), (18, 18, 8)]
    frame = frame_of(np.zeros((28, 28, 3), np.uint8), windows)
    scale = (HEIGHT - 2 * MARGIN) / 28
    y = round(MARGIN + 4 * scale)
    x = round(MARGIN + 2 * scale)
    red, _, blue = frame[y, x - 2 : x + 3].max(0)
    assert blue > 80 > red


def test_path_has_a_dot_at_each_centre() -> None:
    windows = np.array([(0, 0, 8), (20, 0, 8), (20, 20, 8)], float)
    frame = frame_of(grey_image(), windows)
    scale = (HEIGHT - 2 * MARGIN) / 28
    for i, (left, top, side) in enumerate(windows):
        x, y = (round(MARGIN + (v + side / 2) * scale) for v in (left, top))
        dot = frame[y - 6 : y + 7, x - 6 : x + 7]
        assert has(dot, DARK.current if i == 2 else DARK.past)
    middle = round(MARGIN + 14 * scale)
    line = frame[round(MARGIN + 4 * scale), middle]
    assert line.min() > 150


def test_glimpse_is_shown_enlarged() -> None:
    glimpse = np.full((8, 8, 3), (10, 200, 60), np.uint8)
    args = (grey_image(), [(0, 0, 28)])
    without = frame_of(*args)
    frame = frame_of(*args, glimpse=glimpse)
    pixels = place_of(frame, (10, 200, 60))
    assert not has(without, (10, 200, 60))
    # one filled square
    tall, wide = np.ptp(pixels, axis=0) + 1
    assert tall == wide and len(pixels) == tall * wide and tall > 70


def test_scales_of_a_retina_are_separate_tiles_and_outlined_on_the_image() -> None:
    colours = [(10, 200, 60), (200, 30, 30), (60, 60, 250)]
    glimpse = np.concatenate([np.full((8, 8, 3), c, np.uint8) for c in colours], 1)
    args = (np.zeros((60, 60, 3), np.uint8), [(24, 24, 12)])
    frame = frame_of(*args, glimpse=glimpse, span=4)
    assert all(len(place_of(frame, c)) > 1000 for c in colours)
    narrow = frame_of(*args, glimpse=glimpse)
    # on the image: the caption of the glimpse tells the width, too
    changed = np.argwhere((frame != narrow)[:, :HEIGHT].any(-1))
    scale = (HEIGHT - 2 * MARGIN) / 60
    widest = np.array([6, 54]) * scale + MARGIN  # 4 * 12 pixels around the middle
    assert np.abs(changed.min(0) - widest[0]).max() <= 2
    assert np.abs(changed.max(0) - widest[1]).max() <= 2


def test_right_and_wrong_differ_in_colour_and_in_shape() -> None:
    args = {"image": grey_image(), "windows": [(0, 0, 28)], "classes": CLASSES, "prediction": 1}
    right, wrong = frame_of(**args, label=1), frame_of(**args, label=0)
    assert has(right, DARK.right) and not has(right, DARK.wrong)
    assert has(wrong, DARK.wrong) and not has(wrong, DARK.right)
    # the same name is coloured, but a tick is no cross
    tick, cross = (
        {(int(y), int(x)) for y, x in place_of(frame, colour)}
        for frame, colour in ((right, DARK.right), (wrong, DARK.wrong))
    )
    assert len(tick ^ cross) > 0.2 * len(tick | cross)


def test_no_verdict_before_the_answer_or_without_a_label() -> None:
    args = {"image": grey_image(), "windows": [(0, 0, 28)], "classes": CLASSES}
    for frame in (
        frame_of(**args, label=1),
        frame_of(**args, prediction=1),
    ):
        assert not has(frame, DARK.right) and not has(frame, DARK.wrong)
    assert has(frame_of(**args, label=1, ended=True), DARK.wrong)  # no answer is a wrong one


def test_an_episode_that_ended_without_an_answer_says_so() -> None:
    args = {"image": grey_image(), "windows": [(0, 0, 28)], "classes": CLASSES}
    under_way, ended = frame_of(**args), frame_of(**args, ended=True)
    assert (under_way != ended).any()  # without a label, too
    assert has(frame_of(**args, label=1, ended=True), DARK.wrong)


def test_letters_can_be_read_in_a_film_of_two_frames_600_pixels_wide() -> None:
    frame = frame_of(grey_image(100, 100), [(0, 0, 100)], belief=[0.2, 0.3, 0.5], classes=CLASSES)
    scale = 600 / rendering.tile_frames([frame, frame], columns=2).shape[1]
    # the caption of the belief is the smallest text: its letters stand between these rows
    caption = (frame[:, 370:470] > 100).any((1, 2))[12:40].nonzero()[0]
    assert np.ptp(caption) + 1 >= 6 / scale  # capitals of letters 9 pixels high


def test_the_legend_has_both_colours_of_windows_and_as_many_words_as_fit() -> None:
    legend = rendering.draw_legend(1200)
    assert legend.shape == (36, 1200, 3) and legend.dtype == np.uint8
    for colour in (DARK.past, DARK.current, DARK.right, DARK.wrong):
        assert has(legend, colour)
    narrow = rendering.draw_legend(300)
    assert has(narrow, DARK.past) and not has(narrow, DARK.wrong)
    assert (narrow[:, -4:] == DARK.background).all()


def test_bars_are_as_long_as_the_probabilities() -> None:
    def longest(belief: list[float]) -> int:
        frame = frame_of(
            np.zeros((28, 28, 1), np.uint8), [(0, 0, 28)], belief=belief, classes=CLASSES
        )
        return int((frame == DARK.bar).all(-1).sum(1).max())

    full = longest([0.0, 1.0, 0.0])
    assert full > 80
    assert longest([0.5, 0.5, 0.0]) == pytest.approx(full / 2, abs=1)
    assert longest([0.25, 0.25, 0.25]) == pytest.approx(full / 4, abs=1)


def test_many_classes_show_the_likeliest_and_the_true_one() -> None:
    belief = np.full(100, 0.5 / 99)
    belief[4] = 0.5
    assert shown_classes(belief, None, 10)[0] == 4
    shown = shown_classes(belief, 77, 10)
    assert len(shown) == 10 and shown[0] == 4 and shown[-1] == 77
    assert shown_classes(belief[:10], 3, 10) == list(range(10))


@pytest.mark.parametrize("shape", [(28, 28, 1), (33, 47, 3), (20, 200, 3), (200, 20, 1)])
@pytest.mark.parametrize("height", [128, 255, 256])
def test_size_is_even_and_constant_over_an_episode(
    shape: tuple[int, int, int], height: int
) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, shape, np.uint8)
    shapes = set()
    for t in range(1, 8):
        windows = np.column_stack([rng.uniform(-20, 60, (t, 2)), rng.uniform(4, 40, t)])
        frame = frame_of(
            image,
            windows,
            glimpse=image[:8, :16] if t > 1 else None,
            belief=rng.dirichlet(np.ones(12)),
            label=3,
            prediction=t % 3 - 1,
            span=2.0,
            height=height,
        )
        assert frame.dtype == np.uint8 and frame.flags.c_contiguous
        shapes.add(frame.shape)
    (only,) = shapes
    assert only[0] == height + height % 2 and only[1] % 2 == 0 and only[2] == 3


def test_arguments_stay_as_they_were() -> None:
    image, windows = grey_image(), np.array([[4.0, 4.0, 8.0]])
    frame_of(image, windows, glimpse=image[:8, :8])
    assert (image == 90).all() and windows.tolist() == [[4.0, 4.0, 8.0]]


def test_a_frame_that_is_too_low_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 128"):
        frame_of(grey_image(), [(0, 0, 28)], height=20)


def test_tiles_lie_row_by_row() -> None:
    frames = [np.full((10, 21, 3), 40 * i, np.uint8) for i in range(5)]
    grid = rendering.tile_frames(frames, columns=3)
    assert grid.shape == (24, 72, 3)  # 2 * 10 + 4 and 3 * 21 + 2 * 4, made even
    for i in range(5):
        y, x = 14 * (i // 3), 25 * (i % 3)
        assert (grid[y : y + 10, x : x + 21] == 40 * i).all()
    assert rendering.tile_frames(frames).shape == grid.shape
    assert rendering.tile_frames(frames[:1], columns=4).shape == (10, 22, 3)
    with pytest.raises(ValueError, match="columns=0"):
        rendering.tile_frames(frames, columns=0)


def episode_frames(n: int = 5) -> list[NDArray[np.uint8]]:
    image = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28, 1)
    windows = [(2 * i, i, 10) for i in range(n)]
    return [frame_of(image, windows[: t + 1], height=160) for t in range(n)]


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_video_reads_back(tmp_path: Path, suffix: str) -> None:
    frames = episode_frames()
    path = rendering.write_video(tmp_path / "new" / f"episode{suffix}", frames, fps=4)
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file is left
    back = [np.asarray(frame)[..., :3] for frame in imageio.mimread(path)]
    assert len(back) == 5 and back[0].shape == frames[0].shape
    for frame, read in zip(frames, back, strict=True):
        assert np.abs(frame.astype(int) - read).mean() < 8
    if suffix == ".mp4":
        with imageio.get_reader(path) as reader:
            data = reader.get_meta_data()
        assert data["fps"] == 4 and data["pix_fmt"].startswith("yuv420p")
    else:
        with Image.open(path) as picture:
            assert picture.info["duration"] == 250 and picture.info["loop"] == 0


def test_mp4_of_an_odd_size_gets_one_more_row_and_column(tmp_path: Path) -> None:
    frames = [np.full((33, 51, 3), 50 * i, np.uint8) for i in range(3)]
    back = imageio.mimread(rendering.write_video(tmp_path / "odd.mp4", frames))
    assert len(back) == 3 and back[0].shape == (34, 52, 3)


def test_video_errors_leave_nothing_behind(tmp_path: Path) -> None:
    frame = np.zeros((16, 16, 3), np.uint8)
    for name, frames, message in [
        ("a.avi", [frame], "ends in .mp4 or .gif"),
        ("a.mp4", [], "no frames"),
        ("a.gif", [frame, frame[:8]], "all of one shape"),
        ("a.gif", [frame[..., :1]], "wanted uint8"),
    ]:
        with pytest.raises(ValueError, match=message):
            rendering.write_video(tmp_path / name, frames)
    with pytest.raises(ValueError, match="fps=0"):
        rendering.write_video(tmp_path / "a.gif", [frame], fps=0)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = rendering.write_video(tmp_path / "a.gif", episode_frames(2))
    before = path.read_bytes()
    with pytest.raises((OSError, struct.error)):  # a gif cannot hold so long a pause
        rendering.write_video(path, episode_frames(3), fps=1e-6)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
