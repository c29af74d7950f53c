"""How much memory a configuration may ask for: said before it is taken."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.image_sources import have_own_images

#: numbers of one network: 1 GB, and its optimiser needs three times as much
MOST_PARAMETERS = 250_000_000
#: tensors of one network
MOST_TENSORS = 2_000

_TOO_LARGE = ("allocate memory", "out of memory", "torage size", "overflow")


@contextmanager
def limited_parameters(name: str) -> Iterator[None]:
    """Refuse networks that are too large, before their weights are filled.

    A tensor takes memory when it is filled, and modules register their parameters before that.

    :param name: of what is made, for the message
    :raises ValueError: where all networks made inside are too large together
    """
    sizes: list[int] = []

    def count(module: nn.Module, key: str, parameter: nn.Parameter | None) -> None:
        if parameter is None:
            return
        sizes.append(parameter.numel())
        if sum(sizes) > MOST_PARAMETERS or len(sizes) > MOST_TENSORS:
            raise ValueError(
                f"{name} is too large: {len(sizes):,} tensors with {sum(sizes):,} weights and "
                f"more; wanted at most {MOST_TENSORS:,} with {MOST_PARAMETERS:,}: take smaller or "
                "fewer layers"
            )

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    except RuntimeError as error:  # PyTorch's, for tensors that cannot even be reserved
        if not any(words in str(error) for words in _TOO_LARGE):
            raise
        raise ValueError(
            f"{name} is too large: it needs more memory than there is; take smaller layers"
        ) from error
    finally:
        hook.remove()


def check_memory(n_bytes: int, what: str, remedy: str) -> None:
    """Check that arrays fit into half of this computer's memory.

    :param n_bytes: that they take
    :param what: they are, for the message
    :param remedy: what to do, for the message
    :raises ValueError: if not
    """
    if n_bytes > (most := memory() // 2):
        raise ValueError(
            f"{what} would take {n_bytes / 1e9:,.1f} GB of memory; wanted at most half of this "
            f"computer's, {most / 1e9:,.1f} GB: {remedy}"
        )


def check_lanes(config: GlimpseConfig, n_lanes: int) -> None:
    """Check that the lanes of an environment fit into memory.

    :param config: of the environment
    :param n_lanes: stepped together
    :raises ValueError: if they do not
    """
    spaces = config.observation_space.values()
    lane = sum(2 * math.prod(space.shape) * space.dtype.itemsize for space in spaces)
    lane += config.budget * (12 + math.prod(config.sensor.glimpse_shape(config.shape[2])))
    if have_own_images(config):
        lane += math.prod(config.shape)
    if config.classifier is not None:
        lane += 2 * config.classifier.start(1).nbytes
    what = f"{n_lanes:,} lanes of {config.budget:,} glimpses"
    check_memory(n_lanes * lane, what, "take fewer n_envs, or a smaller budget or canvas")


def memory() -> int:
    """Return how many bytes of memory this process may have."""
    total = 16 * 2**30  # where the system does not tell
    if hasattr(os, "sysconf"):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        import resource  # not on Windows
    except ImportError:
        return total
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return total if soft == resource.RLIM_INFINITY else min(total, soft)
