"""Compiled kernels: numba's ``njit``, cached on disk where that is possible."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import config, njit
from numba.core.caching import FunctionCache


class MendingCache(FunctionCache):
    """A cache on disk that is only ever a gain.

    Files that a full disk or a power failure has cut short count as none: the kernel is compiled
    anew and written over them. Where nothing can be written, it is compiled in every process.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what is cached for a signature, or None."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a broken pickle raises whatever its bytes happen to mean
            self._forget()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write what was compiled for a signature, if that is possible."""
        try:
            super().save_overload(sig, data)
        except OSError as error:  # no room, or no right to write
            _say_once(error.strerror or str(error))
            self._forget()
        except Exception:  # an index that broke in between
            self._forget()

    def _forget(self) -> None:
        """Begin with an empty index; if even that cannot be written, do without a cache."""
        try:
            self.flush()
        except OSError:
            self.disable()


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
    dispatcher = njit(**options)(function)
    try:
        dispatcher._cache = MendingCache(function)  # as its enable_caching() does with numba's own
    except RuntimeError:  # numba finds no place for the cache
        _say_once("no folder for it can be written")
    return dispatcher


@functools.cache
def _say_once(why: str) -> None:
    print(
        f"compiled code is not kept ({why}): every process compiles anew, for some seconds; make "
        "room, or let NUMBA_CACHE_DIR name a folder that can be written",
        file=sys.stderr,
    )
