"""Dict action spaces seen as one Box, for algorithms that know no Dict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from glimpse_envs.arrays import as_array

SCORE = 5.0
"""Bound of a score. SB3 clips a Gaussian to the Box: in a narrower one scores would often tie."""

LARGEST = float(np.finfo(np.float32).max)
"""Bound of a column without one: SB3 refuses infinite ones, and to this one it clips nothing."""


class Part(NamedTuple):
    """One leaf of a Dict action space.

    :param name: its keys, joined by dots where Dicts are nested
    :param space: Discrete, MultiDiscrete, MultiBinary or Box
    :param columns: where it lies in the Box
    """

    name: str
    space: spaces.Space
    columns: slice


class BoxView(spaces.Box):
    """A Dict action space as one flat Box.

    The parts come in the Dict's order, nested Dicts in place. A Discrete(n) part takes n scores in
    [-5, 5], the largest of which wins, and a MultiDiscrete part as many for each of its entries; a
    MultiBinary part takes a score for each entry, which is 1 above 0; an entry of a Box part with
    both bounds takes a number in [-1, 1] that stands for [low, high], any other entry is taken as
    it is. Integer Boxes are rounded.

    SB3 accepts finite bounds alone and clips actions to them, so an entry without a bound has the
    largest float32 (or its negative) in ``low`` and ``high``, to which no finite action is clipped.
    ``bounded_below`` and ``bounded_above`` say whether there is a bound: ``sample()`` draws
    such an entry from a normal (or, with one bound, an exponential) distribution, as Gymnasium does
    for any Box.

    It is a space of its own, not a wrapper, so that a policy finds the parts in its
    ``action_space``; a policy that does not look sees a Box.

    :param space: a Dict of such parts, or of Dicts of them
    :ivar parts: the leaves
    :raises ValueError: for a part of another kind
    """

    def __init__(self, space: spaces.Dict) -> None:
        if not isinstance(space, spaces.Dict):
            raise ValueError(f"got {space}; wanted a Dict action space")
        self.shown = space
        parts: list[Part] = []
        bounds: list[NDArray] = []
        end = 0
        for name, leaf in _leaves(space):
            low, high = _bounds(name, leaf)
            parts.append(Part(name, leaf, slice(end, end + len(low))))
            bounds.append(np.stack([low, high]))
            end += len(low)
        if not end:
            raise ValueError(f"got {space}; wanted a Dict with at least one part")
        self.parts = tuple(parts)
        low, high = np.concatenate(bounds, axis=1)
        finite_low, finite_high = np.clip([low, high], -LARGEST, LARGEST).astype(np.float32)
        super().__init__(finite_low, finite_high, dtype=np.float32)
        self.bounded_below, self.bounded_above = low > -np.inf, high < np.inf

    @property
    def size(self) -> int:
        """Number of columns."""
        return self.shape[0]

    def decode(self, actions: Any) -> dict[str, Any]:
        """Return the Dict actions of Box actions (..., size), with the same leading dimensions.

        :raises ValueError: for another shape, or numbers outside the Box, NaN included
        """
        actions = as_array(actions)
        if actions.dtype.kind not in "iuf":
            raise ValueError(f"got actions {actions.dtype}; wanted numbers (..., {self.size})")
        if actions.shape[-1:] != self.shape:
            raise ValueError(f"got actions {actions.shape}; wanted (..., {self.size})")
        wrong = ~((actions >= self.low) & (actions <= self.high))
        if wrong.any():
            *place, entry = np.argwhere(wrong)[0]
            where = f"lane {place[0]}'s action" if place else "the action"
            raise ValueError(
                f"got {actions[wrong][0]} in entry {entry} of {where}; wanted numbers in "
                f"[{self.low[entry]:g}, {self.high[entry]:g}]"
            )
        decoded: dict[str, Any] = {}
        for part in self.parts:
            *outer, name = part.name.split(".")
            place = decoded
            for key in outer:
                place = place.setdefault(key, {})
            place[name] = _decode(part.space, actions[..., part.columns])
        return decoded

    def encode(self, actions: dict[str, Any]) -> NDArray[np.float64]:
        """Return Box actions (..., size) that ``decode`` to the given Dict actions.

        In float64, so that parts of float32 come back exactly; as float32, what the space holds,
        they come back up to 2^-24 of their range.

        :raises ValueError: for a missing part, or values outside of a part's space
        """
        columns = []
        for part in self.parts:
            value: Any = actions
            for key in part.name.split("."):
                if key not in value:
                    raise ValueError(f"got actions without {part.name!r}; wanted {self.shown}")
                value = value[key]
            columns.append(_encode(part.space, _checked(part, as_array(value, part.name))))
        return np.concatenate(columns, axis=-1)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BoxView) and self.shown == other.shown

    __hash__ = None  # type: ignore[assignment]  # as for all spaces

    def __repr__(self) -> str:
        return f"BoxView({self.shown})"


class BoxActions(gym.ActionWrapper, gym.utils.RecordConstructorArgs):
    """Show the Dict action space of any environment as a ``BoxView``.

    :param env: an environment with a Dict action space
    :raises ValueError: for another action space
    """

    def __init__(self, env: gym.Env) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        if not isinstance(env.action_space, spaces.Dict):
            raise ValueError(
                f"got an environment with actions {env.action_space}; wanted a Dict: others need "
                "no BoxActions"
            )
        self.action_space: BoxView = BoxView(env.action_space)

    def action(self, action: NDArray[np.float32]) -> dict[str, Any]:
        """Return the Dict action of a Box action (size,)."""
        return self.action_space.decode(action)


def _leaves(space: spaces.Dict, prefix: str = "") -> Iterator[tuple[str, spaces.Space]]:
    for key, part in space.spaces.items():
        if not isinstance(key, str) or "." in key:
            raise ValueError(f"got part {key!r}; wanted names without dots, which nested parts get")
        if isinstance(part, spaces.Dict):
            yield from _leaves(part, f"{prefix}{key}.")
        else:
            yield prefix + key, part


def _bounds(name: str, part: spaces.Space) -> tuple[NDArray, NDArray]:
    """Return the bounds of a part's columns, infinite where a float has none."""
    if isinstance(part, spaces.Box):
        bounded = _bounded(part)
        low, high = part.low.astype(float).ravel(), part.high.astype(float).ravel()
        return np.where(bounded, -1.0, low), np.where(bounded, 1.0, high)
    if isinstance(part, spaces.Discrete):
        width = int(part.n)
    elif isinstance(part, spaces.MultiDiscrete):
        width = int(part.nvec.sum())
    elif isinstance(part, spaces.MultiBinary):
        width = int(np.prod(part.shape))
    else:
        raise ValueError(
            f"part {name!r} is {part}; wanted Discrete, MultiDiscrete, MultiBinary, Box or a Dict "
            "of these"
        )
    return np.full(width, -SCORE), np.full(width, SCORE)


def _bounded(part: spaces.Box) -> NDArray[np.bool_]:
    """Return which entries of a Box have both bounds, bool (size,)."""
    return (part.bounded_below & part.bounded_above).ravel()


def _decode(part: spaces.Space, columns: NDArray) -> Any:
    lead = columns.shape[:-1]
    if isinstance(part, spaces.Discrete):
        return columns.argmax(axis=-1) + part.start
    if isinstance(part, spaces.MultiDiscrete):
        entries = np.split(columns, np.cumsum(part.nvec.ravel())[:-1], axis=-1)
        chosen = np.stack([entry.argmax(axis=-1) for entry in entries], axis=-1)
        return (chosen.reshape(*lead, *part.shape) + part.start).astype(part.dtype)
    if isinstance(part, spaces.MultiBinary):
        return (columns > 0.0).reshape(*lead, *part.shape).astype(part.dtype)
    low, span = _scale(part)
    value = np.where(_bounded(part), low + (0.5 + 0.5 * columns.astype(float)) * span, columns)
    if np.issubdtype(part.dtype, np.integer):
        value = np.rint(value)
    value = value.reshape(*lead, *part.shape).astype(part.dtype)
    return value.clip(part.low, part.high)  # rounding may overshoot


def _checked(part: Part, value: NDArray) -> NDArray:
    """Return values (..., *shape) of a part, if all lie in its space."""
    space = part.space
    if isinstance(space, spaces.Discrete):
        low, high = space.start, space.start + space.n - 1
    elif isinstance(space, spaces.MultiDiscrete):
        low, high = space.start, space.start + space.nvec - 1
    elif isinstance(space, spaces.MultiBinary):
        low, high = 0, 1
    else:
        low, high = space.low, space.high
    shape, kinds = space.shape or (), "iuf" if isinstance(space, spaces.Box) else "biu"
    fits = value.dtype.kind in kinds and value.shape[value.ndim - len(shape) :] == shape
    if not fits or not ((value >= low) & (value <= high)).all():
        raise ValueError(f"got {part.name}={value!r:.200}; wanted values of {space}")
    return value


def _encode(part: spaces.Space, value: NDArray) -> NDArray[np.float64]:
    if isinstance(part, spaces.Discrete):
        return 2.0 * np.eye(int(part.n))[value - part.start] - 1.0
    flat = value.reshape(*value.shape[: value.ndim - len(part.shape)], -1)
    if isinstance(part, spaces.MultiDiscrete):
        start, sizes = part.start.ravel(), part.nvec.ravel().tolist()
        entries = [np.eye(n)[flat[..., i] - start[i]] for i, n in enumerate(sizes)]
        return 2.0 * np.concatenate(entries, axis=-1) - 1.0
    if isinstance(part, spaces.MultiBinary):
        return 2.0 * flat.astype(float) - 1.0
    low, span = _scale(part)
    return np.where(_bounded(part), 2.0 * (flat - low) / span - 1.0, flat)


def _scale(part: spaces.Box) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower bound and the range of a Box's entries, 0 and 1 where it has none."""
    bounded = _bounded(part)
    low, high = part.low.astype(float).ravel(), part.high.astype(float).ravel()
    low = np.where(bounded, low, 0.0)
    span = np.where(bounded, high, 1.0) - low
    return low, np.where(span > 0.0, span, 1.0)  # an entry that cannot vary
