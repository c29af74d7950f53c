"""How near a canvas is to its target: what the reward of inverse action modelling is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from glimpse_envs.components import Component

_LEAST = 1e-5
"""Of a distance between before and after: below it nothing is seen to change."""


class Similarity(Component):
    """Compares canvases by distances, of which it may have several (L).

    The similarity of a canvas to its target is 1 - r, where r is the mean of its distances, each
    as a share of the distance from the canvas before to the target: 0 for doing nothing and 1 for
    the target itself. A canvas farther away than the one before gets 1 / r - 1 instead, which also
    falls from 0, but towards -1: were it cut at -1, it would be flat as soon as r passes 2, which
    it does at most of the wrong parameters of a small action.
    """

    def features(self, canvases: Tensor) -> tuple[Tensor, ...]:
        """Return what is compared, L parts (n, D) each.

        :param canvases: float32 (n, C, H, W) in [0, 1]
        """
        raise NotImplementedError(f"{type(self).__name__} does not define features")

    def distances(self, features: tuple[Tensor, ...], target: tuple[Tensor, ...]) -> Tensor:
        """Return the distances of canvases to others, float32 (n, L), 0 for equal ones."""
        raise NotImplementedError(f"{type(self).__name__} does not define distances")

    def relative(self, distances: Tensor, reference: Tensor) -> Tensor:
        """Return similarities in [-1, 1], float32 (n,).

        :param distances: to the target, (n, L)
        :param reference: those of the canvas before, (n, L); where none is above 1e-5, nothing is
            seen to change, and the similarity is 0
        """
        seen = reference > _LEAST
        share = torch.where(seen, distances / reference.clamp_min(_LEAST), 0.0).sum(1)
        share /= seen.sum(1).clamp_min(1)
        similarity = torch.where(share <= 1.0, 1.0 - share, 1.0 / share.clamp_min(1.0) - 1.0)
        return torch.where(seen.any(1), similarity, 0.0)


@dataclass(frozen=True)
class MultiScale(Similarity):
    """Euclidean distances of the pixels and of the canvas, without colours, blurred by Gaussians.

    Pixels tell small differences, and are blind as soon as strokes do not overlap any more; a
    Gaussian as wide as the largest move still tells there which way is better.

    :param sigmas: standard deviations of the Gaussians in pixels, 0 for the pixels themselves
    """

    sigmas: tuple[float, ...] = (0.0, 4.0, 16.0)

    def __post_init__(self) -> None:
        sigmas = self.sigmas
        numbers = isinstance(sigmas, (list, tuple)) and all(
            isinstance(s, (int, float)) and not isinstance(s, bool) and (s == 0 or 1 <= s <= 1e4)
            for s in sigmas
        )
        if not numbers or not sigmas:
            raise ValueError(
                f"got MultiScale(sigmas={sigmas!r}); wanted a list of numbers, each 0 (pixels) or "
                "from 1 to 10,000"
            )
        object.__setattr__(self, "sigmas", tuple(map(float, sigmas)))

    def features(self, canvases: Tensor) -> tuple[Tensor, ...]:
        """Return pixels and blurred pixels, (n, D) each; see :meth:`Similarity.features`."""
        height, width = canvases.shape[2:]
        grey = canvases[:, 0] if canvases.shape[1] == 1 else canvases.mean(1)
        parts = []
        for sigma in self.sigmas:
            if sigma:
                across, down = (
                    _windows(length, sigma).to(grey.device) for length in (width, height)
                )
                part = torch.matmul(torch.matmul(grey, across).transpose(1, 2), down)
            else:
                part = canvases
            parts.append(part.flatten(1))
        return tuple(parts)

    def distances(self, features: tuple[Tensor, ...], target: tuple[Tensor, ...]) -> Tensor:
        """Return the root of the mean squared difference at each scale, float32 (n, L)."""
        squared = [(a - b).square_().mean(1) for a, b in zip(features, target, strict=True)]
        return torch.stack(squared, dim=1).sqrt_()


@dataclass(frozen=True)
class Pixels(Similarity):
    """The mean squared difference of pixels: the plain measure, flat far away, to compare with."""

    def features(self, canvases: Tensor) -> tuple[Tensor, ...]:
        """Return pixels, one part (n, C H W)."""
        return (canvases.flatten(1),)

    def distances(self, features: tuple[Tensor, ...], target: tuple[Tensor, ...]) -> Tensor:
        """Return mean squared differences, float32 (n, 1)."""
        return (features[0] - target[0]).square_().mean(1, keepdim=True)


@lru_cache(maxsize=64)
def _windows(length: int, sigma: float) -> Tensor:
    """Return Gaussian windows over a row of pixels, one every sigma, float32 (length, m).

    More of them would tell hardly more: a row blurred by sigma has next to no waves shorter than
    two sigma.
    """
    n_windows = max(1, round(length / sigma))
    centres = (np.arange(n_windows) + 0.5) * length / n_windows
    pixels = np.arange(length) + 0.5
    weights = np.exp(-0.5 * ((pixels[:, None] - centres) / sigma) ** 2)
    return torch.from_numpy((weights / weights.sum(0)).astype(np.float32))
