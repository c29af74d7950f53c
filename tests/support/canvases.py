"""Layouts of canvases, and canvases that are painted along a gaze."""

import numpy as np

from glimpse_envs import Sensor
from policies.classifier.canvas import CanvasLayout


def crop_layout(side: int = 32, channels: int = 3, size: int = 8) -> CanvasLayout:
    """Of a square image and a crop that zooms from the whole to its own size."""
    return CanvasLayout(side, side, channels, size, 1, size, 1.0, side / size)


def known(layout: CanvasLayout, canvas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (h, w, C) and fineness (h, w) of one canvas."""
    stack = canvas.reshape(layout.channels + 1, *layout.shape)
    return stack[:-1].transpose(1, 2, 0), stack[-1]


def blocks(image: np.ndarray, factor: int) -> np.ndarray:
    """The image with each block of factor x factor pixels as its rounded mean."""
    height, width, channels = image.shape
    parts = image.reshape(height // factor, factor, width // factor, factor, channels)
    means = np.floor(parts.mean((1, 3)) + 0.5)
    return means.repeat(factor, 0).repeat(factor, 1)


def look(sensor: Sensor, image: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """The glimpses of one image at many gazes, uint8 (1, T, h, w, C)."""
    return sensor(image[None].repeat(len(gaze), 0), gaze)[None]


def paint(layout: CanvasLayout, sensor: Sensor, image: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """The canvas of one episode that looks at an image along a gaze; uint8 (bytes,)."""
    gaze = sensor.geometry(*image.shape[:2]).clamp(gaze)
    canvas = layout.empty(1)
    layout.paint(canvas, look(sensor, image, gaze), gaze[None], np.array([len(gaze)]))
    return canvas[0]


def tiling(tiles: int, zoom: float, seed: int = 0) -> np.ndarray:
    """Gazes at the middles of tiles x tiles squares, in random order."""
    rows, columns = np.divmod(np.random.default_rng(seed).permutation(tiles**2), tiles)
    gaze = np.full((tiles**2, 3), zoom, np.float32)
    gaze[:, 0], gaze[:, 1] = (columns + 0.5) / tiles, (rows + 0.5) / tiles
    return gaze
