"""The type of a port: what kind of value it takes, and of which shape in each lane."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class PortType:
    """A kind of value.

    Arrays and tensors hold a row for each lane, so that their first axis has as many entries as
    there are lanes; the shape is that of one lane.

    :param kind: the Python class; ``object`` takes everything
    :param shape: of one lane, None for any; an entry None leaves that axis free
    :param dtype: of arrays or tensors, None for any
    :param space: of one lane, where the port was declared by a Gymnasium space
    """

    kind: type
    shape: Shape | None = None
    dtype: np.dtype | th.dtype | None = None
    space: spaces.Space | None = None

    def __str__(self) -> str:
        dtype = "" if self.dtype is None else f" {self.dtype}"
        return f"{self.kind.__name__}{dtype}" + ("" if self.shape is None else f" {self.shape}")

    def problem(self, value: Any) -> str | None:
        """Return what is wrong with a value, continuing "port NAME ..."; None if it fits."""
        if self.kind is object:
            return None
        number = isinstance(value, bool) and self.kind is not bool  # True is an int for Python
        if number or not isinstance(value, self.kind):
            return f"has type {self.kind.__name__} but received {type(value).__name__} value"
        if self.dtype is not None and value.dtype != self.dtype:
            return f"has type {self.dtype} but received {value.dtype} values"
        if self.shape is not None and not _matches(tuple(value.shape[1:]), self.shape):
            return (
                f"has shape {self.shape} in each lane but received {tuple(value.shape)}, whose "
                "first axis counts the lanes"
            )
        return None

    def mismatch(self, source: PortType) -> str | None:
        """Return why values of another type do not fit here; None if they do or may."""
        if object in (self.kind, source.kind):
            return None
        same = issubclass(source.kind, self.kind)
        same &= None in (self.dtype, source.dtype) or self.dtype == source.dtype
        if None not in (self.shape, source.shape):
            same &= _matches(source.shape, self.shape)
        return None if same else f"{source} does not fit {self}"

    def convert(self, value: Any) -> Any:
        """Return a value as one of this type.

        :raises ValueError: where there is no such value
        :raises TypeError: where there is no such value
        """
        if value is None or self.problem(value) is None:
            return value
        if issubclass(self.kind, np.ndarray):
            if isinstance(value, th.Tensor):
                value = value.detach().cpu().numpy()
            converted = np.asarray(value, self.dtype)
        elif issubclass(self.kind, th.Tensor):
            converted = th.as_tensor(value, dtype=self.dtype)
        else:
            converted = self.kind(value)
        problem = self.problem(converted)
        if problem:
            raise ValueError(f"the port then {problem}")
        return converted


def is_declaration(value: Any) -> bool:
    """Return whether a value declares the type of a port, see :func:`port_type`."""
    if isinstance(value, tuple):
        return bool(value) and isinstance(value[0], type)
    return isinstance(value, (type, PortType, spaces.Space))


def port_type(declared: Any) -> PortType:
    """Return the type that a declaration stands for.

    :param declared: a class; a pair of class and shape, or with the type of numbers as third; a
        Gymnasium space of one lane; or a :class:`PortType`. A shape is that of one lane: a first
        entry None, which stands for the lanes, may be written and is dropped
    :raises TypeError: for anything else
    """
    if isinstance(declared, PortType):
        return declared
    if isinstance(declared, spaces.Space):
        return PortType(np.ndarray, declared.shape, declared.dtype, declared)
    if isinstance(declared, type):
        return PortType(declared)
    if is_declaration(declared) and len(declared) in (2, 3):
        kind, shape, *dtype = declared
        if issubclass(kind, th.Tensor) and all(isinstance(each, th.dtype) for each in dtype):
            return PortType(kind, _lane_shape(shape), *dtype)
        if issubclass(kind, np.ndarray) and not any(isinstance(each, th.dtype) for each in dtype):
            return PortType(kind, _lane_shape(shape), *map(np.dtype, dtype))
    raise TypeError(
        f"got {declared!r} as the type of a port; wanted a class such as float, a pair such as "
        "(numpy.ndarray, (9, 9, 1)) or (torch.Tensor, (16,), torch.float32), or a Gymnasium space"
    )


def _lane_shape(shape: Iterable[int | None]) -> Shape:
    shape = tuple(shape)
    return shape[1:] if shape and shape[0] is None else shape


def _matches(shape: Shape, wanted: Shape) -> bool:
    pairs = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(w is None or s is None or s == w for s, w in pairs)
