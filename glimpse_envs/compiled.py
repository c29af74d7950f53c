"""Compiled kernels: numba's ``njit``, cached on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import config, njit


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a function at its first call, and keep the result for the next process.

    Where no folder for the cache can be written (a read-only installation without a home), each
    process compiles anew; ``NUMBA_CACHE_DIR`` names another folder. With ``NUMBA_DISABLE_JIT=1``
    kernels are run by Python, slowly, to the same results: for debuggers.

    :param options: of ``numba.njit``
    """
    if function is None:
        return lambda decorated: kernel(decorated, **options)
    if config.DISABLE_JIT:
        return np.errstate(over="ignore")(function)  # compiled integers wrap around silently
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # numba finds no place for the cache
        return njit(**options)(function)
