"""What a glimpse classifier remembers of the glimpses: nothing, a vector, a canvas, activity."""

from typing import Any

import numpy as np
import torch as th
from numpy.typing import NDArray
from torch import nn

from glimpse_envs.core import Sequences
from policies.classifier.canvas import CanvasLayout
from policies.classifier.canvas_memory import Canvas
from policies.classifier.memory_base import Memory
from policies.classifier.prefixes import Prefixes, all_prefixes
from policies.classifier.recurrent_convolution import RecurrentConvolution
from policies.extractors.layers import FourierFeatures, GlimpseEncoder


class _Coded(Memory):
    """Memories over codes of single glimpses: what was seen, joined with where.

    :param glimpse_shape: (h, w, C)
    :param encoder: ``"mlp"``, ``"cnn"`` or a backbone by name, see
        :class:`~policies.extractors.layers.GlimpseEncoder`
    :param code_size: size of the code of a glimpse
    :param n_frequencies: octaves of the Fourier features of the gaze; 0 for the gaze as it is, None
        to leave it out
    :param freeze_encoder: leave a pretrained backbone as it is, and train its last layer alone
    """

    reads_any_size = True

    def __init__(
        self,
        glimpse_shape: tuple[int, ...],
        encoder: str,
        code_size: int,
        n_frequencies: int | None = 4,
        freeze_encoder: bool = False,
    ) -> None:
        super().__init__()
        height, width, channels = glimpse_shape
        self.what = GlimpseEncoder(
            channels, height, width, code_size, encoder, freeze_encoder, black=-1.0
        )
        self.fourier = FourierFeatures(3, n_frequencies)
        told = self.fourier.output_dim
        self.where = nn.Sequential(nn.Linear(told, code_size), nn.ReLU()) if told else None
        self.join = nn.Linear((2 if told else 1) * code_size, code_size)

    def code(self, glimpse: NDArray[np.uint8] | th.Tensor, gaze: NDArray[np.float32]) -> th.Tensor:
        """Return float32 (n, code_size).

        :param glimpse: uint8 (n, h, w, C)
        :param gaze: float32 (n, 3)
        """
        pixels = th.as_tensor(glimpse, device=self.join.weight.device)
        return self.encode(pixels.permute(0, 3, 1, 2).float(), gaze)

    def codes(self, glimpses: th.Tensor, gaze: NDArray[np.float32]) -> th.Tensor:
        """Return float32 (n, T, code_size).

        :param glimpses: uint8 (n, T, h, w, C)
        :param gaze: float32 (n, T, 3)
        """
        n, steps = glimpses.shape[:2]
        code = self.code(glimpses.reshape(-1, *glimpses.shape[2:]), gaze.reshape(-1, 3))
        return code.view(n, steps, -1)

    def encode(self, pixels: th.Tensor, gaze: NDArray[np.float32]) -> th.Tensor:
        """Return float32 (n, code_size).

        :param pixels: float32 (n, C, h, w) in [0, 255]
        :param gaze: float32 (n, 3)
        """
        pixels = pixels * (2.0 / 255.0) - 1.0
        code = self.what(pixels)
        if self.where is not None:
            where = self.where(self.fourier(th.as_tensor(gaze, device=pixels.device)))
            code = th.cat([code, where], dim=1)
        return self.join(code).relu()


class Feedforward(_Coded):
    """No memory: each glimpse is judged by itself, and the last one is all that counts.

    Source: the simpler variant of the saccader internship report, where the saccader's task is "to
    find the best spot for the classifier to classify with one crop".

    :param glimpse_shape: (h, w, C)
    :param encoder: ``"mlp"``, ``"cnn"`` or a backbone by name
    :param hidden_size: size of the hidden layer
    :param n_frequencies: of the Fourier features of the gaze; 0 for the gaze alone, None for none
    :param freeze_encoder: of a pretrained backbone train the last layer alone
    """

    def __init__(
        self,
        glimpse_shape: tuple[int, ...],
        *,
        encoder: str = "cnn",
        hidden_size: int = 128,
        n_frequencies: int | None = 4,
        freeze_encoder: bool = False,
    ) -> None:
        super().__init__(glimpse_shape, encoder, hidden_size, n_frequencies, freeze_encoder)
        self.hidden_size = hidden_size

    def start(self, n: int) -> NDArray:
        """Return the state before the first glimpse of n lanes."""
        return np.zeros((n, 0), np.float32)

    def step(
        self, state: NDArray, glimpse: NDArray[np.uint8], gaze: NDArray[np.float32]
    ) -> tuple[NDArray, th.Tensor]:
        """Return the next state, and hidden features (n, hidden_size), after one more glimpse."""
        return state, self.code(glimpse, gaze)

    def follow(
        self, glimpses: th.Tensor, gaze: NDArray[np.float32], counts: NDArray[np.int64]
    ) -> th.Tensor:
        """Return the hidden features after the first ``counts`` glimpses of each row."""
        rows = np.arange(len(counts))
        return self.encode(glimpses[rows, counts - 1], gaze[rows, counts - 1])

    def outputs(self, glimpses: th.Tensor, gaze: NDArray[np.float32]) -> th.Tensor:
        """Return the hidden features of every glimpse, float32 (n, T, hidden_size)."""
        return self.codes(glimpses, gaze)

    def prefixes(self, batch: Sequences, early_weight: float, rng: np.random.Generator) -> Prefixes:
        """Return the hidden features of the prefixes that the loss reads, see :class:`Prefixes`."""
        rows, steps, weights = all_prefixes(batch.counts, early_weight)
        code = self.code(batch.glimpses[rows, steps], batch.gaze[rows, steps])
        return Prefixes(code, rows, steps + 1, weights)


class Recurrent(_Coded):
    """A GRU or LSTM over the glimpses.

    :param glimpse_shape: (h, w, C)
    :param cell: ``"gru"`` or ``"lstm"``
    :param encoder: ``"mlp"``, ``"cnn"`` or a backbone by name
    :param hidden_size: of the recurrent layer
    :param code_size: of the code of a glimpse that enters it
    :param n_frequencies: of the Fourier features of the gaze; 0 for the gaze alone, None for none
    :param freeze_encoder: of a pretrained backbone train the last layer alone
    """

    def __init__(
        self,
        glimpse_shape: tuple[int, ...],
        *,
        cell: str = "gru",
        encoder: str = "cnn",
        hidden_size: int = 256,
        code_size: int = 128,
        n_frequencies: int | None = 4,
        freeze_encoder: bool = False,
    ) -> None:
        super().__init__(glimpse_shape, encoder, code_size, n_frequencies, freeze_encoder)
        self.hidden_size = hidden_size
        self.lstm = cell == "lstm"
        kind = nn.LSTM if self.lstm else nn.GRU
        self.rnn = kind(code_size, hidden_size, batch_first=True)

    def start(self, n: int) -> NDArray:
        """Return the state before the first glimpse of n lanes."""
        size = 2 * self.hidden_size if self.lstm else self.hidden_size  # hidden and cell state
        return np.zeros((n, size), np.float32)

    def step(
        self, state: NDArray, glimpse: NDArray[np.uint8], gaze: NDArray[np.float32]
    ) -> tuple[NDArray, th.Tensor]:
        """Return the next state, and hidden features (n, hidden_size), after one more glimpse."""
        code = self.code(glimpse, gaze)[:, None]  # (n, 1, F)
        before = th.as_tensor(state, device=code.device)[None]  # (1, n, D)
        if self.lstm:
            hidden, cell = before.chunk(2, dim=2)
            _, (hidden, cell) = self.rnn(code, (hidden.contiguous(), cell.contiguous()))
            after = th.cat([hidden, cell], dim=2)
        else:
            _, hidden = self.rnn(code, before)
            after = hidden
        return after[0].detach().cpu().numpy(), hidden[0]

    def follow(
        self, glimpses: th.Tensor, gaze: NDArray[np.float32], counts: NDArray[np.int64]
    ) -> th.Tensor:
        """Return the hidden features after the first ``counts`` glimpses of each row."""
        n, steps = glimpses.shape[:2]
        code = self.encode(glimpses.flatten(0, 1), gaze.reshape(-1, 3))
        with th.backends.cudnn.flags(enabled=False):  # it has gradients in training mode alone
            outputs, _ = self.rnn(code.view(n, steps, -1))  # (n, T, hidden_size)
        return outputs[np.arange(n), counts - 1]

    def outputs(self, glimpses: th.Tensor, gaze: NDArray[np.float32]) -> th.Tensor:
        """Return the hidden features after every glimpse, float32 (n, T, hidden_size)."""
        return self.rnn(self.codes(glimpses, gaze))[0]

    def prefixes(self, batch: Sequences, early_weight: float, rng: np.random.Generator) -> Prefixes:
        """Return the hidden features of the prefixes that the loss reads, see :class:`Prefixes`."""
        longest = int(batch.counts.max())
        outputs = self.outputs(batch.glimpses[:, :longest], batch.gaze[:, :longest])
        rows, steps, weights = all_prefixes(batch.counts, early_weight)
        return Prefixes(outputs[rows, steps], rows, steps + 1, weights)


MEMORIES: dict[str, type[Memory]] = {
    "canvas": Canvas,
    "rcn": RecurrentConvolution,
    "gru": Recurrent,
    "lstm": Recurrent,
    "feedforward": Feedforward,
}


def make_memory(
    kind: str, glimpse_shape: tuple[int, ...], layout: CanvasLayout | None, **settings: Any
) -> Memory:
    """Return an untrained memory.

    :param kind: one of ``MEMORIES``
    :param glimpse_shape: (h, w, C)
    :param layout: for a canvas or an rcn; None if the sensor's glimpses cannot be painted
    :param settings: of the memory
    :raises ValueError: for an unknown kind or setting, or for one that needs a layout and has none
    """
    try:
        if kind in ("canvas", "rcn"):
            if layout is None:
                raise ValueError(
                    f"glimpses of shape {glimpse_shape} cannot be painted on a canvas (wanted "
                    "square grids of the window side by side, as a Crop or a Retina gives); choose "
                    "memory gru, lstm or feedforward"
                )
            spatial = Canvas if kind == "canvas" else RecurrentConvolution
            return spatial(layout, **settings)
        if kind in ("gru", "lstm"):
            return Recurrent(glimpse_shape, cell=kind, **settings)
        if kind == "feedforward":
            return Feedforward(glimpse_shape, **settings)
    except TypeError as error:
        raise ValueError(f"classifier {kind}: {error}") from error
    raise ValueError(f"got classifier {kind!r}; wanted one of {', '.join(MEMORIES)}")
