"""Settings by dotted keys: ``env_kwargs.budget`` is ``budget`` inside of ``env_kwargs``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_key(text: str) -> bool:
    """Return whether a text is a key: names between dots, none of them empty."""
    return all(text.split("."))


def check_names(tree: Any, where: str = "the settings") -> None:
    """Check that all keys of nested mappings and lists are texts.

    :raises ValueError: for another key
    """
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if not isinstance(key, str):
                raise ValueError(f"got the key {key!r} in {where}; wanted names, which are texts")
            check_names(value, key)
    elif isinstance(tree, list):
        for value in tree:
            check_names(value, where)


def last_name(key: str) -> str:
    """Return the last name of a key, "budget" of "env_kwargs.budget"."""
    return key.rpartition(".")[2]


def with_value(tree: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return a tree with one value changed; the given one stays as it is.

    :param tree: nested mappings
    :param key: dots reach inside; mappings that are missing on the way, or None, are made
    :param value: to put there
    :raises ValueError: if the key reaches inside of what has no keys
    """
    name, dot, rest = key.partition(".")
    if not dot:
        return {**tree, name: value}
    inner = tree.get(name)
    if inner is not None and not isinstance(inner, Mapping):
        raise ValueError(
            f"got {rest}={value!r} inside of {name!r}, which is {inner!r} and has no keys; wanted "
            f"another value for {name!r} itself"
        )
    return {**tree, name: with_value(inner or {}, rest, value)}


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return all values of a tree by their dotted keys, in order; an empty mapping is a value."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= {f"{name}.{key}": leaf for key, leaf in flatten(value).items()}
        else:
            flat[name] = value
    return flat
