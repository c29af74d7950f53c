"""Ports: what they take, how they convert, and how they are connected."""

from __future__ import annotations

import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from glimpse_lab.graph import GraphError, Input, Module, Output, PortTypeError, UnknownPortError


class Pair(Module):
    """Two ports."""

    a = Input(float)
    b = Output((np.ndarray, (None, 3)))


@pytest.mark.parametrize(
    ("declared", "value", "problem"),
    [
        (float, 5, "has type float but received int value"),
        (int, True, "has type int but received bool value"),
        (int, 5, None),
        (object, "anything", None),
        (np.ndarray, th.zeros(2), "has type ndarray but received Tensor value"),
        ((np.ndarray, (3,)), np.zeros((5, 3)), None),
        ((np.ndarray, (None, 3)), np.zeros((5, 3)), None),  # a first None stands for the lanes
        ((np.ndarray, (None, None, 3)), np.zeros((5, 7, 3)), None),
        (
            (np.ndarray, (3,)),
            np.zeros((5, 4)),
            r"has shape \(3,\) in each lane but received \(5, 4\)",
        ),
        ((np.ndarray, (), np.int64), np.zeros(5), "has type int64 but received float64 values"),
        (spaces.Box(0, 1, (3,)), np.zeros((5, 3), np.float32), None),
        (spaces.Box(0, 1, (3,)), np.zeros((5, 2), np.float32), "has shape"),
        ((th.Tensor, (3,), th.float32), th.zeros(5, 3), None),
        ((th.Tensor, (3,), th.int64), th.zeros(5, 3), "has type torch.int64 but received"),
    ],
)
def test_what_a_port_takes(declared, value, problem) -> None:
    module = Module()
    module["*a"] = declared
    if problem is None:
        module["a"] = value
        assert module["a"] is value
        return
    with pytest.raises(PortTypeError, match=f"^port a {problem}.*module Module"):
        module["a"] = value
    assert module["a"] is None


@pytest.mark.parametrize(
    ("value", "declared", "converted"),
    [
        (5.0, int, 5),
        (5, float, 5.0),
        (5, str, "5"),
        ([1, 2], np.ndarray, np.array([1, 2])),
        (np.ones(2), th.Tensor, th.ones(2, dtype=th.float64)),
        (th.ones(2), np.ndarray, np.ones(2, np.float32)),
    ],
)
@pytest.mark.parametrize("key", ["a", ":a"])
def test_another_type_converts_the_value(value, declared, converted, key) -> None:
    module = Module()
    module["*a"] = object
    module["a"] = value
    module[key] = declared
    assert type(module["a"]) is type(converted)
    assert np.array_equal(module["a"], converted)


def test_a_value_that_cannot_be_converted_stays() -> None:
    module = Module()
    module["*a"] = object
    module["a"] = "five"
    with pytest.raises(PortTypeError, match=r"port a holds 'five', which is no int.*module Module"):
        module["a"] = int
    module["a"] = "six"  # the type is still object
    assert module["a"] == "six"


def test_a_value_of_another_shape_cannot_be_converted() -> None:
    module = Module()
    module["*a"] = np.ndarray, (3,)
    module["a"] = np.zeros((5, 3))
    with pytest.raises(PortTypeError, match=r"is no ndarray \(4,\) .*received \(5, 3\)") as raised:
        module["a"] = np.ndarray, (4,)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "declared", [3, (float, (3,)), (th.Tensor, (3,), np.float32), (np.ndarray, (3,), th.float32)]
)
def test_no_type_is_said(declared: object) -> None:
    with pytest.raises(TypeError, match=r"got .* as the type of a port"):
        Module()["*a"] = declared


@pytest.mark.parametrize("key", ["c", ">c", ":c"])
def test_an_unknown_port_is_named_with_those_there_are(key: str) -> None:
    module = Pair()
    with pytest.raises(UnknownPortError, match=r"module Pair has no port 'c'.*known: a, b"):
        _ = module[key] if key != ":c" else module.__setitem__(key, int)
    with pytest.raises(UnknownPortError, match="module Pair has no port 'bb'; did you mean 'b'"):
        _ = module.bb
    assert not hasattr(module, "bb")


def test_both_spellings_are_the_same_edge() -> None:
    first, second = Pair(), Pair()
    first.b >> second.a
    first[">b"]([second[">a"]])
    assert first.b.targets == [second.a] and second.a.sources == [first.b]
    first.b.disconnect(second.a)
    assert not first.b.targets and not second.a.sources
    with pytest.raises(GraphError, match="no such edge"):
        first.b.disconnect(second.a)


def test_values_and_ports_are_not_mixed_up() -> None:
    module = Pair()
    with pytest.raises(GraphError, match=r"set by module\['a'\] = "):
        module.a = 5.0
    with pytest.raises(GraphError, match=r"got 5.0 behind Pair.b >>"):
        module.b >> 5.0
