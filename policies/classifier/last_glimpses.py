"""The last glimpses of each lane and where they were taken, as bytes."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_GAZE_BYTES = 3 * np.dtype(np.float32).itemsize


@dataclass(frozen=True)
class LastGlimpses:
    """How the last glimpses and their gazes are kept in rows of bytes.

    A row begins with how many there are, then come gazes, then glimpses, the oldest first.

    :param most: how many are kept, 1 to 255; of more the oldest are forgotten
    :param glimpse_shape: (h, w, C)
    """

    most: int
    glimpse_shape: tuple[int, int, int]

    def empty(self, n: int) -> NDArray[np.uint8]:
        """Return rows of no glimpses, uint8 (n, bytes)."""
        each = _GAZE_BYTES + math.prod(self.glimpse_shape)
        return np.zeros((n, 1 + self.most * each), np.uint8)

    def appended(
        self, rows: NDArray[np.uint8], glimpse: NDArray[np.uint8], gaze: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """Return the rows with one more glimpse each.

        :param rows: uint8 (n, bytes)
        :param glimpse: uint8 (n, h, w, C)
        :param gaze: float32 (n, 3)
        """
        rows = rows.copy()
        full = (rows[:, 0] == self.most).nonzero()[0]
        added = (np.ascontiguousarray(gaze, np.float32).view(np.uint8), glimpse)
        for part, new in zip(self._parts(rows), added, strict=True):
            if len(full):
                part[full, :-1] = part[full, 1:]
            places = np.minimum(rows[:, 0], self.most - 1)
            part[np.arange(len(rows)), places] = new.reshape(len(rows), part.shape[2])
        rows[:, 0] = np.minimum(rows[:, 0], self.most - 1) + 1
        return rows

    def read(
        self, rows: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
        """Return glimpses uint8 (n, T, h, w, C), gazes float32 (n, T, 3), their numbers (n,).

        T is the largest of these numbers; what a row has fewer is 0.
        """
        counts = rows[:, 0].astype(np.int64)
        gaze, glimpses = (part[:, : counts.max(initial=0)] for part in self._parts(rows))
        shape = glimpses.shape[:2]
        return (
            np.ascontiguousarray(glimpses).reshape(*shape, *self.glimpse_shape),
            np.ascontiguousarray(gaze).view(np.float32),
            counts,
        )

    def _parts(self, rows: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return views of the bytes of gazes and of glimpses, (n, most, bytes) each."""
        end = 1 + self.most * _GAZE_BYTES
        return (
            rows[:, 1:end].reshape(len(rows), self.most, _GAZE_BYTES),
            rows[:, end:].reshape(len(rows), self.most, math.prod(self.glimpse_shape)),
        )
