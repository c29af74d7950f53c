"""A recurrent convolutional network over the glimpses: bottom-up, lateral and top-down."""

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch as th
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from glimpse_envs.core import Sequences
from policies.classifier.canvas import CanvasLayout, planes_type
from policies.classifier.memory_base import Memory
from policies.classifier.prefixes import Prefixes, all_prefixes


class _StepNorm(nn.Module):
    """Batch normalisation with statistics of its own for each of the first time steps.

    Activity grows from step to step, and statistics that all steps shared would fit none. Scale and
    shift are shared (Cooijmans et al. 2017, "Recurrent batch normalization"). A step that has not
    been trained has the statistics of the last one that has.

    :param channels: of what is normalised
    """

    N_STEPS = 16
    """Time steps that have statistics of their own; later ones share the last."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(th.ones(channels))
        self.bias = nn.Parameter(th.zeros(channels))
        self.running_mean: th.Tensor
        self.running_var: th.Tensor
        self.n_trained: th.Tensor
        self.register_buffer("running_mean", th.zeros(self.N_STEPS, channels))
        self.register_buffer("running_var", th.ones(self.N_STEPS, channels))
        self.register_buffer("n_trained", th.zeros((), dtype=th.int64))

    def forward(self, features: th.Tensor, steps: th.Tensor) -> th.Tensor:
        """Return the features normalised, in training by those of this batch.

        :param features: (n, channels, h, w)
        :param steps: time step of each row, from 0, int64 (n,); in training all the same
        """
        steps = steps.clamp(max=self.N_STEPS - 1)
        several = features.numel() > features.shape[1]  # values of a channel: one has no variance
        if self.training and several:
            step = int(steps[0])
            self.n_trained.clamp_(min=step + 1)
            # copies: the gradient of one step must not find that another has changed them
            mean, variance = self.running_mean[step].clone(), self.running_var[step].clone()
            normed = F.batch_norm(features, mean, variance, self.weight, self.bias, training=True)
            self.running_mean[step], self.running_var[step] = mean, variance
            return normed
        steps = th.minimum(steps, (self.n_trained - 1).clamp(min=0))
        scale = self.weight * (self.running_var[steps] + 1e-5).rsqrt()
        shift = self.bias - scale * self.running_mean[steps]
        return features * scale[:, :, None, None] + shift[:, :, None, None]


class _Area(nn.Module):
    """One layer of the network: what it computes of the layers beside it and of itself.

    :param below: channels of what is below
    :param into: channels of its own
    :param above: channels of the layer above; 0 for the topmost, or without top-down connections
    :param lateral: with connections to its own state of the step before
    """

    def __init__(self, below: int, into: int, above: int, *, lateral: bool) -> None:
        super().__init__()
        self.bottom_up = _convolution(below, into, stride=2)
        self.lateral = _convolution(into, into) if lateral else None
        self.top_down = _convolution(above, into) if above else None
        self.norm = _StepNorm(into)

    def forward(
        self,
        drive: th.Tensor,
        own: th.Tensor | None,
        above: th.Tensor | None,
        steps: th.Tensor,
    ) -> th.Tensor:
        """Return the next state, (n, into, h, w).

        :param drive: of this step, from below, (n, into, h, w)
        :param own: state of the step before, (n, into, h, w); None for silence
        :param above: that of the layer above, (n, above, h', w'); None for silence or none above
        :param steps: time step of each row, int64 (n,)
        """
        if self.lateral is not None and own is not None:
            drive = drive + self.lateral(own)
        if self.top_down is not None and above is not None:
            # convolved before it grows: the same receptive field for a quarter of the computing
            drive = drive + F.interpolate(self.top_down(above), size=drive.shape[2:])
        return F.relu(self.norm(drive, steps))


def _convolution(below: int, into: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(below, into, 3, stride=stride, padding=1, bias=False)


class RecurrentConvolution(Memory):
    """A recurrent convolutional network that reads one glimpse after the other.

    Three layers, each of half the resolution and twice the channels of the one below, with
    bottom-up connections within a time step, and lateral and top-down ones from the step before:
    the BLT network of Spoerer et al. 2017 ("Recurrent convolutional neural networks: a better model
    of biological object recognition"; Kietzmann et al. 2019, PNAS), with batch normalisation for
    each time step. What enters lies where it was taken, in the image's coordinates. The hidden
    vector joins the pooled top layer with a few channels of the layer below it that keep their
    places, and with the masks of what was looked at, on the same grid of at most 4 x 4.

    :param layout: of the glimpses' places
    :param width: channels of the first layer; the last one has four times as many
    :param steps: time steps for each glimpse
    :param place_channels: channels that keep their places
    :param lateral: with lateral connections
    :param top_down: with top-down connections
    :param composite: whether what enters at each glimpse is the canvas of all so far, or that
        glimpse alone, so that activity is all that remembers what was seen
    :param interpolate: see :class:`~policies.classifier.canvas.CanvasLayout`
    """

    takes_bfloat16 = True

    def __init__(
        self,
        layout: CanvasLayout,
        *,
        width: int = 64,
        steps: int = 1,
        place_channels: int = 8,
        lateral: bool = True,
        top_down: bool = True,
        composite: bool = True,
        interpolate: bool = False,
    ) -> None:
        super().__init__()
        self.layout = layout = replace(layout, interpolate=interpolate)
        self.steps = steps
        self.composite = composite
        channels, shape = layout.n_planes, layout.grid_shape
        #: makes large grids smaller, each glimpse by itself
        self.stem = nn.Sequential()
        while max(shape) > 16:
            self.stem.extend(
                [_convolution(channels, width, stride=2), nn.BatchNorm2d(width), nn.ReLU()]
            )
            channels, shape = width, _halved(shape)
        self.areas = nn.ModuleList()
        #: of the layers' states: height, width, channels
        self.shapes: list[tuple[int, int, int]] = []
        for level in range(3):
            into = width << level
            above = 2 * into if top_down and level < 2 else 0
            self.areas.append(_Area(channels, into, above, lateral=lateral))
            channels, shape = into, _halved(shape)
            self.shapes.append((*shape, into))
        rows, columns, below = self.shapes[-2]
        self.places = nn.Conv2d(below, place_channels, 1)
        self.hidden_size = channels + (place_channels + len(layout.cells)) * rows * columns

    def start(self, n: int) -> NDArray:
        """Return the state before the first glimpse of n lanes, uint8 (n, bytes).

        It is the number of glimpses, which stays at 255, a canvas, and the layers' activations, the
        bytes of float32.
        """
        size = 1 + 4 * sum(math.prod(shape) for shape in self.shapes)
        return np.concatenate([self.layout.empty(n), np.zeros((n, size), np.uint8)], axis=1)

    def step(
        self, state: NDArray, glimpse: NDArray[np.uint8], gaze: NDArray[np.float32]
    ) -> tuple[NDArray, th.Tensor]:
        """Return the next state, and hidden features (n, hidden_size), after one more glimpse."""
        n, n_canvas, device = len(state), self.layout.empty(1).shape[1], self.places.weight.device
        counts, canvases, values = np.split(state, [1, 1 + n_canvas], axis=1)
        canvases, seen = self._see(canvases, glimpse, gaze)
        values = th.as_tensor(values.copy().view(np.float32), device=device)
        sizes = [math.prod(shape) for shape in self.shapes]
        before = [
            part.view(n, *shape).permute(0, 3, 1, 2)
            for part, shape in zip(values.split(sizes, dim=1), self.shapes, strict=True)
        ]
        planes = self._planes([seen])
        masks = planes if self.composite else self._planes([canvases])
        n_before = th.as_tensor(counts[:, 0].astype(np.int64), device=device)
        after = self._advance(self._drive(planes), before, n_before)
        hidden = self._hidden(*after[-2:], masks)
        rows = [layer.detach().float().permute(0, 2, 3, 1).flatten(1) for layer in after]
        activations = th.cat(rows, dim=1).cpu().numpy().view(np.uint8)
        counts = np.minimum(counts, 254) + np.uint8(1)
        return np.concatenate([counts, canvases, activations], axis=1), hidden

    def follow(
        self, glimpses: th.Tensor, gaze: NDArray[np.float32], counts: NDArray[np.int64]
    ) -> th.Tensor:
        """Return the hidden features after the first ``counts`` glimpses of each row."""
        turns, canvases, alone = _turns(counts), [], []

        def paint(rows: NDArray[np.int64], steps: slice) -> th.Tensor:
            taken = np.full(len(rows), steps.stop - steps.start, np.int64)
            chosen = glimpses[th.as_tensor(rows, device=glimpses.device), steps]
            return self.layout.unfold(self.layout.gather(chosen, gaze[rows, steps], taken))

        for t, rows in enumerate(turns):
            canvases.append(paint(rows, slice(0, t + 1)))
            if not self.composite:
                alone.append(paint(rows, slice(t, t + 1)))
        masks = th.cat(canvases)
        hidden = self._run(masks if self.composite else th.cat(alone), masks, turns)
        places = _places(turns, len(counts))
        return hidden[places[np.arange(len(counts)), counts - 1]]

    def prefixes(self, batch: Sequences, early_weight: float, rng: np.random.Generator) -> Prefixes:
        """Return the hidden features of the prefixes that the loss reads, see :class:`Prefixes`."""
        turns, canvases, seen = _turns(batch.counts), [], []
        painted = self.layout.empty(len(batch.counts))
        for t, rows in enumerate(turns):
            painted, entering = self._see(
                painted[: len(rows)], batch.glimpses[rows, t], batch.gaze[rows, t]
            )
            canvases.append(painted)
            seen.append(entering)
        planes = self._planes(seen)
        masks = planes if self.composite else self._planes(canvases)
        hidden = self._run(planes, masks, turns)
        rows, steps, weights = all_prefixes(batch.counts, early_weight)
        return Prefixes(
            hidden[_places(turns, len(batch.counts))[rows, steps]], rows, steps + 1, weights
        )

    def _see(
        self, canvases: NDArray[np.uint8], glimpse: NDArray[np.uint8], gaze: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the canvases after one more glimpse, and what of them enters the network."""
        ones = np.ones(len(canvases), np.int64)
        canvases = canvases.copy()
        self.layout.paint(canvases, glimpse[:, None], gaze[:, None], ones)
        if self.composite:
            return canvases, canvases
        alone = self.layout.empty(len(canvases))
        self.layout.paint(alone, glimpse[:, None], gaze[:, None], ones)
        return canvases, alone

    def _planes(self, canvases: list[NDArray[np.uint8]]) -> th.Tensor:
        device = self.places.weight.device
        return self.layout.planes(np.concatenate(canvases), device, planes_type(device))

    def _drive(self, planes: th.Tensor) -> th.Tensor:
        """Return what enters the first layer, which no state before changes.

        :param planes: (n, n_planes, grid height, grid width)
        """
        planes = planes.contiguous(memory_format=th.channels_last)
        return self.areas[0].bottom_up(self.stem(planes))

    def _advance(
        self, drive: th.Tensor, states: Iterable[th.Tensor] | None, counts: th.Tensor
    ) -> list[th.Tensor]:
        """Return the layers' states after the time steps of one glimpse.

        :param drive: of the first layer
        :param states: before it, each (n, channels, h, w); None before the first glimpse
        :param counts: glimpses of each row before it, int64 (n,)
        """
        before: list[th.Tensor | None] = [None] * len(self.areas) if states is None else [*states]
        for step in range(self.steps):
            steps = counts * self.steps + step
            after: list[th.Tensor] = []
            for area, own, above in zip(self.areas, before, [*before[1:], None], strict=True):
                below = area.bottom_up(after[-1]) if after else drive
                after.append(area(below, own, above, steps))
            before = [*after]
        return after

    def _hidden(self, below: th.Tensor, top: th.Tensor, masks: th.Tensor) -> th.Tensor:
        """Return float32 (n, hidden_size).

        :param below: state of the last layer but one, (n, channels, h, w)
        :param top: that of the last layer, (n, channels, h', w')
        :param masks: planes of the canvases
        """
        places = self.places(below).relu().flatten(1)
        masks = masks[:, self.layout.n_values :].float()
        masks = F.adaptive_avg_pool2d(masks, below.shape[2:]).flatten(1)
        return th.cat([top.mean(dim=(2, 3)), places, masks], dim=1).float()

    def _run(
        self, planes: th.Tensor, masks: th.Tensor, turns: list[NDArray[np.int64]]
    ) -> th.Tensor:
        """Return the hidden vectors after each glimpse of whole episodes, float32 (M, hidden_size).

        :param planes: what enters, of all rows that have a first glimpse, then of all that have a
            second one, ...; (M, n_planes, grid height, grid width)
        :param masks: planes of the canvases in the same order
        :param turns: these rows
        """
        states, read = None, []
        drives = self._drive(planes).split([len(rows) for rows in turns])
        for t, drive in enumerate(drives):
            if states is not None:
                states = [state[: len(drive)] for state in states]
            counts = th.full((len(drive),), t, device=drive.device)
            states = self._advance(drive, states, counts)
            read.append(states[-2:])
        below, top = (th.cat(layer) for layer in zip(*read, strict=True))
        return self._hidden(below, top, masks)


def _turns(counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return which rows have a first glimpse, a second one and so on: the longest rows first.

    So those that go on are always the first of those before.
    """
    order = np.argsort(-counts, kind="stable")
    return [order[counts[order] > t] for t in range(counts.max())]


def _places(turns: list[NDArray[np.int64]], n: int) -> NDArray[np.int64]:
    """Return where the glimpses lie that are joined turn by turn, int64 (n, T).

    :param turns: see :func:`_turns`
    :param n: number of rows
    """
    places, begin = np.zeros((n, len(turns)), np.int64), 0
    for t, rows in enumerate(turns):
        places[rows, t] = begin + np.arange(len(rows))
        begin += len(rows)
    return places


def _halved(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the size after a convolution of stride 2."""
    return -(-shape[0] // 2), -(-shape[1] // 2)
