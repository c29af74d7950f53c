"""A canvas as the memory of a classifier: what is painted, read by a small residual CNN."""

import math
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch as th
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from glimpse_envs.core import Sequences
from policies.classifier.canvas import CanvasLayout, planes_type
from policies.classifier.last_glimpses import LastGlimpses
from policies.classifier.memory_base import Memory
from policies.classifier.prefixes import Prefixes

KEPT = 16
"""Glimpses that a canvas with a frame is painted of, if nothing else is said."""

_LEAST_FRAME = 16
"""Entries of a canvas that the layers of a network leave something of."""


class Canvas(Memory):
    """Glimpses painted on a canvas in image coordinates, read by a small residual CNN.

    A convolution on the canvas's grid, then twice a convolution of stride 2 and a residual pair;
    each with batch normalisation and ReLU. The hidden vector joins the pooled features with a few
    channels that keep their places, and with the masks of all levels, on a grid of at most 4 x 4: a
    saccader can read from it what was seen where, and what was not looked at.

    :param layout: of the canvas
    :param width: channels of the first layer; the last ones have four times as many
    :param place_channels: channels that keep their places
    :param residual: with the residual pairs; a plain stack of convolutions without them
    :param mirror: read the canvas mirrored, too, but for training: twice the work; for pictures
        whose mirror images are of the same classes and are trained on
    :param interpolate: see :class:`~policies.classifier.canvas.CanvasLayout`
    :param frame: read a square of so many image pixels round the last glimpse, and not the whole
        canvas: for objects that are much smaller than the image. What is read then lies in the
        middle wherever it was found, and costs the same in images of any size. None for the whole
    :param keep: with a ``frame``: of how many glimpses it is painted, the last ones, 1 to 255.
        Where an environment's budget is larger, a classifier that is made for it without ``keep``
        has room for all
    :raises ValueError: for a frame of less than 16 entries, or another number of glimpses
    """

    takes_bfloat16 = True

    def __init__(
        self,
        layout: CanvasLayout,
        *,
        width: int = 32,
        place_channels: int = 8,
        residual: bool = True,
        mirror: bool = False,
        interpolate: bool = False,
        frame: int | None = None,
        keep: int = KEPT,
    ) -> None:
        super().__init__()
        self.mirror, self.frame = mirror, frame
        self.reads_any_size = frame is not None
        self.layout = replace(layout, interpolate=interpolate)
        if frame is not None and frame < _LEAST_FRAME * layout.finest_zoom_cell:
            raise ValueError(
                f"got frame={frame}; wanted at least {_LEAST_FRAME} pixels of the finest glimpse, "
                f"{math.ceil(_LEAST_FRAME * layout.finest_zoom_cell)} of the image"
            )
        if not 1 <= keep <= 255:
            raise ValueError(f"got keep={keep}; wanted 1 to 255 glimpses")
        self.last = LastGlimpses(keep, (layout.size, layout.scales * layout.size, layout.channels))
        #: of what is read
        self.seen = layout = self.layout.around(frame)
        self.residual = residual
        self._folded: list[list[nn.Conv2d]] | None = None
        #: read with the normalisations folded into the convolutions; not where someone wants to see
        #: what the layers give
        self.fold = True
        rows, columns = layout.grid_shape
        channels = layout.n_planes

        def convolve(into: int, stride: int = 1) -> nn.Sequential:
            nonlocal channels, rows, columns
            convolution = nn.Conv2d(channels, into, 3, stride=stride, padding=1, bias=False)
            channels, rows, columns = into, -(-rows // stride), -(-columns // stride)
            return nn.Sequential(convolution, nn.BatchNorm2d(into))

        #: pieces of one convolution or, added to what enters them, of two
        self.trunk = nn.ModuleList()
        while max(rows, columns) > 16:
            self.trunk.append(nn.ModuleList([convolve(width, stride=2)]))
        self.trunk.append(nn.ModuleList([convolve(width)]))
        for into in (2 * width, 4 * width):
            self.trunk.append(nn.ModuleList([convolve(into, stride=2)]))
            self.trunk.append(nn.ModuleList([convolve(into), convolve(into)]))
        self.places = nn.Conv2d(channels, place_channels, 1)
        self.coarse = rows, columns
        self.hidden_size = channels + (place_channels + len(layout.cells)) * rows * columns

    def encode(self, canvases: NDArray[np.uint8]) -> th.Tensor:
        """Return float32 (n, hidden_size), or (n, 2, hidden_size) with the mirrored view.

        :param canvases: what is read, uint8 (n, bytes)
        """
        device = self.places.weight.device
        return self.read(self.seen.planes(canvases, device, planes_type(device)))

    def read(self, planes: th.Tensor) -> th.Tensor:
        """Return float32 (n, hidden_size), or (n, 2, hidden_size) with the mirrored view.

        :param planes: (n, n_planes, grid height, grid width), of unfolded canvases
        """
        if self.mirror and not self.training:
            both = self._read(th.cat([planes, planes.flip(3)]))
            return both.unflatten(0, (2, -1)).transpose(0, 1)
        return self._read(planes)

    def _read(self, planes: th.Tensor) -> th.Tensor:
        features = planes.contiguous(memory_format=th.channels_last)
        for piece in self._without_norms() if self.fold and not self.training else self.trunk:
            entering = features
            for layer in piece:
                features = F.relu(layer(features), inplace=True)
            if len(piece) == 2 and self.residual:
                features = entering + features
        pooled = features.mean(dim=(2, 3))
        places = self.places(features).relu().flatten(1)
        masks = planes[:, self.seen.n_values :].float()
        masks = F.adaptive_avg_pool2d(masks, self.coarse).flatten(1)
        return th.cat([pooled, places, masks], dim=1).float()

    def train(self, mode: bool = True) -> Self:
        """Set the mode; what is folded for reading is forgotten when training begins."""
        if mode:
            self._forget()
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> Self:  # to another device
        self._forget()
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._forget()
        super()._load_from_state_dict(*args, **kwargs)

    def _forget(self) -> None:
        self._folded = None

    def _without_norms(self) -> list[list[nn.Conv2d]]:
        """Return the pieces with the fixed normalisations folded in: the same, sooner."""
        if self._folded is None:
            # the first to ask may be in inference mode, a later one may want gradients of its input
            with th.inference_mode(False), th.no_grad():
                self._folded = [
                    [
                        fuse_conv_bn_eval(convolution, norm.eval()).requires_grad_(False)
                        for convolution, norm in piece
                    ]
                    for piece in self.trunk
                ]
        return self._folded

    def start(self, n: int) -> NDArray:
        """Return the state before the first glimpse of n lanes, uint8 (n, bytes).

        It is the canvas, or with a frame, which is painted anew, the last glimpses.
        """
        return self.layout.empty(n) if self.frame is None else self.last.empty(n)

    def step(
        self, state: NDArray, glimpse: NDArray[np.uint8], gaze: NDArray[np.float32]
    ) -> tuple[NDArray, th.Tensor]:
        """Return the next state, and hidden features (n, hidden_size), after one more glimpse."""
        if self.frame is not None:
            state = self.last.appended(state, glimpse, gaze)
            return state, self.encode(self.canvases(*self.last.read(state)))
        state = state.copy()
        ones = np.ones(len(state), np.int64)
        self.layout.paint(state, glimpse[:, None], gaze[:, None], ones)
        return state, self.encode(state)

    def follow(
        self, glimpses: th.Tensor, gaze: NDArray[np.float32], counts: NDArray[np.int64]
    ) -> th.Tensor:
        """Return the hidden features after the first ``counts`` glimpses of each row."""
        kept = self._kept(glimpses, gaze, counts)
        return self.read(self.seen.unfold(self.layout.gather(*kept, self.frame)))

    def outputs(self, glimpses: th.Tensor, gaze: NDArray[np.float32]) -> th.Tensor:
        """Return the hidden features after every glimpse, float32 (n, T, hidden_size).

        In evaluation mode the normalisations are fixed, as they are for an agent that acts, and
        have gradients like all other weights.

        :raises ValueError: with a mirrored view, which is not one hidden vector
        """
        if self.mirror and not self.training:
            raise ValueError("got mirror=True; wanted one hidden vector after each glimpse")
        n, steps = glimpses.shape[:2]
        pixels, places = glimpses.cpu().numpy(), th.as_tensor(gaze).cpu().numpy()
        painted = np.empty((n, steps, self.seen.empty(1).shape[1]), np.uint8)
        canvases, ones = self.layout.empty(n if self.frame is None else 0), np.ones(n, np.int64)
        for t in range(steps):
            if self.frame is None:
                self.layout.paint(canvases, pixels[:, t : t + 1], places[:, t : t + 1], ones)
                painted[:, t] = canvases
            else:
                painted[:, t] = self.canvases(pixels, places, (1 + t) * ones)
        fold, self.fold = self.fold, False  # what is folded has no gradients
        try:
            hidden = self.encode(painted.reshape(n * steps, -1))
        finally:
            self.fold = fold
        return hidden.unflatten(0, (n, steps))

    def prefixes(self, batch: Sequences, early_weight: float, rng: np.random.Generator) -> Prefixes:
        """Return the hidden features of the prefixes that the loss reads, see :class:`Prefixes`."""
        # one prefix of each episode, drawn by the weights: the expected loss is the weighted one
        total = 1.0 + early_weight * (batch.counts - 1)
        early = rng.random(len(total)) >= 1.0 / total
        counts = batch.counts.copy()
        counts[early] = rng.integers(1, batch.counts[early])
        hidden = self.encode(self.canvases(batch.glimpses, batch.gaze, counts))
        weights = np.full(len(counts), 1.0 / len(counts), np.float32)
        return Prefixes(hidden, np.arange(len(counts)), counts, weights)

    def canvases(
        self, glimpses: NDArray[np.uint8], gaze: NDArray[np.float32], counts: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Return what is read after the first ``counts`` glimpses of each row, uint8 (n, bytes)."""
        return self.layout.painted(*self._kept(glimpses, gaze, counts), self.frame)

    def _kept(
        self,
        glimpses: NDArray[np.uint8] | th.Tensor,
        gaze: NDArray[np.float32],
        counts: NDArray[np.int64],
    ) -> tuple[NDArray[np.uint8] | th.Tensor, NDArray[np.float32], NDArray[np.int64]]:
        """Return those of the first ``counts`` glimpses of each row that the state would have."""
        most = self.last.most
        if self.frame is None or counts.max(initial=0) <= most:
            return glimpses, gaze, counts
        rows = np.arange(len(counts))[:, None]
        steps = np.maximum(counts - most, 0)[:, None] + np.arange(most)
        return glimpses[rows, steps], gaze[rows, steps], np.minimum(counts, most)


def with_room(settings: dict[str, Any], budget: Any) -> dict[str, Any]:
    """Return the settings of a classifier; of one with a ``frame``, with room for all glimpses.

    :param settings: of the memory
    :param budget: of glimpses in an episode
    """
    fits = settings.get("frame") is None or "keep" in settings or not isinstance(budget, int)
    return settings if fits or budget <= KEPT else {**settings, "keep": min(budget, 255)}
