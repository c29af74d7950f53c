"""Small data sets in the place of the downloaded ones, and one thread for torch."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from glimpse_envs import pack_dataset

SHAPES = {"mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
N_TRAIN, N_TEST, N_CLASSES = 300, 60, 10


def _labelled_noise(rng: np.random.Generator, n: int, shape: tuple[int, int, int]):
    """Return noise with a bright bar whose place tells the class: images and labels."""
    images = rng.integers(0, 128, (n, *shape), dtype=np.uint8)
    labels = np.arange(n) % N_CLASSES
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 4 : 2 * label + 6, 4:-4] = 255
    return images, labels


@pytest.fixture(scope="session", autouse=True)
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory with a small ``NAME.npz`` for every data set that would be downloaded."""
    folder = tmp_path_factory.mktemp("data")
    for name, shape in SHAPES.items():
        rng = np.random.default_rng(len(name))
        train_images, train_labels = _labelled_noise(rng, N_TRAIN, shape)
        test_images, test_labels = _labelled_noise(rng, N_TEST, shape)
        pack_dataset(
            folder / f"{name}.npz",
            train_images=train_images,
            train_labels=train_labels,
            test_images=test_images,
            test_labels=test_labels,
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "GLIMPSE_DATA_DIR", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    """Batches are small here: more threads only wait for each other."""
    import torch

    torch.set_num_threads(1)


def pytest_collection() -> None:
    """Collect no garbage while modules are imported and tests are found: hardly any is made."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was imported and found, a million objects, out of every collection to come."""
    gc.freeze()
    gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-golden", action="store_true", help="record tests/golden anew")
