"""Small environments that a classifier watches, and episodes to train it with."""

import functools
from typing import Any

import numpy as np
import torch as th

from glimpse_envs import GlimpseConfig, ImageDataset
from glimpse_envs.core import Sequences
from policies.classifier.model import TorchClassifier, View

N_CLASSES = 4

#: arguments that make each kind of memory small
SMALL: dict[str, dict[str, Any]] = {
    "canvas": {"width": 8},
    "rcn": {"width": 4},
    "gru": {"encoder": "mlp", "hidden_size": 12, "code_size": 16},
    "lstm": {"encoder": "mlp", "hidden_size": 12, "code_size": 16},
    "feedforward": {"encoder": "mlp", "hidden_size": 16},
}


@functools.cache
def quadrants(n_train: int = 160, n_test: int = 40, channels: int = 1) -> ImageDataset:
    """Dark noise of 16 x 16 with one bright quadrant, which tells the class."""
    rng = np.random.default_rng(0)
    n = n_train + n_test
    images = rng.integers(0, 100, (n, 16, 16, channels), dtype=np.uint8)
    labels = np.arange(n) % N_CLASSES
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 150
    return ImageDataset.from_arrays(
        images[:n_train], labels[:n_train], images[n_train:], labels[n_train:], name="quadrants"
    )


def config(**parts: Any) -> GlimpseConfig:
    """Quadrants through a crop of 8: the whole at half resolution, or one of them."""
    parts = {"dataset": quadrants(), "sensor": {"type": "Crop", "size": 8}, "budget": 3, **parts}
    return GlimpseConfig(**parts)


def classifier(kind: str = "canvas", seed: int = 0, **settings: Any) -> TorchClassifier:
    """A small classifier of the glimpses of ``config()``."""
    return TorchClassifier(View.of(config()), kind, seed=seed, **{**SMALL[kind], **settings})


def random_episodes(n: int, budget: int = 4, seed: int = 0) -> Sequences:
    """Noise at random places, of every length from 1 to the budget."""
    rng = np.random.default_rng(seed)
    geometry = config().geometry
    gaze = geometry.clamp(rng.random((n * budget, 3), np.float32)).reshape(n, budget, 3)
    return Sequences(
        rng.integers(0, 256, (n, budget, 8, 8, 1), dtype=np.uint8),
        gaze,
        1 + np.arange(n) % budget,
        rng.integers(N_CLASSES, size=n),
    )


def separable_episodes(n: int, budget: int = 3, seed: int = 0) -> Sequences:
    """Glimpses at random places whose brightness tells the class."""
    episodes = random_episodes(n, budget, seed)
    rng = np.random.default_rng(seed)
    light = 60 * episodes.labels[:, None, None, None, None]
    noise = rng.integers(0, 40, episodes.glimpses.shape)
    return episodes._replace(glimpses=(light + noise).astype(np.uint8))


def weights(classifier: TorchClassifier) -> list[np.ndarray]:
    """Copies of all parameters and buffers."""
    return [tensor.detach().cpu().numpy().copy() for tensor in classifier.state_dict().values()]


def same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(ours, theirs, strict=True))


def beliefs(reader: TorchClassifier, n: int = 5) -> np.ndarray:
    """Beliefs after each of four random glimpses."""
    episodes, state, found = random_episodes(n), reader.start(n), []
    for t in range(4):
        state, belief, _ = reader.update(state, episodes.glimpses[:, t], episodes.gaze[:, t])
        found.append(belief)
    return np.stack(found)


def shake(reader: TorchClassifier) -> None:
    """Change all weights, as an update does."""
    reader.train()
    with th.no_grad():
        for weight in reader.parameters():
            weight.add_(0.1 * th.randn(weight.shape, generator=th.Generator().manual_seed(1)))
    reader.eval()
