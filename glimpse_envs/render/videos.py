"""Frames together: several on a grid, or a sequence as a video file."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glimpse_envs.files import replacing

_GAP = 4  # between tiles, pixels
_GAP_COLOUR = (21, 24, 31)


def tile_frames(
    frames: Sequence[NDArray[np.uint8]], columns: int | None = None
) -> NDArray[np.uint8]:
    """Put equal frames on a grid with small gaps, uint8 (height, width, 3), both even.

    :param frames: uint8 (h, w, 3) each, row by row
    :param columns: of the grid; default: about as many as rows
    :raises ValueError: no frames, frames of unequal shapes, or fewer than one column
    """
    frames = _check_frames(frames)
    n, (height, width, _) = len(frames), frames[0].shape
    columns = math.ceil(math.sqrt(n)) if columns is None else columns
    if columns < 1:
        raise ValueError(f"got columns={columns}; wanted at least 1")
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    full_height, full_width = rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP
    grid = np.empty((full_height + full_height % 2, full_width + full_width % 2, 3), np.uint8)
    grid[:] = _GAP_COLOUR
    for i, frame in enumerate(frames):
        y, x = (i // columns) * (height + _GAP), (i % columns) * (width + _GAP)
        grid[y : y + height, x : x + width] = frame
    return grid


def write_video(
    path: str | os.PathLike[str], frames: Sequence[NDArray[np.uint8]], fps: float = 2
) -> Path:
    """Write frames as H.264 (``.mp4``) or as an endlessly repeating ``.gif``; return the path.

    The file appears only when it is whole. Frames of an odd size get one more row or column in an
    mp4 (its colour format halves both). In a gif, equal neighbours become one longer frame.

    :param path: where to, ending in .mp4 or .gif; missing folders are made
    :param frames: uint8 (h, w, 3) each, all of one shape
    :param fps: frames per second
    :raises ValueError: another suffix, no frames, frames of unequal shapes, or fps not above 0
    """
    path, frames = Path(path), _check_frames(frames)
    writer = {".mp4": _write_mp4, ".gif": _write_gif}.get(path.suffix.lower())
    if writer is None:
        raise ValueError(f"got the file name {path.name!r}; wanted one that ends in .mp4 or .gif")
    if not fps > 0:
        raise ValueError(f"got fps={fps}; wanted a number of frames per second above 0")
    with replacing(path) as temporary:
        writer(temporary, frames, fps)
    return path


def _write_mp4(path: Path, frames: Sequence[NDArray[np.uint8]], fps: float) -> None:
    import imageio.v2 as imageio  # lazily: it looks for ffmpeg, which only this needs

    height, width = frames[0].shape[:2]
    padding = ((0, height % 2), (0, width % 2), (0, 0))
    with imageio.get_writer(
        path,
        format="FFMPEG",
        fps=fps,
        codec="libx264",
        pixelformat="yuv420p",  # the one that browsers and players read
        quality=8,
        macro_block_size=1,  # keep the size: even is enough for the codec
        ffmpeg_log_level="error",
        output_params=["-movflags", "+faststart"],
    ) as writer:
        for frame in frames:
            writer.append_data(np.pad(frame, padding, mode="edge"))


def _write_gif(path: Path, frames: Sequence[NDArray[np.uint8]], fps: float) -> None:
    pictures = [Image.fromarray(frame).quantize(256, dither=Image.Dither.NONE) for frame in frames]
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0
    )


def _check_frames(frames: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    frames = [np.asarray(frame) for frame in frames]
    if not frames:
        raise ValueError("got no frames; wanted at least one")
    kinds = sorted({f"{frame.dtype} {frame.shape}" for frame in frames})
    if len(kinds) > 1 or frames[0].dtype != np.uint8 or frames[0].shape[2:] != (3,):
        raise ValueError(f"got frames {kinds}; wanted uint8 (height, width, 3), all of one shape")
    return frames
