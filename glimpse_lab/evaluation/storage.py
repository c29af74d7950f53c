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

#: of all files; counts up when a key changes its name or meaning
FORMAT = 1

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
        content = json.loads(path.read_text())
    except ValueError as error:
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
    return _made(content, kind, "")


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
    if kind is Any:
        return value
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):  # X | None: no other is used
        return None if value is None else _made(value, parts[0], name)
    if is_dataclass(kind) or origin is dict:
        _check(value, dict, name)
    if is_dataclass(kind):
        return _made_of_members(value, kind, name)
    if origin is dict:
        key_kind, member_kind = parts
        return {
            key_kind(key): _made(member, member_kind, f"{name}.{key}")
            for key, member in value.items()
        }
    if origin is tuple:
        _check(value, list, name)
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        if len(kinds) != len(value):
            raise StorageError(f"got {len(value)} entries of {name}; wanted {len(kinds)}")
        members = zip(value, kinds, strict=True)
        return tuple(
            _made(member, part, f"{name}[{i}]") for i, (member, part) in enumerate(members)
        )
    if kind is float and type(value) is int:
        return float(value)
    if issubclass(kind, Enum):
        return _member(value, kind, name)
    _check(value, kind, name)
    return value


def _made_of_members(value: dict[str, Any], kind: Any, name: str) -> Any:
    hints = get_type_hints(kind)
    needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    if missing := [key for key in needed if key not in value]:
        where = f" in {name.lstrip('.')}" if name else ""
        raise StorageError(f"lacks {', '.join(missing)}{where}; wanted a {kind.__name__}")
    known = [field.name for field in fields(kind) if field.name in value]
    return kind(**{key: _made(value[key], hints[key], f"{name}.{key}") for key in known})


def _member(value: Any, kind: type[Enum], name: str) -> Enum:
    try:
        return kind(value)
    except ValueError:
        wanted = ", ".join(member.value for member in kind)
        raise StorageError(
            f"got {value!r} for {name.lstrip('.')}; wanted one of {wanted}"
        ) from None


def _check(value: Any, kind: type, name: str) -> None:
    if type(value) is not kind:
        raise StorageError(f"got {value!r:.60} for {name.lstrip('.')}; wanted a {kind.__name__}")
