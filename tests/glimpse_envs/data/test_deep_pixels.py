"""Pixels of 16 bits a channel: all bits are read, of colours as of grey, and scaled alike."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from glimpse_envs.data.deep_pixels import deep_pixels, is_deep, to_bytes
from glimpse_envs.data.folders import load_folder

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of PNG, by channels


def write_png(path: Path, pixels: NDArray[np.uint16]) -> Path:
    """Write pixels (H, W, channels) as a PNG of 16 bits."""
    height, width, channels = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        sum_ = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + sum_

    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype(">u2"))
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def write_tiff(path: Path, pixels: NDArray[np.uint16], order: str) -> Path:
    """Write pixels (H, W, 3) as a plain TIFF of 16 bits in either order of bytes."""
    height, width, _ = pixels.shape
    strip = pixels.astype(f"{order}u2").tobytes()
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, 8 + len(strip)),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, len(strip)),
    ]
    depths = struct.pack(f"{order}HHH", 16, 16, 16)
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count)
        + struct.pack(f"{order}HH" if kind == 3 and count == 1 else f"{order}I", *parts)
        for tag, kind, count, value in tags
        for parts in [(value, 0) if kind == 3 and count == 1 else (value,)]
    )
    place = 8 + len(strip) + len(depths)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, place)
    path.parent.mkdir(parents=True, exist_ok=True)
    directory = struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    path.write_bytes(head + strip + depths + directory)
    return path


def read(path: Path) -> NDArray[np.integer]:
    with Image.open(path) as image:
        assert is_deep(image)
        return deep_pixels(image, path)


def noise(channels: int, top: int = 65535) -> NDArray[np.uint16]:
    pixels = np.random.default_rng(0).integers(0, top + 1, (6, 5, channels), dtype=np.uint16)
    pixels[0, 0] = top
    return pixels


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_bit_of_a_png_is_read(tmp_path: Path, channels: int) -> None:
    pixels = noise(channels)
    found = read(write_png(tmp_path / "x.png", pixels))
    assert np.array_equal(found.reshape(pixels.shape), pixels)


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_bit_of_a_tiff_is_read(tmp_path: Path, order: str) -> None:
    pixels = noise(3)
    assert np.array_equal(read(write_tiff(tmp_path / "x.tif", pixels, order)), pixels)


def test_eight_bits_are_not_deep(tmp_path: Path) -> None:
    Image.new("RGBA", (3, 3)).save(tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert not is_deep(image)


def test_transparency_is_of_sixteen_bits_whatever_the_colours_are() -> None:
    pixels = np.array([[[255, 0, 7, 65535]]], np.uint16)
    assert np.asarray(to_bytes(pixels, 8)).tolist() == [[[255, 0, 7, 255]]]


@pytest.mark.parametrize(("top", "shift"), [(255, 0), (4095, 4), (65535, 8)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_folder_is_scaled_by_its_largest_pixel(
    tmp_path: Path, top: int, shift: int, channels: int
) -> None:
    pixels = noise(channels, top)
    if channels in (2, 4):
        pixels[..., -1] = 65535  # opaque
    for name in "ab":
        for k in range(4):
            pixels[1, 1, 0] = k * (top // 4)
            write_png(tmp_path / name / f"{k}.png", pixels)
    data = load_folder(tmp_path)
    colours = pixels[..., : 1 if channels < 3 else 3]
    found = data.train.images.copy()
    found[:, 1, 1, 0] = (colours >> shift)[1, 1, 0]  # where the files differ
    assert found.shape[1:] == colours.shape and (found == colours >> shift).all()
