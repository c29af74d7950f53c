"""YAML that may come from a stranger: plain values alone, and of a size that people write."""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from policies.tensor_files import read_regular

LARGEST = 256 * 1024
"""Bytes of a file."""

DEEPEST = 32
"""Levels of lists and mappings."""

MOST = 20_000
"""Values, each alias counted as what it stands for."""


class YamlError(ValueError):
    """A text is no YAML, or more than the limits allow; the message is one line."""


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds.

    :raises OSError: if it cannot be read, is no regular file, or is too large
    :raises YamlError: if it is broken, nested too deeply, or its aliases stand for too much
    """
    return copy.deepcopy(_content(read_regular(path, LARGEST)))


@lru_cache(maxsize=16)
def _content(text: str | bytes) -> Any:
    """Parse a file once: a command looks into the same recipes several times, 50 ms each."""
    return parse_yaml(text)


def parse_yaml(text: str | bytes) -> Any:
    """Return what a YAML text says.

    :raises YamlError: as :func:`read_yaml`
    """
    if len(text) > LARGEST:
        raise YamlError(f"it is longer than {LARGEST:,} characters")
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        where = f" (line {place.line + 1}, column {place.column + 1})" if place else ""
        raise YamlError(f"{error.problem or error.context}{where}") from error
    except YamlError:
        raise
    except yaml.YAMLError as error:
        raise YamlError(" ".join(str(error).split())) from error
    except Exception as error:  # numbers, dates and words of a wrong tag fail in many ways
        words = " ".join(str(error).split())
        raise YamlError(
            f"a value does not fit its tag ({type(error).__name__}: {words})"
        ) from error


class _Loader(yaml.SafeLoader):
    """Counts levels while it reads, and values before it makes them."""

    def __init__(self, text: str | bytes) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Read one node."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise YamlError(f"it is nested more than {DEEPEST} levels deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
        return node

    def get_single_node(self) -> Any:
        """Read the whole text as nodes, whose aliases are still one node each."""
        node = super().get_single_node()
        if node is not None and _size(node, {}) > MOST:
            raise YamlError(f"it holds more than {MOST:,} values, aliases counted")
        return node


def _check_keys(node: yaml.MappingNode) -> None:
    """Refuse a key that is there twice, of which YAML's readers take the last in silence."""
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if (key.tag, key.value) in seen:
                line = key.start_mark.line + 1
                raise YamlError(f"the key {key.value!r:.80} is there twice (line {line})")
            seen.add((key.tag, key.value))


def _size(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Return how many values a node stands for.

    :param known: sizes by the nodes' ids; None of a node that is being counted
    """
    if id(node) in known:
        if (size := known[id(node)]) is None:
            raise YamlError("it holds itself")
        return size
    known[id(node)] = None
    inner: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        inner = node.value
    elif isinstance(node, yaml.MappingNode):
        inner = [part for pair in node.value for part in pair]
    size = 1 + sum(_size(part, known) for part in inner)
    known[id(node)] = size
    return size
