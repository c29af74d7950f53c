"""The settings of runs as flat tables: which are the same, and in what others differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: of config.yml: what tells one training of the same settings from another
_NOT_SETTINGS = ("format", "seed", "git", "versions", "name", "dataset")


def run_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run, flat; equal for trainings that differ in their seed alone.

    The names are those that ``train.py --set`` takes. Left out are seed (the classifier's too),
    name and versions. The data set is known by its digest, since its folder may have moved.

    :param config: what ``config.yml`` holds
    """
    kept = {key: value for key, value in config.items() if key not in _NOT_SETTINGS}
    env_kwargs = {**kept.pop("env_kwargs", {})}
    env_kwargs.pop("dataset", None)
    classifier = env_kwargs.get("classifier")
    if isinstance(classifier, dict):
        env_kwargs["classifier"] = {k: v for k, v in classifier.items() if k != "seed"}
    recipe = kept.pop("recipe", {})
    data = config.get("dataset", {}).get("digest")
    return flat({**kept, "data": data, "env_kwargs": env_kwargs, **recipe})


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings with dotted names, in order; values are scalars or tuples of them.

    A part in a dict with its ``type`` is written as its name alone would be, {"type": "Crop",
    "size": 8} as "Crop" and ``size``. Parts in a list go by their names, not by their places, so
    that one more moves none of the others.
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        _flatten(str(key), value, found)
    return found


def differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names that not all of these flat settings have with the same value."""
    names = dict.fromkeys(name for each in settings for name in each)
    return [name for name in names if len({_tell(each, name) for each in settings}) > 1]


def _tell(settings: Mapping[str, Any], name: str) -> Any:
    return (settings[name],) if name in settings else None


def _flatten(name: str, value: Any, found: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        inner = dict(value)
        kind = inner.pop("type", None)
        if kind is not None or not inner:
            found[name] = kind
        for key, part in inner.items():
            _flatten(f"{name}.{key}", part, found)
    elif isinstance(value, (list, tuple)):
        named = [_named(part) for part in value]
        names = [each[0] for each in named if each is not None]
        if len(names) == len(value) == len(set(names)) and names:
            for key, part in named:  # type: ignore[misc]
                _flatten(f"{name}.{key}", part, found)
        elif any(isinstance(part, (Mapping, list, tuple)) for part in value):
            for i, part in enumerate(value):
                _flatten(f"{name}.{i}", part, found)
        else:
            found[name] = tuple(value)
    else:
        found[name] = value


def _named(part: Any) -> tuple[str, Any] | None:
    """Return name and arguments of a part in a list, None for what is no part."""
    if isinstance(part, str):
        return part, True
    if isinstance(part, Mapping) and "type" in part:
        rest = {key: value for key, value in part.items() if key != "type"}
        return str(part["type"]), rest or True
    if isinstance(part, Mapping) and len(part) == 1:
        ((key, rest),) = part.items()
        return str(key), rest or True
    return None
