"""What is done with environments and policies: recipes, runs, training, evaluation, comparison."""

from importlib import import_module
from typing import Any

#: public names, and the modules that they are loaded from when they are first used
_HOMES = {
    "ScanpathImages": "glimpse_lab.integrations.tensorboard",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
