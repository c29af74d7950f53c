"""Arrays of what a caller gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


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
