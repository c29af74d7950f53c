"""Results as JSON and back: one pair of functions for every frozen value of ``evaluation.result``.

A file names its format, so that one of another version is refused with a word on what to do, not
misread.
"""

from __future__ import annotations

import json
import types
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from glimpse_envs.files import replacing
from policies.tensor_files import read_regular

#: of all files; counts up when a key changes its name or meaning
FORMAT = 1
_LARGEST = 2**26  # bytes of a file

_T = TypeVar("_T")


class StorageError(ValueError):
    """A file is not what this version writes; the message says what to do."""


def write_result(path: Path, result: Any) -> Path:
    """Write a result as JSON, which appears only when it is whole; return the path.

    :param result: a frozen value such as ``Evaluation``
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(to_json(result), indent=2) + "\n")
    return path


def read_result(path: Path, kind: type[_T]) -> _T:
    """Read what ``write_result`` wrote.

    :param kind: of the result, such as ``Evaluation``
    :raises FileNotFoundError: no such file
    :raises StorageError: a file that is broken, of another version, or of another kind
    """
    try:
        content = json.loads(read_regular(path, _LARGEST))
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path} is broken ({error}); remove it, and measure anew") from error
    try:
        return from_json(content, kind)
    except StorageError as error:
        raise StorageError(f"{path}: {error}") from error


def to_json(result: Any) -> dict[str, Any]:
    """Return a result in plain types: what ``json.dumps`` takes and ``from_json`` reads."""
    return {"format": FORMAT, **_plain(result)}


def from_json(content: Any, kind: type[_T]) -> _T:
    """Return the result that ``to_json`` was given; keys that it does not know are passed over.

    :param content: of a JSON file
    :param kind: of the result
    :raises StorageError: for content of another version or kind, or with keys missing
    """
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise StorageError(
            f"got format {found}; wanted {FORMAT}: it was written by another version, measure anew"
        )
    return _made(content, kind, kind.__name__)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        members = ((field, getattr(value, field.name)) for field in fields(value))
        return {
            field.name: _plain(member)
            for field, member in members
            if member is not None or field.default is not None
        }
    if isinstance(value, dict):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(member) for member in value]
    return value.value if isinstance(value, Enum) else value


def _made(value: Any, kind: Any, name: str) -> Any:
    """Return a plain value as what a type hint says.

    :param name: of the value, for errors
    """
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):  # X | None: no other is used
        return None if value is None else _made(value, parts[0], name)
    if is_dataclass(kind):
        return _made_of_members(_checked(value, dict, name), kind, name)
    if origin is dict:
        return {
            parts[0](key): _made(member, parts[1], f"{name}.{key}")
            for key, member in _checked(value, dict, name).items()
        }
    if origin is tuple:
        return _made_tuple(_checked(value, list, name), parts, name)
    if kind is float and type(value) is int:
        return float(value)
    if issubclass(kind, Enum):
        return _made_choice(value, kind, name)
    return _checked(value, kind, name)


def _made_of_members(value: dict[str, Any], kind: Any, name: str) -> Any:
    hints, members = get_type_hints(kind), fields(kind)
    needed = [f.name for f in members if f.default is MISSING and f.default_factory is MISSING]
    if missing := [key for key in needed if key not in value]:
        raise StorageError(
            f"got {name} without {', '.join(missing)}; wanted all of {kind.__name__}"
        )
    known = [field.name for field in members if field.name in value]
    return kind(**{key: _made(value[key], hints[key], f"{name}.{key}") for key in known})


def _made_tuple(value: list[Any], kinds: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise StorageError(f"got {len(value)} entries of {name}; wanted {len(kinds)}")
    places = [f"{name}[{i}]" for i in range(len(value))]
    return tuple(map(_made, value, kinds, places))


def _made_choice(value: Any, kind: type[Enum], name: str) -> Enum:
    try:
        return kind(value)
    except ValueError:
        wanted = ", ".join(member.value for member in kind)
        raise StorageError(f"got {value!r} for {name}; wanted one of {wanted}") from None


def _checked(value: Any, kind: type[_T], name: str) -> _T:
    if type(value) is not kind:
        raise StorageError(f"got {value!r:.60} for {name}; wanted {kind.__name__}")
    return value
