"""Exchangeable parts (scene, sensor, scheme, reward, augmentation, strategy) and their names.

Every part is a frozen dataclass below one of the base classes, so that a user's own part is one
small class. Parts can be given to ``gymnasium.make`` as an object, by class name (``"Crop"``) or by
name with arguments (``{"type": "Crop", "size": 8}``); the last two survive ``EnvSpec.to_json``.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, Self, TypeVar

T = TypeVar("T", bound="Component")


class _ObjectGuard:
    """Makes ``dataclasses.asdict`` of a component fail instead of forgetting its class.

    ``EnvSpec.to_json`` flattens nested dataclasses to plain dicts, which would write a spec that
    does not load. ``asdict`` deep-copies leaf values, so a leaf that cannot be copied stops it.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        raise ValueError(
            "a component passed as an object cannot be written to a serialised EnvSpec; pass it "
            'by name, such as "Crop" or {"type": "Crop", "size": 8}'
        )


@dataclass(frozen=True)
class Component:
    """Base of all exchangeable parts: immutable, hence shared by copies and across lanes."""

    _guard: _ObjectGuard = field(
        default=_ObjectGuard(), init=False, repr=False, compare=False, hash=False
    )

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}
        return _rebuild, (type(self), values)


def _rebuild(cls: type[T], values: dict[str, Any]) -> T:
    return cls(**values)


def nearest(name: Any, known: Iterable[str]) -> str:
    """Return a hint for an unknown ``name``: the nearest known one, and all that are known."""
    known, name = sorted(known), str(name)
    lower = {k.lower(): k for k in known}  # "crop" is near "Crop" for a person, not for difflib
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    hint = f"did you mean {lower[close[0]]!r}? " if close else ""
    shown = known if len(known) <= 20 else [*known[:20], f"and {len(known) - 20} more"]
    return f"{hint}known: {', '.join(shown)}"


def _subclasses(base: type[T]) -> dict[str, type[T]]:
    """Return all public classes below ``base`` by name, a user's own included."""
    found: dict[str, type[T]] = {}
    for cls in base.__subclasses__():
        if not cls.__name__.startswith("_"):
            found[cls.__name__] = cls
        found.update(_subclasses(cls))
    return found


def resolve(value: Any, base: type[T]) -> T:
    """Return the component that ``value`` stands for.

    :param value: an instance of ``base``, the name of a class below it, or a dict
        ``{"type": name, **arguments}``
    :param base: the kind wanted, such as ``Scene``, ``Sensor``, ``ActionScheme`` or ``Reward``
    :raises ValueError: for an unknown name, wrong arguments or another type
    """
    kind = base.__name__
    if isinstance(value, base) and type(value) is not base:
        return value
    if isinstance(value, str):
        value = {"type": value}
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise ValueError(
            f"got {value!r} as {kind}; wanted a {kind} object, a class name, or a dict such as "
            f'{{"type": NAME, ...}}'
        )
    arguments = {key: item for key, item in value.items() if key != "type"}
    classes = _subclasses(base)
    if value["type"] not in classes:
        raise ValueError(f"unknown {kind} {value['type']!r}; {nearest(value['type'], classes)}")
    cls = classes[value["type"]]
    accepted = [f.name for f in dataclasses.fields(cls) if f.init]
    for name in arguments:
        if name not in accepted:
            raise ValueError(f"{cls.__name__} has no argument {name!r}; {nearest(name, accepted)}")
    try:
        return cls(**arguments)
    except TypeError as error:
        raise ValueError(f"cannot make {kind} from {value!r}: {error}") from error


def is_integer(value: Any) -> bool:
    """Return whether a value is an integer, which True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_integer(owner: Component, name: str, *, low: int, high: int = 4096) -> None:
    """Raise a ValueError unless a field of ``owner`` is an integer from ``low`` to ``high``."""
    value = getattr(owner, name)
    if not is_integer(value) or not low <= value <= high:
        raise ValueError(
            f"got {type(owner).__name__}({name}={value!r}); wanted an integer of at least {low} "
            f"and at most {high}"
        )


def check_number(owner: Component, name: str, *, low: float, high: float = math.inf) -> None:
    """Raise a ValueError unless the field ``name`` of ``owner`` is a number in [low, high]."""
    value = getattr(owner, name)
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not (low <= value <= high) or math.isinf(value):
        raise ValueError(
            f"got {type(owner).__name__}({name}={value!r}); wanted a finite number from {low:g} to "
            f"{high:g}"
        )
