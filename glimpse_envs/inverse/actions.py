"""Types of parameterised actions: each adds to one attribute of what lies on the canvas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.components import Component, check_number, resolve

ATTRIBUTES = ("x", "y", "angle", "scale", "brightness", "cursor_x", "cursor_y")
"""Columns of a state. ``x`` and ``y`` of the object's centre and of the cursor's tip in pixels from
the middle of the canvas, to the right and down; ``angle`` in degrees, clockwise; ``scale`` and
``brightness`` as natural logarithms of factors."""

X, Y, ANGLE, SCALE, BRIGHTNESS, CURSOR_X, CURSOR_Y = range(len(ATTRIBUTES))


@dataclass(frozen=True)
class ActionType(Component):
    """An action with one parameter, which is added to one attribute.

    Thus the action of the negated parameter is its exact inverse, of scale and brightness too,
    whose attributes are logarithms.

    :param largest: absolute value of the parameter, in ``unit``
    :param smallest: absolute value in the pairs that are shown, in ``unit``: below it an action
        could not be told from another. An agent may take smaller ones
    :cvar name: for reports
    :cvar attribute: column of the state
    :cvar unit: of the parameter
    :cvar tolerance: error of the parameter that does not count, in ``unit``: a pixel, a degree or a
        per cent
    """

    name: ClassVar[str]
    attribute: ClassVar[int]
    unit: ClassVar[str]
    tolerance: ClassVar[float] = 1.0

    largest: float
    smallest: float

    def __post_init__(self) -> None:
        check_number(self, "largest", low=0.0, high=1e4)
        check_number(self, "smallest", low=0.0, high=1e4)
        if not 0.0 < self.smallest < self.largest:
            raise ValueError(
                f"got {type(self).__name__}(largest={self.largest}, smallest={self.smallest}); "
                "wanted 0 < smallest < largest"
            )


@dataclass(frozen=True)
class MoveX(ActionType):
    """Move the object to the right, by pixels."""

    name, attribute, unit = "move x", X, "px"
    largest: float = 16.0
    smallest: float = 1.5


@dataclass(frozen=True)
class MoveY(ActionType):
    """Move the object down, by pixels."""

    name, attribute, unit = "move y", Y, "px"
    largest: float = 16.0
    smallest: float = 1.5


@dataclass(frozen=True)
class Rotate(ActionType):
    """Turn the object clockwise about its centre, by degrees."""

    name, attribute, unit = "rotate", ANGLE, "degrees"
    largest: float = 60.0
    smallest: float = 5.0


@dataclass(frozen=True)
class Scale(ActionType):
    """Enlarge the object about its centre, by a factor whose natural logarithm is given."""

    name, attribute, unit, tolerance = "scale", SCALE, "log factor", 0.01
    largest: float = 0.35
    smallest: float = 0.03


@dataclass(frozen=True)
class Brighten(ActionType):
    """Multiply the object's pixels by a factor whose natural logarithm is given."""

    name, attribute, unit, tolerance = "brighten", BRIGHTNESS, "log factor", 0.01
    largest: float = 0.5
    smallest: float = 0.04


@dataclass(frozen=True)
class CursorX(ActionType):
    """Move the cursor to the right, by pixels."""

    name, attribute, unit = "cursor x", CURSOR_X, "px"
    largest: float = 50.0
    smallest: float = 2.0


@dataclass(frozen=True)
class CursorY(ActionType):
    """Move the cursor down, by pixels."""

    name, attribute, unit = "cursor y", CURSOR_Y, "px"
    largest: float = 50.0
    smallest: float = 2.0


class ActionTable:
    """K types of actions, in the order of their numbers.

    Parameters are normalised: 1 stands for the largest of the type, -1 for the largest the other
    way.

    :param types: objects, names or dicts; of each attribute at most one
    :ivar types: the action types
    :ivar attributes: their columns of a state, int64 (K,)
    :ivar largest: absolute value of each, in its unit, float64 (K,)
    :ivar smallest: absolute value of each that is shown, in its unit, float64 (K,)
    :ivar tolerance: error of each that does not count, in its unit, float64 (K,)
    :raises ValueError: for fewer than two types, or two of the same attribute
    """

    def __init__(self, types: Sequence[Any]) -> None:
        if isinstance(types, (str, dict)) or not isinstance(types, Sequence) or len(types) < 2:
            raise ValueError(
                f'got actions={types!r}; wanted a list of at least two, such as ["MoveX", "Rotate"]'
            )
        self.types = tuple(resolve(value, ActionType) for value in types)
        self.attributes = np.array([kind.attribute for kind in self.types])
        if len(set(self.attributes.tolist())) < len(self.types):
            raise ValueError(f"got actions {self.names}; wanted each at most once")
        self.largest = np.array([kind.largest for kind in self.types], np.float64)
        self.smallest = np.array([kind.smallest for kind in self.types], np.float64)
        self.tolerance = np.array([kind.tolerance for kind in self.types], np.float64)

    def __len__(self) -> int:
        return len(self.types)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the types."""
        return tuple(kind.name for kind in self.types)

    @property
    def units(self) -> tuple[str, ...]:
        """The units of their parameters."""
        return tuple(kind.unit for kind in self.types)

    def in_units(
        self, types: NDArray[np.int64], parameters: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Return normalised parameters (...) of types (...) in the types' units, float64."""
        return self.largest[types] * parameters.astype(np.float64)

    def inverse(
        self, types: NDArray[np.int64], parameters: NDArray[np.floating]
    ) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """Return the actions that undo actions: those types with the negated parameters."""
        return types, -parameters

    def apply(
        self,
        state: NDArray[np.float64],
        types: NDArray[np.int64],
        parameters: NDArray[np.floating],
    ) -> NDArray[np.float64]:
        """Return states after an action each.

        :param state: float64 (n, 7), see ``ATTRIBUTES``
        :param types: int64 (n,), in 0 ... K - 1
        :param parameters: normalised, (n,)
        """
        changed = state.copy()
        changed[np.arange(len(state)), self.attributes[types]] += self.in_units(types, parameters)
        return changed

    def between(
        self, before: NDArray[np.float64], after: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the normalised parameters of all types that lead from states to others.

        :param before: float64 (n, 7)
        :param after: float64 (n, 7)
        :return: float64 (n, K); of angles the shorter way, so that it may be beyond [-1, 1] only
            where one action does not lead there
        """
        change = after - before
        change[:, ANGLE] = (change[:, ANGLE] + 180.0) % 360.0 - 180.0
        return change[:, self.attributes] / self.largest

    def describe(self, kind: int, parameter: float) -> str:
        """Return an action in words and numbers, such as "move x by +5.2 px"."""
        value = self.largest[kind] * parameter
        unit = self.types[kind].unit
        if unit == "log factor":
            return f"{self.names[kind]} by a factor of {math.exp(value):.2f}"
        return f"{self.names[kind]} by {value:+.1f} {unit}"
