"""Metrics of recorded episodes: how accurate, for how few pixels, after how many glimpses."""

from __future__ import annotations

import math
import os
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.files import replacing
from glimpse_envs.metrics.tracking import Tracking


@dataclass(frozen=True, eq=False)
class Episodes:
    """One episode for each image, as arrays. Other numeric types are converted, never rounded.

    :param labels: int64 (N,), the true classes, >= 0
    :param predictions: int64 (N,), the answers at the episodes' ends, -1 where there was none
    :param n_glimpses: int64 (N,), glimpses taken, 1 to budget
    :param samples: int64 (N,), numbers of sensor pixels read
    :param coverage: float32 (N,), fraction of the image that any window covered, 0 to 1
    :param rewards: float32 (N,), returns (undiscounted sums of rewards)
    :param answers: int64 (N, budget), column t - 1 holds the prediction that stands after t
        glimpses, -1 where there is none yet. An answer given after t glimpses stands from then on,
        beyond the episode's end too, so the last column equals ``predictions``
    :param pixels: h * W of the images
    :raises ValueError: shapes that do not agree, or values out of range
    """

    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    n_glimpses: NDArray[np.int64]
    samples: NDArray[np.int64]
    coverage: NDArray[np.float32]
    rewards: NDArray[np.float32]
    answers: NDArray[np.int64]
    pixels: int

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            dtype = np.float32 if name in ("coverage", "rewards") else np.int64
            object.__setattr__(self, name, _converted(getattr(self, name), name, dtype))
        object.__setattr__(self, "pixels", int(self.pixels))
        self._check_shapes()
        self._check_values()

    def _check_shapes(self) -> None:
        shapes = {name: getattr(self, name).shape for name in _ARRAYS}
        n = self.labels.size
        wrong = {name: s for name, s in shapes.items() if name != "answers" and s != (n,)}
        if wrong or n == 0 or self.answers.ndim != 2 or len(self.answers) != n or not self.budget:
            raise ValueError(
                f"got shapes {shapes}; wanted one entry for each of N >= 1 images: (N,), and "
                "(N, budget) for answers"
            )

    def _check_values(self) -> None:
        ranges = {
            "labels": (0, math.inf),
            "predictions": (-1, math.inf),
            "n_glimpses": (1, self.budget),
            "samples": (0, math.inf),
            "coverage": (0, 1 + 1e-5),  # it is a sum of areas in float32
            "rewards": (-math.inf, math.inf),
            "answers": (-1, math.inf),
            "pixels": (1, math.inf),
        }
        for name, (low, high) in ranges.items():
            values = np.asarray(getattr(self, name))
            if not (np.isfinite(values) & (values >= low) & (values <= high)).all():
                raise ValueError(
                    f"got {name} from {values.min()} to {values.max()}; wanted finite values "
                    f"from {low} to {high:g}"
                )
        differ = np.flatnonzero(self.answers[:, -1] != self.predictions)
        if differ.size:
            i = differ[0]
            raise ValueError(
                f"got answers[{i}, -1] = {self.answers[i, -1]} and predictions[{i}] = "
                f"{self.predictions[i]}; wanted them equal: an answer stands until the budget's end"
            )

    @property
    def budget(self) -> int:
        """The most glimpses that an episode may take."""
        return self.answers.shape[1]

    @property
    def tracking(self) -> Tracking | None:
        """How well the gaze followed what moved; None where that was not recorded."""
        return None

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write an npz file, which appears only when it is whole; return its path.

        :param path: its name, ending in .npz; missing folders are made
        :raises ValueError: another suffix
        """
        path = _npz(path)
        with replacing(path) as temporary:
            np.savez_compressed(
                temporary, **{field.name: getattr(self, field.name) for field in fields(self)}
            )
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Episodes:
        """Read what ``save`` wrote.

        :raises FileNotFoundError: no such file
        :raises ValueError: another suffix, or a file without all the arrays
        """
        path = _npz(path)
        with np.load(path, allow_pickle=False) as file:
            wanted = [field.name for field in fields(cls) if field.default is MISSING]
            if missing := [name for name in wanted if name not in file]:
                raise ValueError(f"{path} lacks {missing}; wanted a file written by Episodes.save")
            names = [field.name for field in fields(cls) if field.name in file]
            return cls(**{name: file[name] for name in names})


_ARRAYS = tuple(field.name for field in fields(Episodes) if field.name != "pixels")


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion, both ends in [0, 1].

    Unlike the normal approximation it keeps its coverage near 0 and 1 and for small n. Source:
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927);
    recommended by Brown, Cai and DasGupta, Statistical Science 16 (2001).

    :param successes: 0 to n
    :param n: trials, at least 1
    :param confidence: between 0 and 1, both excluded
    :raises ValueError: an argument out of range
    """
    if not (n >= 1 and 0 <= successes <= n and 0.0 < confidence < 1.0):
        raise ValueError(
            f"got successes={successes}, n={n}, confidence={confidence}; wanted "
            "0 <= successes <= n, n >= 1 and 0 < confidence < 1"
        )
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, extra = successes / n, z**2 / n
    centre = share + extra / 2
    half = math.sqrt(share * (1 - share) * extra + extra**2 / 4)
    low = 0.0 if successes == 0 else (centre - half) / (1 + extra)
    high = 1.0 if successes == n else (centre + half) / (1 + extra)
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What episodes came to.

    :param n_images: N
    :param accuracy: share of images whose answer is right; no answer counts as wrong
    :param accuracy_ci95: low and high, its 95 % Wilson interval
    :param balanced_accuracy: mean over the classes that occur of the accuracy within the class
    :param unanswered: share of images that ended without an answer
    :param mean_glimpses: per image
    :param mean_samples: per image, sensor pixels read
    :param sample_fraction: mean samples / pixels of an image; above 1 if more was read than it has
    :param coverage: mean fraction of the image that any window covered
    :param accuracy_by_glimpse: over t = 1 .. budget: the share of all N images for which the
        prediction standing after t glimpses is right. Images without one so far count as wrong, and
        an image that was answered earlier keeps its answer; so the last entry equals ``accuracy``
    :param mean_reward: mean return
    :param tracking: how well the gaze followed what moved; None where nothing did
    """

    n_images: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    balanced_accuracy: float
    unanswered: float
    mean_glimpses: float
    mean_samples: float
    sample_fraction: float
    coverage: float
    accuracy_by_glimpse: tuple[float, ...]
    mean_reward: float
    tracking: Tracking | None = None


def metrics(episodes: Episodes) -> Metrics:
    """Return the metrics of the episodes."""
    from sklearn.metrics import recall_score  # lazily: it takes a second to import

    labels, right = episodes.labels, episodes.predictions == episodes.labels
    n = len(labels)
    balanced = recall_score(
        labels, episodes.predictions, labels=np.unique(labels), average="macro", zero_division=0
    )
    by_glimpse = (episodes.answers == labels[:, None]).mean(0)
    mean_samples = float(episodes.samples.mean())
    return Metrics(
        n_images=n,
        accuracy=float(right.mean()),
        accuracy_ci95=wilson_interval(int(right.sum()), n),
        balanced_accuracy=float(balanced),
        unanswered=float((episodes.predictions == -1).mean()),
        mean_glimpses=float(episodes.n_glimpses.mean()),
        mean_samples=mean_samples,
        sample_fraction=mean_samples / episodes.pixels,
        coverage=float(episodes.coverage.mean(dtype=np.float64)),
        accuracy_by_glimpse=tuple(by_glimpse.tolist()),
        mean_reward=float(episodes.rewards.mean(dtype=np.float64)),
        tracking=episodes.tracking,
    )


def confusion(episodes: Episodes, n_classes: int) -> NDArray[np.int64]:
    """Count images by true class (row) and answer (column), int64 (K, K + 1).

    The last column counts the images without an answer. Entries sum to N.

    :param n_classes: K
    :raises ValueError: a label or prediction that is not below K
    """
    largest = max(int(episodes.labels.max()), int(episodes.predictions.max()))
    if largest >= n_classes:
        raise ValueError(f"got class {largest} and n_classes={n_classes}; wanted more classes")
    columns = np.where(episodes.predictions == -1, n_classes, episodes.predictions)
    cells = episodes.labels * (n_classes + 1) + columns
    counts = np.bincount(cells, minlength=n_classes * (n_classes + 1))
    return counts.reshape(n_classes, n_classes + 1).astype(np.int64)


def _converted(values: Any, name: str, dtype: type) -> NDArray:
    array = np.asarray(values)
    if array.dtype != bool and np.can_cast(array.dtype, dtype, casting="same_kind"):
        return array.astype(dtype)
    raise ValueError(f"got {name} of type {array.dtype}; wanted {np.dtype(dtype)}")


def _npz(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"got the file name {path.name!r}; wanted one that ends in .npz")
    return path
