"""A classical reference: image registration, which learns nothing and sees the same two images.

Each type of action is a hypothesis. Its parameter is found by phase correlation (moves), by phase
correlation of polar and log-polar images about the object's centre (turns and scales), and by the
ratio of intensities; ``before`` is then warped by it, and the type that gives the image most
similar to ``after`` is told. Sources: Guizar-Sicairos, Thurman and Fienup, "Efficient subpixel
image registration algorithms", Optics Letters 33 (2008), as scikit-image has it; Reddy and
Chatterji, "An FFT-based technique for translation, rotation, and scale-invariant image
registration", IEEE Transactions on Image Processing 5 (1996).
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

import numpy as np
import torch as th
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from glimpse_envs.inverse import InverseConfig
from glimpse_envs.inverse.actions import ANGLE, ATTRIBUTES, BRIGHTNESS, SCALE, X, Y
from glimpse_envs.lanes import Observation

_KNOWN = (X, Y, ANGLE, SCALE, BRIGHTNESS)
_UPSAMPLED = 20  # parts of a pixel that shifts are found to
_ANGLES, _RADII = 180, 96  # of a polar image, pixels
_SEEN = 0.02  # intensity that is not background


class Pair(NamedTuple):
    """Two images, float64 (H, W, C) in [0, 1]."""

    before: NDArray[np.float64]
    after: NDArray[np.float64]


def why_not(config: InverseConfig) -> str | None:
    """Return why registration cannot tell the actions of an environment; None where it can."""
    if config.sentences is not None:
        return "registration compares two images, and one is shown, with words"
    strange = [k.name for k in config.actions.types if k.attribute not in _KNOWN]
    if strange:
        return f"registration knows no action {' or '.join(repr(name) for name in strange)}"
    if config.changes > 1:
        return f"registration tells one action, and {config.changes} lie between the images"
    return None


class Registration:
    """Tells actions by registration, in the place of an agent.

    :param config: of the environment; its similarity compares images, nothing else of it is used
    :raises ImportError: without scikit-image
    :raises ValueError: for actions that it does not know
    """

    def __init__(self, config: InverseConfig) -> None:
        if reason := why_not(config):
            raise ValueError(reason)
        try:
            self._correlate = importlib.import_module(
                "skimage.registration"
            ).phase_cross_correlation
            self._warp_polar = importlib.import_module("skimage.transform").warp_polar
        except ImportError as error:
            raise ImportError(
                f'registration needs scikit-image ({error}): pip install -e ".[registration]" (or '
                "pip install scikit-image)"
            ) from error
        self.config = config

    def __call__(self, observation: Observation) -> dict[str, NDArray]:
        """Return the actions of n lanes.

        :param observation: ``before`` and ``after``, uint8 (n, H, W, C)
        :return: ``type``, int64 (n,), and ``parameters``, those of all hypotheses, float32 (n, K)
        """
        images = [observation[name].astype(np.float64) / 255.0 for name in ("before", "after")]
        told = [self._tell(Pair(*pair)) for pair in zip(*images, strict=True)]
        types, parameters = zip(*told, strict=True)
        return {"type": np.array(types), "parameters": np.array(parameters, np.float32)}

    def _tell(self, pair: Pair) -> tuple[int, NDArray[np.float64]]:
        table = self.config.actions
        values = self._hypotheses(pair)[table.attributes]
        parameters = np.clip(values / table.largest, -1.0, 1.0)
        centre = _centre(pair.before)
        warped = [
            _warped(pair.before, attribute, value, centre)
            for attribute, value in zip(table.attributes, parameters * table.largest, strict=True)
        ]
        return int(self._similarities(pair, warped).argmax()), parameters

    def _hypotheses(self, pair: Pair) -> NDArray[np.float64]:
        """Return the parameter of an action on each attribute, in its unit, float64 (7,)."""
        grey = Pair(*(image.mean(axis=2) for image in pair))
        values = np.zeros(len(ATTRIBUTES))
        values[Y], values[X] = self._shift(grey)
        turned = Pair(*(self._polar(image, "linear") for image in grey))
        values[ANGLE] = self._shift(turned)[0] * 360.0 / _ANGLES
        enlarged = Pair(*(self._polar(image, "log") for image in grey))
        radius = _radius(grey.before)
        values[SCALE] = self._shift(enlarged)[1] * np.log(radius) / _RADII
        values[BRIGHTNESS] = _log_ratio(pair)
        return values

    def _shift(self, pair: Pair) -> NDArray[np.float64]:
        """Return how far ``before`` has to be moved down and to the right, pixels (2,)."""
        if not pair.before.any() or not pair.after.any():
            return np.zeros(2)  # nothing is seen
        return self._correlate(
            pair.after, pair.before, upsample_factor=_UPSAMPLED, normalization=None
        )[0]

    def _polar(self, image: NDArray[np.float64], scaling: str) -> NDArray[np.float64]:
        """Return an image about its object's centre, rows by angle and columns by radius.

        Its pixels are weighted by the area that they stand for: unweighted, the few pixels in the
        middle, of which a logarithmic scale makes many, would outvote all others.
        """
        radius = _radius(image)
        polar = self._warp_polar(
            image,
            center=_centre(image),
            radius=radius,
            output_shape=(_ANGLES, _RADII),
            scaling=scaling,
        )
        column = np.arange(_RADII) / _RADII
        return polar * (radius ** (2.0 * column) if scaling == "log" else column)

    def _similarities(self, pair: Pair, warped: list[NDArray[np.float64]]) -> NDArray[np.float32]:
        """Return the similarity of n images with ``after``, float32 (n,)."""
        measure = self.config.similarity
        images = np.stack([pair.after, pair.before, *warped]).astype(np.float32)
        features = measure.features(th.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        target = tuple(part[:1].expand(len(images) - 1, -1) for part in features)
        distances = measure.distances(tuple(part[1:] for part in features), target)
        return measure.relative(distances[1:], distances[:1].expand(len(warped), -1)).numpy()


def _centre(image: NDArray[np.float64]) -> tuple[float, float]:
    """Return row and column of the middle of what is seen; of the image where nothing is."""
    grey = image.mean(axis=2) if image.ndim == 3 else image
    weights = np.where(grey > _SEEN, grey, 0.0)
    if not weights.any():
        return (grey.shape[0] - 1) / 2, (grey.shape[1] - 1) / 2
    rows, columns = weights.sum(axis=1), weights.sum(axis=0)
    total = rows.sum()
    return (
        float(rows @ np.arange(len(rows)) / total),
        float(columns @ np.arange(len(columns)) / total),
    )


def _radius(image: NDArray[np.float64]) -> float:
    return max(image.shape) / 2


def _log_ratio(pair: Pair) -> float:
    """Return the logarithm of the factor from ``before`` to ``after``, by least squares."""
    lit = (pair.before > _SEEN) & (pair.after < 1.0) & (pair.after > 0.0)
    before, after = pair.before[lit], pair.after[lit]
    return float(np.log((before @ after) / (before @ before))) if lit.any() else 0.0


def _warped(
    image: NDArray[np.float64], attribute: int, value: float, centre: tuple[float, float]
) -> NDArray[np.float64]:
    """Return an image after an action on an attribute, float64 (H, W, C).

    :param value: of the parameter, in its unit
    :param centre: of the object, row and column
    """
    if attribute == BRIGHTNESS:
        return np.minimum(image * np.exp(value), 1.0)
    back = np.eye(2)  # from where something is seen to where it was
    offset = np.zeros(2)
    if attribute in (X, Y):
        offset[1 if attribute == X else 0] = -value
    elif attribute == ANGLE:
        cos, sin = np.cos(np.deg2rad(value)), np.sin(np.deg2rad(value))
        back = np.array([[cos, -sin], [sin, cos]])
    else:
        back /= np.exp(value)
    offset += np.array(centre) - back @ np.array(centre)
    channels = [
        affine_transform(image[:, :, channel], back, offset, order=1)
        for channel in range(image.shape[2])
    ]
    return np.stack(channels, axis=2)
