"""Images of noise, as arrays and as files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def noise(n: int, *shape: int, seed: int = 0, low: int = 0) -> NDArray[np.uint8]:
    """Return n images of a shape with values from ``low`` to 255."""
    return np.random.default_rng(seed).integers(low, 256, (n, *shape), dtype=np.uint8)


def arrays(n_train: int = 60, n_test: int = 12, shape: tuple[int, ...] = (6, 5, 3), k: int = 3):
    """Return the arguments of ``ImageDataset.from_arrays``: noise of k classes."""
    return {
        "train_images": noise(n_train, *shape),
        "train_labels": np.arange(n_train, dtype=np.uint8) % k,
        "test_images": noise(n_test, *shape, seed=1),
        "test_labels": np.arange(n_test, dtype=np.uint8) % k,
    }


def write_image(path: Path, pixels: np.ndarray, **options) -> Path:
    """Write pixels (H, W[, C]) as an image file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def write_class(folder: Path, n: int, *shape: int) -> None:
    """Write a folder of n images of noise."""
    for i in range(n):
        write_image(folder / f"{i:03}.png", noise(1, *shape, seed=i)[0])
