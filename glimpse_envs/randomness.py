"""Counter-based randomness: every draw is a hash of (lane key, episode, draw number).

A lane's episodes depend on its key alone, whatever the number of lanes beside it, and a batch of
lanes draws without a Python loop. The hash is the finaliser of SplitMix64 (Steele, Lea and Flood,
"Fast splittable pseudorandom number generators", OOPSLA 2014).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.compiled import kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)


@kernel(inline="always")
def mix(x: np.uint64) -> np.uint64:
    """Return a well-mixed 64-bit hash of the 64-bit integer ``x``."""
    x = x + _GOLDEN
    x = (x ^ (x >> _S30)) * _MIX_1
    x = (x ^ (x >> _S27)) * _MIX_2
    return x ^ (x >> _S31)


@kernel(inline="always")
def draw(key: np.uint64, number: int) -> np.uint64:
    """Return draw ``number`` of the stream ``key``, uniform over all 64-bit integers."""
    return mix(key ^ mix(np.uint64(number)))


@kernel(inline="always")
def draw_below(key: np.uint64, number: int, n: int) -> int:
    """Return draw ``number`` of the stream ``key``, uniform below n (bias below n / 2^64)."""
    return int(draw(key, number) % np.uint64(n))


@kernel
def episode_keys(
    keys: NDArray[np.uint64], episodes: NDArray[np.int64]
) -> NDArray[np.uint64]:  # (B,), (B,) -> (B,)
    """Return the stream of each lane's episode."""
    out = np.empty(keys.shape[0], np.uint64)
    for i in range(keys.shape[0]):
        out[i] = draw(keys[i], episodes[i])
    return out


@kernel
def integers(keys: NDArray[np.uint64], number: int, n: int) -> NDArray[np.int64]:
    """Return draw ``number`` of every stream, int64 in 0 ... n - 1."""
    out = np.empty(keys.shape[0], np.int64)
    for i in range(keys.shape[0]):
        out[i] = draw_below(keys[i], number, n)
    return out


@kernel
def uniforms(keys: NDArray[np.uint64], number: int) -> NDArray[np.float32]:
    """Return draw ``number`` of every stream, float32 in [0, 1)."""
    out = np.empty(keys.shape[0], np.float32)
    for i in range(keys.shape[0]):
        # 24 bits fill a float32 exactly, so that the largest draw does not round up to 1
        out[i] = np.float32(draw(keys[i], number) >> np.uint64(40)) * np.float32(2.0**-24)
    return out
