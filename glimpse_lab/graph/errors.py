"""What can be wrong with a graph; every message names the module."""

from __future__ import annotations

from typing import Any

import numpy as np


class GraphError(ValueError):
    """A graph that cannot run; the message says which module, what came and what was wanted."""


class UnknownPortError(GraphError, AttributeError):
    """A port that a module does not have."""


class PortTypeError(GraphError, TypeError):
    """A value that a port does not take."""


def check_count(call: str, number: Any, things: str) -> None:
    """Raise a GraphError for what is no number of at least one.

    :param call: by which it came, for the message
    :param number: what came
    :param things: that are counted
    """
    integer = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
    if not integer or number < 1:
        raise GraphError(f"got {call}; wanted a number of {things}, an integer of at least 1")
