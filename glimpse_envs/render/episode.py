"""What pictures show of an episode: one type for films, scanpath figures and galleries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glimpse_envs.metrics.tracking import held


@dataclass(frozen=True, eq=False)
class Episode:
    """An episode, whole or so far, as pictures show it.

    Entry t of ``windows``, ``glimpses`` and ``beliefs`` belongs to glimpse t + 1; T were taken.
    Of images and glimpses with other than 1 or 3 channels the first 1 or 3 are shown.

    :param image: uint8 (H, W, C)
    :param windows: (T, 3), left, top and side of each glimpse's window in image pixels, T >= 1;
        they may stick out of the image
    :param glimpses: t of uint8 (S, k * S, C), k scales side by side, as ``Sensor.picture`` gives
        them; None where it was not kept
    :param budget: the most glimpses, at least T
    :param beliefs: t of (K,), class probabilities in [0, 1]; None where it was not kept, and None
        for all without a classifier
    :param classes: names of the classes; without them their numbers are shown
    :param label: true class; None if unknown
    :param prediction: the answer that stands, -1 for none
    :param ended: False while an answer may still come
    :param span: width of the widest scale that the sensor reads, in windows: each scale of a
        retina is twice as wide as the one before
    :param target: left, top, width and height of what the episode is about, where that is marked in
        the image, pixels; None where it is not
    :param follows: nobody answers, and all that counts is to have the target in the window: that is
        told in the place of an answer
    :raises ValueError: for another shape, type or range
    """

    image: NDArray[np.uint8]
    windows: NDArray[np.float64]
    glimpses: Sequence[NDArray[np.uint8] | None]
    budget: int
    beliefs: Sequence[NDArray[np.float64] | None] | None = None
    classes: Sequence[str] | None = None
    label: int | None = None
    prediction: int = -1
    ended: bool = True
    span: float = 1.0
    target: ArrayLike | None = None
    follows: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", _image(self.image, "image"))
        object.__setattr__(self, "windows", _windows(self.windows))
        n = self.n_glimpses
        if n > self.budget:
            raise ValueError(f"got budget={self.budget} and {n} windows; wanted a budget >= {n}")
        if len(self.glimpses) != n or (self.beliefs is not None and len(self.beliefs) != n):
            got = "no" if self.beliefs is None else len(self.beliefs)
            raise ValueError(
                f"got {n} windows, {len(self.glimpses)} glimpses and {got} beliefs; wanted as many "
                "of each, None for those that were not kept"
            )
        glimpses = [None if kept is None else _glimpse(kept) for kept in self.glimpses]
        object.__setattr__(self, "glimpses", glimpses)
        if self.beliefs is not None:
            beliefs = [None if b is None else _belief(b, self.classes) for b in self.beliefs]
            object.__setattr__(self, "beliefs", beliefs)
        if self.target is not None:
            target = np.asarray(self.target, np.float64)
            if target.shape != (4,) or not np.isfinite(target).all():
                raise ValueError(f"got target {self.target}; wanted left, top, width and height")
            object.__setattr__(self, "target", target)
        elif self.follows:
            raise ValueError("got follows=True and no target; wanted where it is")
        if self.label is not None:
            self._check_class("label", self.label)
        if self.prediction >= 0:
            self._check_class("prediction", self.prediction)

    def _check_class(self, name: str, k: int) -> None:
        if not 0 <= k < (np.inf if self.n_classes is None else self.n_classes):
            last = "" if self.n_classes is None else f" to {self.n_classes - 1}"
            raise ValueError(f"got {name}={k}; wanted a class, 0{last}")

    @property
    def n_glimpses(self) -> int:
        """How many glimpses were taken, T."""
        return len(self.windows)

    @property
    def n_classes(self) -> int | None:
        """How many classes there are; None if neither names nor beliefs tell."""
        if self.classes is not None:
            return len(self.classes)
        return next((len(b) for b in self.beliefs or () if b is not None), None)

    @property
    def on_target(self) -> bool:
        """Whether the latest window holds the middle of the target."""
        return self.target is not None and bool(held(self.target, self.windows[-1]))

    @property
    def right(self) -> bool | None:
        """Whether the answer is right; None before it, and if the truth is unknown.

        Where nobody answers: whether the latest window is on target.
        """
        if self.follows:
            return self.on_target
        if self.label is None or (self.prediction < 0 and not self.ended):
            return None
        return self.prediction == self.label

    def name(self, k: int) -> str:
        """Return the name of class k, or its number where there are no names."""
        return str(k) if self.classes is None else str(self.classes[k])


def _image(image: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Return an image's visible channels, uint8 (H, W, 1 or 3)."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or not image.size:
        raise ValueError(
            f"got {name} {image.dtype} {image.shape}; wanted uint8 (height, width, channels)"
        )
    return image[:, :, : 3 if image.shape[2] >= 3 else 1]


def _glimpse(glimpse: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a glimpse's visible channels, uint8 (S, k * S, 1 or 3)."""
    glimpse = _image(glimpse, "glimpse")
    if glimpse.shape[1] % glimpse.shape[0]:
        raise ValueError(
            f"got a glimpse of shape {glimpse.shape}; wanted (S, k * S, C), k square scales side "
            "by side"
        )
    return glimpse


def _windows(windows: ArrayLike) -> NDArray[np.float64]:
    """Return windows as float64 (T, 3), all finite, with sides above 0."""
    windows = np.asarray(windows, np.float64)
    if windows.ndim != 2 or windows.shape[1] != 3 or not len(windows):
        raise ValueError(f"got windows {windows.shape}; wanted (T, 3): left, top, side; T >= 1")
    if not np.isfinite(windows).all() or (windows[:, 2] <= 0).any():
        raise ValueError(f"got windows {windows.tolist()}; wanted finite numbers and sides above 0")
    return windows


def _belief(belief: ArrayLike, classes: Sequence[str] | None) -> NDArray[np.float64]:
    """Return a belief as float64 (K,), probabilities of the classes."""
    belief = np.asarray(belief, np.float64)
    if belief.ndim != 1 or not len(belief) or (classes is not None and len(classes) != len(belief)):
        wanted = "(K,)" if classes is None else f"({len(classes)},), one for each class"
        raise ValueError(f"got belief {belief.shape}; wanted {wanted}")
    if not ((belief >= -1e-6) & (belief <= 1 + 1e-6)).all():  # false for NaN, too
        raise ValueError(f"got belief {belief.tolist()}; wanted probabilities in [0, 1]")
    return belief
