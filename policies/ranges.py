"""Types and ranges of all settings: of algorithms, policies, environments and callbacks.

The types are those of the signatures; the ranges stand in one table, ``RANGES``.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from glimpse_envs.components import nearest

F = TypeVar("F", bound=Callable[..., Any])


LARGEST = 2**1000
"""Numbers beyond are not looked at further."""


class Range(NamedTuple):
    """Which values a number may have.

    :param low: the least
    :param high: the greatest
    :param above: whether ``low`` itself is not allowed
    :param below: whether ``high`` itself is not allowed
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, value: float) -> bool:
        fits_low = value > self.low if self.above else value >= self.low
        fits_high = value < self.high if self.below else value <= self.high
        return fits_low and fits_high

    def __str__(self) -> str:
        low = f", {'more than' if self.above else 'at least'} {self.low:,.0f}"
        high = f", {'less than' if self.below else 'at most'} {self.high:,.0f}"
        return (low if self.low > -math.inf else "") + (high if self.high < math.inf else "")


SHARE = Range(0, 1)
POSITIVE = Range(0, above=True)
NOT_NEGATIVE = Range(0)
COUNT = Range(1, 1e9)
WIDTH = Range(1, 16_384)
"""Of a layer: two of the widest already fill a gigabyte."""

RANGES = {
    # training
    "n_envs": Range(1, 16_384),
    "n_timesteps": Range(1, 1e15),
    "seed": Range(0, 2**31 - 1),
    # algorithms
    "learning_rate": POSITIVE,
    "n_steps": Range(1, 1e6),
    "batch_size": Range(2, 2**27),
    "n_epochs": Range(1, 10_000),
    "gamma": SHARE,
    "gae_lambda": SHARE,
    "clip_range": POSITIVE,
    "clip_range_vf": POSITIVE,
    "ent_coef": NOT_NEGATIVE,
    "vf_coef": NOT_NEGATIVE,
    "max_grad_norm": POSITIVE,
    "target_kl": POSITIVE,
    "sde_sample_freq": Range(-1, 1e9),
    "stats_window_size": COUNT,
    # policies
    "initial_stop_probability": Range(0, 1, above=True, below=True),
    "n_moves": COUNT,
    "action_gain": NOT_NEGATIVE,
    "log_std_init": Range(-20, 20),
    "lstm_hidden_size": WIDTH,
    "n_lstm_layers": Range(1, 64),
    "net_arch": WIDTH,
    "memory_tokens": Range(1, 4096),
    "memory_blocks": Range(1, 64),
    "memory_heads": WIDTH,
    "encoded_dim": WIDTH,
    "glimpse_dim": WIDTH,
    "where_dim": WIDTH,
    "n_frequencies": Range(0, 1024),
    "dim": WIDTH,
    "letter_dim": WIDTH,
    "patch": WIDTH,
    "n_blocks": Range(0, 64),
    "n_heads": WIDTH,
    # environments
    "budget": Range(1, 10_000),
    "scene_seed": Range(0, 2**63 - 1),
    # classifiers
    "width": WIDTH,
    "hidden_size": WIDTH,
    "code_size": WIDTH,
    "place_channels": WIDTH,
    "steps": Range(1, 100),
    # callbacks
    "pretraining": Range(0, 1e9),
    "epochs": Range(0, 1000),
    "random_share": Range(0, 1, below=True),
    "capacity": Range(1, 1e8),
    "handover": SHARE,
    "muon_learning_rate": POSITIVE,
    "weight_decay": NOT_NEGATIVE,
    "early_weight": SHARE,
    "label_smoothing": Range(0, 1, below=True),
    "initial": SHARE,
    "final": SHARE,
    "fraction": SHARE,
    "weight": NOT_NEGATIVE,
    "n_images": Range(1, 1000),
    "every": COUNT,
}

_WORDS = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
    dict: "a mapping",
    list: "a list",
    type(None): "null",
}


def argument_types(cls: type) -> dict[str, Any]:
    """Return the annotations of all arguments that a class and its bases take by name."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if "__init__" not in vars(base):
            continue
        try:
            found |= get_type_hints(base.__init__)
        except (NameError, TypeError):  # names that only a type checker imports
            continue
    return {name: hint for name, hint in found.items() if name not in ("return", "args", "kwargs")}


def checked(values: Mapping[str, Any], hints: Mapping[str, Any], owner: str = "") -> dict[str, Any]:
    """Return the values, whole numbers such as 32.0 as integers where these are wanted.

    :param values: by name
    :param hints: annotations; a value without one, or of a kind of its own, is not checked
    :param owner: for messages, such as "callback X: "
    :raises ValueError: for a value of another type, or out of its range
    """
    return {name: _checked(name, value, hints.get(name), owner) for name, value in values.items()}


def checks_arguments(function: F) -> F:
    """Decorate a function or a constructor: its arguments are checked as those of a recipe.

    That is, those of plain types and unions of classes. Numbers of NumPy come in as Python's.
    Messages name a class that inherits its constructor by its own name.
    """
    signature = inspect.signature(function)
    defined_by = function.__qualname__.partition(".")[0].removesuffix("Mixin")

    @functools.wraps(function)
    def checking(*args: Any, **kwargs: Any) -> Any:
        inherited = args and getattr(type(args[0]), "__init__", None) is checking
        owner = f"{type(args[0]).__name__ if inherited else defined_by}: "
        try:
            bound, hints = signature.bind(*args, **kwargs), _hints(function)
        except TypeError as error:  # which names neither the function nor what it knows
            unknown = [name for name in kwargs if name not in signature.parameters]
            known = [name for name in signature.parameters if name != "self"]
            hint = f"; {nearest(unknown[0], known)}" if unknown else ""
            raise TypeError(f"{owner}{error}{hint}") from None
        given = {name: value for name, value in bound.arguments.items() if name in hints}
        bound.arguments.update(checked(given, hints, owner))
        for name, value in given.items():
            _check_class(name, value, hints[name], owner)
        return function(*bound.args, **bound.kwargs)

    return checking  # type: ignore[return-value]


def _check_class(name: str, value: Any, hint: Any, owner: str) -> None:
    """Raise a ValueError for an object of none of the classes of a union, such as str | Path."""
    classes = get_args(hint) if isinstance(hint, types.UnionType) else ()
    if not classes or _kinds(hint) is not None or not all(isinstance(c, type) for c in classes):
        return
    if any(get_origin(each) for each in classes) or isinstance(value, classes):
        return
    wanted = " or ".join(_WORDS.get(each, each.__name__) for each in classes)
    raise ValueError(f"got {owner}{name}={value!r:.200}; wanted {wanted}")


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of the arguments that are given by name."""
    of_many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters
    hints = get_type_hints(function)
    return {
        name: hints[name]
        for name, parameter in parameters.items()
        if name in hints and parameter.kind not in of_many
    }


def in_range(name: str, value: float, owner: str = "") -> None:
    """Raise a ValueError for a number that is not finite, or out of its range."""
    allowed = RANGES.get(name, Range())
    if not -LARGEST < value < LARGEST or value not in allowed:
        raise ValueError(f"got {owner}{name}={value!r:.80}; wanted a finite number{allowed}")


def _checked(name: str, value: Any, hint: Any, owner: str) -> Any:
    kinds = _kinds(hint)
    if kinds is None or callable(value):  # of its own kind, or a schedule
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if name == "net_arch":
        _check_widths(value, owner)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and kinds & {int, float}:
        finite = -LARGEST < value < LARGEST  # math.isfinite fails on integers beyond any float
        fits = finite and (float in kinds or value == int(value))
        if fits and value in RANGES.get(name, Range()):
            return value if float in kinds else int(value)
    elif type(value) in kinds or (dict in kinds and isinstance(value, Mapping)):
        return value
    wanted = " or ".join(words for kind, words in _WORDS.items() if kind in kinds)
    if kinds & {int, float}:
        wanted += str(RANGES.get(name, ""))
    raise ValueError(f"got {owner}{name}={value!r:.200}; wanted {wanted}")


def _kinds(hint: Any) -> set[type] | None:
    """Return which plain types an annotation allows; None if it allows others, too."""
    if hint is None:
        return None
    if get_origin(hint) in (typing.Union, types.UnionType):
        parts = [_kinds(part) for part in get_args(hint) if not _is_schedule(part)]
        return None if None in parts else set().union(*parts)
    origin = get_origin(hint) or hint
    if origin is collections.abc.Mapping:
        origin = dict
    return {origin} if isinstance(origin, type) and origin in _WORDS else None


def _is_schedule(hint: Any) -> bool:
    return get_origin(hint) is collections.abc.Callable


def _check_widths(value: Any, owner: str) -> None:
    """Raise a ValueError for widths of layers that are none."""

    def are_widths(layers: Any) -> bool:
        whole = isinstance(layers, list) and all(type(width) is int for width in layers)
        return whole and all(width in RANGES["net_arch"] for width in layers)

    if isinstance(value, dict):
        fits = value.keys() <= {"pi", "vf"} and all(map(are_widths, value.values()))
    else:
        fits = value is None or are_widths(value)
    if not fits:
        raise ValueError(
            f"got {owner}net_arch={value!r}; wanted widths of layers, such as [64, 64] or "
            f"{{pi: [64], vf: [64]}}, each an integer{RANGES['net_arch']}"
        )
