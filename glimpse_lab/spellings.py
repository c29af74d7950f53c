"""The spellings of rl_zoo3's recipes, read without running them.

rl_zoo3 evaluates texts such as ``"dict(net_arch=[32])"`` as Python; here they are parsed, and only
literals, ``dict(...)`` and names of activations are known.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

#: YAML 1.1 reads a number without a point, as 3e-4, as a word
_NUMBER = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+")

_UNSUPPORTED = {
    "normalize": "observations here are scaled already and their spaces are fixed",
    "normalize_kwargs": "observations here are scaled already and their spaces are fixed",
    "env_wrapper": "what an environment shows is set by env_kwargs",
    "vec_env_wrapper": "what an environment shows is set by env_kwargs",
    "vec_env_class": "all lanes are stepped together in one process",
    "monitor_kwargs": "episodes are monitored already",
    "frame_stack": "the agent's memory, or env_kwargs.observe_history, does that",
}
_NOTHING = (None, False, 0, 1, "", {}, [])
"""Values of an unsupported key that ask for nothing."""


class SpellingError(ValueError):
    """A recipe holds what cannot be read; the message says what to do."""


def respelled(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe in the spelling of this package.

    Numbers such as 3e-4, and texts such as "dict(net_arch=[32])" or "{'budget': 3}", become what
    they mean; keys of rl_zoo3 that ask for nothing here are dropped.

    :param recipe: hyperparameters; stays as it is
    :raises SpellingError: for a text that cannot be read without running it, or a key of rl_zoo3
        that is not supported
    """
    read = {}
    for key, value in recipe.items():
        if isinstance(key, str) and key in _UNSUPPORTED:
            if value is True or value not in _NOTHING:
                raise SpellingError(
                    f"{key}={value!r} of rl_zoo3 is not supported: {_UNSUPPORTED[key]}; leave it "
                    "out, or train with python -m glimpse_lab.integrations.rl_zoo"
                )
            continue
        try:
            read[key] = _read(key, value)
        except RecursionError:
            raise SpellingError(f"got {key} nested too deep, or holding itself") from None
    return read


def _read(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _read(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_read(key, inner) for inner in value]
    if not isinstance(value, str):
        return value
    if _NUMBER.fullmatch(value.strip()):
        return float(value)
    if value.lstrip().startswith(("dict(", "{", "[")):
        return _parsed(key, value)
    return value


def _parsed(key: str, text: str) -> Any:
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SpellingError(
            f"got {key}={text[:200]!r}, which is read and never run: {error}; wanted literals and "
            "dict(...), or the same in YAML"
        ) from error


def _value(node: ast.expr) -> Any:
    """Return what an expression of literals means."""
    match node:
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(keys, values, strict=True)
            return {_value(key): _value(value) for key, value in pairs}
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item) for item in items]
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=words) if all(
            word.arg for word in words
        ):
            return {word.arg: _value(word.value) for word in words}
        case ast.Attribute(value=ast.Name(id="nn"), attr=name):
            return f"nn.{name}"  # an activation
        case _:
            return ast.literal_eval(node)
