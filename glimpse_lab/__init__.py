"""What is done with environments and policies: recipes, runs, training, evaluation, comparison.

``train``, ``resume``, ``load`` and ``evaluate`` do from Python what the scripts do. All names are
loaded when they are first used: importing this package imports no PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from glimpse_lab.defaults import DEFAULT_ENV

if TYPE_CHECKING:
    from glimpse_lab.api import evaluate, load, resume, train
    from glimpse_lab.comparison.runs import compare_runs
    from glimpse_lab.config import RunConfig, RunError, resolve_config
    from glimpse_lab.integrations.tensorboard import ScanpathImages
    from glimpse_lab.pretrained import pretrained_names
    from glimpse_lab.pretrained.agents import load_pretrained
    from glimpse_lab.runs import Agent, Run

_HOMES = {
    "Agent": "glimpse_lab.runs",
    "Run": "glimpse_lab.runs",
    "RunConfig": "glimpse_lab.config",
    "RunError": "glimpse_lab.config",
    "ScanpathImages": "glimpse_lab.integrations.tensorboard",
    "compare_runs": "glimpse_lab.comparison.runs",
    "evaluate": "glimpse_lab.api",
    "load": "glimpse_lab.api",
    "load_pretrained": "glimpse_lab.pretrained.agents",
    "pretrained_names": "glimpse_lab.pretrained",
    "resolve_config": "glimpse_lab.config",
    "resume": "glimpse_lab.api",
    "train": "glimpse_lab.api",
}

__all__ = [
    "DEFAULT_ENV",
    "Agent",
    "Run",
    "RunConfig",
    "RunError",
    "ScanpathImages",
    "compare_runs",
    "evaluate",
    "load",
    "load_pretrained",
    "pretrained_names",
    "resolve_config",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
