"""Actions as arrays of the right type, shape and range."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.arrays import as_array


def integers(
    actions: Any, shape: tuple[int, ...], below: int | NDArray[np.int64], part: str = "action"
) -> NDArray[np.int64]:
    """Return the actions as int64 of the given shape, each in 0 ... below - 1."""
    array = as_array(actions, part)
    _check_layout(array, shape, "iu", part)
    array = array.astype(np.int64, copy=False)
    wrong = array.view(np.uint64) >= np.asarray(below, np.uint64)  # negative ones look huge
    if wrong.any():
        raise ValueError(
            f"got {part} {_first(array, wrong)}; wanted integers from 0 to below {below}"
        )
    return array


def reals(
    actions: Any, shape: tuple[int, ...], low: float, part: str = "action"
) -> NDArray[np.float32]:
    """Return the actions as float32 of the given shape, each in [low, 1]."""
    array = as_array(actions, part)
    _check_layout(array, shape, "iuf", part)
    array = array.astype(np.float32, copy=False)
    wrong = ~((array >= low) & (array <= 1.0))  # so that NaN is wrong
    if wrong.any():
        raise ValueError(f"got {part} {_first(array, wrong)}; wanted numbers in [{low:g}, 1]")
    return array


def _check_layout(array: NDArray, shape: tuple[int, ...], kinds: str, part: str) -> None:
    if array.dtype.kind not in kinds or array.shape != shape:
        wanted = "numbers" if "f" in kinds else "integers"
        got = f"of shape {array.shape[1:]} for {len(array)} lane(s)" if array.ndim else "alone"
        raise ValueError(
            f"got {part} {array.dtype} {got}; wanted {wanted} of shape {shape[1:]} for {shape[0]} "
            "lane(s)"
        )


def _first(array: NDArray, wrong: NDArray[np.bool_]) -> Any:
    """Return the first lane's action that is wrong."""
    lane = np.argwhere(wrong)[0, 0]
    return array[lane].tolist()
