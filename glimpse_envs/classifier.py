"""What the simulation asks of a classifier that watches the glimpses.

A classifier is any object with these attributes; the simulation keeps each lane's state and calls
the classifier once a step for all lanes that took a glimpse. One object serves many environments:
give it a ``__deepcopy__`` that returns itself, since Gymnasium copies the arguments of ``make``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.components import nearest


class Reading(NamedTuple):
    """What a classifier makes of one more glimpse of n lanes.

    :ivar state: what it remembers, (n, *state_shape), of any dtype
    :ivar belief: class probabilities, float32 (n, n_classes), rows sum to 1
    :ivar hidden: features that a policy may observe, float32 (n, hidden_size)
    """

    state: NDArray
    belief: NDArray[np.float32]
    hidden: NDArray[np.float32]


@runtime_checkable
class GlimpseClassifier(Protocol):
    """A classifier of glimpse sequences, batched over lanes.

    :ivar n_classes: number of classes, as in the data set
    :ivar hidden_size: number of features that a policy may observe (0 for none)

    A method ``adapted_to(config)``, if there is one, is called when an environment is made of the
    classifier: it returns what reads this environment, itself or another, and raises a ValueError
    if they do not fit.
    """

    n_classes: int
    hidden_size: int

    def start(self, n: int) -> NDArray:
        """Return the state before the first glimpse, (n, *state_shape), of any dtype."""
        ...

    def update(
        self, state: NDArray, glimpse: NDArray[np.uint8], gaze: NDArray[np.float32]
    ) -> Reading:
        """Return the reading after one more glimpse.

        :param state: (n, *state_shape), as ``start`` or the last reading gave it
        :param glimpse: uint8 (n, *glimpse_shape)
        :param gaze: where it was taken, float32 (n, 3)
        """
        ...


_MAKERS: dict[str, Callable[..., GlimpseClassifier]] = {}


def register_classifier(name: str, maker: Callable[..., GlimpseClassifier]) -> None:
    """Let environments take ``classifier=name`` and ``classifier={"type": name, ...}``.

    :param name: of this kind of classifier
    :param maker: called with the configuration (still without a classifier) and the arguments
    """
    _MAKERS[name] = maker


def resolve_classifier(value: Any, config: Any) -> Any:
    """Return the classifier that ``value`` stands for: made anew for a name or a dict.

    :param value: an object, the name of a registered kind, or a dict {"type": name, **arguments}
    :param config: what the environment is made of
    :raises ValueError: for an unknown name or wrong arguments
    """
    if isinstance(value, str):
        value = {"type": value}
    if not isinstance(value, dict):
        return value
    arguments = dict(value)
    name = arguments.pop("type", None)
    if not isinstance(name, str) or name not in _MAKERS:
        hint = nearest(name, _MAKERS) if _MAKERS else "import policies registers some"
        raise ValueError(f"got classifier {value!r}, of an unknown type; {hint}")
    try:
        return _MAKERS[name](config, **arguments)
    except TypeError as error:
        raise ValueError(f"cannot make a classifier of {value!r}: {error}") from error
