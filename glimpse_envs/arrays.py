"""Arrays and seeds of what a caller gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_seed(seed: Any) -> int | None:
    """Return a seed as Python's integer, or None.

    :raises ValueError: for another kind, or a negative one
    """
    if seed is None:
        return None
    integer = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not integer or seed < 0:
        raise ValueError(f"got seed={seed!r:.80}; wanted an integer of at least 0, or None")
    return int(seed)


def read_only(array: NDArray) -> NDArray:
    """Return an array that cannot be written to, contiguous; a copy only where that takes one.

    For kernels, too: those of arrays that can be written to are compiled apart.
    """
    view = np.ascontiguousarray(array).view()  # the flag of a caller's own array stays as it is
    view.flags.writeable = False
    return view


def as_array(values: Any, part: str = "action") -> NDArray:
    """Return values as an array.

    :param values: of any kind
    :param part: what they are, for the message
    :raises ValueError: for rows of different lengths, and what NumPy cannot read
    """
    try:
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"got {part} {values!r}; wanted an array ({error})") from error
